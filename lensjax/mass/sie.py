r"""Singular isothermal ellipsoid.

It is usually written with atan and atanh of $\sqrt{1 - q^2}$ (Kormann, Schneider & Bartelmann
1994), which is 0/0 at q = 1. Here it is a function of the complex ellipticity that is analytic
there:

$$\alpha = \theta_E \frac{2\sqrt q}{1 + q}\, z\, g(f z^2), \quad z = \frac{q u + i v}{|q u + i v|},
\quad f = \frac{1 - q}{1 + q}, \quad g(w) = \frac{\mathrm{atan}\sqrt w}{\sqrt w}$$

with u along the major axis. There is no branch and no transcendental function; at q = 1 it is
$\theta_E z$. The function g is a rational one, see `series.py`.
"""

from __future__ import annotations

from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from lensjax.arrays import Real
from lensjax.component import LENS_AXIS_RATIO, NOT_NEGATIVE, parameter
from lensjax.mass.base import CORE, Mass, Pair, homogeneous
from lensjax.mass.series import atan_ratio


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class SIE(Mass):
    """Singular isothermal ellipsoid.

    theta_e (arcsec) is in the intermediate-axis normalisation of lenstronomy's SIE: the area inside
    the critical curve is pi theta_e^2. q = b/a from 0.1 to 1, phi (radians) of the major
    axis, counter-clockwise from +x, centre x, y (arcsec)."""

    theta_e: Real = parameter(NOT_NEGATIVE)
    q: Real = parameter(LENS_AXIS_RATIO)
    phi: Real = parameter()
    x: Real = parameter(default=0.0)
    y: Real = parameter(default=0.0)

    def deflection(self, x: Real, y: Real) -> Pair:
        """Deflection (arcsec) at x, y; see the formula at the top of this module."""
        q, cos, sin = jnp.asarray(self.q), jnp.cos(self.phi), jnp.sin(self.phi)
        dx, dy = x - self.x, y - self.y
        u, v = q * (cos * dx + sin * dy), cos * dy - sin * dx
        inverse = jax.lax.rsqrt(u * u + v * v + CORE**2)
        zr, zi = u * inverse, v * inverse
        f = (1 - q) / (1 + q)
        gr, gi = atan_ratio(f * (zr * zr - zi * zi), 2 * f * zr * zi)
        au, av = zr * gr - zi * gi, zr * gi + zi * gr
        scale = self.theta_e * 2 * jnp.sqrt(q) / (1 + q)
        along, across = scale * cos, scale * sin
        return along * au - across * av, across * au + along * av

    def potential(self, x: Real, y: Real) -> Float[Array, "..."]:
        r"""$\psi = \theta \cdot \alpha$: the potential of an isothermal lens is homogeneous of
        degree one."""
        return homogeneous(self, 1.0, x, y)
