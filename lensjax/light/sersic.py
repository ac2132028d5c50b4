r"""Sersic profile:

$$I(r) = I_e \exp\left(-b_n \left((r/R_e)^{1/n} - 1\right)\right), \quad r^2 = u^2 + (v/q)^2, \quad
F = \frac{2\pi q n R_e^2 I_e e^{b_n} \Gamma(2n)}{b_n^{2n}}$$

(Graham & Driver 2005, equation 4, times q).
"""

from __future__ import annotations

from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jax.scipy.special import gammaln
from jaxtyping import Array, Float

from lensjax.arrays import Real
from lensjax.component import AXIS_RATIO, NOT_NEGATIVE, POSITIVE, Domain, parameter
from lensjax.light.base import TINY, Light

SERSIC_N = (0.4, 8.0)
"""Range of the Sersic index: below it the series for b_n fails, above it the core is smaller than
any pixel."""


def sersic_b(n: Real) -> Float[Array, "..."]:
    """b_n, which makes R_e the half-light radius: Ciotti & Bertin 1999, equation 18. The half-light
    fraction is right to 2e-4 for n >= 0.5 and to 2e-5 for n >= 1."""
    n = jnp.asarray(n)
    high = 131 / (1148175 * n**3) - 2194697 / 30690717750 / n**4
    return 2 * n - 1 / 3 + 4 / (405 * n) + 46 / (25515 * n**2) + high


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Sersic(Light):
    """Elliptical Sersic profile: flux (B,) nanomaggies, r_eff (arcsec) the *semi-major* half-light
    radius, index n, axis ratio q = b/a, phi (radians) of the major axis, centre x, y (arcsec).

    lenstronomy's SERSIC_ELLIPSE has R_sersic = r_eff sqrt(q)."""

    flux: Real = parameter(NOT_NEGATIVE, drawn=False)
    r_eff: Real = parameter(POSITIVE, size=True)
    n: Real = parameter(Domain(*SERSIC_N, f"between {SERSIC_N[0]} and {SERSIC_N[1]}", 1.0))
    q: Real = parameter(AXIS_RATIO)
    phi: Real = parameter()
    x: Real = parameter(default=0.0)
    y: Real = parameter(default=0.0)

    def brightness(self, x: Real, y: Real) -> Float[Array, "..."]:
        """Surface brightness (arcsec^-2) of unit flux at x, y (arcsec)."""
        return self._profile(self._radius_squared(x, y))

    def bound(self, x: Real, y: Real, reach: Real) -> Float[Array, "..."]:
        """The brightness at the nearest point that can be reached."""
        far = reach / (self.q * self.r_eff)
        nearest = jnp.maximum(jnp.sqrt(self._radius_squared(x, y)) - far, 0.0)
        return self._profile(nearest**2 + TINY)

    def _radius_squared(self, x: Real, y: Real) -> Float[Array, "..."]:
        """(r/R_e)^2."""
        return radius_squared(x - self.x, y - self.y, self.r_eff, self.q, self.phi)

    def _profile(self, square: Array) -> Float[Array, "..."]:
        n, r_eff = jnp.asarray(self.n), jnp.asarray(self.r_eff)
        b = sersic_b(n)
        area = jnp.log(2 * jnp.pi * self.q * n * r_eff**2)
        log_peak = 2 * n * jnp.log(b) - gammaln(2 * n) - area
        return jnp.exp(log_peak - b * jnp.exp(0.5 / n * jnp.log(square)))


def radius_squared(dx: Real, dy: Real, size: Real, q: Real, phi: Real) -> Float[Array, "..."]:
    """(u^2 + (v/q)^2) / size^2 of offsets from a centre, u along the angle phi; above 0."""
    cos, sin = jnp.cos(phi) / size, jnp.sin(phi) / size
    u, v = cos * dx + sin * dy, cos / q * dy - sin / q * dx
    return u * u + v * v + TINY
