r"""Analytic functions of the complex ellipticity, as pairs of real and imaginary part.

The elliptical profiles need

$$g_t(w) = {}_2F_1\!\left(1, \tfrac t2; 2 - \tfrac t2; -w\right), \quad
g_1(w) = \frac{\mathrm{atan}\sqrt w}{\sqrt w} = 1 - \frac w3 + \frac{w^2}5 - \dots$$

in the disc $|w| \le f = (1 - q)/(1 + q)$, next to their cut $w \le -1$. Each is a mean of
$1/(1 + w x)$ over 0 < x < 1 with the weight $x^{t/2 - 1} (1 - x)^{1 - t}$ (DLMF 15.6.1), so a
rule of quadrature with POLES nodes is a rational function of w. Gauss-Jacobi nodes in x would make
it Gauss' continued fraction (the diagonal Pade approximant), which spends its accuracy on round
lenses. Here the nodes are those in y of $x = y (1 + c)^2 / (1 + c y)^2$, which are less crowded at
x = 1 and so see the cut from farther away (maps of Hale & Trefethen 2008): at q = 0.1 the error
falls from 2e-5 to 1e-7 for the same work. The error of the deflection, over theta_E, in float64 is,
for the SIE, 1e-10 at q = 0.7, 2e-9 at q = 0.5, 4e-8 at q = 0.2 and 1.2e-7 at q = 0.1, for other
slopes up to three times as much. In float32 rounding leaves 3e-7 for the SIE and up to 3e-6 for
other slopes.

Numerator and denominator are polynomials in 1 + w, whose coefficients are all positive. In powers
of w their terms would cancel where w is close to -1, and float32 would keep three digits of a flat
lens.

A compiler for processors turns arithmetic on pairs into vector instructions, which it does not do
for complex numbers; so the formulas of the elliptical profiles are written in pairs.
"""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from lensjax.mass.base import Pair

POLES = 6

SPREAD = 0.28
"""c of the map of the nodes: 0 is Gauss-Jacobi; with a larger c flat lenses are more exact, and
round ones less."""

_DEGREE = 14
"""of the coefficients as polynomials in t - 1: they are smooth in t and are worked out once."""


@jax.custom_jvp
def atan_ratio(wr: Array, wi: Array) -> Pair:
    r"""$g_1(w) = \mathrm{atan}(\sqrt w)/\sqrt w$ at w = wr + i wi."""
    return quotient(polynomial(_NUMERATOR, 1 + wr, wi), polynomial(_DENOMINATOR, 1 + wr, wi))


@atan_ratio.defjvp
def atan_ratio_jvp(primals, tangents):
    """Running the recurrences backwards instead would keep every step of them, and a gradient of an
    image would take twice the time."""
    g = atan_ratio(*primals)
    return g, times(_slope(g, *primals), tangents)


def _slope(g: Pair, wr: Array, wi: Array) -> Pair:
    """g' = (N' - g D')/D of `atan_ratio`, where it is g."""
    at = 1 + wr, wi
    nr, ni = polynomial(_NUMERATOR_SLOPE, *at)
    dr, di = times(g, polynomial(_DENOMINATOR_SLOPE, *at))
    return quotient((nr - dr, ni - di), polynomial(_DENOMINATOR, *at))


@jax.custom_jvp
def halved_atan_ratio(wr: Array, wi: Array) -> Pair:
    r"""$g_1(w)$ to 1e-10 for every q from 0.1, by the ratio of half the angle, which is far from
    the cut:

    $$g_1(w) = \frac2{1 + s}\, g_1(h), \quad h = \frac w{(1 + s)^2}, \quad s = \sqrt{1 + w}.$$

    It costs half as much again or more, so it is not used for images through an SIE.
    """
    (kr, ki), h = _halved(wr, wi)
    gr, gi = atan_ratio(*h)
    return quotient((2 * gr, 2 * gi), (1 + kr, ki))


@halved_atan_ratio.defjvp
def halved_atan_ratio_jvp(primals, tangents):
    r"""$g_1'(w) = \frac1{s (1 + s)^2} \left(\frac{2 g_1'(h)}{1 + s} - g_1(h)\right)$."""
    root, h = _halved(*primals)
    more = 1 + root[0], root[1]
    g = atan_ratio(*h)
    sr, si = _slope(g, *h)
    dr, di = quotient((2 * sr, 2 * si), more)
    slope = quotient((dr - g[0], di - g[1]), times(root, times(more, more)))
    return quotient((2 * g[0], 2 * g[1]), more), times(slope, tangents)


def _halved(wr: Array, wi: Array) -> tuple[Pair, Pair]:
    """s and h of `halved_atan_ratio`. |w| < 1, so that 1 + w keeps to the right of 0."""
    cr, ci = 1 + wr, jnp.asarray(wi)
    sr = jnp.sqrt(0.5 * (jnp.sqrt(cr * cr + ci * ci) + cr))
    si = 0.5 * ci / sr
    more = 1 + sr, si
    return (sr, si), quotient((wr, ci), times(more, more))


def power_ratio(t: Array, wr: Array, wi: Array) -> Pair:
    """$g_t(w)$ at w = wr + i wi, for t between 0 and 2."""
    s = jnp.asarray(t, jnp.result_type(t, float)) - 1
    table = jnp.asarray(_TABLE, s.dtype)
    table = table.reshape(*table.shape, *[1] * s.ndim)
    row = table[-1]
    for k in range(_DEGREE - 1, -1, -1):
        row = table[k] + s * row
    numerator, denominator = list(row[:POLES]), list(row[POLES:])
    return quotient(polynomial(numerator, 1 + wr, wi), polynomial(denominator, 1 + wr, wi))


def times(a: Pair, b: Pair) -> Pair:
    """a b."""
    return a[0] * b[0] - a[1] * b[1], a[0] * b[1] + a[1] * b[0]


def quotient(n: Pair, d: Pair) -> Pair:
    """n / d."""
    norm = 1 / (d[0] * d[0] + d[1] * d[1])
    return (n[0] * d[0] + n[1] * d[1]) * norm, (n[1] * d[0] - n[0] * d[1]) * norm


def polynomial(coefficients: Sequence, wr: Array, wi: Array) -> Pair:
    """sum c_k w^k for real c_k at w = wr + i wi, by Goertzel's recurrence."""
    p, r = 2 * wr, -(wr * wr + wi * wi)
    b1, b2 = coefficients[-1] + jnp.zeros_like(wr), jnp.zeros_like(wr)
    for c in coefficients[-2:0:-1]:
        b1, b2 = c + p * b1 + r * b2, b1
    return coefficients[0] + wr * b1 + r * b2, wi * b1


def _fraction(t: float) -> tuple[np.ndarray, np.ndarray]:
    """Numerator and denominator of the rational function for t, in ascending powers of 1 + w."""
    x, share = _rule(t)
    factors = np.stack([1 - x, x], 1)  # 1 + w x = (1 - x) + x (1 + w)
    numerator, denominator = np.zeros(1), np.ones(1)
    for a, factor in zip(share, factors):
        numerator = np.convolve(numerator, factor)
        numerator[: denominator.size] += a * denominator
        denominator = np.convolve(denominator, factor)
    return numerator[:POLES], denominator


def _rule(t: float) -> tuple[np.ndarray, np.ndarray]:
    """Nodes x and their shares, which add up to 1 within the rule's own error."""
    y, share = _gauss_jacobi(POLES, 1 - t, t / 2 - 1)
    c, below = SPREAD, 1 + SPREAD * y
    x = y * ((1 + c) / below) ** 2
    # dx = (1 + c)^2 (1 - c y) / (1 + c y)^3 dy, and 1 - x = (1 - y) (1 - c^2 y) / (1 + c y)^2
    weight = ((1 + c) / below) ** (t - 2) * ((1 - c * c * y) / below**2) ** (1 - t)
    return x, share * weight * (1 + c) ** 2 * (1 - c * y) / below**3


def _gauss_jacobi(n: int, a: float, b: float) -> tuple[np.ndarray, np.ndarray]:
    """Nodes and shares of the Gauss rule with the weight (1 - y)^a y^b on (0, 1), from the
    eigenvalues of the Jacobi matrix (Golub & Welsch 1969; its entries from DLMF 18.9.2)."""
    k, s = np.arange(1, n), a + b
    middle = np.append((b - a) / (s + 2), (b * b - a * a) / ((2 * k + s) * (2 * k + s + 2)))
    k = k[1:]
    beside = np.append(
        4 * (1 + a) * (1 + b) / ((2 + s) ** 2 * (3 + s)),
        4 * k * (k + a) * (k + b) * (k + s) / ((2 * k + s) ** 2 * ((2 * k + s) ** 2 - 1)),
    )
    off = np.diag(np.sqrt(beside), 1)
    nodes, vectors = np.linalg.eigh(np.diag(middle) + off + off.T)
    return (1 + nodes) / 2, vectors[0] ** 2


def _table() -> np.ndarray:
    """Coefficients (power of t - 1, those of the numerator and then of the denominator)."""
    at = np.cos(np.pi * (np.arange(_DEGREE + 1) + 0.5) / (_DEGREE + 1))
    rows = np.array([np.concatenate(_fraction(1 + s)) for s in at])
    chebyshev = np.polynomial.chebyshev
    fitted = chebyshev.chebfit(at, rows, _DEGREE)
    return np.stack([chebyshev.cheb2poly(column) for column in fitted.T], 1)


# Plain numbers, which take on the precision of what they are multiplied with.
_NUMERATOR, _DENOMINATOR = (c.tolist() for c in _fraction(1.0))
_NUMERATOR_SLOPE, _DENOMINATOR_SLOPE = (
    [k * c for k, c in enumerate(row) if k] for row in (_NUMERATOR, _DENOMINATOR)
)
_TABLE = _table()
