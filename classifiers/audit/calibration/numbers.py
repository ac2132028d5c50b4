"""The numbers of a prior that are moved (hyper-parameters), and priors with other numbers.

A number is named by its parameter and what it is: `g_r.mean`, `g_r.sigma`, `r_mag.low`. The range
of something positive, such as a size, has a middle and a width (`r_eff.middle`, `r_eff.width`) in
place of its ends, and is moved by factors: when its middle is doubled, all sizes are.

Steps are in units of the distribution's width, or of the logarithm where a number is a scale
(sigma, width). Numbers stay where the prior's reader lets them be.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from classifiers.audit.gradients import NUMBERS, width
from lensjax.component import Domain
from lensjax.errors import InputError
from lensjax.photometry import colour_bands
from lensjax.prior import Distribution, Prior

RANGES = ("uniform", "area")
SCALED = ("middle", "width")
"""What a range of something positive has in place of its ends."""
LOGARITHMIC = ("sigma", "middle", "width")
NARROWEST, WIDEST = 0.05, 20.0
"""least and largest width or sigma, in units of the one that it had"""
INSIDE = 1e-3
"""how far inside of an open end of a domain a range stays, in units of its width"""
DIGITS = 6
"""significant digits of the numbers in a calibrated prior"""


@dataclass(frozen=True)
class Number:
    """One number of a prior. word: which one of its distribution. start: where it was. unit: what a
    step of 1 is, of the number, or of its logarithm. domain: where the parameter may lie."""

    parameter: str
    kind: str
    word: str
    start: float
    unit: float
    domain: Domain

    @property
    def name(self) -> str:
        """For example `g_r.mean`."""
        return f"{self.parameter}.{self.word}"

    @property
    def logarithmic(self) -> bool:
        """Whether it is moved by factors."""
        return self.word in LOGARITHMIC

    def value(self, x: Any) -> Any:
        """The number after steps x, any shape."""
        if self.logarithmic:
            return self.start * jnp.exp(self.unit * x)
        return self.start + self.unit * x

    def error(self, x: float, deviation: float) -> float:
        """Standard deviation of the number where that of its steps is known."""
        slope = float(self.value(x)) if self.logarithmic else 1.0
        return abs(slope) * self.unit * deviation


@dataclass(frozen=True)
class Numbers:
    """The k numbers of a prior that may be moved, in order."""

    prior: Prior
    every: tuple[Number, ...]

    def __len__(self) -> int:
        return len(self.every)

    @property
    def names(self) -> list[str]:
        """Names of the numbers."""
        return [number.name for number in self.every]

    @cached_property
    def parameters(self) -> list[str]:
        """Names of the m parameters that they belong to, in order."""
        return list(dict.fromkeys(number.parameter for number in self.every))

    @cached_property
    def _place(self) -> dict[str, int]:
        return {name: i for i, name in enumerate(self.names)}

    def values(self, x: Float[np.ndarray, " k"]) -> Float[np.ndarray, " k"]:
        """The numbers after steps x (k,) from the start."""
        return np.array([float(n.value(v)) for n, v in zip(self.every, np.asarray(x))])

    def distributions(self, x: Float[Array | np.ndarray, " k"]) -> dict[str, Distribution]:
        """Distributions of the m parameters after steps x (k,); differentiable."""
        moved = {number.name: number.value(x[i]) for i, number in enumerate(self.every)}
        found = {}
        for name in self.parameters:
            own = self.prior.parameters[name]
            start = starts(self.prior, name)
            made = tuple(moved.get(f"{name}.{word}", v) for word, v in start.items())
            if tuple(start) == SCALED:
                # The width goes with the middle.
                half = 0.5 * made[1] * made[0] / start["middle"]
                made = made[0] - half, made[0] + half
            found[name] = Distribution(made, own.kind)
        return found

    def drawn(
        self, x: Float[Array | np.ndarray, " k"], noise: Float[Array | np.ndarray, "m n"]
    ) -> Float[Array, "m n"]:
        """Values of the m parameters for uniform noise in (0, 1); differentiable in x."""
        made = self.distributions(x)
        return jnp.stack([made[name].quantile(u) for name, u in zip(self.parameters, noise)])

    def legal(self, x: Float[Array | np.ndarray, " k"]) -> Float[Array, " k"]:
        """The nearest steps that give numbers which a prior may have: inside of the parameters'
        domains, and no width or sigma less than NARROWEST or more than WIDEST of what it was."""
        x = jnp.asarray(x)
        for i, number in enumerate(self.every):
            x = x.at[i].set(jnp.clip(x[i], *self._ends(number)))
        for i, number in enumerate(self.every):
            if number.word == "width":
                x = x.at[i].set(jnp.minimum(x[i], self._widest(number)))
            elif number.word in ("low", "high"):
                x = x.at[i].add(self._pushed(number, x))
        for i, number in enumerate(self.every):
            if number.word == "middle":
                x = x.at[i].set(jnp.minimum(x[i], self._highest(number, x)))
        return x

    def _ends(self, number: Number) -> tuple[float, float]:
        """Steps between which a number may lie, whatever the others are."""
        if number.word in ("sigma", "width"):
            return float(np.log(NARROWEST)), float(np.log(WIDEST))
        if number.word == "mean":
            return -np.inf, np.inf
        low, high = bounds(number.domain, self._width(number))
        if number.word == "low":
            high = high - NARROWEST * number.unit
        if number.word == "high":
            low = low + NARROWEST * number.unit
        ends = np.array([low, high])
        if number.logarithmic:
            ends = np.log(np.maximum(ends, 1e-12) / number.start)
        else:
            ends = ends - number.start
        return float(ends[0] / number.unit), float(ends[1] / number.unit)

    def _width(self, number: Number) -> float:
        """Width of the distribution that a number belongs to, as it was."""
        own = self.prior.parameters[number.parameter]
        return width(tuple(float(v) for v in own.numbers), own.kind)

    def _widest(self, number: Number) -> float:
        """Steps to the largest width: that of a range from 0, and of one that ends in the domain
        where the middle cannot give way."""
        start = starts(self.prior, number.parameter)
        most = (1 - INSIDE) * 2 * start["middle"]
        if f"{number.parameter}.middle" not in self._place:
            _, high = bounds(number.domain, self._width(number))
            most = min(most, 2 * (high - start["middle"]))
        return float(np.log(most / start["width"]))

    def _highest(self, number: Number, x: Array) -> Array:
        """Steps to the largest middle, so that a range of its width ends in the domain."""
        wide: Any = starts(self.prior, number.parameter)["width"]
        there = self._place.get(f"{number.parameter}.width")
        if there is not None:
            wide = self.every[there].value(x[there])
        _, high = bounds(number.domain, self._width(number))
        return jnp.log(high / (1 + 0.5 * wide / number.start) / number.start) / number.unit

    def _pushed(self, number: Number, x: Array) -> Array:
        """Steps by which an end of a range has to give way to the other one. Where both may move,
        the upper end does."""
        own = starts(self.prior, number.parameter)
        sibling = f"{number.parameter}.{'high' if number.word == 'low' else 'low'}"
        there = self._place.get(sibling)
        if there is not None and number.word == "low":
            return jnp.zeros(())
        other: Any = own[sibling.rpartition(".")[2]]
        if there is not None:
            other = self.every[there].value(x[there])
        away = number.value(x[self._place[number.name]]) - other
        sign = 1.0 if number.word == "high" else -1.0
        return sign * jnp.maximum(NARROWEST - sign * away / number.unit, 0.0)

    def moved(self, x: Float[np.ndarray, " k"]) -> dict[str, Distribution]:
        """Distributions after steps x with numbers of DIGITS significant digits, of the parameters
        that have moved."""
        made = {}
        for name, own in self.distributions(np.asarray(x, np.float64)).items():
            if any(v for n, v in zip(self.every, x) if n.parameter == name):
                rounded = tuple(float(f"{float(v):.{DIGITS}g}") for v in own.numbers)
                made[name] = Distribution(rounded, own.kind)
        return made


def starts(prior: Prior, parameter: str) -> dict[str, float]:
    """The numbers of a parameter's distribution that can be moved, by word."""
    own, domain = prior.parameters[parameter], prior.domain(parameter)
    values = tuple(float(v) for v in own.numbers)
    if own.kind in RANGES and domain.low == 0 and values[0] > 0:
        low, high = values
        return {"middle": 0.5 * (low + high), "width": high - low}
    return dict(zip(NUMBERS[own.kind], values))


def bounds(domain: Domain, unit: float) -> tuple[float, float]:
    """Smallest and largest value of the ends of a range. A smallest value that is neither 0 nor
    infinite is left by a millionth, so that rounding to single precision stays inside."""
    inside = INSIDE * unit
    rounding = 1e-6 * abs(domain.low) if np.isfinite(domain.low) else 0.0
    low = domain.low + (inside if domain.ends[0] == "(" else rounding)
    return low, domain.high - (inside if domain.ends[1] == ")" else 0.0)


def usual(prior: Prior) -> list[str]:
    """Parameters that are moved when none is named: magnitude, colours and size of the sources, and
    the Einstein radius, so that sources need not make up for it."""
    found = []
    for block in prior.blocks:
        if block.role == "source":
            sizes = {n for n, f in block.cls.__dataclass_fields__.items() if f.metadata.get("size")}
            found += [flat for own, flat in block.names if colour_bands(own) or own in sizes]
    return found + [name for name in ("theta_e",) if name in prior.parameters]


def numbers(prior: Prior, asked: Sequence[str], where: str = "calibrate.move") -> Numbers:
    """The numbers of these parameters (`g_r`), or single ones (`g_r.mean`). Raises InputError for
    what the prior does not have, and for a name that is given twice."""
    every: list[Number] = []
    for name in asked:
        parameter, dot, word = name.partition(".")
        if parameter not in prior.parameters:
            listed = ", ".join(sorted(prior.parameters))
            raise InputError(
                f"{where}: prior {prior.name!r} has no parameter {parameter!r}; it has {listed}"
            )
        start = starts(prior, parameter)
        if dot and word not in start:
            raise InputError(
                f"{where}: {parameter} of prior {prior.name!r} has no {word!r} to move; it has "
                f"{', '.join(start)}"
            )
        every += [_number(prior, parameter, w) for w in start if not dot or w == word]
    found = Numbers(prior.without_implied({n.parameter for n in every}), tuple(every))
    twice = [n for i, n in enumerate(found.names) if n in found.names[:i]]
    if twice:
        raise InputError(f"{where}: {twice[0]} is named twice; name it once")
    if not every:
        raise InputError(f"{where}: prior {prior.name!r} has nothing to move; name a parameter")
    return found


def _number(prior: Prior, parameter: str, word: str) -> Number:
    own = prior.parameters[parameter]
    start, unit = starts(prior, parameter)[word], 1.0
    if word not in ("sigma", "width"):
        unit = width(tuple(float(v) for v in own.numbers), own.kind)
    if word == "middle":
        unit = unit / start
    return Number(parameter, own.kind, word, start, unit, prior.domain(parameter))
