"""The brick grid of the Legacy Surveys: which brick holds a position, and which bricks adjoin one.

A brick is 0.25 deg in declination. A row of bricks at one declination holds an even number of them,
as many as keep their width at or below 0.25 deg on the sky. A sweep file holds the bricks whose
centres lie in one tile of 5 x 5 deg, and is named after the corners of the tile.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

import numpy as np
from jaxtyping import Bool, Float

BRICK_SIZE = 0.25
"""Side of a brick, degrees."""
TILE = 5
"""Side of a sweep tile, degrees."""
LAST_ROW = round(180 / BRICK_SIZE)


@dataclass(frozen=True)
class Brick:
    """One cell of the brick grid; angles in degrees."""

    name: str
    brickid: int
    ra: float
    dec: float
    ra1: float
    ra2: float
    dec1: float
    dec2: float

    @property
    def sweep(self) -> str:
        """Name of the sweep file that holds this brick's objects."""
        return sweep_name(self.ra, self.dec)

    def near(
        self, ra: Float[np.ndarray, " n"], dec: Float[np.ndarray, " n"], margin: float
    ) -> Bool[np.ndarray, " n"]:
        """Whether positions (deg) lie in this cell or at most `margin` deg on the sky, in right
        ascension and in declination, from it. False where they are not finite."""
        beside = np.abs((ra - self.ra + 180) % 360 - 180) - (self.ra2 - self.ra1) / 2
        above = np.abs(dec - self.dec) - BRICK_SIZE / 2
        return (beside * np.cos(np.radians(dec)) <= margin) & (above <= margin)


@cache
def columns_of_row(row: int) -> int:
    """Number of bricks in declination row `row` (0 is the south pole)."""
    centre = -90 + BRICK_SIZE * row
    nearest = min(abs(centre - BRICK_SIZE / 2), abs(centre + BRICK_SIZE / 2))
    if row in (0, LAST_ROW):
        return 1
    return 2 * math.ceil(360 / BRICK_SIZE * math.cos(math.radians(nearest)) / 2)


def brick_containing(ra: float, dec: float) -> Brick:
    """The brick whose area contains the position (deg)."""
    row = math.floor((dec + 90) / BRICK_SIZE + 0.5)
    return _cell(row, math.floor((ra % 360) / 360 * columns_of_row(row)))


def adjoining(brick: Brick) -> list[Brick]:
    """The bricks that touch one, at a side or a corner, sorted by name. There are eight, and a few
    more or fewer where the rows beside it have other numbers of bricks."""
    row = round((brick.dec + 90) / BRICK_SIZE)
    beyond = (brick.ra2 - brick.ra1) / 4
    found: dict[str, Brick] = {}
    for other in range(max(row - 1, 0), min(row + 1, LAST_ROW) + 1):
        columns = columns_of_row(other)
        first = math.floor((brick.ra1 - beyond) / 360 * columns)
        last = math.floor((brick.ra2 + beyond) / 360 * columns)
        for column in range(first, min(last, first + columns - 1) + 1):
            cell = _cell(other, column % columns)
            found[cell.name] = cell
    found.pop(brick.name, None)
    return [found[name] for name in sorted(found)]


def sweep_name(ra: float, dec: float) -> str:
    """Name of the sweep file of a position (deg), after the tile's south-west and north-east."""
    west, south = math.floor(ra / TILE) * TILE, math.floor(dec / TILE) * TILE
    corner = lambda r, d: f"{r:03d}{'p' if d >= 0 else 'm'}{abs(d):03d}"
    return f"sweep-{corner(west, south)}-{corner(west + TILE, south + TILE)}.fits"


def _cell(row: int, column: int) -> Brick:
    """The brick of a row and a column of the grid.

    BRICKID counts the bricks from the south pole, row by row, and starts at 1. The name is
    RRRr[pm]DDd of the centre; further digits are cut off, not rounded.
    """
    width = 360 / columns_of_row(row)
    centre_ra, centre_dec = (column + 0.5) * width, -90 + BRICK_SIZE * row
    tenths = [math.floor(abs(angle) * 10 + 1e-9) for angle in (centre_ra, centre_dec)]
    name = f"{tenths[0]:04d}{'p' if centre_dec >= 0 else 'm'}{tenths[1]:03d}"
    brickid = 1 + column + sum(columns_of_row(r) for r in range(row))
    half = BRICK_SIZE / 2
    return Brick(
        name,
        brickid,
        centre_ra,
        centre_dec,
        column * width,
        (column + 1) * width,
        centre_dec - half,
        centre_dec + half,
    )
