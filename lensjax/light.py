"""Light: surface-brightness profiles in the source plane.

A profile has a `flux` (B,) in nanomaggies, one for each band, and a shape of unit flux that the bands share:

    brightness(c, x, y)     surface brightness (arcsec^-2) at x, y (arcsec), its integral over the plane 1; c from `coefficients()`
    bound(c, x, y, reach)   about the largest brightness within `reach` (arcsec) of x, y: tells the renderer where it has to look closely

The normalisation is the integral over the *source plane*, so that lensing magnifies: dividing by the image-plane sum would cancel it.
"""

from dataclasses import dataclass
from typing import Protocol

import jax
import jax.numpy as jnp
from jax.scipy.special import gammaln
from jaxtyping import Array, Float

from lensjax.arrays import Real
from lensjax.mass import Coefficients

SERSIC_N = (0.4, 8.0)
"""Range of the Sersic index: below it the series for b_n fails, above it the core is smaller than any pixel."""

_TINY = 1e-12


class Light(Protocol):
    """What a light profile can do; see the module's docstring. `coefficients` is what is worked out once for a profile."""

    @property
    def flux(self) -> Real: ...

    def coefficients(self) -> Coefficients: ...

    @staticmethod
    def brightness(c: Coefficients, x: Array, y: Array) -> Float[Array, "..."]: ...

    @staticmethod
    def bound(c: Coefficients, x: Array, y: Array, reach: Array) -> Float[Array, "..."]: ...


def surface_brightness(light: Light, x: Real, y: Real) -> Float[Array, "..."]:
    """Surface brightness (arcsec^-2) of a profile of unit flux at x, y (arcsec) in the source plane, any shape."""
    return light.brightness(light.coefficients(), jnp.asarray(x), jnp.asarray(y))


def sersic_b(n: Real) -> Float[Array, "..."]:
    """b_n, which makes R_e the half-light radius: Ciotti & Bertin 1999, eq. 18; the half-light
    fraction is right to 2e-4 for n >= 0.5, 2e-5 for n >= 1."""
    n = jnp.asarray(n)
    return (
        2 * n
        - 1 / 3
        + 4 / (405 * n)
        + 46 / (25515 * n**2)
        + 131 / (1148175 * n**3)
        - 2194697 / 30690717750 / n**4
    )


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Sersic:
    """Elliptical Sersic profile: flux (B,) nanomaggies, r_eff (arcsec) the *semi-major* half-light radius, index n, axis ratio q = b/a,
    phi (radians) of the major axis, centre x, y (arcsec).

        I(r) = I_e exp(-b_n ((r/R_e)^(1/n) - 1)),   r^2 = u^2 + (v/q)^2,   F = 2 pi q n R_e^2 I_e e^b Gamma(2n) / b^(2n)

    (Graham & Driver 2005). lenstronomy's SERSIC_ELLIPSE has R_sersic = r_eff sqrt(q).
    """

    flux: Real
    r_eff: Real
    n: Real
    q: Real
    phi: Real
    x: Real = 0.0
    y: Real = 0.0

    def coefficients(self) -> Coefficients:
        n, r_eff = jnp.asarray(self.n), jnp.asarray(self.r_eff)
        b = sersic_b(n)
        log_peak = 2 * n * jnp.log(b) - gammaln(2 * n) - jnp.log(2 * jnp.pi * self.q * n * r_eff**2)
        cos, sin = jnp.cos(self.phi) / r_eff, jnp.sin(self.phi) / r_eff
        axes = {"u_x": cos, "u_y": sin, "v_x": -sin / self.q, "v_y": cos / self.q}
        return axes | {
            "x": self.x,
            "y": self.y,
            "log_peak": log_peak,
            "b": b,
            "power": 0.5 / n,
            "minor": 1 / (self.q * r_eff),
        }

    @staticmethod
    def brightness(c: Coefficients, x: Array, y: Array) -> Float[Array, "..."]:
        return _sersic(c, _radius_squared(c, x, y))

    @staticmethod
    def bound(c: Coefficients, x: Array, y: Array, reach: Array) -> Float[Array, "..."]:
        nearest = jnp.maximum(jnp.sqrt(_radius_squared(c, x, y)) - reach * c["minor"], 0.0)
        return _sersic(c, nearest**2 + _TINY)


def _radius_squared(c: Coefficients, x: Array, y: Array) -> Float[Array, "..."]:
    """(r/R_e)^2; the tiny offset keeps the derivative finite on the centre."""
    dx, dy = x - c["x"], y - c["y"]
    u, v = c["u_x"] * dx + c["u_y"] * dy, c["v_x"] * dx + c["v_y"] * dy
    return u * u + v * v + _TINY


def _sersic(c: Coefficients, radius_squared: Array) -> Float[Array, "..."]:
    return jnp.exp(c["log_peak"] - c["b"] * jnp.exp(c["power"] * jnp.log(radius_squared)))


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class GaussianLight:
    """Elliptical Gaussian: flux (B,) nanomaggies, sigma (arcsec) along the major axis, q = b/a, phi (radians), centre x, y (arcsec)."""

    flux: Real
    sigma: Real
    q: Real = 1.0
    phi: Real = 0.0
    x: Real = 0.0
    y: Real = 0.0

    def coefficients(self) -> Coefficients:
        cos, sin = jnp.cos(self.phi) / self.sigma, jnp.sin(self.phi) / self.sigma
        axes = {
            "u_x": cos,
            "u_y": sin,
            "v_x": -sin / self.q,
            "v_y": cos / self.q,
            "x": self.x,
            "y": self.y,
        }
        return axes | {
            "peak": 1 / (2 * jnp.pi * self.q * self.sigma**2),
            "minor": 1 / (self.q * self.sigma),
        }

    @staticmethod
    def brightness(c: Coefficients, x: Array, y: Array) -> Float[Array, "..."]:
        return c["peak"] * jnp.exp(-0.5 * _radius_squared(c, x, y))

    @staticmethod
    def bound(c: Coefficients, x: Array, y: Array, reach: Array) -> Float[Array, "..."]:
        nearest = jnp.maximum(jnp.sqrt(_radius_squared(c, x, y)) - reach * c["minor"], 0.0)
        return c["peak"] * jnp.exp(-0.5 * nearest**2)


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Clumps:
    """Compact star-forming knots in a Sersic galaxy: part of the galaxy's flux moved into K round Gaussians, the total unchanged.

    fraction (K,): share of the galaxy's flux in each knot (0: no knot; the sum is at most 1). u, v (K,): place along and across the
    galaxy's major axis in units of its semi-axes R_e and q R_e. size (K,): Gaussian sigma in units of R_e. Relative to the galaxy, so
    that a brighter, larger or moved galaxy takes its knots along.
    """

    fraction: Float[Array, " K"]
    u: Float[Array, " K"]
    v: Float[Array, " K"]
    size: Float[Array, " K"]


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class ClumpySersic:
    """A Sersic galaxy and its clumps as one profile with one flux."""

    galaxy: Sersic
    clumps: Clumps

    @property
    def flux(self) -> Real:
        return self.galaxy.flux

    def coefficients(self) -> Coefficients:
        g, k = self.galaxy, self.clumps
        sigma = k.size * g.r_eff
        cos, sin = jnp.cos(g.phi) * g.r_eff, jnp.sin(g.phi) * g.r_eff
        knots = {
            "x": g.x + cos * k.u - sin * g.q * k.v,
            "y": g.y + sin * k.u + cos * g.q * k.v,
            "peak": k.fraction / (2 * jnp.pi * sigma**2),
            "rate": -0.5 / sigma**2,
        }
        count = k.fraction.shape[-1]
        return {
            "galaxy": g.coefficients(),
            "share": 1 - jnp.sum(k.fraction),
            "knots": [{n: a[i] for n, a in knots.items()} for i in range(count)],
        }

    @staticmethod
    def brightness(c: Coefficients, x: Array, y: Array) -> Float[Array, "..."]:
        total = c["share"] * Sersic.brightness(c["galaxy"], x, y)
        for k in c["knots"]:
            total = total + k["peak"] * jnp.exp(k["rate"] * ((x - k["x"]) ** 2 + (y - k["y"]) ** 2))
        return total

    @staticmethod
    def bound(c: Coefficients, x: Array, y: Array, reach: Array) -> Float[Array, "..."]:
        total = c["share"] * Sersic.bound(c["galaxy"], x, y, reach)
        for k in c["knots"]:
            nearest = jnp.maximum(
                jnp.sqrt((x - k["x"]) ** 2 + (y - k["y"]) ** 2 + _TINY) - reach, 0.0
            )
            total = total + k["peak"] * jnp.exp(k["rate"] * nearest**2)
        return total
