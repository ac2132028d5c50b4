"""The cells of a selection function: Einstein radius x PSF FWHM x depth.

Einstein radii are points; PSF and depth are bins given by their edges, named by their centres. A cell is half-open, lo <= value < hi.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from jaxtyping import Bool, Float, UInt32


@dataclass(frozen=True)
class Site:
    """One observing condition: PSF FWHM (r, arcsec) and 5 sigma depth (r, AB mag) between edges. Its number is its place in the grid."""

    number: int
    psf: tuple[float, float]
    depth: tuple[float, float]

    @property
    def psf_fwhm(self) -> float:
        return round(sum(self.psf) / 2, 4)

    @property
    def depth_m5(self) -> float:
        return round(sum(self.depth) / 2, 4)

    def holds(
        self, psf: Float[np.ndarray, " n"], depth: Float[np.ndarray, " n"]
    ) -> Bool[np.ndarray, " n"]:
        """Which hosts have their own conditions in this cell."""
        return (
            (psf >= self.psf[0])
            & (psf < self.psf[1])
            & (depth >= self.depth[0])
            & (depth < self.depth[1])
        )


@dataclass(frozen=True)
class Axes:
    """theta_e: points, arcsec · psf_edges: arcsec · depth_edges: AB mag; increasing."""

    theta_e: tuple[float, ...]
    psf_edges: tuple[float, ...]
    depth_edges: tuple[float, ...]

    def sites(self) -> Iterator[Site]:
        """Every observing condition; PSF is the outer loop."""
        number = 0
        for psf in pairwise(self.psf_edges):
            for depth in pairwise(self.depth_edges):
                yield Site(number, psf, depth)
                number += 1

    def cells(self) -> int:
        """Cells of the whole grid."""
        return len(self.theta_e) * (len(self.psf_edges) - 1) * (len(self.depth_edges) - 1)


def key_data(
    host: str, theta_e: float, site: Site, index: int, seed: int
) -> UInt32[np.ndarray, " 2"]:
    """Random key of one injection from its name: SHA-256 of host, cell, index and seed, so that order and batching do not matter."""
    name = f"{host}|{theta_e:.6g}|{site.psf_fwhm:.6g}|{site.depth_m5:.6g}|{index}|{seed}"
    return np.frombuffer(hashlib.sha256(name.encode()).digest()[:8], dtype=">u4").astype(np.uint32)
