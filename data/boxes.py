"""Boxes of right ascension and declination: which parts of a survey may hold neighbours.

A box is four numbers in degrees, (RA from, RA to, Dec from, Dec to), both ends inside. The box of
no rows is all NaN, and meets no other box. Right ascensions count modulo 360: rows on both sides of
RA 0 have a box all around the sky, which is wide but never wrong.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float, Int

Box = tuple[float, float, float, float]
TURN = 360.0
POLE = 89.0
"""degrees; a box that comes so near to a pole is widened to all right ascensions"""


def box(ra: Float[np.ndarray, " n"], dec: Float[np.ndarray, " n"]) -> Box:
    """The smallest box around finite positions in degrees."""
    if not len(ra):
        return (np.nan, np.nan, np.nan, np.nan)
    return float(ra.min()), float(ra.max()), float(dec.min()), float(dec.max())


def widened(boxes: Float[np.ndarray, "*n 4"], arcsec: float) -> Float[np.ndarray, "*n 4"]:
    """Boxes that hold everything within an angle of the given ones."""
    pad = arcsec / 3600 * (1 + 1e-6)
    west, east, low, high = np.moveaxis(boxes, -1, 0)
    low, high = low - pad, high + pad
    highest = np.maximum(np.abs(low), np.abs(high))
    aside = np.where(highest < POLE, pad / np.cos(np.radians(np.minimum(highest, POLE))), TURN)
    return np.stack([west - aside, east + aside, low, high], axis=-1)


def meeting(boxes: Float[np.ndarray, "n 4"], arcsec: float) -> list[Int[np.ndarray, " k"]]:
    """For each box the others that may have a position within an angle of one of its own, (k,)
    indices, ascending."""
    found = []
    first, last, south, north = boxes.T
    for i, (west, east, low, high) in enumerate(widened(boxes, arcsec)):
        near = (south <= high) & (north >= low)
        near &= np.any([(first + t <= east) & (last + t >= west) for t in (-TURN, 0, TURN)], axis=0)
        near[i] = False
        found.append(np.flatnonzero(near))
    return found


def inside(
    ra: Float[np.ndarray, " n"], dec: Float[np.ndarray, " n"], where: Box, arcsec: float
) -> Bool[np.ndarray, " n"]:
    """Whether a position may be within an angle of a box."""
    west, east, low, high = widened(np.array(where), arcsec)
    found = (dec >= low) & (dec <= high)
    if east - west < TURN:
        found[found] = (ra[found] - west) % TURN <= east - west
    return found
