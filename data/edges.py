"""Stamps that reach beyond the image of their brick, completed from the bricks around it.

    edges = completed(brick, root, survey, x, y, size)     # opens neighbours that are needed
    for x, y in zip(x, y):
        piece = slice_out(brick.images, x, y, size)
        filled = edges.fill(piece)                         # filled.image, filled.neighbours

Only pixels off the brick's own image are taken from elsewhere. Where the own image has no value,
there is none. A missing pixel gets the value of the neighbour's pixel in which its centre lies on
the sky, by the WCS of both (nearest pixel). Nothing is interpolated: the value is one that the
survey gives, with the noise and the inverse variance of one pixel, and no pixel without data makes
others into such pixels. Interpolated noise would be smoother and correlated, a mark by which a
finder can tell the edges. The price is that what is seen lies up to half a pixel in each axis from
where it should be, as a stamp lies from its object anyhow (`data.coadds`). An image of inverse
variances, exposures or bits of masks allows no other rule.

Neighbours are the bricks that touch the own one on the grid of the Legacy Surveys
(`data.brickgrid`); a brick whose name and place are not of this grid has none. All bands of a pixel
come from one neighbour: the one in whose cell it lies; else the one that has values in most bands,
and among equals the first by name. A pixel's value does not depend on which other stamps are cut.
A neighbour that cannot be read, or is of another release, of other bands, or simulated where the
own brick is not, is not used, and `Edges.unused` says why.

Memory: one neighbour at a time, and about 40 bytes for each pixel around the brick that a stamp
reaches.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Float32, Int

from data import brickgrid, provenance, wcs
from data.coadds import Brick, Sliced, corner, image_path, read_brick
from data.stores import Place
from data.survey import Survey
from lensjax.errors import InputError

MARGIN = 0.1 * brickgrid.BRICK_SIZE
"""degrees that the image of a brick may reach beyond its cell; those of the Legacy Surveys reach
0.006 beyond"""
OWNER = 100
"""rank of the neighbour in whose cell a pixel lies; that of others is their number of bands"""
CHUNK = 1 << 18
"""pixels whose positions are computed at once"""


class Filled(NamedTuple):
    """image: the stamp. neighbours: pixels taken from each. unused: neighbours without which a
    pixel stays missing."""

    image: Float32[np.ndarray, "s s b"]
    neighbours: dict[str, int]
    unused: tuple[str, ...]

    @property
    def pixels(self) -> int:
        """How many pixels of the stamp are not of its own brick."""
        return sum(self.neighbours.values())

    @property
    def note(self) -> str:
        """What is to be said of it, for the metadata of a cutout; empty for most."""
        said = [f"{n} pixels of brick {name}" for name, n in self.neighbours.items()]
        said += [f"brick {name} not used for its edge" for name in self.unused]
        return "; ".join(said)


@dataclass(frozen=True)
class Edges:
    """Pixels around the image of a brick. shape, reach: rows and columns of the image, and how many
    pixels around it are numbered, row by row. numbers: of the pixels, sorted. values: NaN where
    there is none. source: place of the neighbour in `names`, -1 for none. barred: bits of the
    neighbours that might have it and are not used. unused: these, and why."""

    shape: tuple[int, int]
    reach: int
    numbers: Int[np.ndarray, " n"]
    values: Float32[np.ndarray, "n b"]
    source: Int[np.ndarray, " n"]
    barred: Int[np.ndarray, " n"]
    names: tuple[str, ...] = ()
    unused: dict[str, str] = field(default_factory=dict)

    def fill(self, piece: Sliced) -> Filled:
        """A stamp of this brick with what its neighbours have; those that were asked for."""
        image, (left, top) = piece.image, piece.corner
        (size, _, _), (ny, nx) = image.shape, self.shape
        whole = left >= 0 and top >= 0 and left + size <= nx and top + size <= ny
        if whole or not piece.inside or not len(self.numbers):
            return Filled(image, {}, ())
        rows, columns = np.mgrid[top : top + size, left : left + size]
        off = (rows < 0) | (columns < 0) | (rows >= ny) | (columns >= nx)
        wanted = self._number(rows[off], columns[off])
        at = np.minimum(np.searchsorted(self.numbers, wanted), len(self.numbers) - 1)
        known = self.numbers[at] == wanted
        source = np.where(known, self.source[at], -1)
        image = image.copy()
        image[off] = np.where((source >= 0)[:, None], self.values[at], np.float32(np.nan))
        counts = np.bincount(source[source >= 0], minlength=len(self.names))
        barred = int(np.bitwise_or.reduce(self.barred[at], where=known & (source < 0), initial=0))
        return Filled(
            image,
            {name: int(n) for name, n in zip(self.names, counts) if n},
            tuple(name for i, name in enumerate(self.names) if barred >> i & 1),
        )

    def _number(self, row: np.ndarray, column: np.ndarray) -> Int[np.ndarray, " n"]:
        return (row + self.reach) * (self.shape[1] + 2 * self.reach) + column + self.reach


def completed(
    brick: Brick,
    root: str | Place,
    survey: Survey,
    x: Float[np.ndarray, " m"],
    y: Float[np.ndarray, " m"],
    size: int,
) -> Edges:
    """What the neighbours of a brick below `root` have of the stamps of `size` pixels about
    positions (pixels). Each neighbour is opened once at most, and only if a pixel may be on it."""
    shape = (brick.images.shape[0], brick.images.shape[1])
    numbers = _around(shape, x, y, size)
    cells = _neighbours(brick) if len(numbers) else []
    edges = Edges(
        shape,
        size,
        numbers,
        np.full((len(numbers), brick.images.shape[2]), np.nan, np.float32),
        np.full(len(numbers), -1, np.int8),
        np.zeros(len(numbers), np.int32),
        tuple(cell.name for cell in cells),
    )
    rank = np.zeros(len(numbers), np.int8)
    # Bit i of these: the pixel lies in, or near, the cell of neighbour i.
    within, near = (np.zeros(len(numbers), np.int32) for _ in range(2))
    for part in _chunks(len(numbers)) if cells else ():
        ra, dec = _sky(edges, brick, part)
        for i, cell in enumerate(cells):
            within[part] |= cell.near(ra, dec, 0.0).astype(np.int32) << i
            near[part] |= cell.near(ra, dec, MARGIN).astype(np.int32) << i
    tried: set[int] = set()
    # First those that pixels lie in the cells of; then, for pixels that these do not have, all.
    for asked in (lambda: within, lambda: np.where(rank == OWNER, 0, near)):
        for i in range(len(cells)):
            if i not in tried and np.any(asked() >> i & 1):
                tried.add(i)
                _take(edges, rank, brick, root, survey, i, within, near)
    return edges


def _around(
    shape: tuple[int, int], x: np.ndarray, y: np.ndarray, size: int
) -> Int[np.ndarray, " n"]:
    """Numbers of the pixels off the image that stamps of objects on it reach, sorted."""
    ny, nx = shape
    reached: np.ndarray | None = None
    for one_x, one_y in zip(x, y):
        if not (np.isfinite(one_x) and np.isfinite(one_y)):
            continue
        left, top = corner(one_x, one_y, size)
        own = 0 <= np.floor(one_x + 0.5) < nx and 0 <= np.floor(one_y + 0.5) < ny
        if own and (left < 0 or top < 0 or left + size > nx or top + size > ny):
            if reached is None:
                reached = np.zeros((ny + 2 * size, nx + 2 * size), bool)
            reached[top + size : top + 2 * size, left + size : left + 2 * size] = True
    if reached is None:
        return np.zeros(0, np.int64)
    reached[size : size + ny, size : size + nx] = False
    return np.flatnonzero(reached)


def _neighbours(brick: Brick) -> list[brickgrid.Brick]:
    ny, nx = brick.images.shape[:2]
    middle = (np.array([(n - 1) / 2]) for n in (nx, ny))
    (ra,), (dec,) = wcs.sky_positions(brick.header, *middle)
    if not (np.isfinite(ra) and np.isfinite(dec)):
        return []
    cell = brickgrid.brick_containing(float(ra), float(dec))
    return brickgrid.adjoining(cell) if cell.name == brick.name else []


def _chunks(n: int) -> list[slice]:
    return [slice(i, min(i + CHUNK, n)) for i in range(0, n, CHUNK)]


def _sky(edges: Edges, brick: Brick, part: slice | np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    row, column = np.divmod(edges.numbers[part], edges.shape[1] + 2 * edges.reach)
    return wcs.sky_positions(brick.header, column - edges.reach, row - edges.reach)


def _take(
    edges: Edges,
    rank: np.ndarray,
    brick: Brick,
    root: str | Place,
    survey: Survey,
    i: int,
    within: np.ndarray,
    near: np.ndarray,
) -> None:
    """Takes what neighbour i has into `edges`, where it is better than what is there."""
    name = edges.names[i]
    if not any(image_path(root, name, band, survey).is_file() for band in survey.bands):
        return
    reason, other = "", None
    try:
        other = read_brick(root, name, survey)
        reason = _unlike(brick, other)
    except InputError as error:
        reason = str(error).replace(f"{root}/", "")
    mine = np.flatnonzero(near >> i & 1)
    if reason or other is None:
        edges.barred[mine] |= 1 << i
        edges.unused[name] = reason
        return
    ny, nx = other.images.shape[:2]
    for part in _chunks(len(mine)):
        at = mine[part]
        x, y = (
            np.floor(v + 0.5) for v in wcs.pixel_positions(other.header, *_sky(edges, brick, at))
        )
        on = (x >= 0) & (x < nx) & (y >= 0) & (y < ny)
        at, x, y = at[on], x[on].astype(np.int64), y[on].astype(np.int64)
        found = other.images[y, x]
        bands = np.isfinite(found).sum(axis=1)
        new = np.where((bands > 0) & (within[at] >> i & 1 == 1), OWNER, bands)
        better = (new > rank[at]) | ((new == rank[at]) & (bands > 0) & (i < edges.source[at]))
        at = at[better]
        edges.values[at], edges.source[at], rank[at] = found[better], i, new[better]


def _unlike(brick: Brick, other: Brick) -> str:
    """Why a brick is not one to complete another from; empty when it is."""
    if other.missing != brick.missing:
        has, needs = (", ".join(b.missing) or "none" for b in (other, brick))
        return f"bands without an image: {has}; of brick {brick.name}: {needs}"
    kinds: tuple[Callable[..., object], ...] = (provenance.release, provenance.simulated)
    for what in kinds:
        theirs, ours = what(other.header), what(brick.header)
        if theirs != ours:
            return f"{what.__name__} {theirs} by its header, {ours} in brick {brick.name}"
    return ""
