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

The result is a list of point fluxes, which `spreading.py` spreads over the pixel grid.
"""

from __future__ import annotations

from collections.abc import Callable
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
from lensjax.mass import Mass, trace
from lensjax.once import split
from lensjax.spreading import (
    BLOCK,
    BLOCK_RULE,
    EIGHTHS,
    HALF,
    Rule,
    deposit,
    eighths,
    gauss,
    mean,
    midpoints,
    on_pixels,
    padded,
    spread,
    without,
)

_ANYWHERE = 1e3
"""A reach (arcsec) beyond every source."""

_AT_ONCE = 512
"""Rays that the derivative goes over at a time."""


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
        counts = (self.blocks * BLOCK**2, *(16 * c for c in (self.pixels, *self.deeper)))
        return sum(c * g * g for c, g in zip(counts, self.nodes))


@dataclass(frozen=True)
class Survey:
    """What was seen of a light profile: blocks on the whole field (`across` of them on a side),
    pixels of the chosen blocks, quarters of the chosen pixels, and so on. chosen[i]: which cells of
    level i the next level replaces."""

    view: _View
    across: int
    levels: list[_Cells]
    chosen: list[Int[Array, " K"]]

    def pixels(self) -> tuple[Int[Array, " P"], Int[Array, " P"]]:
        """Row and column of the pixels that were chosen."""
        block, cell = self.chosen[:2]
        row, column = block // self.across, block % self.across
        cell, owner = cell // block.size, cell % block.size
        return row[owner] * BLOCK + cell // BLOCK, column[owner] * BLOCK + cell % BLOCK


def survey(mass: tuple[Mass, ...], light: Light, grid: PixelGrid, plan: Plan) -> Survey:
    """Looks for the light of a unit-flux profile behind `mass`, from level to level."""
    side, first = padded(grid)
    across = (side - 2 * HALF) // BLOCK
    view = _View(mass, light)
    corner = (
        np.arange(across) * BLOCK - (first - HALF) - (grid.size - 1) / 2 + BLOCK // 2
    ) * grid.scale
    bx, by = (jnp.asarray(c.ravel(), view.dtype) for c in np.meshgrid(corner, corner))

    levels = [view.look(bx, by, BLOCK * grid.scale, 1, BLOCK_RULE)]
    chosen = [levels[0].neediest(plan.blocks)]
    block = chosen[0]
    levels.append(view.look(bx[block], by[block], BLOCK * grid.scale, BLOCK, gauss(plan.nodes[0])))
    for depth, (count, nodes) in enumerate(zip((plan.pixels, *plan.deeper), plan.nodes[1:])):
        chosen.append(levels[-1].neediest(count))
        x, y = levels[-1].x[chosen[-1]], levels[-1].y[chosen[-1]]
        levels.append(view.look(x, y, grid.scale / 4**depth, 4, gauss(nodes)))
    return Survey(view, across, levels, chosen)


def nodes(seen: Survey, grid: PixelGrid) -> Float[Array, "M M"]:
    """Flux of what was seen, with its derivative, as B-spline coefficients on the padded pixel grid
    (`padded`)."""
    levels, chosen, across = seen.levels, seen.chosen, seen.across
    block = chosen[0]
    blocks, pixels, *finer = seen.view.differentiable(levels)

    row, column = block // across, block % across
    weight = jnp.asarray(BLOCK_RULE.weight * BLOCK**2, blocks.dtype)[:, None, None]
    out = spread(on_pixels(without(blocks, block).reshape(-1, across, across) * weight))
    out = deposit(
        out, row * BLOCK, column * BLOCK, without(pixels, chosen[1]), levels[1].rule, BLOCK
    )
    light = eighths(finer, [level.rule for level in levels[2:]], chosen[2:])
    out = deposit(out, *seen.pixels(), light, EIGHTHS, 1)
    return out * grid.pixel_area


def doubts(seen: Survey, grid: PixelGrid) -> Float[Array, "M M"]:
    """Squared errors that the fluxes of `nodes` may have, as B-spline coefficients in the same way.

    A cell that no finer cells replace may be wrong by its doubt times its area."""
    *coarser, squares = [(_doubt(cells) * cells.step**2) ** 2 for cells in seen.levels]
    for own, chosen in zip(coarser[:0:-1], seen.chosen[:0:-1]):
        squares = own.at[chosen].set(jnp.sum(squares.reshape(-1, chosen.size), 0))
    across, block = seen.across, seen.chosen[0]
    blocks = (coarser[0] / BLOCK**2).reshape(across, 1, across, 1)
    image = jnp.broadcast_to(blocks, (across, BLOCK, across, BLOCK)).transpose(0, 2, 1, 3)
    pixels = squares.reshape(BLOCK, BLOCK, -1).transpose(2, 0, 1)
    image = image.at[block // across, block % across].set(pixels)
    return spread(image.transpose(0, 2, 1, 3).reshape(BLOCK * across, BLOCK * across))


def _doubt(cells: _Cells) -> Float[Array, " C"]:
    """By how much the mean brightness of cells may be wrong: their need where the light is uneven.
    Where it is smooth, the brightest light within reach is only a little more than the mean, and
    the rules are right to the third order; the factor makes the doubt small there."""
    brightest = cells.need + mean(cells.value, cells.rule)
    return cells.need * (cells.need / (brightest + 1e-30)) ** 3


def uniform(
    mass: tuple[Mass, ...], light: Light, grid: PixelGrid, count: int
) -> Float[Array, "M M"]:
    """As `nodes`, by count x count evenly spaced rays in every pixel, their sum put at its centre:
    the simple rule, for comparison."""
    side, first = padded(grid)
    size = side - 2 * HALF
    view = _View(mass, light)
    axis = (np.arange(size) - (first - HALF) - (grid.size - 1) / 2) * grid.scale
    x, y = (jnp.asarray(c, view.dtype) for c in np.meshgrid(axis, axis))
    mass, light = view.once

    @jax.checkpoint
    def add(total, step):
        return total + view.shine(light, trace(mass, x + step[0], y + step[1])), None

    rule = midpoints(count)
    total, _ = lax.scan(
        add, jnp.zeros_like(x), jnp.asarray(np.stack([rule.x, rule.y], 1) * grid.scale, view.dtype)
    )
    return spread(total) * (grid.pixel_area / count**2)


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
    """A light profile seen through lenses. once: both, the light `prepared`."""

    def __init__(self, mass: tuple[Mass, ...], light: Light):
        self.dtype = jax.tree.leaves(light)[0].dtype
        self.once = mass, light.prepared()

    @staticmethod
    def shine(light: Light, beta: Complex[Array, "..."]) -> Float[Array, "..."]:
        """Brightness where they arrive."""
        return light.brightness(beta.real, beta.imag)

    def _seen(self, once, x: Array, y: Array) -> Array:
        """Brightness at the rays x, y."""
        mass, light = once
        return self.shine(light, trace(mass, x, y))

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
        beta = apart(lambda mass, cx, cy: trace(mass, cx + step_x, cy + step_y), mass, cx, cy)
        value = apart(self.shine, light, beta)
        return _Cells(
            cx, cy, rule, step, value, self._need((mass, light), cx, cy, beta, value, step, rule)
        )

    def differentiable(self, levels: list[_Cells]) -> list[Float[Array, "P C"]]:
        """Brightness at the rays of all levels, with its derivative by the parameters, which goes
        over the rays of all levels together: it is compiled once instead of for every level."""

        @jax.custom_jvp
        def attach(once, values, rays):
            return values

        @attach.defjvp
        def attach_jvp(primals, tangents):
            once, values, rays = primals
            x, y = (jnp.concatenate([level[axis].ravel() for level in rays]) for axis in (0, 1))
            d_flat = lax.platform_dependent(
                once, tangents[0], x, y, cpu=self._change_in_parts, default=self._change
            )
            ends = np.cumsum([0] + [value.size for value in values])
            return attach(once, values, rays), [
                d_flat[a:b].reshape(value.shape) for a, b, value in zip(ends, ends[1:], values)
            ]

        return attach(
            self.once, [level.value for level in levels], [level.rays() for level in levels]
        )

    def _change(self, once, tangent, x: Array, y: Array) -> Float[Array, " N"]:
        """Derivative of the brightness at the rays x, y along `tangent`, of all rays at once: few
        large kernels, as a graphics card likes them. Their intermediate results are worked out
        again by the backward pass rather than kept.

        The barrier makes the compiler work the result out once. Without it, every place that uses
        the rays of a level would work it out again."""
        return lax.optimization_barrier(jax.checkpoint(_along(self._seen))(once, tangent, x, y))

    def _change_in_parts(self, once, tangent, x: Array, y: Array) -> Float[Array, " N"]:
        """The same in one loop, _AT_ONCE rays at a time: what it needs then stays in a processor's
        cache and is never kept. What is the same for all rays is worked out before the loop. The
        last ray is repeated to fill the last part."""
        count = x.size
        x, y = (jnp.pad(r, (0, -count % _AT_ONCE), mode="edge") for r in (x, y))
        first, rest = split(self._seen, once, x[:_AT_ONCE], y[:_AT_ONCE])
        same, change = jax.jvp(first, (once,), (tangent,))

        @jax.checkpoint
        def part(change, start):
            rays = [lax.dynamic_slice(r, (start,), (_AT_ONCE,)) for r in (x, y)]
            return _along(rest)(same, change, *rays)

        parts = lax.map(lambda start: part(change, start), jnp.arange(0, x.size, _AT_ONCE))
        return parts.ravel()[:count]

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
        return jnp.maximum(light.bound(x, y, reach), reduce(jnp.maximum, value)) - mean(value, rule)


def _along(f: Callable[..., Array]) -> Callable[..., Array]:
    """The derivative of f(parameters, x, y) along a change of its parameters, as a function of
    (parameters, change, x, y)."""
    return lambda p, change, x, y: jax.jvp(lambda p: f(p, x, y), (p,), (change,))[1]
