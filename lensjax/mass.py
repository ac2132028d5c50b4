"""Mass: deflection, potential, Jacobian and magnification of thin lenses.

A mass component is a small frozen dataclass; x, y are in arcsec, any shape, from the centre of the stamp. Components add: a tuple of them
is a lens too, for every function below. Source position beta = theta - alpha(theta).

The isothermal ellipsoid is usually written with atan and atanh of sqrt(1 - q^2) (Kormann, Schneider & Bartelmann 1994), which is 0/0 at
q = 1. Here it is a function of the complex ellipticity that is analytic there:

    alpha = theta_E 2 sqrt(q)/(1 + q) z g(f z^2),    z = (q u + i v)/|q u + i v|,    f = (1 - q)/(1 + q),    g(w) = atan(sqrt w)/sqrt w

with u along the major axis. No branch, no transcendental function; smooth at q = 1, where it is theta_E z.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from lensjax.arrays import Real

CORE = 2e-4
"""Softening (arcsec) of the direction z at the centre of a lens, where the deflection of an isothermal sphere has no direction: |.|^2 ->
|.|^2 + CORE^2. Derivatives stay below theta_E / CORE; at 0.01" from the centre the deflection changes by 2e-4 of itself."""

TERMS = 24
"""Length of the EPL's series in the ellipticity."""

Pair = tuple[Float[Array, "..."], Float[Array, "..."]]
Coefficients: TypeAlias = Any
"""A pytree of scalars and arrays, worked out once for each component."""


class Mass(Protocol):
    """What a mass component can do. x, y and the results in arcsec (potential: arcsec^2), any one shape.

    `coefficients` is a dictionary of what is worked out once for a component, "x" and "y" among it if there is a centre where the deflection
    jumps; `bend(c, x, y)` the deflection that follows from it at every ray.
    """

    def coefficients(self) -> Coefficients: ...

    @staticmethod
    def bend(c: Coefficients, x: Array, y: Array) -> Pair: ...

    def potential(self, x: Real, y: Real) -> Float[Array, "..."]: ...


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class SIE:
    """Singular isothermal ellipsoid. theta_e (arcsec) in the intermediate-axis normalisation of lenstronomy's SIE: the area inside the
    critical curve is pi theta_e^2. q = b/a in (0, 1], phi (radians) of the major axis, counter-clockwise from +x, centre x, y (arcsec)."""

    theta_e: Real
    q: Real
    phi: Real
    x: Real = 0.0
    y: Real = 0.0

    def coefficients(self) -> Coefficients:
        q = jnp.asarray(self.q)
        scale = self.theta_e * 2 * jnp.sqrt(q) / (1 + q)
        cos, sin = jnp.cos(self.phi), jnp.sin(self.phi)
        return {
            "x": self.x,
            "y": self.y,
            "q": q,
            "f": (1 - q) / (1 + q),
            "cos": cos,
            "sin": sin,
            "scale_cos": scale * cos,
            "scale_sin": scale * sin,
        }

    @staticmethod
    def bend(c: Coefficients, x: Array, y: Array) -> Pair:
        dx, dy = x - c["x"], y - c["y"]
        u, v = c["q"] * (c["cos"] * dx + c["sin"] * dy), c["cos"] * dy - c["sin"] * dx
        inverse = jax.lax.rsqrt(u * u + v * v + CORE**2)
        zr, zi = u * inverse, v * inverse
        gr, gi = _atan_ratio(c["f"] * (zr * zr - zi * zi), 2 * c["f"] * zr * zi)
        au, av = zr * gr - zi * gi, zr * gi + zi * gr
        return c["scale_cos"] * au - c["scale_sin"] * av, c["scale_sin"] * au + c["scale_cos"] * av

    def potential(self, x: Real, y: Real) -> Float[Array, "..."]:
        """psi = theta . alpha: the potential of an isothermal lens is homogeneous of degree one."""
        ax, ay = deflection(self, x, y)
        return (x - self.x) * ax + (y - self.y) * ay


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class EPL:
    """Elliptical power law, kappa ~ r^(1 - slope): slope 2 is the SIE. Tessore & Metcalf 2015, with lenstronomy's theta_e.

        alpha = 2 b/(1 + q) (b/R)^(t - 1) z 2F1(1, t/2; 2 - t/2; -f z^2),    b = theta_e sqrt(q),  t = slope - 1,  R = |q u + i v|

    as a series of TERMS terms: 1e-11 for q >= 0.5, 5e-5 at q = 0.2. Slope strictly between 1 and 3.
    """

    theta_e: Real
    slope: Real
    q: Real
    phi: Real
    x: Real = 0.0
    y: Real = 0.0

    def coefficients(self) -> Coefficients:
        q, t = jnp.asarray(self.q), jnp.asarray(self.slope) - 1
        b = self.theta_e * jnp.sqrt(q)
        ratios = [(2 * k - (2 - t)) / (2 * k + (2 - t)) for k in range(1, TERMS)]
        series = [jnp.ones_like(t)]
        for ratio in ratios:
            series.append(-series[-1] * ratio)
        c = {
            "x": self.x,
            "y": self.y,
            "q": q,
            "f": (1 - q) / (1 + q),
            "cos": jnp.cos(self.phi),
            "sin": jnp.sin(self.phi),
        }
        return c | {"scale": 2 * b / (1 + q), "b2": b * b, "power": 0.5 * (t - 1), "series": series}

    @staticmethod
    def bend(c: Coefficients, x: Array, y: Array) -> Pair:
        dx, dy = x - c["x"], y - c["y"]
        u, v = c["q"] * (c["cos"] * dx + c["sin"] * dy), c["cos"] * dy - c["sin"] * dx
        r2 = u * u + v * v + CORE**2
        inverse = jax.lax.rsqrt(r2)
        zr, zi = u * inverse, v * inverse
        gr, gi = _polynomial(c["series"], c["f"] * (zr * zr - zi * zi), 2 * c["f"] * zr * zi)
        scale = c["scale"] * jnp.exp(c["power"] * (jnp.log(c["b2"] + 1e-30) - jnp.log(r2)))
        au, av = scale * (zr * gr - zi * gi), scale * (zr * gi + zi * gr)
        return c["cos"] * au - c["sin"] * av, c["sin"] * au + c["cos"] * av

    def potential(self, x: Real, y: Real) -> Float[Array, "..."]:
        """psi = theta . alpha / (2 - t): homogeneous of degree 3 - slope."""
        ax, ay = deflection(self, x, y)
        return ((x - self.x) * ax + (y - self.y) * ay) / (3 - self.slope)


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Shear:
    """External shear about the centre of the stamp: alpha = (gamma1 x + gamma2 y, gamma2 x - gamma1 y)."""

    gamma1: Real
    gamma2: Real

    def coefficients(self) -> Coefficients:
        return {"gamma1": self.gamma1, "gamma2": self.gamma2}

    @staticmethod
    def bend(c: Coefficients, x: Array, y: Array) -> Pair:
        return c["gamma1"] * x + c["gamma2"] * y, c["gamma2"] * x - c["gamma1"] * y

    def potential(self, x: Real, y: Real) -> Float[Array, "..."]:
        x, y = jnp.asarray(x), jnp.asarray(y)
        return 0.5 * self.gamma1 * (x * x - y * y) + self.gamma2 * x * y


@jax.custom_jvp
def _atan_ratio(wr: Array, wi: Array) -> Pair:
    """g(w) = atan(sqrt w)/sqrt w = 1 - w/3 + w^2/5 - ..., |w| < 1, as its diagonal Pade approximant.

    The denominator of the approximant of order m is x^m P_m(1/x) of Legendre (Gauss' continued fraction), so both polynomials have real
    coefficients and are evaluated at complex w with two multiply-adds a term. Relative error of order 10: 2e-10 for q >= 0.5, 9e-8 at
    q = 0.3, 3e-6 at q = 0.2, 1.4e-4 at q = 0.1.
    """
    return _quotient(_polynomial(_NUMERATOR, wr, wi), _polynomial(_DENOMINATOR, wr, wi))


@_atan_ratio.defjvp
def _atan_ratio_jvp(primals, tangents):
    """g' = (N' - g D')/D. Derived here rather than by running the recurrences backwards, which keeps every step of them: a gradient of an image
    takes half the time."""
    g = _atan_ratio(*primals)
    nr, ni = _polynomial(_NUMERATOR_SLOPE, *primals)
    dr, di = _polynomial(_DENOMINATOR_SLOPE, *primals)
    sr, si = _quotient(
        (nr - g[0] * dr + g[1] * di, ni - g[0] * di - g[1] * dr),
        _polynomial(_DENOMINATOR, *primals),
    )
    tr, ti = tangents
    return g, (sr * tr - si * ti, sr * ti + si * tr)


def _quotient(n: Pair, d: Pair) -> Pair:
    norm = 1 / (d[0] * d[0] + d[1] * d[1])
    return (n[0] * d[0] + n[1] * d[1]) * norm, (n[1] * d[0] - n[0] * d[1]) * norm


def _polynomial(coefficients: Sequence | np.ndarray, wr: Array, wi: Array) -> Pair:
    """sum c_k w^k for real c_k at w = wr + i wi, by Goertzel's recurrence."""
    p, r = 2 * wr, -(wr * wr + wi * wi)
    b1, b2 = coefficients[-1] + jnp.zeros_like(wr), jnp.zeros_like(wr)
    for c in coefficients[-2:0:-1]:
        b1, b2 = c + p * b1 + r * b2, b1
    return coefficients[0] + wr * b1 + r * b2, wi * b1


def _pade(order: int) -> tuple[np.ndarray, np.ndarray]:
    """Numerator and denominator, in ascending powers of w, of the [order - 1 / order] approximant of g."""
    legendre = np.polynomial.legendre.leg2poly([0] * order + [1])
    # x^m P_m(i/x)/i^m has the powers w^0, w^1, ... of w = x^2 in the coefficients of P_m from the highest down
    denominator = np.abs(legendre[::-1][::2])
    series = (-1.0) ** np.arange(order) / (2 * np.arange(order) + 1)
    numerator = np.convolve(series, denominator)[: (order + 1) // 2]
    return numerator / denominator[0], denominator / denominator[0]


_NUMERATOR, _DENOMINATOR = _pade(10)
_NUMERATOR_SLOPE, _DENOMINATOR_SLOPE = (
    c[1:] * np.arange(1, c.size) for c in (_NUMERATOR, _DENOMINATOR)
)


def deflection(mass: Mass | tuple[Mass, ...], x: Real, y: Real) -> Pair:
    """Deflection (arcsec) at x, y (arcsec) of one component or the sum of several."""
    x, y = jnp.asarray(x), jnp.asarray(y)
    ax, ay = jnp.zeros_like(x), jnp.zeros_like(y)
    for m in mass if isinstance(mass, tuple) else (mass,):
        bx, by = m.bend(m.coefficients(), x, y)
        ax, ay = ax + bx, ay + by
    return ax, ay


def potential(mass: Mass | tuple[Mass, ...], x: Real, y: Real) -> Float[Array, "..."]:
    """Lensing potential (arcsec^2) at x, y (arcsec) of one component or the sum of several."""
    parts = mass if isinstance(mass, tuple) else (mass,)
    return sum((m.potential(x, y) for m in parts), jnp.zeros_like(x))


def jacobian(mass: Mass | tuple[Mass, ...], x: Real, y: Real) -> tuple[Array, Array, Array, Array]:
    """A = d beta / d theta at x, y (arcsec): (A_xx, A_xy, A_yx, A_yy), dimensionless, each of the shape of x."""
    x, y = jnp.asarray(x), jnp.asarray(y)
    ray: Callable = lambda x, y: deflection(mass, x, y)
    _, (axx, ayx) = jax.jvp(ray, (x, y), (jnp.ones_like(x), jnp.zeros_like(y)))
    _, (axy, ayy) = jax.jvp(ray, (x, y), (jnp.zeros_like(x), jnp.ones_like(y)))
    return 1 - axx, -axy, -ayx, 1 - ayy


def magnification(mass: Mass | tuple[Mass, ...], x: Real, y: Real) -> Float[Array, "..."]:
    """Signed magnification 1/det A at x, y (arcsec)."""
    axx, axy, ayx, ayy = jacobian(mass, x, y)
    return 1 / (axx * ayy - axy * ayx)


def convergence(mass: Mass | tuple[Mass, ...], x: Real, y: Real) -> Float[Array, "..."]:
    """kappa = 1 - trace(A)/2 at x, y (arcsec): the surface density in critical units."""
    axx, _, _, ayy = jacobian(mass, x, y)
    return 1 - 0.5 * (axx + ayy)
