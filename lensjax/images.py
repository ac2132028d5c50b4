r"""Images of a point source: where $\beta(\theta) = \theta - \alpha(\theta)$ is a given place.

The search looks at every pixel of a grid, then at quarters of quarters of the pixels that may hold
an image, and once more. A cell of side h about c may hold one if the source is in the parallelogram
$\beta(c) + A(c) u$, $|u| \le h/2$, or not farther from it than the cell's corners are from what the
same linear map says of them. So the cell with the centre of a lens, where the deflection jumps, is
always looked at, and cells on a critical curve are, from which two images may come. From every cell
of the last level Newton's method goes on with the Jacobian A. Solutions of the same parity and the
same place are one image.

Nothing is differentiated through the search. The derivatives of its result are those of the
implicit function theorem,
$\mathrm{d}\theta = A^{-1} (\mathrm{d}\beta + \partial_p \alpha\, \mathrm{d}p)$.

How often it fails: see `point_images`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Bool, Float

from lensjax.arrays import Real
from lensjax.checks import check_value
from lensjax.component import ANY, NOT_NEGATIVE
from lensjax.errors import InputError
from lensjax.grid import PixelGrid
from lensjax.mass import Mass, Pair, deflection, jacobian, potential

SPLIT = 4
"""Cells into which a cell is split along each axis, from one level to the next."""

LEVELS = 2
"""How often."""

CELLS = 96
"""Cells of a level that are looked at more closely, and starts of Newton's method. Near a caustic
many cells along the arc may hold an image."""

STEPS = 16
"""Newton's steps, each at most a pixel long."""

SAME = 1e-3
"""Distance (arcsec) below which two solutions of the same parity are one image."""


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class PointImages:
    """Up to K images of a point source, those that arrive first in front.

    found (K,): which of the places hold an image; in the others everything is 0. x, y (K,) arcsec.
    magnification (K,): signed, negative for a saddle point. arrival (K,): the Fermat potential
    $|\\theta - \\beta|^2/2 - \\psi$ (arcsec^2), whose differences are delays in units of the time
    delay distance over c.
    """

    x: Float[Array, " K"]
    y: Float[Array, " K"]
    magnification: Float[Array, " K"]
    arrival: Float[Array, " K"]
    found: Bool[Array, " K"]


class _Cells(NamedTuple):
    """Centres of cells (C,)."""

    x: Array
    y: Array


def point_images(
    mass: Mass | tuple[Mass, ...],
    x: Real,
    y: Real,
    grid: PixelGrid,
    most: int = 5,
    faintest: float = 1e-2,
) -> PointImages:
    """Images of a point source at x, y (arcsec, source plane) behind a lens; several sources by
    `jax.vmap`.

    grid (static): the square that is searched, the stamp as a rule, and the cells that the search
    begins with; images outside of it are not found. most (static): K, the number of places in the
    result; of more images the last to arrive are missing. faintest: images of a smaller absolute
    magnification are left out, among them the one at the softened centre of an isothermal lens,
    whose magnification is below 1e-6. Those below 1e-2 are within some 0.01" of such a centre,
    where the softening moves them by more than 1e-4".

    Differentiable in the lens and in x, y, forward and reverse; the derivative of a place that
    holds no image is 0. Whether an image is found has no derivative.

    Wrong for 1 of 4,000 random scenes (SIE and shear, sources inside of the caustics and outside),
    in double precision and in single: a wrong number of images, or a place off by more than 1e-3".
    The wrong one had an image right at the limit `faintest`. Measured by benchmarks/images.py. More
    than CELLS cells along an almost complete ring may hide images.

    Raises InputError for what is no mass or grid, `most` outside of its range, and (outside of jit)
    a source that is not finite.
    """
    if isinstance(most, bool) or int(most) != most or not 1 <= most <= CELLS:
        raise InputError(f"most = {most!r}: give the number of images, from 1 to {CELLS}")
    if not isinstance(grid, PixelGrid):
        raise InputError(f"grid = {grid!r}: give PixelGrid(size, scale), the square to search")
    parts = mass if isinstance(mass, tuple) else (mass,)
    for part in parts:
        if not isinstance(part, Mass):
            raise InputError(f"mass holds a {type(part).__name__}: give a Mass or a tuple of them")
    for name, value, domain in (("x", x, ANY), ("y", y, ANY), ("faintest", faintest, NOT_NEGATIVE)):
        check_value(name, value, domain)
        if np.ndim(value) > 0:
            raise InputError(
                f"{name} has shape {np.shape(value)}: give one number, and several sources by "
                "jax.vmap"
            )
    dtype = jnp.result_type(*jax.tree.leaves((parts, x, y)), jnp.float32)
    parts, x, y, faintest = jax.tree.map(
        lambda leaf: jnp.asarray(leaf, dtype), (parts, x, y, faintest)
    )
    return _point_images(parts, (x, y), grid, most, faintest)


@partial(jax.jit, static_argnames=("grid", "most"))
def _point_images(
    mass: tuple[Mass, ...], source: Pair, grid: PixelGrid, most: int, faintest: Array
) -> PointImages:
    place, found = lax.stop_gradient(_search(*lax.stop_gradient((mass, source)), grid, faintest))
    order = jnp.argsort(jnp.where(found, _arrival(mass, source, place), jnp.inf))[:most]
    return at_places(mass, source, (place[0][order], place[1][order]), found[order])


def at_places(
    mass: tuple[Mass, ...], source: Pair, place: Pair, found: Bool[Array, " K"]
) -> PointImages:
    """The images at places (K,) where `found` says that there is one, with their derivatives."""
    place = _solution(mass, source, lax.stop_gradient(place), found)
    det = jnp.where(found, _determinant(jacobian(mass, *place)), 1.0)
    shown = lambda value: jnp.where(found, value, 0.0)
    arrival = shown(_arrival(mass, source, place))
    return PointImages(shown(place[0]), shown(place[1]), shown(1 / det), arrival, found)


@jax.custom_jvp
def _solution(mass: tuple[Mass, ...], source: Pair, place: Pair, found: Bool[Array, " K"]) -> Pair:
    """The places, as functions of lens and source."""
    return place


@_solution.defjvp
def _solution_jvp(primals: tuple, tangents: tuple) -> tuple[Pair, Pair]:
    """By the implicit function theorem. The places of the rule are again functions of lens and
    source, so that it holds for derivatives of every order."""
    mass, source, place, found = primals
    place = _solution(mass, source, place, found)
    left = lambda mass, source: tuple(s - b for s, b in zip(source, _traced(mass, place)))
    _, (dx, dy) = jax.jvp(left, (mass, source), tangents[:2])
    shift = _undone(jacobian(mass, *place), dx, dy, found)
    return place, (shift[0].astype(place[0].dtype), shift[1].astype(place[1].dtype))


def _search(
    mass: tuple[Mass, ...], source: Pair, grid: PixelGrid, faintest: Array
) -> tuple[Pair, Bool[Array, " C"]]:
    """Places (C,) and which of them are images, each once."""
    dtype = source[0].dtype
    cells = _Cells(*(jnp.asarray(c.ravel(), dtype) for c in grid.mesh()))
    side = grid.scale
    for _ in range(LEVELS):
        cells = _promising(mass, source, cells, side)
        offset = (np.arange(SPLIT) - (SPLIT - 1) / 2) * side / SPLIT
        ox, oy = (jnp.asarray(o.ravel(), dtype) for o in np.meshgrid(offset, offset))
        cells = _Cells(
            (cells.x[:, None] + ox).ravel(),
            (cells.y[:, None] + oy).ravel(),
        )
        side /= SPLIT
    cells = _promising(mass, source, cells, side)
    place: Pair = (cells.x, cells.y)

    def step(_: int, place: Pair) -> Pair:
        dx, dy = _newton(mass, source, place)
        short = jnp.minimum(1.0, side / (jnp.hypot(dx, dy) + jnp.finfo(dtype).tiny))
        return place[0] + short * dx, place[1] + short * dy

    place = lax.fori_loop(0, STEPS, step, place)
    dx, dy = _newton(mass, source, place)
    det = _determinant(jacobian(mass, *place))
    edge = 0.5 * grid.size * grid.scale
    inside = (jnp.abs(place[0]) <= edge) & (jnp.abs(place[1]) <= edge)
    solved = (jnp.hypot(dx, dy) < 0.1 * SAME) & (jnp.abs(det) * faintest <= 1) & inside
    return place, solved & ~_seen_before(place, det > 0, solved)


def _seen_before(
    place: Pair, positive: Bool[Array, " C"], solved: Bool[Array, " C"]
) -> Bool[Array, " C"]:
    """Whether an earlier solution of the same parity is the same image."""
    near = jnp.hypot(*(c[:, None] - c[None, :] for c in place)) < SAME
    same = near & (positive[:, None] == positive[None, :]) & solved[None, :]
    return jnp.any(same & np.tri(positive.size, k=-1, dtype=bool), axis=1)


def _promising(mass: tuple[Mass, ...], source: Pair, cells: _Cells, side: float) -> _Cells:
    """The CELLS cells of a side in which an image is most likely."""
    if cells.x.size <= CELLS:
        return cells
    keep = lax.top_k(-_distance(mass, source, cells, side), CELLS)[1]
    return _Cells(cells.x[keep], cells.y[keep])


def _distance(
    mass: tuple[Mass, ...], source: Pair, cells: _Cells, side: float
) -> Float[Array, " C"]:
    """How far the source is outside of the parallelogram that a cell becomes in the source plane,
    in units of the error of that linear map."""
    axx, axy, ayx, ayy = (0.5 * side * a for a in jacobian(mass, *cells))
    bx, by = _traced(mass, cells)
    dx, dy = source[0] - bx, source[1] - by
    error = jnp.zeros_like(bx)
    for sx, sy in ((-1, -1), (-1, 1), (1, -1), (1, 1)):
        cx, cy = _traced(mass, (cells.x + 0.5 * sx * side, cells.y + 0.5 * sy * side))
        off = jnp.hypot(cx - bx - sx * axx - sy * axy, cy - by - sx * ayx - sy * ayy)
        error = jnp.maximum(error, off)
    area = jnp.abs(axx * ayy - axy * ayx)
    tiny = jnp.finfo(bx.dtype).eps * side
    first, second = jnp.hypot(axx, ayx) + tiny, jnp.hypot(axy, ayy) + tiny
    outside = jnp.maximum(
        jnp.maximum(
            (jnp.abs(dx * ayx - dy * axx) - area) / first,
            (jnp.abs(dx * ayy - dy * axy) - area) / second,
        ),
        jnp.hypot(dx, dy) - first - second,
    )
    return outside / (error + 0.01 * side)


def _newton(mass: tuple[Mass, ...], source: Pair, place: Pair) -> Pair:
    """Newton's step (arcsec) towards an image."""
    bx, by = _traced(mass, place)
    a = jacobian(mass, *place)
    step = _undone(a, source[0] - bx, source[1] - by, jnp.ones_like(bx, bool))
    return step[0].astype(place[0].dtype), step[1].astype(place[0].dtype)


def _undone(
    a: tuple[Array, Array, Array, Array], dx: Array, dy: Array, solvable: Bool[Array, " C"]
) -> Pair:
    """The shift in the image plane that makes a shift dx, dy in the source plane. Where the map is
    singular it is long, but finite; where nothing is `solvable` it is 0."""
    det = _determinant(a)
    rate = jnp.where(solvable, 1 / jnp.where(solvable & (jnp.abs(det) > 1e-12), det, 1e-12), 0.0)
    axx, axy, ayx, ayy = a
    return rate * (ayy * dx - axy * dy), rate * (axx * dy - ayx * dx)


def _traced(mass: tuple[Mass, ...], place: Any) -> Pair:
    ax, ay = deflection(mass, place[0], place[1])
    return place[0] - ax, place[1] - ay


def _determinant(a: tuple[Array, Array, Array, Array]) -> Float[Array, "..."]:
    return a[0] * a[3] - a[1] * a[2]


def _arrival(mass: tuple[Mass, ...], source: Pair, place: Pair) -> Float[Array, "..."]:
    """Fermat potential (arcsec^2)."""
    dx, dy = place[0] - source[0], place[1] - source[1]
    return 0.5 * (dx * dx + dy * dy) - potential(mass, *place)
