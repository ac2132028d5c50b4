"""Moves the numbers of a prior until the observables of injections are those of real lenses.

What is made small is the energy distance (`energy.distance`) of standardised observables, lenses
and injections weighted by the share by which the detectability gate sees them. Every round renders
and measures all injections once, with the derivatives of their observables in their own parameters
(`injected`). Draws are exact, smooth functions of the numbers for fixed noise, so that observables
are known to first order for numbers near by. The energy distance of these is made small by
optax.adam within a step, and then everything is rendered again: the step counts when the distance
itself has fallen, and is halved otherwise (a trust region; Conn, Gould & Toint 2000, Trust-Region
Methods, chapter 6).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Bool, Float

from classifiers.audit.calibration.energy import distance
from classifiers.audit.calibration.injected import Answers
from classifiers.audit.calibration.numbers import Numbers
from lensjax.errors import InputError

FIRST, LARGEST, SMALLEST = 0.5, 1.0, 0.02
"""step of the first round, largest one, and the one below which nothing is to be gained, in units
of the numbers"""
UPDATES = 120
"""updates of optax.adam in a round"""
RATE = 0.1
"""learning rate, in units of the round's step"""
GAIN = 1e-3
"""by how much a round has to lower the distance, in order to go on; the distance of two samples of
100 from one distribution scatters by twenty times as much"""
REACH = 0.2
"""step of differences between nearby numbers, in units"""
FEWEST = 20
"""lenses, and injections, that have to be seen"""


@dataclass(frozen=True)
class Lenses:
    """Real lenses as they are compared. values (l, d): observables. weight (l,): share by which
    each is seen. columns: places of these d among all observables of an injection."""

    values: Float[np.ndarray, "l d"]
    weight: Float[np.ndarray, " l"]
    columns: tuple[int, ...]

    @property
    def centre(self) -> Float[np.ndarray, " d"]:
        """Weighted mean of every observable."""
        return np.average(self.values, axis=0, weights=self.weight)

    @property
    def spread(self) -> Float[np.ndarray, " d"]:
        """Weighted standard deviation, by which observables are standardised; 1 where it is 0."""
        away = (self.values - self.centre) ** 2
        found = np.sqrt(np.average(away, axis=0, weights=self.weight))
        return np.where(found > 0, found, 1.0)

    def standard(self, values: Float[np.ndarray, "... all"]) -> Float[np.ndarray, "... d"]:
        """All observables of injections as multiples of the lenses' spread from their centre."""
        return (np.asarray(values)[..., list(self.columns)] - self.centre) / self.spread

    @property
    def standardised(self) -> Float[np.ndarray, "l d"]:
        """The lenses' own observables."""
        return (self.values - self.centre) / self.spread


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Near:
    """The problem near one point. values (n, d), lenses (l, d): standardised. noise (m, n): behind
    the draws. The other arrays as in `Answers` and `Lenses`."""

    values: Float[Array, "n d"]
    ln_seen: Float[Array, " n"]
    drawn: Float[Array, "m n"]
    d_values: Float[Array, "m n d"]
    d_ln_seen: Float[Array, "m n"]
    noise: Float[Array, "m n"]
    lenses: Float[Array, "l d"]
    weight: Float[Array, " l"]

    @classmethod
    def of(cls, found: Answers, noise: Float[np.ndarray, "m n"], lenses: Lenses) -> Near:
        """The problem near the point at which all this was measured."""
        arrays = (
            lenses.standard(found.values),
            found.ln_seen,
            found.drawn,
            np.asarray(found.d_values)[..., list(lenses.columns)] / lenses.spread,
            found.d_ln_seen,
            noise,
            lenses.standardised,
            lenses.weight,
        )
        return cls(*(jnp.asarray(a, jnp.float32) for a in arrays))

    def at(
        self, numbers: Numbers, x: Float[Array, " k"]
    ) -> tuple[Float[Array, "n d"], Float[Array, " n"]]:
        """Observables and weights of the injections after steps x (k,), to first order in the
        parameters of each."""
        change = numbers.drawn(x, self.noise) - self.drawn
        values = self.values + jnp.einsum("mn,mnd->nd", change, self.d_values)
        ln_seen = self.ln_seen + jnp.einsum("mn,mn->n", change, self.d_ln_seen)
        return values, jnp.exp(jnp.minimum(ln_seen, 0.0))

    def responses(self, numbers: Numbers, x: Float[np.ndarray, " k"]) -> Float[np.ndarray, "k d"]:
        """By how much the mean of every observable over what is seen changes with each number, in
        the lenses' spread per unit."""

        def mean(there: np.ndarray) -> np.ndarray:
            values, weight = self.at(numbers, jnp.asarray(there, jnp.float32))
            return np.asarray(weight @ values / weight.sum(), np.float64)

        rows = []
        for i in range(len(x)):
            step = REACH * (np.arange(len(x)) == i)
            ends = [np.asarray(numbers.legal(x + s), np.float64) for s in (step, -step)]
            away = max(ends[0][i] - ends[1][i], 1e-6)
            rows.append((mean(ends[0]) - mean(ends[1])) / away)
        return np.stack(rows)

    def distance(
        self,
        numbers: Numbers,
        x: Float[Array, " k"],
        times: Float[Array, " n"] | float = 1.0,
        times_lens: Float[Array, " l"] | float = 1.0,
    ) -> Float[Array, ""]:
        """Energy distance after steps x (k,), every injection and lens counted so many times."""
        values, weight = self.at(numbers, x)
        return distance(values, weight * times, self.lenses, self.weight * times_lens)


@dataclass(frozen=True)
class Round:
    """One round: steps x (k,) that were tried, the distance there, and whether they count."""

    x: Float[np.ndarray, " k"]
    distance: float
    counts: bool


@dataclass(frozen=True)
class Fit:
    """Where a fit ended: steps x (k,), the problem there, what was tried, and why it ended."""

    x: Float[np.ndarray, " k"]
    near: Near
    rounds: Sequence[Round]
    why: str

    @property
    def moved(self) -> Bool[np.ndarray, " k"]:
        """Which numbers are not where the prior had them."""
        return self.x != 0


class Problem:
    """Compiled functions of some numbers, of the problem near a point (`Near`) and of steps x
    (k,)."""

    def __init__(self, numbers: Numbers):
        self.numbers = numbers
        of = lambda near, x, times, times_lens: near.distance(numbers, x, times, times_lens)
        self._value, self._gradient = jax.jit(of), jax.jit(jax.grad(of, argnums=1))
        self._inner, self._legal = jax.jit(self._small), jax.jit(numbers.legal)

    def legal(self, x: Float[np.ndarray, " k"]) -> Float[np.ndarray, " k"]:
        """The nearest steps that a prior may have."""
        return np.asarray(self._legal(jnp.asarray(x, jnp.float32)), np.float64)

    def value(self, near: Near, x: Float[np.ndarray, " k"]) -> float:
        """Energy distance."""
        return float(self._value(near, jnp.asarray(x, jnp.float32), *self._once(near)))

    def gradient(
        self,
        near: Near,
        x: Float[np.ndarray, " k"],
        times: Float[np.ndarray, " n"] | None = None,
        times_lens: Float[np.ndarray, " l"] | None = None,
    ) -> Float[np.ndarray, " k"]:
        """Gradient of the energy distance in the steps, every injection and lens counted so many
        times."""
        asked = zip(self._once(near), (times, times_lens))
        given = (one if t is None else jnp.asarray(t, one.dtype) for one, t in asked)
        return np.asarray(self._gradient(near, jnp.asarray(x, jnp.float32), *given), np.float64)

    def inner(
        self, near: Near, x: Float[np.ndarray, " k"], step: float, free: Bool[np.ndarray, " k"]
    ) -> Float[np.ndarray, " k"]:
        """Where the energy distance, to first order of the observables, is small within `step` of
        x; only free numbers move."""
        found = self._inner(near, jnp.asarray(x, jnp.float32), jnp.float32(step), jnp.asarray(free))
        return np.where(free, np.asarray(found, np.float64), x)

    def _once(self, near: Near) -> tuple[Array, Array]:
        return jnp.ones_like(near.ln_seen), jnp.ones_like(near.weight)

    def _small(self, near: Near, x: Array, step: Array, free: Array) -> Array:
        slope = jax.grad(lambda there: near.distance(self.numbers, there))
        rate = optax.cosine_decay_schedule(RATE, UPDATES)
        adam = optax.adam(rate)

        def update(state: tuple[Array, optax.OptState], _: None) -> tuple[Any, None]:
            there, memory = state
            change, memory = adam.update(jnp.where(free, slope(there), 0.0), memory)
            there = jnp.clip(there + step * change, x - step, x + step)
            return (jnp.where(free, self.numbers.legal(there), x), memory), None

        (found, _), _ = jax.lax.scan(update, (x, adam.init(x)), length=UPDATES)
        return found


def fit(
    look: Callable[[Float[np.ndarray, " k"]], Answers],
    problem: Problem,
    noise: Float[np.ndarray, "m n"],
    lenses: Lenses,
    free: Bool[np.ndarray, " k"],
    start: Float[np.ndarray, " k"],
    rounds: int,
    good: Callable[[Answers], bool],
) -> Fit:
    """Fits the numbers that are free (k,) from steps `start`, the others staying there.

    look: measures the injections after steps x. noise: behind their draws. good: whether what is
    measured at the start is good enough as it is. Raises InputError when fewer than FEWEST lenses
    or injections are seen at the start.
    """
    x = np.asarray(start, np.float64)
    found = look(x)
    near = Near.of(found, noise, lenses)
    check_seen(near)
    here = problem.value(near, x)
    tried, step = [Round(x, here, True)], FIRST
    if good(found):
        return Fit(x, near, tried, "the gates pass with the prior as it is")
    while len(tried) <= rounds:
        there = problem.inner(near, x, step, free)
        why = "no step lowers the distance"
        if not here - problem.value(near, there) > GAIN:
            break
        beyond = Near.of(look(there), noise, lenses)
        value = problem.value(beyond, there)
        gained = here - value if np.isfinite(value) else -np.inf
        tried.append(Round(there, value, gained > 0))
        why = "the distance does not fall any more"
        if gained <= 0:
            step = 0.5 * float(np.abs(there - x).max())
            if step < SMALLEST:
                break
            continue
        x, near, here = there, beyond, value
        if gained <= GAIN:
            break
        step = min(1.5 * step, LARGEST)
    else:
        why = f"{rounds} rounds were not enough"
    return Fit(x, near, tried, why)


def check_seen(near: Near) -> None:
    """Raises InputError when fewer than FEWEST lenses or injections are seen, all shares added
    up."""
    seen = {"injections": np.exp(np.asarray(near.ln_seen)), "lenses": np.asarray(near.weight)}
    for what, share in seen.items():
        if share.sum() < FEWEST:
            raise InputError(
                f"{share.sum():.0f} of {len(share)} {what} pass the detectability gate and "
                f"{FEWEST} are needed; give more, or a prior with brighter arcs"
            )
