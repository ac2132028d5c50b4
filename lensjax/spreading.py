"""Spreading points of light over the pixel grid: quadrature rules, and quartic B-splines.

A cell of light is a handful of points with weights (`Rule`). Every point is spread over the pixels
around it as a B-spline, so that sub-pixel positions survive. In Fourier space that is a division by
sinc^5 (`psf.py`): a point source keeps its place to 3e-4 of the peak at FWHM 0.9", and everything
after it is done on one cell a pixel.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce

import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, Int

from lensjax.apart import apart
from lensjax.grid import PixelGrid

MARGIN = 8
"""Pixels of sky around the stamp whose light may scatter into it."""

SPLINE = 5
"""Points are spread over SPLINE x SPLINE pixels by the B-spline of that order."""

BLOCK = 3

HALF = SPLINE // 2


def padded(grid: PixelGrid) -> tuple[int, int]:
    """Side of the node grid, and the index of the stamp's first pixel in it."""
    size = -(-(grid.size + 2 * MARGIN) // BLOCK) * BLOCK
    return size + 2 * HALF, (size - grid.size) // 2 + HALF


@dataclass(frozen=True)
class Rule:
    """A cell's rays: x, y (P,) in units of its side from its centre, weights (P,) that sum to one,
    and which four are its corners."""

    x: np.ndarray
    y: np.ndarray
    weight: np.ndarray
    corners: tuple[int, int, int, int]


def gauss(count: int) -> Rule:
    """Gauss-Legendre rule with count x count rays."""
    t, w = np.polynomial.legendre.leggauss(count)
    x, y = np.meshgrid(t / 2, t / 2)
    return Rule(
        x.ravel(),
        y.ravel(),
        np.outer(w, w).ravel() / 4,
        (0, count - 1, count * (count - 1), count * count - 1),
    )


def midpoints(count: int) -> Rule:
    """Rule with count x count evenly spaced rays."""
    t, s = (c.ravel() for c in np.meshgrid(*[(np.arange(count) + 0.5) / count - 0.5] * 2))
    return Rule(t, s, np.full(t.size, 1 / t.size), (0, count - 1, t.size - count, t.size - 1))


BLOCK_RULE = Rule(
    np.array([-1, 1, 0, -1, 1]) / 3,
    np.array([-1, -1, 0, 1, 1]) / 3,
    np.array([3, 3, 4, 3, 3]) / 16,
    (0, 1, 3, 4),
)
"""Five of a block's nine pixel centres: like the product of two-point Gauss rules it is exact for
cubics."""

_NODE = 0.5 / 3**0.5
"""The nodes of the two-point Gauss rule are at +-_NODE of a cell's side from its centre."""

_HY, _HX, _QY, _QX = (
    i.ravel() for i in np.meshgrid(*[np.arange(n) for n in (2, 2, 4, 4)], indexing="ij")
)

EIGHTHS = Rule(
    (_QX - 1.5 + (2 * _HX - 1) * _NODE) / 4,
    (_QY - 1.5 + (2 * _HY - 1) * _NODE) / 4,
    np.full(64, 1 / 64),
    (0, 0, 0, 0),
)
"""The two-point Gauss nodes of a pixel's quarters, in the order of `eighths`."""


def two_by_two(rays: Float[Array, "P K"], rule: Rule) -> Float[Array, "4 K"]:
    """Brightness at a cell's rays gathered on its four two-point Gauss nodes, such that flux and
    first moments stay exact and a cell of
    even light keeps its second moments: half-way to the nearest node would be wrong by 6e-4 of the
    peak."""
    sx, sy = (np.stack([1 - t / _NODE, 1 + t / _NODE]) / 2 for t in (rule.x, rule.y))
    w = 4 * rule.weight * (sy[:, None] * sx[None, :]).reshape(4, -1)
    return jnp.einsum("ap,pk->ak", jnp.asarray(w, rays.dtype), rays, precision="highest")


def without(rays: Float[Array, "P C"], chosen: Int[Array, " N"]) -> Float[Array, "P C"]:
    """Brightness at the rays, 0 in the chosen cells."""
    return rays * jnp.ones_like(rays[0]).at[chosen].set(0.0)


def mean(rays: Float[Array, "P C"], rule: Rule) -> Float[Array, " C"]:
    """Mean brightness in the cells."""
    return sum((w * r for w, r in zip(rule.weight.tolist(), rays)), jnp.zeros_like(rays[0]))


def eighths(
    values: list[Float[Array, "P C"]], rules: list[Rule], chosen: list[Int[Array, " N"]]
) -> Float[Array, "64 K"]:
    """Brightness at the points `EIGHTHS` of pixels. The first of the levels are their quarters; of
    each, `chosen` are the cells that the next one replaces."""
    rays = two_by_two(values[0], rules[0])
    fine = None
    for value, rule, where in reversed(list(zip(values[1:], rules[1:], [*chosen[1:], None]))):
        own = mean(value, rule)
        fine = (
            own if fine is None else own.at[where].set(reduce(jnp.add, fine) / len(fine))
        ).reshape(16, -1)
    if fine is not None:
        rays = rays.at[:, chosen[0]].set(two_by_two(fine, midpoints(4)))
    return rays.reshape(64, -1)


def spline(t: np.ndarray) -> np.ndarray:
    """Weights (len(t), SPLINE) of the B-spline on the pixels around one, for points at t (pixels,
    |t| <= 1/2) from its centre."""
    d = np.abs(t[:, None] - np.arange(-HALF, HALF + 1))
    inner, middle, outer = (
        115 / 192 - 5 / 8 * d**2 + d**4 / 4,
        (55 + 20 * d - 120 * d**2 + 80 * d**3 - 16 * d**4) / 96,
        (2.5 - d) ** 4 / 24,
    )
    return np.where(d <= 0.5, inner, np.where(d <= 1.5, middle, np.where(d <= 2.5, outer, 0.0)))


def weights(rule: Rule, split: int) -> Float[np.ndarray, "P S S W W"]:
    """How a point of a rule in each of split x split pixels is spread over the pixels that it
    reaches (W = split + SPLINE - 1)."""
    wide = split + SPLINE - 1
    out = np.zeros((rule.x.size, split, split, wide, wide))
    for row in range(split):
        for column in range(split):
            window = out[:, row, column, row : row + SPLINE, column : column + SPLINE]
            window += (rule.weight[:, None] * spline(rule.y))[:, :, None] * spline(rule.x)[
                :, None, :
            ]
    return out


def deposit(
    out: Float[Array, "M M"],
    row: Array,
    column: Array,
    rays: Float[Array, "P C"],
    rule: Rule,
    split: int,
) -> Float[Array, "M M"]:
    """Adds points to the coefficients: split x split pixels from (row, column) (K,) on, each with
    the points of `rule`."""
    w = weights(rule, split)
    stencil = jnp.einsum(
        "ck,cw->kw",
        rays.reshape(-1, row.size),
        jnp.asarray(w.reshape(-1, w.shape[-1] ** 2), out.dtype),
        precision="highest",
    )
    numbers = lax.ScatterDimensionNumbers((1, 2), (), (0, 1))
    return lax.scatter_add(
        out, jnp.stack([row, column], -1), stencil.reshape(-1, *w.shape[-2:]), numbers
    )


def on_pixels(flux: Float[Array, "5 A A"]) -> Float[Array, "P P"]:
    """The points of BLOCK_RULE in every block as an image: they lie on pixel centres."""
    zero = jnp.zeros_like(flux[0])
    rows = [(flux[0], zero, flux[1]), (zero, flux[2], zero), (flux[3], zero, flux[4])]
    image = jnp.stack([jnp.stack(r, -1) for r in rows], 1)
    return image.reshape(BLOCK * zero.shape[0], BLOCK * zero.shape[0])


def spread(image: Float[Array, "P P"]) -> Float[Array, "M M"]:
    """B-spline coefficients of points at pixel centres."""
    w = spline(np.zeros(1))[0].tolist()
    side = image.shape[0] + 2 * HALF
    image = apart(lambda i: jnp.pad(i, 2 * HALF), image)
    image = apart(lambda i: sum(w[k] * i[k : k + side] for k in range(SPLINE)), image)
    return apart(lambda i: sum(w[k] * i[:, k : k + side] for k in range(SPLINE)), image)
