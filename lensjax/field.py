"""The pixels that light is put on before the PSF: those of the stamp, or pixels of half the side,
and some of the sky around the stamp."""

from __future__ import annotations

from dataclasses import dataclass

from lensjax.grid import PixelGrid
from lensjax.spline import HALF

BLOCK = 3
"""Pixels on a side of the coarsest cells."""


@dataclass(frozen=True)
class Field:
    """stamp: the image's pixels. step: 1, or 2 where half pixels are needed to hold a narrow PSF.
    margin: pixels of `grid` around the stamp whose light may scatter into it."""

    stamp: PixelGrid
    step: int = 1
    margin: int = 8

    @property
    def grid(self) -> PixelGrid:
        """Every step-th of its pixels has the centre of a pixel of the stamp."""
        return PixelGrid((self.stamp.size - 1) * self.step + 1, self.stamp.scale / self.step)

    @property
    def across(self) -> int:
        """Blocks on a side."""
        return -(-(self.grid.size + 2 * self.margin) // BLOCK)

    @property
    def side(self) -> int:
        """Pixels on a side of the coefficients' grid: the blocks, and HALF more at every edge."""
        return self.across * BLOCK + 2 * HALF

    @property
    def first(self) -> int:
        """Index of the stamp's first pixel in it."""
        return (self.across * BLOCK - self.grid.size) // 2 + HALF
