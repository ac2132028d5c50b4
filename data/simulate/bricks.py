"""The handful of bricks of the Legacy Surveys' grid that a simulated survey covers.

A coadd is a tangent-plane image around the brick's centre, with x growing to the west. Every
simulated survey uses this grid (`data.brickgrid`), whatever its telescope, with its own pixel scale
and within its own limits of declination.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from jaxtyping import Float

from data.brickgrid import BRICK_SIZE, TILE, Brick, brick_containing
from data.splits import SEED, healpix_128, split
from data.survey import Survey
from lensjax.errors import InputError

TILES = (
    (0, 0),
    (10, -5),
    (30, -15),
    (35, 5),
    (130, 15),
    (150, 0),
    (165, 25),
    (185, 10),
    (215, 5),
    (240, 20),
    (330, -5),
    (345, 10),
)
"""South-west corners (deg) of the sweep tiles over which the survey is scattered. All of them are
names of files of the Legacy Surveys DR10 (south)."""


def outside(survey: Survey) -> list[Brick]:
    """Bricks beyond the survey's limits of declination, which have catalogue rows and no images.

    There is one for each limit that is not a pole.
    """
    low, high = survey.catalogue.dec
    positions = [(30.6, low - 0.9)] if low > -89 else []
    positions += [(160.6, high + 0.6)] if high < 89 else []
    return [brick_containing(*position) for position in positions]


def wcs(survey: Survey, brick: Brick, size: int) -> Any:
    """The astropy WCS of the central `size` x `size` pixels of a brick's coadd."""
    from astropy.wcs import WCS

    w = WCS(naxis=2)
    w.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    w.wcs.crval = [brick.ra, brick.dec]
    w.wcs.crpix = [(size + 1) / 2] * 2
    w.wcs.cd = np.diag([-survey.pixel_scale / 3600, survey.pixel_scale / 3600])
    return w


def corners(
    survey: Survey, brick: Brick, size: int
) -> tuple[Float[np.ndarray, "5"], Float[np.ndarray, "5"]]:
    """RA and Dec (deg) of the centre and the four corners of the simulated part of a brick."""
    low, middle, high = -0.5, (size - 1) / 2, size - 0.5
    ra, dec = wcs(survey, brick, size).all_pix2world(
        [middle, low, low, high, high], [middle, low, high, low, high], 0
    )
    return np.asarray(ra), np.asarray(dec)


def quotas(n: int) -> dict[str, int]:
    """How many of n bricks belong to each split: 70, 15 and 15 %, rounded.

    Of three bricks or more, every split has one.
    """
    side = max(round(0.15 * n), 1 if n >= 3 else 0)
    return {"train": n - 2 * side, "val": side, "test": side}


def footprint(survey: Survey, n: int, size: int, rng: np.random.Generator) -> list[Brick]:
    """n bricks, each with its simulated part in a HEALPix cell (nside 128) of its own.

    A survey of a few dozen cells cannot leave the split to chance: with 48 cells the 70/15/15 rule
    of `data.splits` gives shares that are off by 6 % (one standard deviation). The bricks are
    therefore drawn at random, and each is kept while the split of its cell still has room
    (`quotas`). So the split itself remains the plain rule with seed 42, and its shares come out
    right. The first bricks of the list are training bricks.

    Raises InputError when the simulated part is larger than a brick, and when the tiles cannot hold
    n bricks.
    """
    if size * survey.pixel_scale > 3600 * 1.05 * BRICK_SIZE:
        most = math.floor(3600 * 1.05 * BRICK_SIZE / survey.pixel_scale)
        raise InputError(
            f"brick_pixels {size}: more than a brick of {survey.name} has; at most {most}"
        )
    tiles = [limits for tile in TILES if (limits := _within(survey, *tile))]
    room = quotas(n)
    per_tile = math.ceil(n / max(len(tiles), 1))
    cells_taken: set[int] = set()
    in_tile = dict.fromkeys(tiles, 0)
    chosen: list[tuple[str, Brick]] = []
    for tile, brick in _candidates(tiles, rng):
        if len(chosen) == n:
            break
        cells = np.unique(healpix_128(*corners(survey, brick, size)))
        if len(cells) > 1 or int(cells[0]) in cells_taken or in_tile[tile] >= per_tile:
            continue
        name = str(split(cells, SEED)[0])
        if room[name]:
            room[name] -= 1
            cells_taken.add(int(cells[0]))
            in_tile[tile] += 1
            chosen.append((name, brick))
    if len(chosen) < n:
        raise InputError(
            f"bricks: {n} of {size} pixels do not fit, each in its own HEALPix cell; "
            f"only {len(chosen)} do: ask for fewer or smaller ones"
        )
    return [brick for name, brick in sorted(chosen, key=lambda item: item[0] != "train")]


Tile = tuple[float, float, float]
"""West, south and north of a tile (deg); it is TILE wide."""


def _within(survey: Survey, west: float, south: float) -> Tile | None:
    """The part of a tile within the survey's declinations; a tile beyond them is moved to them."""
    low, high = survey.catalogue.dec
    south = min(max(south, math.floor(low / TILE) * TILE), math.ceil(high / TILE) * TILE - TILE)
    limits = (float(west), max(float(south), low), min(float(south + TILE), high))
    return limits if limits[1] < limits[2] else None


def _candidates(tiles: list[Tile], rng: np.random.Generator) -> Iterator[tuple[Tile, Brick]]:
    """Bricks inside the tiles, at random, tile after tile."""
    for _ in range(400):
        for tile in tiles:
            west, south, north = tile
            ra = west + TILE * rng.uniform(0.05, 0.95)
            dec = south + (north - south) * rng.uniform(0.05, 0.95)
            yield tile, brick_containing(ra, dec)
