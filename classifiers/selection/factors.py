"""Selections one after the other: what passes the pool, is found, and gets a good grade.

    whole = product(Share(812, 1000), SelectionFunction.load("runs/mine"), SelectionFunction.load(
        "grader.csv"))
    whole.query(theta_e=1.5, psf=1.2, depth=24.0)

The completenesses are multiplied, as though the selections were independent at given values of the
axes. That is an assumption, which the answer repeats: two finders that both miss red arcs find
more together than the product says, unless colour is an axis of both.

The interval is the delta method on the logarithm with each factor's own, asymmetric interval
(MOVER: Zou & Donner 2008, Statistics in Medicine 27, 1693): with values v_i and ends l_i, u_i

    lower = prod(v_i) exp(-sqrt(sum(ln(v_i / l_i)^2))),    upper = prod(v_i) exp(sqrt(sum(ln(u_i /
    v_i)^2)))

Where factors have found nothing, the upper end is their upper ends times the other values, which is
the limit of the formula for one of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from classifiers.audit.axes import STEMS
from classifiers.intervals import jeffreys
from classifiers.selection.answer import Answer, worst
from lensjax.errors import InputError

INDEPENDENT = "the selections are taken to be independent of each other at given values of the axes"


class Selection(Protocol):
    """What can be a factor: a `SelectionFunction`, a `Share`, a `Constant`, another product.
    axes: have a `name` each. maps: of the sky, or None."""

    @property
    def name(self) -> str:
        """Name of the factor."""
        ...

    @property
    def axes(self) -> Sequence[Any]:
        """Axes that the factor depends on."""
        ...

    @property
    def maps(self) -> Any:
        """Maps of the sky that the factor depends on."""
        ...

    def query(self, *, level: float = 0.95, **values: Any) -> Answer:
        """Probability at the given values, with an interval of this level."""
        ...


@dataclass(frozen=True)
class Share:
    """The same completeness everywhere, from k found of n, with Jeffreys' interval."""

    k: int
    n: int
    name: str = "share"
    axes: tuple[()] = ()
    maps: None = None

    def __post_init__(self) -> None:
        if not 0 <= self.k <= self.n or self.n < 1:
            raise InputError(f"{self.name}: {self.k} of {self.n} is no share")

    def query(self, *, level: float = 0.95, **values: Any) -> Answer:
        """Takes no axes."""
        low, high = jeffreys(self.k, self.n, level)
        return Answer(np.array(self.k / self.n), low, high, np.array("supported"))


@dataclass(frozen=True)
class Constant:
    """The same completeness everywhere, with an interval of one level that somebody states; without
    ends it is known exactly."""

    value: float
    lower: float | None = None
    upper: float | None = None
    level: float = 0.95
    name: str = "constant"
    axes: tuple[()] = ()
    maps: None = None

    def __post_init__(self) -> None:
        low, high = self._ends()
        if not 0 <= low <= self.value <= high <= 1:
            raise InputError(f"{self.name}: {low} <= {self.value} <= {high} should be from 0 to 1")

    def _ends(self) -> tuple[float, float]:
        low = self.value if self.lower is None else self.lower
        return low, self.value if self.upper is None else self.upper

    def query(self, *, level: float = 0.95, **values: Any) -> Answer:
        """Takes no axes. Raises InputError for an interval of another level than it has."""
        low, high = self._ends()
        if low < high and not np.isclose(level, self.level):
            raise InputError(
                f"{self.name}: its interval is of level {self.level:g}; ask for that, not {level:g}"
            )
        ends = (np.array(self.value), np.array(low), np.array(high))
        return Answer(*ends, np.array("supported"))


@dataclass(frozen=True)
class Product:
    """Selections whose completenesses are multiplied."""

    factors: tuple[Selection, ...]

    @property
    def name(self) -> str:
        """The names of the factors."""
        return " x ".join(factor.name for factor in self.factors)

    @property
    def axes(self) -> tuple[Any, ...]:
        """The axes of all factors, each once."""
        found: dict[str, Any] = {}
        for factor in self.factors:
            for axis in factor.axes:
                found.setdefault(axis.name, axis)
        return tuple(found.values())

    @property
    def maps(self) -> Any:
        """The first factor's maps of the sky, where one has any."""
        return next((f.maps for f in self.factors if f.maps is not None), None)

    def __str__(self) -> str:
        return f"{self.name}; {INDEPENDENT}"

    def query(self, *, level: float = 0.95, **values: Any) -> Answer:
        """Value, interval and the worst of the factors' flags. Every factor is asked for the axes
        that it has; ra and dec go to those with maps of the sky. Raises InputError for an axis that
        no factor has, and as the factors do."""
        known = [_accepted(factor) for factor in self.factors]
        if unknown := [n for n in values if not any(n in names for names in known)]:
            listed = ", ".join(axis.name for axis in self.axes) or "none"
            raise InputError(f"no axis {unknown[0]!r} in {self.name}; there are {listed}")
        answers = [
            factor.query(level=level, **{n: v for n, v in values.items() if n in names})
            for factor, names in zip(self.factors, known)
        ]
        try:
            value, low, high = (
                np.stack(np.broadcast_arrays(*(a[i] for a in answers))) for i in range(3)
            )
        except ValueError:
            raise InputError(
                f"shapes do not broadcast: {[a.value.shape for a in answers]}"
            ) from None
        flag = worst(*(a.flag for a in answers))
        notes = dict.fromkeys([INDEPENDENT, *(a.note for a in answers if a.note)])
        return Answer(*multiplied(value, low, high), flag, "; ".join(notes))


def product(*factors: Selection) -> Product:
    """The selections one after the other. Raises InputError without any."""
    if not factors:
        raise InputError("a product needs selections")
    return Product(tuple(factors))


def multiplied(
    value: np.ndarray, low: np.ndarray, high: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Product over the first axis, and its interval; see the module's docstring. NaN and (0, 1)
    where a value is NaN."""
    unknown, zero = np.isnan(value).any(0), value == 0
    with np.errstate(divide="ignore", invalid="ignore"):
        below = np.log(np.where(zero, 1.0, value / low))
        above = np.log(np.where(zero, 1.0, high / value))
    total = value.prod(0)
    lower = total * np.exp(-np.sqrt((below**2).sum(0)))
    upper = total * np.exp(np.sqrt((above**2).sum(0)))
    upper = np.where(zero.any(0), np.where(zero, high, value).prod(0), upper)
    return (
        np.where(unknown, np.nan, total),
        np.where(unknown, 0.0, lower),
        np.where(unknown, 1.0, np.minimum(upper, 1.0)),
    )


def _accepted(factor: Selection) -> set[str]:
    """Names of values that a factor is asked with."""
    names = {axis.name for axis in factor.axes}
    names |= {STEMS[name] for name in names if name in STEMS}
    return names | ({"ra", "dec"} if factor.maps is not None else set())
