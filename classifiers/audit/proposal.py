"""What each parameter of an injection set was drawn from: its density, its distribution function,
and where it ends.

The distributions are those of a prior's YAML (`lensjax.prior`), and one more: `{bins: edges}` draws
equally many in each of some bins that touch, uniformly within each. Everything here is NumPy in
double precision, because weights are ratios of these densities.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Float

from lensjax.errors import InputError
from lensjax.prior.distribution import KINDS, Distribution

BINS = "bins"
"""Kind of a distribution that is uniform in each of some bins, with equally many draws in each; its
numbers are the edges of the bins."""

ROUNDING = 1.2e-7
"""Relative rounding of single precision, in which a table may hold its parameters."""


@dataclass(frozen=True)
class Law:
    """The distribution of one parameter. kind: one of `lensjax.prior.distribution.KINDS` but
    `fixed`, or `bins`. numbers: those of the kind; of `bins` its edges, rising."""

    kind: str
    numbers: tuple[float, ...]

    @property
    def support(self) -> tuple[float, float]:
        """Smallest and largest value that can be drawn; infinite where there is none."""
        if self.kind in ("uniform", "area", BINS):
            return self.numbers[0], self.numbers[-1]
        return (0.0, np.inf) if self.kind == "half_normal" else (-np.inf, np.inf)

    @cached_property
    def _scipy(self) -> Any:
        """The same distribution in scipy.stats."""
        from scipy import stats

        a, *rest = self.numbers
        if self.kind == BINS:
            equal = np.full(len(rest), 1 / len(rest))
            return stats.rv_histogram((equal, np.array(self.numbers)), density=False)
        if self.kind == "uniform":
            return stats.uniform(a, rest[0] - a)
        return stats.norm(a, rest[0]) if self.kind == "normal" else stats.halfnorm(0.0, a)

    def held(self, value: Float[np.ndarray, "*n"]) -> Float[np.ndarray, "*n"]:
        """Values that lie outside of the support by no more than the rounding of single precision,
        in which parameters are drawn, put on its end; the others as they are."""
        value = np.asarray(value, np.float64)
        inside = np.clip(value, *self.support)
        near = np.abs(inside - value) <= 3 * ROUNDING * np.abs(inside)
        return np.where(near, inside, value)

    def log_density(self, value: Float[np.ndarray, "*n"]) -> Float[np.ndarray, "*n"]:
        """Natural logarithm of the density at `value`, -inf outside of the support."""
        value = np.asarray(value, np.float64)
        with np.errstate(divide="ignore"):
            if self.kind == "area":
                low, high = self.numbers
                inside = (value >= low) & (value <= high)
                return np.log(np.where(inside, 2 * value / (high**2 - low**2), 0.0))
            if self.kind == BINS:
                # The last bin holds its upper edge, as a draw may lie on it.
                value = np.where(value == self.numbers[-1], np.nextafter(value, -np.inf), value)
            return np.asarray(self._scipy.logpdf(value))

    def below(self, value: Float[np.ndarray, "*n"] | float) -> Float[np.ndarray, "*n"]:
        """Share of the draws below `value`, from 0 to 1."""
        if self.kind == "area":
            low, high = self.numbers
            return (np.clip(value, low, high) ** 2 - low**2) / (high**2 - low**2)
        return np.asarray(self._scipy.cdf(value))

    def quantile(self, u: Float[np.ndarray, "*n"]) -> Float[np.ndarray, "*n"]:
        """The value below which a share u (0 to 1) of the draws falls."""
        if self.kind == "area":
            low, high = self.numbers
            return np.sqrt(low**2 + (high**2 - low**2) * u)
        return np.asarray(self._scipy.ppf(u))

    def mass_within(self, low: float, high: float) -> float:
        """Share of the draws from `low` to `high`."""
        return float(self.below(high) - self.below(low))


def law(name: str, entry: Any) -> Law:
    """A distribution from a mapping such as `{uniform: [0.5, 3]}`. Raises InputError, naming the
    parameter, for what is none."""
    wanted = f"give one of {', '.join((*KINDS, BINS))}, for example {{uniform: [0.5, 3]}}"
    if not isinstance(entry, Mapping) or len(entry) != 1:
        raise InputError(f"proposal of {name!r} is {entry!r}: {wanted}")
    ((kind, value),) = entry.items()
    given = list(value) if isinstance(value, list | tuple) else [value]
    if kind not in (*KINDS, BINS) or kind == "fixed":
        raise InputError(f"proposal of {name!r} is {entry!r}: {wanted}")
    try:
        numbers = tuple(float(v) for v in given)
    except (TypeError, ValueError):
        raise InputError(f"proposal of {name!r}: {value!r} should be numbers") from None
    rising = kind not in ("uniform", "area", BINS) or bool((np.diff(numbers) > 0).all())
    enough = len(numbers) >= 2 if kind == BINS else len(numbers) == KINDS[kind]
    spread = numbers[-1] > 0 if enough and "normal" in kind else True
    if not (rising and enough and spread and np.isfinite(numbers).all()):
        raise InputError(
            f"proposal of {name!r}: {kind} {value!r} should be "
            f"{'two or more edges' if kind == BINS else f'{KINDS[kind]} number(s)'}, "
            f"{'with sigma larger than 0' if 'normal' in kind else 'rising'}"
        )
    return Law(kind, numbers)


def law_of(distribution: Distribution) -> Law | None:
    """A prior's distribution of a parameter; None for one that is fixed."""
    if distribution.kind == "fixed":
        return None
    return Law(distribution.kind, tuple(float(v) for v in distribution.numbers))
