"""A Sersic galaxy with compact star-forming knots."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from lensjax.arrays import Real
from lensjax.component import FRACTION, POSITIVE, Domain, parameter
from lensjax.errors import InputError
from lensjax.light.base import TINY
from lensjax.light.focus import SMOOTH, Focus, joined
from lensjax.light.sersic import Sersic

NUMBERS = {"probability": 1, "number": 2, "fraction": 2, "spread": 1, "size": 2}
"""Entries of a prior's `clumps`, and how many numbers each has: the probability that a galaxy has
knots, the smallest and largest number of them, the range of their share of the flux, how far out
they lie (half-light ellipses), and the range of their sizes (R_e)."""

DOMAINS = {
    "probability": FRACTION,
    "number": Domain(1, 16, "between 1 and 16"),
    "fraction": FRACTION,
    "spread": Domain(0.0, 10.0, "between 0 and 10"),
    "size": Domain(0.0, 10.0, "larger than 0 and at most 10", ends="(]"),
}


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Clumps:
    """Part of a galaxy's flux moved into K round Gaussians, the total unchanged.

    fraction (K,): share of the galaxy's flux in each knot (0: no knot; the sum is at most 1). u, v
    (K,): place along and across the galaxy's major axis in units of its semi-axes R_e and q R_e.
    size (K,): Gaussian sigma in units of R_e. All is relative to the galaxy, so that a brighter,
    larger or moved galaxy takes its knots along.
    """

    fraction: Float[Array, " K"] = parameter(FRACTION)
    u: Float[Array, " K"] = parameter()
    v: Float[Array, " K"] = parameter()
    size: Float[Array, " K"] = parameter(POSITIVE)


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class ClumpySersic(Sersic):
    """A Sersic galaxy and its clumps as one profile with one flux; without clumps it is the Sersic
    galaxy."""

    clumps: Clumps | None = None

    extra = "clumps"

    def check(self, label: str) -> None:
        """Refuses clumps of different shapes, and more light in clumps than there is."""
        if self.clumps is None:
            return
        shapes = {f.name: np.shape(getattr(self.clumps, f.name)) for f in fields(Clumps)}
        if len(set(shapes.values())) > 1 or len(shapes["fraction"]) != 1:
            said = ", ".join(f"{name} {shape}" for name, shape in shapes.items())
            raise InputError(f"Clumps shapes differ: {said}; give (K,) each")
        fraction = self.clumps.fraction
        if not isinstance(fraction, jax.core.Tracer) and float(np.sum(fraction)) > 1 + 1e-6:
            total = float(np.sum(fraction))
            raise InputError(f"{label}.clumps.fraction sums to {total:g}: it should be at most 1")

    def brightness(self, x: Real, y: Real) -> Float[Array, "..."]:
        """Surface brightness (arcsec^-2) of unit flux at x, y (arcsec)."""
        smooth = super().brightness(x, y)
        if self.clumps is None:
            return smooth
        total = (1 - jnp.sum(self.clumps.fraction)) * smooth
        for kx, ky, peak, rate in self._knots():
            total = total + peak * jnp.exp(rate * ((x - kx) ** 2 + (y - ky) ** 2))
        return total

    def bound(self, x: Real, y: Real, reach: Real) -> Float[Array, "..."]:
        """The sum of the components' bounds."""
        smooth = super().bound(x, y, reach)
        if self.clumps is None:
            return smooth
        total = (1 - jnp.sum(self.clumps.fraction)) * smooth
        for kx, ky, peak, rate in self._knots():
            distance = jnp.sqrt((x - kx) ** 2 + (y - ky) ** 2 + TINY)
            total = total + peak * jnp.exp(rate * jnp.maximum(distance - reach, 0.0) ** 2)
        return total

    def foci(self) -> Focus:
        """The middle of the galaxy, and its knots."""
        smooth = super().foci()
        if self.clumps is None:
            return smooth
        x, y, peak, rate = (jnp.stack(v) for v in zip(*self._knots()))
        bright = jnp.log(peak + TINY)
        return joined(smooth, Focus(x, y, jnp.sqrt(-2 * rate), 0.0, 1.0, 1.0, SMOOTH, bright))

    def _knots(self) -> list[tuple[Array, Array, Array, Array]]:
        """Place (arcsec), central brightness and -1/(2 sigma^2) of every knot."""
        assert self.clumps is not None
        k = self.clumps
        sigma = k.size * self.r_eff
        cos, sin = jnp.cos(self.phi) * self.r_eff, jnp.sin(self.phi) * self.r_eff
        x = self.x + cos * k.u - sin * self.q * k.v
        y = self.y + sin * k.u + cos * self.q * k.v
        peak, rate = k.fraction / (2 * jnp.pi * sigma**2), -0.5 / sigma**2
        return [(x[i], y[i], peak[i], rate[i]) for i in range(k.fraction.shape[-1])]

    @classmethod
    def read_extra(cls, value: Any) -> Any:
        """The numbers of a prior's `clumps`; ValueError says which is wrong."""
        if not isinstance(value, dict) or set(value) != set(NUMBERS):
            raise ValueError(f"give {', '.join(NUMBERS)}")
        kept: dict[str, tuple[float, ...]] = {}
        for key, count in NUMBERS.items():
            given = value[key] if isinstance(value[key], list) else [value[key]]
            plain = all(isinstance(v, int | float) and not isinstance(v, bool) for v in given)
            if len(given) != count or not plain:
                raise ValueError(f"{key}: {value[key]} should be {count} number(s)")
            for v in given:
                if not DOMAINS[key].holds(float(v)):
                    raise ValueError(f"{key}: {v} should be {DOMAINS[key].words}")
            if count == 2 and given[0] > given[1]:
                raise ValueError(f"{key}: {given} should be [low, high]")
            kept[key] = tuple(float(v) for v in given)
        if any(v != int(v) for v in kept["number"]):
            raise ValueError(f"number: {list(kept['number'])} should be whole numbers")
        low, high = (int(v) for v in kept.pop("number"))
        return ClumpLaw(kept, (low, high))

    @classmethod
    def draw_extra(cls, key: Array | None, n: int, kept: Any) -> dict[str, Any]:
        """Between 0 and the largest number of knots per galaxy, absent ones with fraction 0: equal
        shares of the drawn fraction, placed uniformly within `spread` half-light ellipses."""
        if key is None:
            return {}
        c, (low, high) = kept.numbers, kept.knots
        k_any, k_number, k_fraction, k_r, k_phi, k_size = jax.random.split(key, 6)

        def between(key: Array, shape: tuple[int, ...], ends: tuple[Real, Real]) -> Array:
            return jax.random.uniform(key, shape) * (ends[1] - ends[0]) + ends[0]

        some = jax.random.uniform(k_any, (n,)) < c["probability"][0]
        number = jax.random.randint(k_number, (n,), low, high + 1)
        share = between(k_fraction, (n,), c["fraction"])
        present = some[:, None] & (jnp.arange(high) < number[:, None])
        r = c["spread"][0] * jnp.sqrt(jax.random.uniform(k_r, (n, high), minval=1e-6))
        phi = 2 * jnp.pi * jax.random.uniform(k_phi, (n, high))
        fraction = jnp.where(present, (share / number)[:, None], 0.0)
        size = between(k_size, (n, high), c["size"])
        return {"clumps": Clumps(fraction, r * jnp.cos(phi), r * jnp.sin(phi), size)}


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class ClumpLaw:
    """What a prior says of clumps: its numbers, and the smallest and largest number of knots, which
    is part of a scene's shape."""

    numbers: Mapping[str, tuple[Real, ...]]
    knots: tuple[int, int] = field(metadata={"static": True})
