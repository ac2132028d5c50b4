"""Where the light is: pixel integration by adaptive refinement with static shapes.

An arc touches a few hundred of a stamp's pixels and its hard part a few dozen: compact sources beside a critical curve, cusps of Sersic profiles,
images squeezed against the lens's centre. A uniform grid of rays spends everything on the rest. Here

    level 0   one ray a pixel over the stamp and MARGIN pixels around it, in cells of 3 x 3 pixels
    level 1   the `blocks` neediest of these cells: 4 x 4 rays a pixel
    level 2   the `pixels` neediest of their pixels: quarter-pixel cells of 4 x 4 rays
    deeper    the neediest of those cells, each split into 4 x 4 again

A cell is needy when the brightest light within its reach exceeds the mean of its rays: reach is measured in the source plane, by
tracing its corners, so that a source between the rays is not missed. The counts are fixed by the tolerance, so shapes are static; the choice of
cells carries no gradient, the values do. Cells hold Gauss-Legendre nodes: a midpoint rule pays where levels meet.

The result is a list of point fluxes, spread over the pixel grid as a quartic B-spline. In Fourier space that is a division by sinc^5
(psf.py): sub-pixel positions survive to 3e-4 for a point source at FWHM 0.9", and everything after is done on 1 cell a pixel.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, Int

from lensjax.grid import PixelGrid
from lensjax.light import Light
from lensjax.mass import Mass, Pair

MARGIN = 8
"""Pixels of sky around the stamp whose light may scatter into it."""

SPLINE = 5
"""Points are spread over SPLINE x SPLINE pixels by the B-spline of that order."""

_BLOCK = 3
_HALF = SPLINE // 2


@dataclass(frozen=True)
class Plan:
    """How many cells are refined at each level, and rays (nodes per axis) in a cell of level 1, 2, ..."""

    blocks: int
    pixels: int
    deeper: tuple[int, ...]
    nodes: tuple[int, ...]

    @property
    def rays(self) -> int:
        """Rays beyond level 0."""
        counts = (self.blocks * _BLOCK**2, *(16 * c for c in (self.pixels, *self.deeper)))
        return sum(c * g * g for c, g in zip(counts, self.nodes))


def padded(grid: PixelGrid) -> tuple[int, int]:
    """Side of the node grid, and the index of the stamp's first pixel in it."""
    size = -(-(grid.size + 2 * MARGIN) // _BLOCK) * _BLOCK
    return size + 2 * _HALF, (size - grid.size) // 2 + _HALF


def nodes(mass: tuple[Mass, ...], light: Light, grid: PixelGrid, plan: Plan) -> Float[Array, "M M"]:
    """Flux of a unit-flux profile behind `mass`, as B-spline coefficients on the padded pixel grid (`padded`)."""
    side, first = padded(grid)
    across = (side - 2 * _HALF) // _BLOCK
    view = _View(mass, light)
    corner = (np.arange(across) * _BLOCK - (first - _HALF) - (grid.size - 1) / 2 + _BLOCK // 2) * grid.scale
    bx, by = (jnp.asarray(c.ravel(), view.dtype) for c in np.meshgrid(corner, corner))

    coarse = view.look(bx, by, _BLOCK * grid.scale, 1, _midpoints(_BLOCK))
    chosen = coarse.neediest(plan.blocks)
    row, column = chosen // across, chosen % across
    value = coarse.without(chosen).value.reshape(_BLOCK, _BLOCK, across, across)
    out = _spread(value.transpose(2, 0, 3, 1).reshape(across * _BLOCK, across * _BLOCK) * _BLOCK**2)

    pixels = view.look(bx[chosen], by[chosen], _BLOCK * grid.scale, _BLOCK, gauss(plan.nodes[0]))
    where = pixels.neediest(plan.pixels)
    out = _deposit(out, row * _BLOCK, column * _BLOCK, pixels.without(where).value, gauss(plan.nodes[0])[0])

    eighths = _eighths(view, *pixels.centres(where), grid.scale, plan.deeper, plan.nodes[1:])
    cell, block = where // chosen.size, where % chosen.size
    at = row[block] * _BLOCK + cell // _BLOCK, column[block] * _BLOCK + cell % _BLOCK
    out = _deposit(out, *at, eighths[:, :, None, None], (np.arange(8) + 0.5) / 8 - 0.5)
    return out * grid.pixel_area


Rule: TypeAlias = tuple[np.ndarray, np.ndarray]
"""Nodes in (-1/2, 1/2) and weights that sum to one, along one axis of a cell."""


def gauss(count: int) -> Rule:
    """Gauss-Legendre rule."""
    t, w = np.polynomial.legendre.leggauss(count)
    return t / 2, w / 2


def _midpoints(count: int) -> Rule:
    return (np.arange(count) + 0.5) / count - 0.5, np.full(count, 1 / count)


@dataclass(frozen=True)
class _Cells:
    """S x S cells in each of K squares. x (S, K) and y (S, K): their centres along either axis; value (G, G, S, S, K): brightness at their
    rays times weight; need (S, S, K). An index counts cells in that order, K fastest."""

    x: Array
    y: Array
    value: Array
    need: Array

    def neediest(self, count: int) -> Int[Array, " C"]:
        return lax.top_k(self.need.ravel(), min(count, self.need.size))[1]

    def without(self, chosen: Int[Array, " C"]) -> _Cells:
        """The same with the light of the chosen cells removed."""
        keep = jnp.ones(self.need.size, self.value.dtype).at[chosen].set(0.0)
        return replace(self, value=self.value * keep.reshape(self.need.shape))

    def centres(self, chosen: Int[Array, " C"]) -> Pair:
        across, squares = self.x.shape
        square, cell = chosen % squares, chosen // squares
        return self.x[cell % across, square], self.y[cell // across, square]


class _View:
    """A light profile seen through lenses: everything that does not depend on the ray is worked out here, once.

    The barrier keeps the compiler from working it out again at every ray. The coefficients are spread along the fastest axis first,
    so that the backward pass adds up whole vectors of rays before it adds up their elements.
    """

    def __init__(self, mass: tuple[Mass, ...], light: Light):
        self.mass, self.light = mass, light
        self.dtype = jax.tree.leaves(light)[0].dtype
        self.once = lax.optimization_barrier(([m.coefficients() for m in mass], light.coefficients()))

    def look(self, x: Float[Array, " K"], y: Float[Array, " K"], side: float, split: int, rule: Rule) -> _Cells:
        """Rays in the split x split cells of squares centred on x, y."""
        lanes = lambda a: jnp.broadcast_to(a, x.shape) if jnp.ndim(a) == 0 else a  # noqa: E731
        bends, c = lax.optimization_barrier(jax.tree.map(lanes, self.once))
        offset = jnp.asarray(((np.arange(split) + 0.5) / split - 0.5) * side, x.dtype)[:, None]
        step = jnp.asarray(rule[0] * side / split, x.dtype)
        cx, cy = x + offset, y + offset
        rx = cx[None, None, None, :, :] + step[None, :, None, None, None]
        ry = cy[None, None, :, None, :] + step[:, None, None, None, None]
        bx, by = rx, ry
        for m, b in zip(self.mass, bends):
            ax, ay = m.bend(b, rx, ry)
            bx, by = bx - ax, by - ay
        shape = (step.size, step.size, split, split, x.size)
        bx, by = lax.optimization_barrier((jnp.broadcast_to(bx, shape), jnp.broadcast_to(by, shape)))
        weight = jnp.asarray(np.outer(rule[1], rule[1]), x.dtype)[:, :, None, None, None]
        value = lax.optimization_barrier(self.light.brightness(c, bx, by) * weight)
        corners = lax.stop_gradient([b[i, j] for b in (bx, by) for i in (0, -1) for j in (0, -1)])
        need = self._need(lax.stop_gradient(c), corners, 0.5 / rule[0][-1]) - lax.stop_gradient(value.sum((0, 1)))
        return _Cells(cx, cy, value, need)

    def _need(self, c, corners: list[Array], stretch: float) -> Array:
        """The brightest light within a cell's reach. `corners`: beta of its outermost rays (x, then y); `stretch`: half the cell over the
        distance of those from its centre."""
        (x0, x1, x2, x3), (y0, y1, y2, y3) = corners[:4], corners[4:]
        diagonal = jnp.maximum((x3 - x0) ** 2 + (y3 - y0) ** 2, (x2 - x1) ** 2 + (y2 - y1) ** 2)
        reach = 0.5 * stretch * jnp.sqrt(diagonal)
        return self.light.bound(c, 0.25 * (x0 + x1 + x2 + x3), 0.25 * (y0 + y1 + y2 + y3), reach)


def _eighths(view: _View, x: Array, y: Array, side: float, deeper: tuple[int, ...], counts: tuple[int, ...]) -> Float[Array, "8 8 K"]:
    """Flux in the 8 x 8 parts of pixels centred on x, y (K,), as a fraction of the pixel's area."""
    cells = view.look(x, y, side, 4, gauss(counts[0]))
    g = counts[0] // 2
    halves = cells.value.reshape(2, g, 2, g, 16 * x.size).sum((1, 3))
    if deeper:
        where = cells.neediest(deeper[0])
        fine = _quarters(view, *cells.centres(where), side / 4, deeper[1:], counts[1:])
        halves = halves.at[:, :, where].set(fine.reshape(2, 2, 2, 2, -1).sum((1, 3)) / 16)
    return halves.reshape(2, 2, 4, 4, x.size).transpose(2, 0, 3, 1, 4).reshape(8, 8, x.size) / 16


def _quarters(view: _View, x: Array, y: Array, side: float, deeper: tuple[int, ...], counts: tuple[int, ...]) -> Float[Array, "4 4 K"]:
    """Mean brightness in the 4 x 4 parts of squares centred on x, y (K,)."""
    cells = view.look(x, y, side, 4, gauss(counts[0]))
    mean = cells.value.sum((0, 1))
    if deeper:
        where = cells.neediest(deeper[0])
        fine = _quarters(view, *cells.centres(where), side / 4, deeper[1:], counts[1:])
        mean = mean.ravel().at[where].set(fine.mean((0, 1))).reshape(mean.shape)
    return mean


def _spline(t: np.ndarray) -> np.ndarray:
    """Weights (len(t), SPLINE) of the B-spline on the pixels around one, for points at t (pixels, |t| <= 1/2) from its centre."""
    d = np.abs(t[:, None] - np.arange(-_HALF, _HALF + 1))
    inner, middle, outer = 115 / 192 - 5 / 8 * d**2 + d**4 / 4, (55 + 20 * d - 120 * d**2 + 80 * d**3 - 16 * d**4) / 96, (2.5 - d) ** 4 / 24
    return np.where(d <= 0.5, inner, np.where(d <= 1.5, middle, np.where(d <= 2.5, outer, 0.0)))


def _spread(flux: Float[Array, "P P"]) -> Float[Array, "M M"]:
    """B-spline coefficients of points at pixel centres."""
    w = _spline(np.zeros(1))[0]
    for axis in (0, 1):
        size = flux.shape[axis]
        wide = jnp.pad(flux, [(2 * _HALF, 2 * _HALF) if a == axis else (0, 0) for a in (0, 1)])
        flux = sum(w[i] * lax.slice_in_dim(wide, i, i + size + 2 * _HALF, axis=axis) for i in range(SPLINE))
    return flux


def _deposit(out: Float[Array, "M M"], row: Array, column: Array, flux: Float[Array, "G G S S K"], t: np.ndarray) -> Float[Array, "M M"]:
    """Adds points to the coefficients: S x S pixels from (row, column) (K,) on, each with points at t x t (pixels) from its centre."""
    split = flux.shape[2]
    spline = np.zeros((split + 2 * _HALF, split, t.size))
    for p in range(split):
        spline[p : p + SPLINE, p] = _spline(t).T
    w = jnp.asarray(spline, out.dtype)
    stencil = jnp.einsum("pai,ijabk,qbj->kpq", w, flux, w, precision="highest")
    numbers = lax.ScatterDimensionNumbers((1, 2), (), (0, 1))
    return lax.scatter_add(out, jnp.stack([row, column], -1), stencil, numbers)
