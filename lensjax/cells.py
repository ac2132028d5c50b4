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

    coarse = view.look(bx, by, _BLOCK * grid.scale, 1, BLOCK_RULE)
    chosen = coarse.neediest(plan.blocks)
    row, column = chosen // across, chosen % across
    out = _spread(_on_pixels(coarse.without(chosen).value.reshape(-1, across, across))) * _BLOCK**2

    pixels = view.look(bx[chosen], by[chosen], _BLOCK * grid.scale, _BLOCK, gauss(plan.nodes[0]))
    where = pixels.neediest(plan.pixels)
    out = _deposit(out, row * _BLOCK, column * _BLOCK, pixels.without(where).value, gauss(plan.nodes[0]))

    eighths = _eighths(view, *pixels.centres(where), grid.scale, plan.deeper, plan.nodes[1:])
    cell, block = where // chosen.size, where % chosen.size
    at = row[block] * _BLOCK + cell // _BLOCK, column[block] * _BLOCK + cell % _BLOCK
    out = _deposit(out, *at, eighths, _EIGHTHS)
    return out * grid.pixel_area


def uniform(mass: tuple[Mass, ...], light: Light, grid: PixelGrid, count: int) -> Float[Array, "M M"]:
    """As `nodes`, by count x count evenly spaced rays in every pixel, their sum put at its centre: the simple rule, for comparison."""
    side, first = padded(grid)
    size = side - 2 * _HALF
    view = _View(mass, light)
    axis = (np.arange(size) - (first - _HALF) - (grid.size - 1) / 2) * grid.scale
    x, y = (jnp.asarray(c.ravel(), view.dtype) for c in np.meshgrid(axis, axis))
    t, s = (c.ravel() for c in np.meshgrid(*[(np.arange(count) + 0.5) / count - 0.5] * 2))
    pixels = view.look(x, y, grid.scale, 1, Rule(t, s, np.full(t.size, 1 / t.size), (0, count - 1, t.size - count, t.size - 1)))
    return _spread(pixels.mean.reshape(size, size)) * grid.pixel_area


@dataclass(frozen=True)
class Rule:
    """A cell's rays: x, y (P,) in units of its side from its centre, weights (P,) that sum to one, and which four are its corners."""

    x: np.ndarray
    y: np.ndarray
    weight: np.ndarray
    corners: tuple[int, int, int, int]


def gauss(count: int) -> Rule:
    """Gauss-Legendre rule with count x count rays."""
    t, w = np.polynomial.legendre.leggauss(count)
    x, y = np.meshgrid(t / 2, t / 2)
    return Rule(x.ravel(), y.ravel(), np.outer(w, w).ravel() / 4, (0, count - 1, count * (count - 1), count * count - 1))


BLOCK_RULE = Rule(np.array([-1, 1, 0, -1, 1]) / 3, np.array([-1, -1, 0, 1, 1]) / 3, np.array([3, 3, 4, 3, 3]) / 16, (0, 1, 3, 4))
"""Five of a block's nine pixel centres: like the product of two-point Gauss rules it is exact for cubics."""


_NODE = 0.5 / 3**0.5
"""The nodes of the two-point Gauss rule are at +-_NODE of a cell's side from its centre."""

_HY, _HX, _QY, _QX = (i.ravel() for i in np.meshgrid(*[np.arange(n) for n in (2, 2, 4, 4)], indexing="ij"))
_EIGHTHS = Rule((_QX - 1.5 + (2 * _HX - 1) * _NODE) / 4, (_QY - 1.5 + (2 * _HY - 1) * _NODE) / 4, np.full(64, 1 / 64), (0, 0, 0, 0))
"""The two-point Gauss nodes of a pixel's quarters, in the order of `_eighths`."""


def _two_by_two(flux: Float[Array, "P ..."], x: np.ndarray, y: np.ndarray) -> Float[Array, "4 ..."]:
    """Points at x, y (P,) of a cell (in units of its side) gathered on its four two-point Gauss nodes, such that flux and first moments stay
    exact and a cell of even light keeps its second moments: half-way to the nearest node would be wrong by 6e-4 of the peak."""
    sx, sy = (np.stack([1 - t / _NODE, 1 + t / _NODE]) / 2 for t in (x, y))
    w = (sy[:, None] * sx[None, :]).reshape(4, -1)
    return jnp.einsum("ap,p...->a...", jnp.asarray(w, flux.dtype), flux, precision="highest")


@dataclass(frozen=True)
class _Cells:
    """S x S cells in each of K squares. x (S, K) and y (S, K): their centres along either axis; value (P, S, S, K): brightness at their rays
    times weight; mean (S, S, K): its sum; need (S, S, K). An index counts cells in that order, K fastest."""

    x: Array
    y: Array
    value: Array
    mean: Array
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
    """A light profile seen through lenses: everything that does not depend on the ray is worked out here, once."""

    def __init__(self, mass: tuple[Mass, ...], light: Light):
        self.mass, self.light = mass, light
        self.dtype = jax.tree.leaves(light)[0].dtype
        self.once = [m.coefficients() for m in mass], light.coefficients()

    def look(self, x: Float[Array, " K"], y: Float[Array, " K"], side: float, split: int, rule: Rule) -> _Cells:
        """Rays in the split x split cells of squares centred on x, y.

        Two loops over the rule's rays, each over all cells at once: first the lenses, then the light. Loops, because the compiler would
        otherwise work out the lenses again for every exponential of the light; checkpointed, so that the backward pass keeps nothing but
        beta.
        """
        bends, c = self.once
        offset = jnp.asarray(((np.arange(split) + 0.5) / split - 0.5) * side, x.dtype)[:, None]
        cx, cy = x + offset, y + offset

        @jax.checkpoint
        def trace(_, step):
            rx, ry = jnp.broadcast_arrays(cx[None, :, :] + step[0], cy[:, None, :] + step[1])
            bx, by = rx, ry
            for m, b in zip(self.mass, bends):
                ax, ay = m.bend(b, rx, ry)
                bx, by = bx - ax, by - ay
            return None, (bx, by)

        @jax.checkpoint
        def shine(_, ray):
            return None, self.light.brightness(c, ray[0], ray[1]) * ray[2]

        steps = jnp.asarray(np.stack([rule.x, rule.y], 1) * (side / split), x.dtype)
        _, (bx, by) = lax.scan(trace, None, steps)
        _, value = lax.scan(shine, None, (bx, by, jnp.asarray(rule.weight, x.dtype)))
        mean = sum(value[1:], value[0])  # a sum of arrays: the compiler does not vectorise a reduction here
        corners = lax.stop_gradient([b[i] for b in (bx, by) for i in rule.corners])
        need = self._need(lax.stop_gradient(c), corners, 0.5 / max(rule.x[rule.corners[-1]], 1e-3)) - lax.stop_gradient(mean)
        return _Cells(cx, cy, value, mean, need)

    def _need(self, c, corners: list[Array], stretch: float) -> Array:
        """The brightest light within a cell's reach. `corners`: beta of its outermost rays (x, then y); `stretch`: half the cell over the
        distance of those from its centre."""
        (x0, x1, x2, x3), (y0, y1, y2, y3) = corners[:4], corners[4:]
        diagonal = jnp.maximum((x3 - x0) ** 2 + (y3 - y0) ** 2, (x2 - x1) ** 2 + (y2 - y1) ** 2)
        reach = 0.5 * stretch * jnp.sqrt(diagonal)
        return self.light.bound(c, 0.25 * (x0 + x1 + x2 + x3), 0.25 * (y0 + y1 + y2 + y3), reach)


def _eighths(view: _View, x: Array, y: Array, side: float, deeper: tuple[int, ...], counts: tuple[int, ...]) -> Float[Array, "64 1 1 K"]:
    """Flux at the points `_EIGHTHS` of pixels centred on x, y (K,), over the pixel's area."""
    rule = gauss(counts[0])
    cells = view.look(x, y, side, 4, rule)
    nodes = _two_by_two(cells.value.reshape(rule.x.size, -1), rule.x, rule.y)
    if deeper:
        where = cells.neediest(deeper[0])
        fine = _quarters(view, *cells.centres(where), side / 4, deeper[1:], counts[1:])
        row, column = (i.ravel() for i in np.mgrid[0:4, 0:4])
        nodes = nodes.at[:, where].set(_two_by_two(fine.reshape(16, -1) / 16, (column - 1.5) / 4, (row - 1.5) / 4))
    return nodes.reshape(64, 1, 1, x.size) / 16


def _quarters(view: _View, x: Array, y: Array, side: float, deeper: tuple[int, ...], counts: tuple[int, ...]) -> Float[Array, "4 4 K"]:
    """Mean brightness in the 4 x 4 parts of squares centred on x, y (K,)."""
    cells = view.look(x, y, side, 4, gauss(counts[0]))
    mean = cells.mean
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


def _weights(rule: Rule, split: int) -> Float[np.ndarray, "P S S W W"]:
    """How a point of a rule in each of split x split pixels is spread over the pixels that it reaches (W = split + SPLINE - 1)."""
    wide = split + SPLINE - 1
    out = np.zeros((rule.x.size, split, split, wide, wide))
    for row in range(split):
        for column in range(split):
            window = out[:, row, column, row : row + SPLINE, column : column + SPLINE]
            window += _spline(rule.y)[:, :, None] * _spline(rule.x)[:, None, :]
    return out


def _deposit(out: Float[Array, "M M"], row: Array, column: Array, flux: Float[Array, "P S S K"], rule: Rule) -> Float[Array, "M M"]:
    """Adds points to the coefficients: S x S pixels from (row, column) (K,) on, each with the points of `rule`."""
    split = flux.shape[-2]
    w = _weights(rule, split)
    stencil = jnp.einsum("ck,cw->kw", flux.reshape(-1, row.size), jnp.asarray(w.reshape(-1, w.shape[-1] ** 2), out.dtype), precision="highest")
    numbers = lax.ScatterDimensionNumbers((1, 2), (), (0, 1))
    return lax.scatter_add(out, jnp.stack([row, column], -1), stencil.reshape(-1, *w.shape[-2:]), numbers)


def _on_pixels(flux: Float[Array, "5 A A"]) -> Float[Array, "P P"]:
    """The points of BLOCK_RULE in every block as an image: they lie on pixel centres."""
    zero = jnp.zeros_like(flux[0])
    rows = [(flux[0], zero, flux[1]), (zero, flux[2], zero), (flux[3], zero, flux[4])]
    image = jnp.stack([jnp.stack(r, -1) for r in rows], 1)
    return image.reshape(_BLOCK * zero.shape[0], _BLOCK * zero.shape[0])


def _spread(image: Float[Array, "P P"]) -> Float[Array, "M M"]:
    """B-spline coefficients of points at pixel centres."""
    w = _spline(np.zeros(1))[0]
    for axis in (0, 1):
        size = image.shape[axis]
        wide = jnp.pad(image, [(2 * _HALF, 2 * _HALF) if a == axis else (0, 0) for a in (0, 1)])
        image = lax.optimization_barrier(sum(w[i] * lax.slice_in_dim(wide, i, i + size + 2 * _HALF, axis=axis) for i in range(SPLINE)))
    return image
