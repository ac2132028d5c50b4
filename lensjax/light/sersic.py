r"""Sersic profile:

$$I(r) = I_e \exp\left(-b_n \left((r/R_e)^{1/n} - 1\right)\right), \quad r^2 = u^2 + (v/q)^2, \quad
F = \frac{2\pi q n R_e^2 I_e e^{b_n} \Gamma(2n)}{b_n^{2n}}$$

(Graham & Driver 2005, equation 4, times q).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import jax
import jax.numpy as jnp
from jax.scipy.special import gammaln
from jaxtyping import Array, Float

from lensjax.apart import apart
from lensjax.arrays import Real
from lensjax.component import AXIS_RATIO, NOT_NEGATIVE, POSITIVE, Domain, parameter
from lensjax.light.base import TINY, Light
from lensjax.light.focus import Focus, joined

SERSIC_N = (0.4, 8.0)
"""Range of the Sersic index: below it the series for b_n fails, above it nothing was tested."""

CUSP = 2.5
"""Index above which the middle of the profile is too steep to be sampled, see `Sersic.prepared`."""

FLAT = Domain(SERSIC_N[0], CUSP, f"between {SERSIC_N[0]} and {CUSP} where steep is false", 1.0)
"""Indices of profiles that need no core."""

CORE_RADIUS = 0.01
"""Semi-major axis (arcsec) of the ellipse in which a steep profile is made smooth, and at most
CORE_SHARE of the half-light radius."""

CORE_SHARE = 0.1

_FOCUS, _STEEP_FOCUS = 0.15, 0.02
"""Radii (R_e) within which rays are evenly spaced, of profiles up to CUSP and beyond."""

_TERMS = 48


def sersic_b(n: Real) -> Float[Array, "..."]:
    """b_n, which makes R_e the half-light radius: Ciotti & Bertin 1999, equation 18. The half-light
    fraction is right to 2e-4 for n >= 0.5 and to 2e-5 for n >= 1."""
    n = jnp.asarray(n)
    high = 131 / (1148175 * n**3) - 2194697 / 30690717750 / n**4
    return 2 * n - 1 / 3 + 4 / (405 * n) + 46 / (25515 * n**2) + high


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Core:
    """The smooth middle of a steep profile, radii in units of R_e: the square of its radius (0:
    there is none), one over that square, and by how much the centre is brighter than the edge."""

    square: Real
    rate: Real
    rise: Real


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Curve:
    """How the brightness falls with the radius: the logarithm of the central brightness, b_n,
    1/(2n), and the core, if there is one. They are the same for every place."""

    log_peak: Real
    b: Real
    power: Real
    core: Core | None = None

    def brightness(self, square: Array) -> Float[Array, "..."]:
        """Brightness (arcsec^-2) at a squared radius (R_e^2)."""
        if self.core is None:
            return jnp.exp(self.log_peak - self.b * jnp.exp(self.power * jnp.log(square)))
        inside = jnp.maximum(1 - square * self.core.rate, 0.0)
        smooth = replace(self, core=None).brightness(jnp.maximum(square, self.core.square))
        return smooth + self.core.rise * inside**2


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Sersic(Light):
    """Elliptical Sersic profile: flux (B,) nanomaggies, r_eff (arcsec) the *semi-major* half-light
    radius, index n, axis ratio q = b/a, phi (radians) of the major axis, centre x, y (arcsec).

    steep: whether the index may exceed CUSP. Where it cannot, rendering without the core that steep
    profiles need is about a tenth faster, with gradients most of all.

    lenstronomy's SERSIC_ELLIPSE has R_sersic = r_eff sqrt(q)."""

    flux: Real = parameter(NOT_NEGATIVE, drawn=False)
    r_eff: Real = parameter(POSITIVE, size=True)
    n: Real = parameter(Domain(*SERSIC_N, f"between {SERSIC_N[0]} and {SERSIC_N[1]}", 1.0))
    q: Real = parameter(AXIS_RATIO)
    phi: Real = parameter()
    x: Real = parameter(default=0.0)
    y: Real = parameter(default=0.0)
    steep: bool = field(default=True, kw_only=True, metadata={"static": True})
    curve: Curve | None = field(default=None, kw_only=True)

    @classmethod
    def narrowed(cls, name: str, domain: Domain, constants: Mapping[str, Any]) -> Domain:
        """Without `steep`, an index of at most CUSP."""
        return domain if name != "n" or constants.get("steep", True) else FLAT

    def prepared(self) -> Sersic:
        """The profile as it is rendered. For n > 2.5 so much light is so close to the middle (3 %
        of it within 0.002" for n = 8 and r_eff = 0.1") that no sampling finds the right amount.
        Within CORE_RADIUS the brightness is replaced by a smooth one of exactly the same flux."""
        # Apart, because the gamma function is long: it would be compiled, and worked out, wherever
        # the brightness is.
        curve = apart(_with_core if self.steep else _curve, self.r_eff, self.n, self.q)
        return replace(self, curve=curve)

    def brightness(self, x: Real, y: Real) -> Float[Array, "..."]:
        """Surface brightness (arcsec^-2) of unit flux at x, y (arcsec)."""
        return self._profile(self._radius_squared(x, y))

    def foci(self) -> Focus:
        """Its middle."""
        size, n = jnp.asarray(self.r_eff), jnp.asarray(self.n)
        curve = self.curve or _curve(self.r_eff, self.n, self.q)
        peak = jnp.log(curve.brightness(jnp.square(_FOCUS) + 0 * size))
        core = jnp.where(n > CUSP, _STEEP_FOCUS, _FOCUS)
        cos, sin = jnp.cos(self.phi) / size, jnp.sin(self.phi) / size
        return joined(Focus(self.x, self.y, cos, sin, 1 / jnp.asarray(self.q), core, peak))

    def bound(self, x: Real, y: Real, reach: Real) -> Float[Array, "..."]:
        """The brightness at the nearest point that can be reached."""
        far = reach / (self.q * self.r_eff)
        nearest = jnp.maximum(jnp.sqrt(self._radius_squared(x, y)) - far, 0.0)
        return self._profile(nearest**2 + TINY)

    def _radius_squared(self, x: Real, y: Real) -> Float[Array, "..."]:
        """(r/R_e)^2."""
        return radius_squared(x - self.x, y - self.y, self.r_eff, self.q, self.phi)

    def _profile(self, square: Array) -> Float[Array, "..."]:
        curve = self.curve or _curve(self.r_eff, self.n, self.q)
        return curve.brightness(square)


def _curve(r_eff: Real, n: Real, q: Real) -> Curve:
    """The profile of unit flux, without core."""
    n, r_eff = jnp.asarray(n), jnp.asarray(r_eff)
    b = sersic_b(n)
    area = jnp.log(2 * jnp.pi * q * n * r_eff**2)
    return Curve(2 * n * jnp.log(b) - gammaln(2 * n) - area, b, 0.5 / n)


def _with_core(r_eff: Real, n: Real, q: Real) -> Curve:
    """The same with the core of profiles that are steeper than CUSP."""
    r_eff, n = jnp.asarray(r_eff), jnp.asarray(n)
    steep, clipped = n > CUSP, jnp.maximum(n, CUSP)
    square = jnp.minimum(CORE_RADIUS / r_eff, CORE_SHARE) ** 2
    mean = _flux_within(square, clipped) / (jnp.pi * q * r_eff**2 * square)
    edge = _curve(r_eff, clipped, q).brightness(square)
    core = Core(jnp.where(steep, square, 0.0), 1 / square, jnp.where(steep, 3 * (mean - edge), 0.0))
    return replace(_curve(r_eff, n, q), core=core)


def _flux_within(square: Array, n: Array) -> Float[Array, "..."]:
    r"""Share of the flux within the ellipse of squared radius `square` (R_e^2), at most 1:
    $\gamma(2n, t)/\Gamma(2n)$ of $t = b_n r^{1/n}$ (Graham & Driver 2005, equation 2) by the series
    DLMF 8.11.4."""
    a, t = 2 * n, sersic_b(n) * jnp.exp(0.5 / n * jnp.log(square))
    steps = t[..., None] / (a[..., None] + jnp.arange(1, _TERMS, dtype=a.dtype))
    total = (1 + jnp.sum(jnp.cumprod(steps, -1), -1)) / a
    return total * jnp.exp(a * jnp.log(t) - t - gammaln(a))


def radius_squared(dx: Real, dy: Real, size: Real, q: Real, phi: Real) -> Float[Array, "..."]:
    """(u^2 + (v/q)^2) / size^2 of offsets from a centre, u along the angle phi; above 0."""
    cos, sin = jnp.cos(phi) / size, jnp.sin(phi) / size
    u, v = cos * dx + sin * dy, cos / q * dy - sin / q * dx
    return u * u + v * v + TINY
