"""Where the light is: pixel integration by adaptive refinement with static shapes.

An arc touches a few hundred of a stamp's pixels and its hard part a few dozen: compact sources
beside a critical curve, cusps of Sersic profiles, images squeezed against the lens's centre. A
uniform grid of rays spends everything on the rest. Here

    level 0   five rays in each cell of 3 x 3 pixels, over the stamp and MARGIN pixels around it
    level 1   the `blocks` neediest of these cells: `nodes` x `nodes` rays a pixel
    level 2   the `pixels` neediest of their pixels, each split into 4 x 4 cells
    deeper    the neediest of those cells, each split into 4 x 4 again

A cell is needy when the brightest light within its reach exceeds the mean of its rays: reach is
measured in the source plane, from beta of its rays, so that a source between the rays is not
missed; a cell with the centre of a lens in it reaches everywhere. The counts are fixed by the
tolerance, so shapes are static; the choice of cells carries no gradient, the values do. Cells hold
Gauss-Legendre nodes: a midpoint rule pays where levels meet.

The result is a list of point fluxes, spread over the pixel grid as a quartic B-spline. In Fourier
space that is a division by sinc^5 (psf.py): sub-pixel positions survive to 3e-4 for a point source
at FWHM 0.9", and everything after is done on 1 cell a pixel.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Complex, Float, Int

from lensjax.apart import apart
from lensjax.choose import largest
from lensjax.grid import PixelGrid
from lensjax.light import Light
from lensjax.mass import Mass

MARGIN = 8
"""Pixels of sky around the stamp whose light may scatter into it."""

SPLINE = 5
"""Points are spread over SPLINE x SPLINE pixels by the B-spline of that order."""

_ANYWHERE = 1e3
"""A reach (arcsec) beyond every source."""

_AT_ONCE = 1024
"""Rays that the derivative goes over at a time."""

_BLOCK = 3
_HALF = SPLINE // 2


@dataclass(frozen=True)
class Plan:
    """How many cells are refined at each level, and rays (nodes per axis) in a cell of level 1, 2,
    ..."""

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
    """Flux of a unit-flux profile behind `mass`, as B-spline coefficients on the padded pixel grid
    (`padded`)."""
    side, first = padded(grid)
    across = (side - 2 * _HALF) // _BLOCK
    view = _View(mass, light)
    corner = (
        np.arange(across) * _BLOCK - (first - _HALF) - (grid.size - 1) / 2 + _BLOCK // 2
    ) * grid.scale
    bx, by = (jnp.asarray(c.ravel(), view.dtype) for c in np.meshgrid(corner, corner))

    levels = [view.look(bx, by, _BLOCK * grid.scale, 1, BLOCK_RULE)]
    chosen = [levels[0].neediest(plan.blocks)]
    block = chosen[0]
    levels.append(
        view.look(bx[block], by[block], _BLOCK * grid.scale, _BLOCK, gauss(plan.nodes[0]))
    )
    for depth, (count, nodes) in enumerate(zip((plan.pixels, *plan.deeper), plan.nodes[1:])):
        chosen.append(levels[-1].neediest(count))
        x, y = levels[-1].x[chosen[-1]], levels[-1].y[chosen[-1]]
        levels.append(view.look(x, y, grid.scale / 4**depth, 4, gauss(nodes)))
    blocks, pixels, *finer = view.differentiable(levels)

    row, column = block // across, block % across
    weight = jnp.asarray(BLOCK_RULE.weight * _BLOCK**2, view.dtype)[:, None, None]
    out = _spread(_on_pixels(_without(blocks, block).reshape(-1, across, across) * weight))
    out = _deposit(
        out, row * _BLOCK, column * _BLOCK, _without(pixels, chosen[1]), levels[1].rule, _BLOCK
    )
    cell, owner = chosen[1] // block.size, chosen[1] % block.size
    at = row[owner] * _BLOCK + cell // _BLOCK, column[owner] * _BLOCK + cell % _BLOCK
    out = _deposit(
        out, *at, _eighths(finer, [level.rule for level in levels[2:]], chosen[2:]), _EIGHTHS, 1
    )
    return out * grid.pixel_area


def uniform(
    mass: tuple[Mass, ...], light: Light, grid: PixelGrid, count: int
) -> Float[Array, "M M"]:
    """As `nodes`, by count x count evenly spaced rays in every pixel, their sum put at its centre:
    the simple rule, for comparison."""
    side, first = padded(grid)
    size = side - 2 * _HALF
    view = _View(mass, light)
    axis = (np.arange(size) - (first - _HALF) - (grid.size - 1) / 2) * grid.scale
    x, y = (jnp.asarray(c, view.dtype) for c in np.meshgrid(axis, axis))
    mass, light = view.once

    @jax.checkpoint
    def add(total, step):
        return total + view.shine(light, view.trace(mass, x + step[0], y + step[1])), None

    rule = midpoints(count)
    total, _ = lax.scan(
        add, jnp.zeros_like(x), jnp.asarray(np.stack([rule.x, rule.y], 1) * grid.scale, view.dtype)
    )
    return _spread(total) * (grid.pixel_area / count**2)


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
_EIGHTHS = Rule(
    (_QX - 1.5 + (2 * _HX - 1) * _NODE) / 4,
    (_QY - 1.5 + (2 * _HY - 1) * _NODE) / 4,
    np.full(64, 1 / 64),
    (0, 0, 0, 0),
)
"""The two-point Gauss nodes of a pixel's quarters, in the order of `_eighths`."""


def _two_by_two(rays: Float[Array, "P K"], rule: Rule) -> Float[Array, "4 K"]:
    """Brightness at a cell's rays gathered on its four two-point Gauss nodes, such that flux and
    first moments stay exact and a cell of
    even light keeps its second moments: half-way to the nearest node would be wrong by 6e-4 of the
    peak."""
    sx, sy = (np.stack([1 - t / _NODE, 1 + t / _NODE]) / 2 for t in (rule.x, rule.y))
    w = 4 * rule.weight * (sy[:, None] * sx[None, :]).reshape(4, -1)
    return jnp.einsum("ap,pk->ak", jnp.asarray(w, rays.dtype), rays, precision="highest")


def _without(rays: Float[Array, "P C"], chosen: Int[Array, " N"]) -> Float[Array, "P C"]:
    """Brightness at the rays, 0 in the chosen cells."""
    return rays * jnp.ones_like(rays[0]).at[chosen].set(0.0)


def _mean(rays: Float[Array, "P C"], rule: Rule) -> Float[Array, " C"]:
    """Mean brightness in the cells."""
    return sum((w * r for w, r in zip(rule.weight.tolist(), rays)), jnp.zeros_like(rays[0]))


@dataclass(frozen=True)
class _Cells:
    """S x S cells in each of K squares, in that order: C = S S K. x, y (C,): their centres; rule,
    step (arcsec): their rays are at x + step rule.x, y + step rule.y; value (P, C): brightness
    there; need (C,)."""

    x: Float[Array, " C"]
    y: Float[Array, " C"]
    rule: Rule
    step: float
    value: Float[Array, "P C"]
    need: Float[Array, " C"]

    def neediest(self, count: int) -> Int[Array, " N"]:
        return largest(self.need, count)

    def rays(self) -> tuple[Float[Array, "P C"], Float[Array, "P C"]]:
        step_x, step_y = (
            jnp.asarray(r[:, None] * self.step, self.x.dtype) for r in (self.rule.x, self.rule.y)
        )
        return self.x + step_x, self.y + step_y


class _View:
    """A light profile seen through lenses: what does not depend on the ray is worked out once."""

    def __init__(self, mass: tuple[Mass, ...], light: Light):
        self.dtype = jax.tree.leaves(light)[0].dtype
        self.once = mass, light.prepared()

    @staticmethod
    def trace(mass: tuple[Mass, ...], x: Array, y: Array) -> Complex[Array, "..."]:
        """beta of the rays at x, y."""
        bx, by = x, y
        for m in mass:
            ax, ay = m.deflection(x, y)
            bx, by = bx - ax, by - ay
        return lax.complex(bx, by)

    @staticmethod
    def shine(light: Light, beta: Complex[Array, "..."]) -> Float[Array, "..."]:
        """Brightness where they arrive."""
        return light.brightness(beta.real, beta.imag)

    def look(
        self, x: Float[Array, " K"], y: Float[Array, " K"], side: float, split: int, rule: Rule
    ) -> _Cells:
        """Rays in the split x split cells of squares centred on x, y: the lenses, then the light,
        each one kernel. Without derivative."""
        mass, light = lax.stop_gradient(self.once)
        offset = jnp.asarray(((np.arange(split) + 0.5) / split - 0.5) * side, x.dtype)[:, None]
        centres = apart(
            lambda x, y: lax.complex(
                *jnp.broadcast_arrays((x + offset)[None, :, :], (y + offset)[:, None, :])
            ),
            *lax.stop_gradient((x, y)),
        )
        cx, cy = centres.real.ravel(), centres.imag.ravel()
        step = side / split
        step_x, step_y = (jnp.asarray(r[:, None] * step, x.dtype) for r in (rule.x, rule.y))
        beta = apart(lambda mass, cx, cy: self.trace(mass, cx + step_x, cy + step_y), mass, cx, cy)
        value = apart(self.shine, light, beta)
        return _Cells(
            cx, cy, rule, step, value, self._need((mass, light), cx, cy, beta, value, step, rule)
        )

    def differentiable(self, levels: list[_Cells]) -> list[Float[Array, "P C"]]:
        """Brightness at the rays of all levels, with its derivative by the parameters: of all rays
        in one loop, _AT_ONCE at a time. What it needs then stays in the cache and is never kept,
        and it is compiled once instead of for every level."""

        @jax.custom_jvp
        def attach(once, values, rays):
            return values

        @attach.defjvp
        def attach_jvp(primals, tangents):
            once, values, rays = primals
            flat = (jnp.concatenate([level[axis].ravel() for level in rays]) for axis in (0, 1))
            x, y = (jnp.pad(r, (0, -r.size % _AT_ONCE), mode="edge") for r in flat)

            @jax.checkpoint
            def change(tangent, start):
                ray = [lax.dynamic_slice(r, (start,), (_AT_ONCE,)) for r in (x, y)]
                return jax.jvp(
                    lambda o: self.shine(o[1], self.trace(o[0], *ray)), (once,), (tangent,)
                )[1]

            d_flat = lax.map(
                lambda start: change(tangents[0], start), jnp.arange(0, x.size, _AT_ONCE)
            ).ravel()
            ends = np.cumsum([0] + [value.size for value in values])
            return values, [
                d_flat[a:b].reshape(value.shape) for a, b, value in zip(ends, ends[1:], values)
            ]

        return attach(
            self.once, [level.value for level in levels], [level.rays() for level in levels]
        )

    def _need(
        self,
        once,
        cx,
        cy,
        beta: Complex[Array, "P C"],
        value: Float[Array, "P C"],
        side: float,
        rule: Rule,
    ) -> Array:
        """By how much the brightest light within a cell's reach exceeds the mean of its rays. The
        reach: the largest distance of beta of its rays from the middle of its corners', and as much
        more as the cell is larger than the square of its rays; without limit in a cell with the
        centre of a lens, where the deflection jumps."""
        mass, light = once
        i, j, k, m = rule.corners
        x, y = (0.25 * (part[i] + part[j] + part[k] + part[m]) for part in (beta.real, beta.imag))
        reach = jnp.sqrt(
            reduce(jnp.maximum, [(b.real - x) ** 2 + (b.imag - y) ** 2 for b in beta])
        ) * (0.5 / max(rule.x[rule.corners[-1]], 1e-3))
        for centre in (lens.centre for lens in mass):
            if centre is not None:
                torn = jnp.maximum(jnp.abs(cx - centre[0]), jnp.abs(cy - centre[1])) <= 0.5 * side
                reach = jnp.where(torn, _ANYWHERE, reach)
        return jnp.maximum(light.bound(x, y, reach), reduce(jnp.maximum, value)) - _mean(
            value, rule
        )


def _eighths(
    values: list[Float[Array, "P C"]], rules: list[Rule], chosen: list[Int[Array, " N"]]
) -> Float[Array, "64 K"]:
    """Brightness at the points `_EIGHTHS` of pixels. The first of the levels are their quarters; of
    each, `chosen` are the cells that the next one replaces."""
    rays = _two_by_two(values[0], rules[0])
    fine = None
    for value, rule, where in reversed(list(zip(values[1:], rules[1:], [*chosen[1:], None]))):
        mean = _mean(value, rule)
        fine = (
            mean if fine is None else mean.at[where].set(reduce(jnp.add, fine) / len(fine))
        ).reshape(16, -1)
    if fine is not None:
        rays = rays.at[:, chosen[0]].set(_two_by_two(fine, midpoints(4)))
    return rays.reshape(64, -1)


def _spline(t: np.ndarray) -> np.ndarray:
    """Weights (len(t), SPLINE) of the B-spline on the pixels around one, for points at t (pixels,
    |t| <= 1/2) from its centre."""
    d = np.abs(t[:, None] - np.arange(-_HALF, _HALF + 1))
    inner, middle, outer = (
        115 / 192 - 5 / 8 * d**2 + d**4 / 4,
        (55 + 20 * d - 120 * d**2 + 80 * d**3 - 16 * d**4) / 96,
        (2.5 - d) ** 4 / 24,
    )
    return np.where(d <= 0.5, inner, np.where(d <= 1.5, middle, np.where(d <= 2.5, outer, 0.0)))


def _weights(rule: Rule, split: int) -> Float[np.ndarray, "P S S W W"]:
    """How a point of a rule in each of split x split pixels is spread over the pixels that it
    reaches (W = split + SPLINE - 1)."""
    wide = split + SPLINE - 1
    out = np.zeros((rule.x.size, split, split, wide, wide))
    for row in range(split):
        for column in range(split):
            window = out[:, row, column, row : row + SPLINE, column : column + SPLINE]
            window += (rule.weight[:, None] * _spline(rule.y))[:, :, None] * _spline(rule.x)[
                :, None, :
            ]
    return out


def _deposit(
    out: Float[Array, "M M"],
    row: Array,
    column: Array,
    rays: Float[Array, "P C"],
    rule: Rule,
    split: int,
) -> Float[Array, "M M"]:
    """Adds points to the coefficients: split x split pixels from (row, column) (K,) on, each with
    the points of `rule`."""
    w = _weights(rule, split)
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


def _on_pixels(flux: Float[Array, "5 A A"]) -> Float[Array, "P P"]:
    """The points of BLOCK_RULE in every block as an image: they lie on pixel centres."""
    zero = jnp.zeros_like(flux[0])
    rows = [(flux[0], zero, flux[1]), (zero, flux[2], zero), (flux[3], zero, flux[4])]
    image = jnp.stack([jnp.stack(r, -1) for r in rows], 1)
    return image.reshape(_BLOCK * zero.shape[0], _BLOCK * zero.shape[0])


def _spread(image: Float[Array, "P P"]) -> Float[Array, "M M"]:
    """B-spline coefficients of points at pixel centres."""
    w = _spline(np.zeros(1))[0].tolist()
    side = image.shape[0] + 2 * _HALF
    image = apart(lambda i: jnp.pad(i, 2 * _HALF), image)
    image = apart(lambda i: sum(w[k] * i[k : k + side] for k in range(SPLINE)), image)
    return apart(lambda i: sum(w[k] * i[:, k : k + side] for k in range(SPLINE)), image)
