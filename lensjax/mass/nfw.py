r"""The halo of Navarro, Frenk & White 1997, spherical and with an elliptical potential.

Deflection and potential of the spherical halo (Bartelmann 1996; Wright & Brainerd 2000) are

$$\alpha(r) = K\, \frac{h(x)}{x}, \quad \psi(r) = \frac{K r_s}{2}
\left(\ln^2\frac{x}{2} - w F^2\right), \quad h = \ln\frac{x}{2} + F, \quad x = r / r_s,$$

with $F(w) = \mathrm{atanh}(\sqrt w)/\sqrt w$ of $w = 1 - x^2$, one analytic function on both sides
of $r = r_s$. The strength is given by the Einstein radius: $K$ is such that $\alpha(\theta_E) =
\theta_E$. lenstronomy's `alpha_Rs` is $\alpha(r_s) = K (1 - \ln 2)$ (`NFW.alpha_rs`).
"""

from __future__ import annotations

from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from lensjax.arrays import Real
from lensjax.component import LENS_AXIS_RATIO, NOT_NEGATIVE, POSITIVE, parameter
from lensjax.mass.base import CORE, Mass, Pair

_NEAR = 0.1
"""|w| below which F is taken from its power series, and x below which h is."""

_TERMS = 18


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class NFW(Mass):
    """Spherical NFW halo: Einstein radius theta_e and scale radius r_s (arcsec), centre x, y
    (arcsec). A halo alone is a weak lens: its Einstein radius is small against r_s."""

    theta_e: Real = parameter(NOT_NEGATIVE)
    r_s: Real = parameter(POSITIVE)
    x: Real = parameter(default=0.0)
    y: Real = parameter(default=0.0)

    def deflection(self, x: Real, y: Real) -> Pair:
        """Deflection (arcsec) at x, y."""
        dx, dy = x - jnp.asarray(self.x), y - jnp.asarray(self.y)
        rate = _over_radius(self.theta_e, self.r_s, dx * dx + dy * dy)
        return rate * dx, rate * dy

    def potential(self, x: Real, y: Real) -> Float[Array, "..."]:
        """Lensing potential (arcsec^2) at x, y, zero at the centre."""
        dx, dy = x - jnp.asarray(self.x), y - jnp.asarray(self.y)
        return _potential(self.theta_e, self.r_s, dx * dx + dy * dy)

    def alpha_rs(self) -> Float[Array, "..."]:
        """Deflection (arcsec) at the scale radius, lenstronomy's `alpha_Rs`."""
        return _over_radius(self.theta_e, self.r_s, jnp.asarray(self.r_s) ** 2) * self.r_s


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class EllipticalNFW(Mass):
    r"""NFW halo whose *potential* is elliptical (Golse & Kneib 2002; lenstronomy's
    NFW_ELLIPSE_POTENTIAL): the spherical potential at $r^2 = (1 - e) u^2 + (1 + e) v^2$ with
    $e = (1 - q^2)/(1 + q^2)$ and u along the major axis phi (radians).

    theta_e and r_s (arcsec) are those of the spherical halo. The surface density turns dumb-bell
    shaped far from the centre for q below about 0.6, and negative in places for q below about 0.4.
    """

    theta_e: Real = parameter(NOT_NEGATIVE)
    r_s: Real = parameter(POSITIVE)
    q: Real = parameter(LENS_AXIS_RATIO)
    phi: Real = parameter()
    x: Real = parameter(default=0.0)
    y: Real = parameter(default=0.0)

    def deflection(self, x: Real, y: Real) -> Pair:
        """Deflection (arcsec) at x, y."""
        u, v, e, cos, sin = self._turned(x, y)
        rate = _over_radius(self.theta_e, self.r_s, (1 - e) * u * u + (1 + e) * v * v)
        au, av = rate * (1 - e) * u, rate * (1 + e) * v
        return cos * au - sin * av, sin * au + cos * av

    def potential(self, x: Real, y: Real) -> Float[Array, "..."]:
        """Lensing potential (arcsec^2) at x, y, zero at the centre."""
        u, v, e, _, _ = self._turned(x, y)
        return _potential(self.theta_e, self.r_s, (1 - e) * u * u + (1 + e) * v * v)

    def _turned(self, x: Real, y: Real) -> tuple[Array, Array, Array, Array, Array]:
        q, cos, sin = jnp.asarray(self.q), jnp.cos(self.phi), jnp.sin(self.phi)
        dx, dy = x - jnp.asarray(self.x), y - jnp.asarray(self.y)
        e = (1 - q * q) / (1 + q * q)
        return cos * dx + sin * dy, cos * dy - sin * dx, e, cos, sin


def _over_radius(theta_e: Real, r_s: Real, r2: Array) -> Float[Array, "..."]:
    """alpha(r) / r, dimensionless: theta_E^2 h(r/r_s) / (r^2 h(theta_E/r_s)), 1 at theta_E."""
    r_s = jnp.asarray(r_s)
    square = (r2 + CORE**2) / r_s**2
    own = (jnp.asarray(theta_e) ** 2 + CORE**2) / r_s**2
    strength = theta_e**2 / (theta_e**2 + jnp.asarray(CORE, own.dtype) ** 2)
    return strength * _h_over_square(square) / _h_over_square(own)


def _potential(theta_e: Real, r_s: Real, r2: Array) -> Float[Array, "..."]:
    r_s = jnp.asarray(r_s)
    square = (r2 + CORE**2) / r_s**2
    own = (jnp.asarray(theta_e) ** 2 + CORE**2) / r_s**2
    strength = theta_e**2 / (theta_e**2 + jnp.asarray(CORE, own.dtype) ** 2)
    rate = 0.5 * strength * r_s**2 / _h_over_square(own)  # K r_s / 2
    near = square < _NEAR**2
    s = jnp.where(near, square, 0.25 * _NEAR**2)
    log, t = 0.5 * jnp.log(4 / s), _acosh_rest(s)
    inner = t * (2 * log - t)  # L^2 - (L - T)^2 without the cancellation
    s = jnp.where(near, 1.0, square)
    outer = (0.5 * jnp.log(s / 4)) ** 2 - (1 - s) * _atanh_ratio(1 - s) ** 2
    return rate * jnp.where(near, inner, outer)


def _h_over_square(square: Array) -> Float[Array, "..."]:
    """h(x) / x^2 of the square of x > 0; the logarithms cancel near 0, where it is a series."""
    near = square < _NEAR**2
    s = jnp.where(near, square, 0.25 * _NEAR**2)
    root = jnp.sqrt(1 - s)
    # h = L (S - 1) - T S with L = ln(2/x), S = 1/sqrt(1 - x^2), acosh(1/x) = L - T
    inner = 0.5 * jnp.log(4 / s) / (root * (1 + root)) - _acosh_rest(s) / s / root
    s = jnp.where(near, 1.0, square)
    outer = (0.5 * jnp.log(s / 4) + _atanh_ratio(1 - s)) / s
    return jnp.where(near, inner, outer)


def _acosh_rest(square: Array) -> Array:
    """ln(2/x) - acosh(1/x) for x below _NEAR."""
    total, term = jnp.zeros_like(square), jnp.ones_like(square)
    for k in range(1, 9):
        term = term * square * (2 * k - 1) / (2 * k)
        total = total + term / (2 * k)
    return total


def _atanh_ratio(w: Array) -> Array:
    """F(w) = atanh(sqrt w)/sqrt w = 1 + w/3 + w^2/5 + ... for w < 1, negative w too."""
    near = jnp.abs(w) < _NEAR
    series = jnp.zeros_like(w)
    for k in reversed(range(_TERMS)):
        series = series * jnp.where(near, w, 0.0) + 1 / (2 * k + 1)
    inside = jnp.sqrt(jnp.where(near | (w < 0), 0.5, w))
    outside = jnp.sqrt(jnp.where(near | (w > 0), 0.5, -w))
    far = jnp.where(w > 0, jnp.arctanh(inside) / inside, jnp.arctan(outside) / outside)
    return jnp.where(near, series, far)
