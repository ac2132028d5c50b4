"""What channels share, and what of it says something about the searches.

Two searches of different skies share nothing whatever they look for. Footprints are rarely known,
so every overlap is given twice: of all objects, and of those in the cells of the sky (HEALPix nside
8, 7 degrees across) in which both have an object.
"""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int

from classifiers.channels.merging import Merged
from classifiers.evaluation import figures
from data.sky import SkyTree

NSIDE = 8
AWAY = 1 / 60
"""Degrees by which positions are moved to count chance."""


def cells(ra: Float[np.ndarray, " n"], dec: Float[np.ndarray, " n"]) -> Int[np.ndarray, " n"]:
    """The HEALPix cell (nside 8, NESTED) of each position in degrees."""
    import healpy

    return np.asarray(healpy.ang2pix(NSIDE, ra, dec, nest=True, lonlat=True), np.int64)


def pairs(objects: Merged, minimum: int = 10) -> pd.DataFrame:
    """A row for every pair of channels: first, second, first_number, second_number, both, either;
    of_first and of_second (the share of each that the other has too); value with lo68 ... hi95 and
    status (Jaccard's index both / either, Jeffreys' intervals); shared_sky_number and
    shared_sky (either, and the index, in cells where both have an object); chance (pairs within the
    radius that are expected by chance: found with one list moved by an arcmin to the north and to
    the south)."""
    inside, cell, rows = objects.inside, cells(objects.ra, objects.dec), []
    for i, j in combinations(range(len(objects.names)), 2):
        a, b = inside[:, i], inside[:, j]
        both, either = int((a & b).sum()), int((a | b).sum())
        sky = np.isin(cell, np.intersect1d(cell[a], cell[b])) & (a | b)
        row: dict[str, Any] = {"first": objects.names[i], "second": objects.names[j]}
        row |= {"first_number": int(a.sum()), "second_number": int(b.sum())}
        row |= {"both": both, "either": either, "of_first": both / a.sum()}
        row |= {"of_second": both / b.sum(), **figures.proportion(both, either, minimum, "objects")}
        shared = int(sky.sum())
        row |= {"shared_sky_number": shared, "chance": _chance(objects, a, b)}
        rows.append(row | {"shared_sky": both / shared if shared >= minimum else None})
    return pd.DataFrame(rows)


def combinations_of(objects: Merged) -> pd.DataFrame:
    """How many objects every combination of channels has that no other channel has: channels,
    number, and a column of 0 or 1 for each channel; the largest first (the bars of an UpSet plot,
    Lex et al. 2014, IEEE Transactions on Visualization and Computer Graphics 20, 1983)."""
    different, number = np.unique(objects.inside, axis=0, return_counts=True)
    text = [" + ".join(np.array(objects.names)[row]) for row in different]
    found = pd.DataFrame({"channels": text, "number": number})
    flags = pd.DataFrame(different.astype(int), columns=list(objects.names))
    whole = pd.concat([found, flags], axis=1)
    return whole.sort_values(["number", "channels"], ascending=[False, True], ignore_index=True)


def _chance(objects: Merged, a: Bool[np.ndarray, " n"], b: Bool[np.ndarray, " n"]) -> float:
    tree = SkyTree(objects.ra[b], objects.dec[b])
    ra, dec = objects.ra[a], objects.dec[a]
    moved = [np.clip(dec + by, -90, 90) for by in (AWAY, -AWAY)]
    return float(np.mean([tree.within(ra, to, objects.radius).sum() for to in moved]))
