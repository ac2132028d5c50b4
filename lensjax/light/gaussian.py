"""Elliptical Gaussian light."""

from __future__ import annotations

from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from lensjax.arrays import Real
from lensjax.component import AXIS_RATIO, NOT_NEGATIVE, POSITIVE, parameter
from lensjax.light.base import Light
from lensjax.light.focus import SMOOTH, Focus, joined
from lensjax.light.sersic import radius_squared


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class GaussianLight(Light):
    """Elliptical Gaussian: flux (B,) nanomaggies, sigma (arcsec) along the major axis, q = b/a, phi
    (radians), centre x, y (arcsec)."""

    flux: Real = parameter(NOT_NEGATIVE, drawn=False)
    sigma: Real = parameter(POSITIVE, size=True)
    q: Real = parameter(AXIS_RATIO, 1.0)
    phi: Real = parameter(default=0.0)
    x: Real = parameter(default=0.0)
    y: Real = parameter(default=0.0)

    def brightness(self, x: Real, y: Real) -> Float[Array, "..."]:
        """Surface brightness (arcsec^-2) of unit flux at x, y (arcsec)."""
        square = radius_squared(x - self.x, y - self.y, self.sigma, self.q, self.phi)
        return jnp.exp(-0.5 * square) / (2 * jnp.pi * self.q * self.sigma**2)

    def foci(self) -> Focus:
        """Its middle."""
        cos, sin = jnp.cos(self.phi) / self.sigma, jnp.sin(self.phi) / self.sigma
        peak = -jnp.log(2 * jnp.pi * self.q * self.sigma**2)
        return joined(Focus(self.x, self.y, cos, sin, 1 / self.q, 1.0, SMOOTH, peak))

    def bound(self, x: Real, y: Real, reach: Real) -> Float[Array, "..."]:
        """The brightness at the nearest point that can be reached."""
        square = radius_squared(x - self.x, y - self.y, self.sigma, self.q, self.phi)
        nearest = jnp.maximum(jnp.sqrt(square) - reach / (self.q * self.sigma), 0.0)
        return jnp.exp(-0.5 * nearest**2) / (2 * jnp.pi * self.q * self.sigma**2)
