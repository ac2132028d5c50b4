"""Light: surface-brightness profiles in the source plane.

A profile has a `flux` (B,) in nanomaggies, one for each band, and a shape of unit flux that the bands share:

    brightness(x, y)        surface brightness (arcsec^-2) at x, y (arcsec); its integral over the plane is 1
    bound(x, y, reach)      about the largest brightness within `reach` (arcsec) of x, y: tells the renderer where it has to look closely

The normalisation is the integral over the *source plane*, so that lensing magnifies: dividing by the image-plane sum would cancel it.
"""

from dataclasses import dataclass
from typing import Protocol

import jax
import jax.numpy as jnp
from jax.scipy.special import gammaln
from jaxtyping import Array, Float

from lensjax.arrays import Real
from lensjax.mass import rotate

SERSIC_N = (0.4, 8.0)
"""Range of the Sersic index: below it the series for b_n fails, above it the core is smaller than any pixel."""

_TINY = 1e-12


class Light(Protocol):
    """What a light profile can do; see the module's docstring."""

    @property
    def flux(self) -> Real: ...

    def brightness(self, x: Real, y: Real) -> Float[Array, "..."]: ...

    def bound(self, x: Real, y: Real, reach: Real) -> Float[Array, "..."]: ...


def sersic_b(n: Real) -> Float[Array, "..."]:
    """b_n, which makes R_e the half-light radius: Ciotti & Bertin 1999, eq. 18; good to 1e-4 for n > 0.4 and 1e-7 for n > 1."""
    n = jnp.asarray(n)
    return 2 * n - 1 / 3 + 4 / (405 * n) + 46 / (25515 * n**2) + 131 / (1148175 * n**3) - 2194697 / 30690717750 / n**4


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

    def _radius_squared(self, x: Real, y: Real) -> Float[Array, "..."]:
        """(r/R_e)^2; the tiny offset keeps the derivative finite on the centre."""
        u, v = rotate(x - self.x, y - self.y, self.phi)
        return (u / self.r_eff) ** 2 + (v / (self.q * self.r_eff)) ** 2 + _TINY

    def _at(self, radius_squared: Array) -> Float[Array, "..."]:
        b = sersic_b(self.n)
        log_peak = 2 * self.n * jnp.log(b) - gammaln(2 * self.n) - jnp.log(2 * jnp.pi * self.q * self.n * self.r_eff**2)
        return jnp.exp(log_peak - b * jnp.exp((0.5 / self.n) * jnp.log(radius_squared)))

    def brightness(self, x: Real, y: Real) -> Float[Array, "..."]:
        return self._at(self._radius_squared(x, y))

    def bound(self, x: Real, y: Real, reach: Real) -> Float[Array, "..."]:
        r = jnp.sqrt(self._radius_squared(x, y))
        return self._at(jnp.maximum(r - reach / (self.q * self.r_eff), 0.0) ** 2 + _TINY)


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

    def brightness(self, x: Real, y: Real) -> Float[Array, "..."]:
        return self.bound(x, y, 0.0)

    def bound(self, x: Real, y: Real, reach: Real) -> Float[Array, "..."]:
        g, c = self.galaxy, self.clumps
        total = (1 - jnp.sum(c.fraction)) * g.bound(x, y, reach)
        du, dv = rotate(x - g.x, y - g.y, g.phi)
        for k in range(c.fraction.shape[-1]):
            sigma = c.size[k] * g.r_eff
            r = jnp.sqrt((du - c.u[k] * g.r_eff) ** 2 + (dv - c.v[k] * g.q * g.r_eff) ** 2 + _TINY * sigma**2)
            gaussian = jnp.exp(-0.5 * (jnp.maximum(r - reach, 0.0) / sigma) ** 2) / (2 * jnp.pi * sigma**2)
            total = total + c.fraction[k] * gaussian
        return total
