"""Positions on the sky: unit vectors, the nearest of many, and all within a radius.

Distances are taken between unit vectors, so there is nothing special at RA 0, at RA 360 and at the
poles. All matching of positions in this project is done here.
"""

from __future__ import annotations

from itertools import product

import numpy as np
from jaxtyping import Bool, Float, Int

ARCSEC = np.pi / 180.0 / 3600.0
"""one arcsec in radians"""


def unit_vectors(
    ra: Float[np.ndarray, " n"], dec: Float[np.ndarray, " n"]
) -> Float[np.ndarray, "n 3"]:
    """Unit vectors of positions in degrees."""
    a, d = np.radians(np.asarray(ra, np.float64)), np.radians(np.asarray(dec, np.float64))
    return np.stack([np.cos(d) * np.cos(a), np.cos(d) * np.sin(a), np.sin(d)], axis=-1)


def chord(arcsec: float) -> float:
    """Length of the chord that spans an angle on the unit sphere, 2 sin(angle / 2)."""
    return float(2.0 * np.sin(0.5 * arcsec * ARCSEC))


def angle(chords: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """Angles (arcsec) of chords on the unit sphere."""
    return 2.0 * np.arcsin(np.minimum(np.asarray(chords) / 2.0, 1.0)) / ARCSEC


def separation(
    ra: Float[np.ndarray, " n"],
    dec: Float[np.ndarray, " n"],
    other_ra: Float[np.ndarray, " n"],
    other_dec: Float[np.ndarray, " n"],
) -> Float[np.ndarray, " n"]:
    """Angles (arcsec) between positions in degrees, pair by pair."""
    apart = unit_vectors(ra, dec) - unit_vectors(other_ra, other_dec)
    return angle(np.linalg.norm(apart, axis=-1))


def galactic_latitude(
    ra: Float[np.ndarray, " n"], dec: Float[np.ndarray, " n"]
) -> Float[np.ndarray, " n"]:
    """Galactic latitude (degrees) of ICRS positions in degrees, by astropy."""
    from astropy.coordinates import SkyCoord

    return np.asarray(SkyCoord(ra, dec, unit="deg").galactic.b.deg, np.float64)


class SkyTree:
    """KD-tree over positions in degrees. Angles in and out are arcsec."""

    def __init__(self, ra: Float[np.ndarray, " n"], dec: Float[np.ndarray, " n"]):
        from scipy.spatial import cKDTree

        self.size = len(ra)
        self._tree = cKDTree(unit_vectors(ra, dec)) if self.size else None

    def nearest(
        self, ra: Float[np.ndarray, " m"], dec: Float[np.ndarray, " m"]
    ) -> tuple[Int[np.ndarray, " m"], Float[np.ndarray, " m"]]:
        """Index of the nearest tree position and its separation; -1 and infinity in an empty
        tree."""
        if self._tree is None or len(ra) == 0:
            return np.full(len(ra), -1), np.full(len(ra), np.inf)
        distance, index = self._tree.query(unit_vectors(ra, dec))
        return index, angle(distance)

    def separation(
        self, ra: Float[np.ndarray, " m"], dec: Float[np.ndarray, " m"]
    ) -> Float[np.ndarray, " m"]:
        """Separation from the nearest tree position."""
        return self.nearest(ra, dec)[1]

    def within(
        self, ra: Float[np.ndarray, " m"], dec: Float[np.ndarray, " m"], radius: float
    ) -> Bool[np.ndarray, " m"]:
        """Whether a tree position is at most `radius` away. As `separation(...) <= radius`, and
        much quicker where most positions are farther."""
        if self._tree is None or len(ra) == 0:
            return np.zeros(len(ra), bool)
        bound = chord(radius) * (1 + 1e-6) + 1e-12
        distance, _ = self._tree.query(unit_vectors(ra, dec), distance_upper_bound=bound)
        return angle(distance) <= radius

    def pairs(
        self, ra: Float[np.ndarray, " m"], dec: Float[np.ndarray, " m"], radius: float
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Every (position, tree position) pair within the radius: their indices and separation."""
        if self._tree is None or len(ra) == 0:
            return np.empty(0, int), np.empty(0, int), np.empty(0)
        from scipy.spatial import cKDTree

        asked = cKDTree(unit_vectors(ra, dec))
        near = asked.sparse_distance_matrix(self._tree, chord(radius), output_type="ndarray")
        order = np.lexsort((near["j"], near["i"]))
        return near["i"][order], near["j"][order], angle(near["v"][order])


class Sieve:
    """Tells quickly which positions may be near one of many.

    Space is cut into cubes with a side of the radius. The cubes around each of the many are marked
    in a table by a hash, so that two cubes that share a place let a few more through. The table has
    at most 64 MiB.
    """

    def __init__(self, of: Float[np.ndarray, "m 3"], radius: float):
        """of: unit vectors of the many. radius: arcsec."""
        self._side = chord(radius) * (1 + 1e-6) + 1e-12
        size = 1 << min(max(16, (27 * 4 * max(len(of), 1) - 1).bit_length()), 26)
        self._marked = np.zeros(size, bool)
        x, y, z = self._cubes(of)
        for dx, dy, dz in product((-1, 0, 1), repeat=3):
            self._marked[self._place(x + dx, y + dy, z + dz)] = True

    def passes(
        self, ra: Float[np.ndarray, " n"], dec: Float[np.ndarray, " n"]
    ) -> Bool[np.ndarray, " n"]:
        """False only for positions that are farther than the radius from every one of the many."""
        return self._marked[self._place(*self._cubes(unit_vectors(ra, dec)))]

    def _cubes(self, vectors: Float[np.ndarray, "n 3"]) -> Int[np.ndarray, "3 n"]:
        return np.floor(vectors / self._side).astype(np.int64).T

    def _place(
        self, x: Int[np.ndarray, " n"], y: Int[np.ndarray, " n"], z: Int[np.ndarray, " n"]
    ) -> Int[np.ndarray, " n"]:
        """Places of cubes in the table; the primes are those of Teschner et al. 2003."""
        return ((x * 73856093) ^ (y * 19349663) ^ (z * 83492791)) & (len(self._marked) - 1)
