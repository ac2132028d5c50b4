"""Where the light is: pixel integration by adaptive refinement with static shapes.

An arc touches a few hundred of a stamp's pixels and its hard part a few dozen: compact sources
beside a critical curve, cusps of Sersic profiles, images squeezed against the lens's centre. A
uniform grid of rays spends everything on the rest. Here

    level 0   five rays in each cell of 3 x 3 pixels, over the stamp and the margin around it
    level 1   the `blocks` neediest of these cells: 2 x 2 rays a pixel
    level 2   the `pixels` neediest of their pixels, with rays placed where the light is
    deeper    the neediest of those cells, each split into 2 x 2 cells of the same kind

A cell of the first two levels is needy when the brightest light within its reach exceeds the mean
of its rays. The reach is measured in the source plane, from beta of its rays, so that a source
between the rays is not missed; a cell with the centre of a lens in it reaches everywhere. Cells of
the other levels estimate their own error (`placing.py`). The numbers of cells follow from static
bounds (`plans.py`), so shapes are static. The values of the rays have gradients, and the choice of
cells has none.

The result is a list of fluxes, which `spreading.py` spreads over the pixel grid.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import reduce
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Complex, Float, Int

from lensjax.apart import apart
from lensjax.choose import largest
from lensjax.field import BLOCK, Field
from lensjax.inparts import with_derivative
from lensjax.light import Light
from lensjax.mass import Mass, trace
from lensjax.placing import Looked, look, moments
from lensjax.plans import Plan
from lensjax.spline import HALF
from lensjax.spreading import (
    AT_CENTRE,
    BLOCK_RULE,
    Rule,
    deposit,
    gauss,
    midpoints,
    of_moments,
    of_points,
    on_pixels,
    spread,
    without,
)

_ANYWHERE = 1e3
"""A reach (arcsec) beyond every source."""

_RAYS_AT_ONCE = 512
"""Rays that the derivative goes over at a time."""

_PIXEL_RULE = gauss(2)

SPLIT = 2
"""A placed cell is split into SPLIT x SPLIT parts."""

Lensed = tuple[tuple[Mass, ...], Light]
"""A light profile, `prepared`, behind lenses."""


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Pool:
    """Cells with placed rays. slot (C,): which of the chosen pixels a cell lies in; kept (C,): 1,
    or 0 for a cell that its parts replace."""

    looked: Looked
    slot: Int[Array, " C"]
    kept: Float[Array, " C"]


@dataclass(frozen=True)
class Levels:
    """What was seen of a profile of unit flux, without derivative. direct: blocks, and pixels of
    the neediest; block, pixel: which of them the next level replaces; pool: cells with placed
    rays."""

    direct: list[Cells]
    block: Int[Array, " B"]
    pixel: Int[Array, " P"]
    pool: Pool


def survey(lensed: Lensed, field: Field, plan: Plan) -> Levels:
    """Looks for the light, from level to level."""
    lensed = lax.stop_gradient(lensed)
    scale, dtype = field.grid.scale, jax.tree.leaves(lensed)[0].dtype
    corner = (
        np.arange(field.across) * BLOCK
        - (field.first - HALF)
        - (field.grid.size - 1) / 2
        + BLOCK // 2
    ) * scale
    x, y = (jnp.asarray(c.ravel(), dtype) for c in np.meshgrid(corner, corner))
    blocks = _directly(lensed, x, y, BLOCK * scale, BLOCK_RULE)
    block = largest(blocks.need, plan.blocks)
    x, y = _parts(x[block], y[block], BLOCK * scale, BLOCK)
    pixels = _directly(lensed, x, y, scale, _PIXEL_RULE)
    pixel = largest(pixels.need, plan.pixels)
    pool = _refined(lensed, x[pixel], y[pixel], scale, plan)
    return Levels([blocks, pixels], block, pixel, pool)


def _refined(
    lensed: Lensed, x: Float[Array, " P"], y: Float[Array, " P"], scale: float, plan: Plan
) -> Pool:
    """Pixels with placed rays; again and again the neediest cells of all sizes are replaced by
    their parts."""
    foci = apart(lambda light: light.foci(), lensed[1])
    size, parts, step = x.size, SPLIT**2, plan.split * SPLIT**2
    one = jnp.ones_like(x)
    table = jnp.stack([x, y, scale * one, jnp.arange(size, dtype=x.dtype), one, 0 * one])
    table = jnp.pad(table, ((0, 0), (0, plan.rounds * step)))

    def split_neediest(table: Array, wanted: Any) -> tuple[Array, Array]:
        """Takes the neediest cells out of the table, and returns their parts."""
        chosen = largest(table[-1], plan.split)
        x, y, side, slot, _, need = table[:, chosen]
        some = ((need > 0) & wanted).astype(x.dtype)
        table = table.at[-2:, chosen].multiply(1 - some)
        x, y = _parts(x, y, side, SPLIT)
        rest = (jnp.tile(v, parts) for v in (side / SPLIT, slot, some))
        return table, jnp.stack([x, y, *rest])

    def looked_at(cells: Array) -> tuple[Array, Looked]:
        found = look(*lensed, foci, (cells[0], cells[1], cells[2]), plan.rule)
        return jnp.concatenate([cells, (found.need * cells[4])[None]]), found

    def in_a_loop(table: Array) -> tuple[Array, Looked]:
        """One loop for the pixels and for the parts of cells, because it is compiled once."""

        def turn(table: Array, start: Array) -> tuple[Array, Looked]:
            table, divided = split_neediest(table, start >= size)
            given = lax.dynamic_slice(table, (0, start), (5, step))
            new, found = looked_at(jnp.where(start < size, given, divided))
            return lax.dynamic_update_slice(table, new, (0, start)), found

        table, found = lax.scan(turn, table, jnp.arange(0, table.shape[1], step))
        return table, jax.tree.map(
            lambda v: jnp.moveaxis(v, 0, -2).reshape(*v.shape[1:-1], -1), found
        )

    def one_by_one(table: Array) -> tuple[Array, Looked]:
        """All pixels at once and without a loop, because a graphics card waits between the turns of
        a loop."""
        new, found = looked_at(table[:5, :size])
        table, each = table.at[:, :size].set(new), [found]
        for start in range(size, table.shape[1], step):
            table, divided = split_neediest(table, True)
            new, found = looked_at(divided)
            table = table.at[:, start : start + step].set(new)
            each.append(found)
        return table, jax.tree.map(lambda *v: jnp.concatenate(v, -1), *each)

    table, looked = lax.platform_dependent(table, cpu=in_a_loop, default=one_by_one)
    return Pool(replace(looked, need=table[-1]), table[3].astype(int), table[4])


def nodes(lensed: Lensed, levels: Levels, field: Field) -> Float[Array, "M M"]:
    """Flux of a unit-flux profile behind lenses, as spline coefficients on the pixels of the
    field. levels: what `survey` saw of it; the derivative is attached here."""
    blocks, pixels, placed = _differentiable(lensed, levels)
    block, pixel = levels.block, levels.pixel

    scale, size = field.grid.scale, pixel.size
    pool = levels.pool
    cells = pool.looked.placed
    x, y = (c[:size][pool.slot] for c in (cells.x, cells.y))  # the first cells are the pixels
    cells = replace(cells, weight=cells.weight * pool.kept)
    found = jnp.zeros((4, 4, size), blocks.dtype)
    found = found.at[:, :, pool.slot].add(moments(cells, placed, x, y, scale))

    area, across = field.grid.pixel_area, field.across
    out = spread(on_pixels(without(blocks, block).reshape(-1, across, across))) * area
    stencils = of_points(without(pixels, pixel) * area, _PIXEL_RULE, BLOCK)
    out = deposit(out, BLOCK * (block // across), BLOCK * (block % across), stencils)
    return deposit(out, *_pixels(levels, field), of_moments(found))


def doubts(levels: Levels, field: Field) -> Float[Array, "M M"]:
    """Squared errors of the fluxes of `nodes`, as coefficients in the same way.

    A placed cell estimates its own error. Cells with rays at fixed places may be wrong where there
    is little light between bright neighbours. Where the brightest light within reach is only a
    little more than the mean, the light is smooth, and the rules are exact up to the third
    order."""
    blocks, pixels = (_doubt(cells) for cells in levels.direct)
    size, across = levels.pixel.size, field.across
    area = field.grid.pixel_area
    pool = levels.pool
    found = jnp.zeros(size, blocks.dtype).at[pool.slot].add((pool.looked.need * pool.kept) ** 2)
    squares = (area * blocks.at[levels.block].set(0.0)) ** 2 * BLOCK**2
    out = spread(jnp.repeat(jnp.repeat(squares.reshape(across, across), BLOCK, 0), BLOCK, 1))
    squares = (area * pixels.at[levels.pixel].set(0.0)) ** 2
    row, column = levels.block // across, levels.block % across
    stencils = of_points(squares[None], midpoints(1), BLOCK)
    out = deposit(out, BLOCK * row, BLOCK * column, stencils)
    moments = jnp.zeros((4, 4, size), found.dtype).at[0, 0].set(found)
    return deposit(out, *_pixels(levels, field), of_moments(moments))


def _pixels(levels: Levels, field: Field) -> tuple[Int[Array, " P"], Int[Array, " P"]]:
    """Row and column of the chosen pixels."""
    block, pixel = levels.block, levels.pixel
    cell, owner = pixel // block.size, pixel % block.size
    row, column = BLOCK * (block // field.across), BLOCK * (block % field.across)
    return row[owner] + cell // BLOCK, column[owner] + cell % BLOCK


def _doubt(cells: Cells) -> Float[Array, " C"]:
    """By how much the mean brightness of cells with rays at fixed places may be wrong."""
    brightest = cells.need + jnp.mean(cells.value, 0)
    # At most 1, also where the pixels of an image are negative.
    share = jnp.clip(cells.need / (jnp.abs(brightest) + 1e-30), 0.0, 1.0)
    return cells.need * share**3


def uniform(lensed: Lensed, field: Field, count: int) -> Float[Array, "M M"]:
    """As `nodes`, by count x count evenly spaced rays in every pixel, their sum put at its centre:
    the simple rule, for comparison."""
    grid = field.grid
    axis = (
        np.arange(field.side - 2 * HALF) - (field.first - HALF) - (grid.size - 1) / 2
    ) * grid.scale
    dtype = jax.tree.leaves(lensed)[0].dtype
    x, y = (jnp.asarray(c, dtype) for c in np.meshgrid(axis, axis))

    @jax.checkpoint
    def add(total, step):
        return total + _bright(lensed, (x + step[0], y + step[1])), None

    rule = midpoints(count)
    total, _ = lax.scan(
        add, jnp.zeros_like(x), jnp.asarray(np.stack([rule.x, rule.y], 1) * grid.scale, dtype)
    )
    return spread(total, AT_CENTRE) * (grid.pixel_area / count**2)


@dataclass(frozen=True)
class Cells:
    """C cells with rays at fixed places. rays: x, y (P, C) of them; value (P, C): brightness there;
    need (C,): by how much the cells' mean brightness may be wrong."""

    rays: tuple[Float[Array, "P C"], Float[Array, "P C"]]
    value: Float[Array, "P C"]
    need: Float[Array, " C"]


def _parts(
    x: Float[Array, " K"], y: Float[Array, " K"], side: Any, split: int
) -> tuple[Float[Array, " C"], Float[Array, " C"]]:
    """Centres of the split x split parts of cells around x, y; C = split^2 K, in the order (row,
    column, K)."""
    offset = jnp.asarray(((np.arange(split) + 0.5) / split - 0.5)[:, None], x.dtype) * side

    def placed(x, y, offset):
        return lax.complex(
            *jnp.broadcast_arrays((x + offset)[None, :, :], (y + offset)[:, None, :])
        )

    centres = apart(placed, x, y, offset)
    return centres.real.ravel(), centres.imag.ravel()


def _bright(lensed: Lensed, rays: tuple[Array, Array]) -> Array:
    """Brightness at rays x, y."""
    mass, light = lensed
    beta = trace(mass, *rays)
    return light.brightness(beta.real, beta.imag)


def _directly(
    lensed: Lensed, x: Float[Array, " C"], y: Float[Array, " C"], side: float, rule: Rule
) -> Cells:
    """Rays in the cells around x, y: the lenses, then the light, each one kernel."""
    mass, light = lensed
    step_x, step_y = (jnp.asarray(r[:, None] * side, x.dtype) for r in (rule.x, rule.y))
    beta = apart(lambda mass, x, y: trace(mass, x + step_x, y + step_y), mass, x, y)
    value = apart(lambda light, beta: light.brightness(beta.real, beta.imag), light, beta)
    return Cells((x + step_x, y + step_y), value, _need(lensed, x, y, beta, value, side, rule))


def _need(
    lensed: Lensed,
    cx: Float[Array, " C"],
    cy: Float[Array, " C"],
    beta: Complex[Array, "P C"],
    value: Float[Array, "P C"],
    side: float,
    rule: Rule,
) -> Float[Array, " C"]:
    """By how much the brightest light within a cell's reach exceeds the mean of its rays. The reach
    is the largest distance between beta of a ray and the middle of beta of the corners, enlarged by
    the ratio of the cell to the square of its rays; it has no limit in a cell with the centre of a
    lens, where the deflection jumps."""
    mass, light = lensed
    i, j, k, m = rule.corners
    x, y = (0.25 * (part[i] + part[j] + part[k] + part[m]) for part in (beta.real, beta.imag))
    reach = jnp.sqrt(reduce(jnp.maximum, [(b.real - x) ** 2 + (b.imag - y) ** 2 for b in beta])) * (
        0.5 / max(rule.x[rule.corners[-1]], 1e-3)
    )
    for centre in (lens.centre for lens in mass):
        if centre is not None:
            torn = jnp.maximum(jnp.abs(cx - centre[0]), jnp.abs(cy - centre[1])) <= 0.5 * side
            reach = jnp.where(torn, _ANYWHERE, reach)
    mean = sum((w * r for w, r in zip(rule.weight.tolist(), value)), jnp.zeros_like(x))
    return jnp.maximum(light.bound(x, y, reach), reduce(jnp.maximum, value)) - mean


def _differentiable(lensed: Lensed, levels: Levels) -> list[Array]:
    """Brightness at the rays of the blocks (5, C), of the pixels (4, C) and of the placed cells (M,
    N, C), with its derivative by the parameters."""
    looked = levels.pool.looked
    rays = [*(c.rays for c in levels.direct), looked.placed.rays()]
    seen = [*(c.value for c in levels.direct), looked.value]
    flat = [jnp.concatenate([r[k].ravel() for r in rays]) for k in (0, 1)]
    values = with_derivative(
        _bright, lensed, tuple(flat), jnp.concatenate([v.ravel() for v in seen]), _RAYS_AT_ONCE
    )
    ends = np.cumsum([v.size for v in seen])
    return [part.reshape(v.shape) for part, v in zip(jnp.split(values, ends[:-1]), seen)]
