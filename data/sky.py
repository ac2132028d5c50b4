"""Positions on the sky: unit vectors, the nearest of many, and all within a radius.

Distances are taken between unit vectors, so there is nothing special at RA 0, at RA 360 and at the
poles. All matching of positions in this project is done here.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int

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

    def pairs(
        self, ra: Float[np.ndarray, " m"], dec: Float[np.ndarray, " m"], radius: float
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Every (position, tree position) pair within the radius: their indices and separation."""
        if self._tree is None or len(ra) == 0:
            return np.empty(0, int), np.empty(0, int), np.empty(0)
        vectors = unit_vectors(ra, dec)
        lists = self._tree.query_ball_point(vectors, chord(radius))
        one = np.repeat(np.arange(len(vectors)), [len(found) for found in lists])
        other = (
            np.concatenate([np.asarray(sorted(found), int) for found in lists])
            if len(one)
            else np.empty(0, int)
        )
        return one, other, angle(np.linalg.norm(vectors[one] - self._tree.data[other], axis=1))
