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

CORE_PIXELS = 0.002
"""Semi-major axis (pixels) of the ellipse in which a steep profile is made smooth, and at most
CORE_SHARE of the half-light radius."""

CORE_SHARE = 0.004

_FALL = 0.2
"""Rays are evenly spaced within the radius at which the logarithm of the brightness has fallen by
this. For n = 1 it is 0.12 R_e, for n = 2.5 it is 4e-4 R_e."""

_SMOOTH, _STEEP_SMOOTH = 0.045, 0.003
"""The radius `smooth` of a focus (R_e), for profiles up to CUSP and beyond."""

_BRIGHT = 0.15
"""Radius (R_e) at which a galaxy is compared with its knots: which is the brighter one?"""

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
    """The smooth middle of a steep profile: the square of its radius (R_e^2; 0: there is none), one
    over that square, and what is added to the brightness of the edge: first u + second u^2 +
    third u^3 with u = 1 - r^2 / radius^2."""

    square: Real
    rate: Real
    first: Real
    second: Real
    third: Real


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
        core = self.core
        u = jnp.maximum(1 - square * core.rate, 0.0)
        smooth = replace(self, core=None).brightness(jnp.maximum(square, core.square))
        return smooth + u * (core.first + u * (core.second + u * core.third))


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Sersic(Light):
    """Elliptical Sersic profile: flux (B,) nanomaggies, r_eff (arcsec) the *semi-major* half-light
    radius, index n, axis ratio q = b/a, phi (radians) of the major axis, centre x, y (arcsec).

    steep: whether the index may exceed CUSP. Where it cannot, rendering takes a third of the
    time: steep profiles need a core and more rays. A prior that draws no larger index implies
    this.

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

    @classmethod
    def implied(cls, ends: Mapping[str, tuple[float, float]]) -> dict[str, Any]:
        """Without `steep`, where no index can be above CUSP."""
        return {"steep": False} if "n" in ends and ends["n"][1] <= CUSP else {}

    def prepared(self, pixel: float) -> Sersic:
        """The profile as it is rendered. For n > 2.5 so much light is so close to the middle (3 %
        of it within 0.002" for n = 8 and r_eff = 0.1") that no sampling finds the right amount.
        Within CORE_PIXELS the brightness is replaced by a smooth one of the same flux and the same
        second moments, which no pixel can tell from it unless a caustic runs through it."""
        # Apart, because the gamma function is long: it would be compiled, and worked out, wherever
        # the brightness is.
        numbers = self.r_eff, self.n, self.q
        if not self.steep:
            return replace(self, curve=apart(_curve, *numbers))
        curve = apart(lambda r_eff, n, q: _with_core(r_eff, n, q, pixel), *numbers)
        return replace(self, curve=curve)

    def brightness(self, x: Real, y: Real) -> Float[Array, "..."]:
        """Surface brightness (arcsec^-2) of unit flux at x, y (arcsec)."""
        return self._profile(self._radius_squared(x, y))

    def foci(self) -> Focus:
        """Its middle."""
        size = jnp.asarray(self.r_eff)
        curve = self.curve or _curve(self.r_eff, self.n, self.q)
        core = jnp.exp(0.5 / curve.power * jnp.log(_FALL / curve.b))
        smooth: Real = _SMOOTH
        if curve.core is not None:
            core = jnp.maximum(core, 0.5 * jnp.sqrt(curve.core.square))
            smooth = jnp.where(curve.core.square > 0, _STEEP_SMOOTH, _SMOOTH)
        peak = jnp.log(curve.brightness(jnp.square(_BRIGHT) + 0 * size))
        cos, sin = jnp.cos(self.phi) / size, jnp.sin(self.phi) / size
        return joined(Focus(self.x, self.y, cos, sin, 1 / jnp.asarray(self.q), core, smooth, peak))

    @property
    def cusped(self) -> bool:
        """See Light."""
        return self.steep

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


def _with_core(r_eff: Real, n: Real, q: Real, pixel: float) -> Curve:
    r"""The same with the core of profiles that are steeper than CUSP. With a radius x_c (R_e),
    t = b_n x_c^{1/n} and s = x^2 / x_c^2 the profile within has the means

    $$\int_0^1 I s^k ds = 2 n I(x_c) \sum_{j \ge 0} \frac{t^j}{a (a + 1) \dots (a + j)},
    \quad a = 2 n (k + 1)$$

    (DLMF 8.11.4 for the incomplete gamma function), from which the core's coefficients follow. Its
    slope at the edge is the profile's."""
    r_eff, n = jnp.asarray(r_eff), jnp.asarray(n)
    steep, clipped = n > CUSP, jnp.maximum(n, CUSP)
    square = jnp.minimum(CORE_PIXELS * pixel / r_eff, CORE_SHARE) ** 2
    t = sersic_b(clipped) * jnp.exp(0.5 / clipped * jnp.log(square))
    edge = _curve(r_eff, clipped, q).brightness(square)
    first = 0.5 / clipped * t
    flux = 2 * clipped * _series(2 * clipped, t) - 1 - first / 2
    spread = 2 * clipped * _series(4 * clipped, t) - 0.5 - first / 6
    found = first, 60 * spread - 12 * flux, 20 * flux - 80 * spread
    core = Core(
        jnp.where(steep, square, 0.0), 1 / square, *(jnp.where(steep, edge * c, 0.0) for c in found)
    )
    return replace(_curve(r_eff, n, q), core=core)


def _series(a: Array, t: Array) -> Float[Array, "..."]:
    """Sum of t^j / (a (a + 1) ... (a + j)) over j."""
    steps = t[..., None] / (a[..., None] + jnp.arange(1, _TERMS, dtype=a.dtype))
    return (1 + jnp.sum(jnp.cumprod(steps, -1), -1)) / a


def radius_squared(dx: Real, dy: Real, size: Real, q: Real, phi: Real) -> Float[Array, "..."]:
    """(u^2 + (v/q)^2) / size^2 of offsets from a centre, u along the angle phi; above 0."""
    cos, sin = jnp.cos(phi) / size, jnp.sin(phi) / size
    u, v = cos * dx + sin * dy, cos / q * dy - sin / q * dx
    return u * u + v * v + TINY
