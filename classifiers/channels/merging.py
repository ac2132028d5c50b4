"""Entries of several lists that are one object.

Astropy's nearest neighbour depends on which list is asked for which, and leaves the second entry of
a pair without a partner. As TOPCAT's matching of groups does, entries within the radius of one
another are linked, and entries that a chain of links connects are one object, whatever the order of
the lists. What this may join wrongly is reported: an object with several entries of one list, and
an object wider than the radius, whose ends were linked by what lies between them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int

from classifiers.channels.lists import Channel
from data.lenses import ROUNDING
from data.sky import SkyTree, separation
from lensjax.errors import InputError

RADIUS = 3.0
"""arcsec"""


@dataclass(frozen=True)
class Merged:
    """Objects of several lists. names: the channels. ra, dec (n,): of each object's first entry, in
    degrees. entries (n, channels): how often each channel has it. width (n,): largest separation
    of its entries, arcsec. radius: that by which they were merged, arcsec."""

    names: tuple[str, ...]
    ra: Float[np.ndarray, " n"]
    dec: Float[np.ndarray, " n"]
    entries: Int[np.ndarray, "n c"]
    width: Float[np.ndarray, " n"]
    radius: float

    def __len__(self) -> int:
        return len(self.ra)

    @property
    def inside(self) -> Bool[np.ndarray, "n c"]:
        """Which channels have each object."""
        return self.entries > 0

    def table(self) -> pd.DataFrame:
        """A row for each object: ra, dec, width, channels (their names, joined by " + "), one
        column of 0 or 1 for each channel."""
        text = [" + ".join(np.array(self.names)[row]) for row in self.inside]
        found = pd.DataFrame({"ra": self.ra, "dec": self.dec, "width": self.width})
        found["channels"] = text
        flags = pd.DataFrame(self.inside.astype(int), columns=list(self.names))
        return pd.concat([found, flags], axis=1)

    def doubtful(self) -> pd.DataFrame:
        """Objects that may be several, or of which a list has one twice: ra, dec, width, why."""
        rows = []
        for i in np.flatnonzero((self.entries > 1).any(axis=1) | (self.width > self._limit)):
            several = np.flatnonzero(self.entries[i] > 1)
            twice = [f"{self.names[c]} has {self.entries[i, c]}" for c in several]
            why = [f"{', '.join(twice)} entries"] if twice else []
            why += ["wider than the radius"] if self.width[i] > self._limit else []
            row = {"ra": self.ra[i], "dec": self.dec[i], "width": self.width[i]}
            rows.append({**row, "why": "; ".join(why)})
        return pd.DataFrame(rows, columns=["ra", "dec", "width", "why"])

    @property
    def _limit(self) -> float:
        return self.radius + ROUNDING


def merged(channels: Sequence[Channel], radius: float = RADIUS) -> Merged:
    """Objects of the channels, in the order in which their first entries stand in the lists.
    radius: arcsec. Raises InputError for a radius that is not between 0 and 600."""
    if not 0 < radius <= 600:
        raise InputError(f"radius is {radius} arcsec; it lies between 0 and 600")
    ra, dec = (np.concatenate([getattr(c, n) for c in channels]) for n in ("ra", "dec"))
    own = np.repeat(np.arange(len(channels)), [len(c) for c in channels])
    place, first = grouped(ra, dec, radius)
    entries = np.zeros((len(first), len(channels)), int)
    np.add.at(entries, (place, own), 1)
    names = tuple(c.name for c in channels)
    width = _widths(ra, dec, place, len(first))
    return Merged(names, ra[first], dec[first], entries, width, radius)


def grouped(
    ra: Float[np.ndarray, " m"], dec: Float[np.ndarray, " m"], radius: float
) -> tuple[Int[np.ndarray, " m"], Int[np.ndarray, " n"]]:
    """The object of each position (degrees), counted from 0 in the order of their first ones, and
    the place of each object's first one: positions that chains of steps of at most `radius`
    (arcsec) connect are one object."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    one, other, _ = SkyTree(ra, dec).pairs(ra, dec, radius + ROUNDING)
    graph = coo_array((np.ones(len(one), bool), (one, other)), shape=(len(ra), len(ra)))
    number = connected_components(graph, directed=False)[1]
    _, first, place = np.unique(number, return_index=True, return_inverse=True)
    order = np.argsort(first)
    rank = np.empty(len(first), int)
    rank[order] = np.arange(len(first))
    return rank[place], first[order]


def _widths(
    ra: Float[np.ndarray, " m"], dec: Float[np.ndarray, " m"], place: Int[np.ndarray, " m"], n: int
) -> Float[np.ndarray, " n"]:
    """Largest separation (arcsec) of the entries of each object."""
    width = np.zeros(n)
    order = np.argsort(place, kind="stable")
    starts = np.searchsorted(place[order], np.arange(n + 1))
    pairs = [
        (i, *pair)
        for i in np.flatnonzero(np.diff(starts) > 1)
        for pair in combinations(order[starts[i] : starts[i + 1]], 2)
    ]
    if pairs:
        i, a, b = np.array(pairs).T
        np.maximum.at(width, i, separation(ra[a], dec[a], ra[b], dec[b]))
    return width
