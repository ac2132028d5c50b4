r"""Dual pseudo-isothermal elliptical mass distribution (Kassiola & Kovner 1993; Elíasdóttir et
al. 2007), what cluster modellers give to galaxies and to halos:

$$\kappa = \frac{\theta_E}{2}\, \frac{r_t}{r_t - r_c} \left(\frac1{\sqrt{r_c^2 + R^2}} -
\frac1{\sqrt{r_t^2 + R^2}}\right), \quad R^2 = q u^2 + \frac{v^2}{q}$$

with u along the major axis, core radius $r_c$ and cut-off radius $r_t$. The *mass* is elliptical,
not the potential. It is the difference of two isothermal ellipsoids with a core (lenstronomy's NIE;
both together its CHAMELEON; for q = 1 its PJAFFE with sigma0 = theta_E / (2 r_c)).

The deflection of one of them is usually written with atan and atanh of $\sqrt{1 - q^2}$ (Keeton &
Kochanek 1998, equations 8 and 9), which is 0/0 at q = 1. With the SIE's g and f (`sie.py`) it is

$$\alpha = \theta_E \frac{2 \sqrt q}{1 + q}\, W g(f W^2), \quad W = \frac{Z}{P}, \quad
P = \psi + \sqrt q\, r, \quad \psi = \sqrt{q r^2 + |Z|^2}, \quad Z = q u + i v,$$

and the difference of the two is one inverse tangent again, of $D \sqrt f$ with

$$D = \frac{W_c - W_t}{1 + f W_c W_t} = \sqrt q\, (r_t - r_c)\, E, \quad
E = \frac{Z}{P_c P_t + f Z^2} \left(1 + \sqrt q\, \frac{r_c + r_t}{\psi_c + \psi_t}\right), \quad
\alpha = \theta_E r_t \frac{2 q}{1 + q}\, E\, g(f D^2).$$

Nothing is divided by $r_t - r_c$, so that the two radii may be equal, or in the other order.
The deflection is right to 1e-10 of theta_E in float64, for every q from 0.1 (`series.py`).
"""

from __future__ import annotations

from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from lensjax.arrays import Real
from lensjax.component import LENS_AXIS_RATIO, NOT_NEGATIVE, POSITIVE, parameter
from lensjax.mass.base import CORE, Mass, Pair
from lensjax.mass.series import halved_atan_ratio, quotient

_SMALL = 0.03
"""|x| below which ln(1 + x)/x is taken from its power series, whose derivatives do not cancel."""

_TERMS = 11


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class DPIE(Mass):
    """Dual pseudo-isothermal elliptical mass: theta_e (arcsec) of the SIE that it is between its
    core and cut-off radius r_core, r_cut (arcsec, intermediate axis), q = b/a from 0.1 to 1, phi
    (radians) of the major axis, centre x, y (arcsec).

    theta_e is the Einstein radius only as r_core goes to 0 and r_cut to infinity. r_core = 0 is
    allowed."""

    theta_e: Real = parameter(NOT_NEGATIVE)
    r_core: Real = parameter(NOT_NEGATIVE)
    r_cut: Real = parameter(POSITIVE)
    q: Real = parameter(LENS_AXIS_RATIO)
    phi: Real = parameter()
    x: Real = parameter(default=0.0)
    y: Real = parameter(default=0.0)

    def deflection(self, x: Real, y: Real) -> Pair:
        """Deflection (arcsec) at x, y; see the formula at the top of this module."""
        u, v, cos, sin = self._turned(x, y)
        au, av = self._bent(u, v)
        return cos * au - sin * av, sin * au + cos * av

    def potential(self, x: Real, y: Real) -> Float[Array, "..."]:
        r"""Lensing potential (arcsec^2) at x, y, up to a constant: by Keeton & Kochanek 1998,
        equation 10,

        $$\theta \cdot \alpha + \frac{\theta_E r_t}2 \left(\ln M_t + r_c \frac{\ln M_t - \ln M_c}
        {r_t - r_c}\right), \quad M = u^2 + v^2 + s^2 (1 + q^2) + 2 \psi s, \quad
        s = \frac{r}{\sqrt q}.$$
        """
        u, v, _, _ = self._turned(x, y)
        au, av = self._bent(u, v)
        q, root = jnp.asarray(self.q), jnp.sqrt(self.q)
        core, cut = self.r_core / root, self.r_cut / root
        inner, outer = self._reach(u, v, self.r_core), self._reach(u, v, self.r_cut)
        soft = self._soft()
        m = u * u + v * v + core * core * (1 + q * q) + 2 * inner * core + soft
        # (M_t - M_c) / (s_t - s_c)
        slope = (core + cut) * (1 + q * q + 2 * core * q * q / (inner + outer)) + 2 * outer
        apart = slope / (root * m) * _log_ratio((cut - core) * slope / m)
        # M_t in units of its value at the centre, without the cancellation
        middle = jnp.maximum((cut * (1 + q)) ** 2, CORE**2)
        square = q * q * u * u + v * v + soft
        rise = u * u + v * v + 2 * cut * square / (outer + root * self.r_cut)
        logs = jnp.log1p(rise / middle) + self.r_core * apart
        return u * au + v * av + 0.5 * self.theta_e * self.r_cut * logs

    def _turned(self, x: Real, y: Real) -> tuple[Array, Array, Array, Array]:
        """Places along and across the major axis, and cosine and sine of its angle."""
        cos, sin = jnp.cos(self.phi), jnp.sin(self.phi)
        dx, dy = x - jnp.asarray(self.x), y - jnp.asarray(self.y)
        return cos * dx + sin * dy, cos * dy - sin * dx, cos, sin

    def _soft(self) -> Array:
        """What is added to |Z|^2: nothing to a lens with a core, which is smooth, and to one
        without what keeps the direction at its centre from being none."""
        return jnp.maximum(CORE**2 - self.q * jnp.asarray(self.r_core) ** 2, 0.0)

    def _reach(self, u: Array, v: Array, radius: Real) -> Array:
        """psi of one of the two radii."""
        q = jnp.asarray(self.q)
        square = q * q * u * u + v * v + self._soft()
        return jnp.sqrt(square + q * jnp.asarray(radius) ** 2)

    def _bent(self, u: Array, v: Array) -> Pair:
        """Deflection along and across the major axis."""
        q = jnp.asarray(self.q)
        root, f = jnp.sqrt(q), (1 - q) / (1 + q)
        zr, zi = q * u, v
        inner, outer = self._reach(u, v, self.r_core), self._reach(u, v, self.r_cut)
        product = (inner + root * self.r_core) * (outer + root * self.r_cut)
        both = 1 + root * (self.r_core + self.r_cut) / (inner + outer)
        below = product + f * (zr * zr - zi * zi), 2 * f * zr * zi
        er, ei = quotient((both * zr, both * zi), below)
        square = f * q * (self.r_cut - jnp.asarray(self.r_core)) ** 2
        gr, gi = halved_atan_ratio(square * (er * er - ei * ei), 2 * square * er * ei)
        scale = self.theta_e * self.r_cut * 2 * q / (1 + q)
        return scale * (er * gr - ei * gi), scale * (er * gi + ei * gr)


def _log_ratio(x: Array) -> Array:
    """ln(1 + x)/x for x > -1."""
    near = jnp.abs(x) < _SMALL
    small, large = jnp.where(near, x, 0.0), jnp.where(near, 1.0, x)
    series = jnp.zeros_like(x)
    for k in reversed(range(_TERMS)):
        series = (-1) ** k / (k + 1) + small * series
    return jnp.where(near, series, jnp.log1p(large) / large)
