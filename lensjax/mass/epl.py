r"""Elliptical power law (Tessore & Metcalf 2015), $\kappa \sim r^{1 - \mathrm{slope}}$:

$$\alpha = \frac{2 b}{1 + q} \left(\frac{b}{R}\right)^{t - 1} z\;
{}_2F_1\!\left(1, \frac t2; 2 - \frac t2; -f z^2\right), \quad b = \theta_E \sqrt q,
\quad t = \mathrm{slope} - 1,$$

with $z$ and $f$ as for the SIE (`sie.py`) and $R = |q u + i v|$. Slope 2 is the SIE.

The power series of the hypergeometric function converges as slowly as $f^k$, which for a flat lens
is not at all. It is a rational function instead (`series.py`), whose error is below 1e-6 of theta_E
in the whole domain, 0.1 <= q <= 1.
"""

from __future__ import annotations

from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from lensjax.arrays import Real
from lensjax.component import LENS_AXIS_RATIO, NOT_NEGATIVE, Domain, parameter
from lensjax.mass.base import CORE, Mass, Pair, homogeneous
from lensjax.mass.series import power_ratio

SLOPE = Domain(1.0, 3.0, "between 1 and 3", 2.0, "()")


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class EPL(Mass):
    """Elliptical power law with lenstronomy's theta_e (arcsec); slope strictly between 1 and 3, 2
    for an isothermal lens; q = b/a from 0.1 to 1, phi (radians) of the major axis, centre x, y
    (arcsec)."""

    theta_e: Real = parameter(NOT_NEGATIVE)
    slope: Real = parameter(SLOPE)
    q: Real = parameter(LENS_AXIS_RATIO)
    phi: Real = parameter()
    x: Real = parameter(default=0.0)
    y: Real = parameter(default=0.0)

    def deflection(self, x: Real, y: Real) -> Pair:
        """Deflection (arcsec) at x, y; see the formula at the top of this module."""
        q, t = jnp.asarray(self.q), jnp.asarray(self.slope) - 1
        cos, sin = jnp.cos(self.phi), jnp.sin(self.phi)
        dx, dy = x - self.x, y - self.y
        u, v = q * (cos * dx + sin * dy), cos * dy - sin * dx
        r2 = u * u + v * v + CORE**2
        inverse = jax.lax.rsqrt(r2)
        zr, zi = u * inverse, v * inverse
        f = (1 - q) / (1 + q)
        gr, gi = power_ratio(t, f * (zr * zr - zi * zi), 2 * f * zr * zi)
        b2 = self.theta_e**2 * q
        rise = jnp.exp(0.5 * (t - 1) * (jnp.log(b2 + 1e-30) - jnp.log(r2)))
        scale = 2 * self.theta_e * jnp.sqrt(q) / (1 + q) * rise
        au, av = scale * (zr * gr - zi * gi), scale * (zr * gi + zi * gr)
        return cos * au - sin * av, sin * au + cos * av

    def potential(self, x: Real, y: Real) -> Float[Array, "..."]:
        r"""$\psi = \theta \cdot \alpha / (3 - \mathrm{slope})$: homogeneous of degree 3 - slope."""
        return homogeneous(self, 3 - jnp.asarray(self.slope), x, y)
