"""How closely to look: the numbers of cells and rays, which are known before a scene is.

Shapes of compiled functions cannot depend on the values of a scene. They depend on the pixels, on
the PSF's width (where it is a number and not traced), and on `Bounds` that hold for all scenes that
will be rendered. Without bounds a plan is made for the whole domain.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from lensjax.errors import InputError
from lensjax.field import Field
from lensjax.grid import PixelGrid


@dataclass(frozen=True)
class Bounds:
    """What holds for all scenes and PSFs of a compiled function. theta_e (arcsec): largest Einstein
    radius, all lenses of a scene together. fwhm (arcsec): smallest and largest width of the PSF;
    None: any, which costs a second form of the function if the PSF is traced."""

    theta_e: float = 6.0
    fwhm: tuple[float, float] | None = None

    def __post_init__(self):
        if not 0 <= self.theta_e < math.inf:
            raise InputError(
                f"Bounds theta_e = {self.theta_e}: give an angle in arcsec, at least 0"
            )
        if self.fwhm is not None and not 0 < self.fwhm[0] <= self.fwhm[1] < math.inf:
            raise InputError(
                f"Bounds fwhm = {self.fwhm}: give (smallest, largest) in arcsec, above 0"
            )


@dataclass(frozen=True)
class Plan:
    """How many blocks and pixels are looked at more closely; rounds: how often the `split` neediest
    cells are replaced by their parts; rule: lines, and rays on each, in such a cell."""

    blocks: int
    pixels: int
    rounds: int
    split: int
    rule: tuple[int, int]

    @property
    def _cells(self) -> int:
        return self.pixels + 4 * self.rounds * self.split

    def traced(self, field: Field) -> int:
        """Places where the lenses are worked out for an image."""
        return 5 * field.across**2 + 36 * self.blocks + 17 * self._cells

    def seen(self, field: Field) -> int:
        """Places where the light is."""
        lines, rays = self.rule
        return 5 * field.across**2 + 36 * self.blocks + lines * rays * self._cells


_LEVELS: dict[float, tuple[float, int]] = {1e-2: (1.1, 3), 1e-3: (2.2, 4), 5e-4: (3.3, 6)}
"""For each tolerance: pixels of the second level for a pixel of an Einstein ring's length, and
rounds."""


@dataclass(frozen=True)
class _Care:
    """What one kind of light needs. rule: as that of `Plan`; split, pixels: factors to the numbers
    of cells that are split and of pixels that are looked at more closely; rounds: how many more."""

    rule: tuple[int, int] = (4, 6)
    split: float = 1.0
    pixels: float = 1.0
    rounds: int = 0


_PLAIN = _Care()

# A ring of a steep galaxy passes many cells obliquely. What a line sees of it ends where the ring
# leaves the cell, so that lines are as important as the rays on each.
_CUSPED = _Care((7, 8), split=4, pixels=1.5, rounds=1)

_TEXTURED = _Care(split=4, rounds=4)

TOLERANCES = tuple(_LEVELS)

UNIFORM = {"4x4": 4, "8x8": 8}
"""The fixed rules of earlier simulations, by name: for comparison with them, not for use."""


def tolerance(tol: float | str) -> float | int:
    """The tolerance provided that meets what is asked for, or the rays per pixel and axis of a
    fixed rule. Raises InputError."""
    if isinstance(tol, str):
        if tol not in UNIFORM:
            raise InputError(f"render tol = {tol!r}: give a number or one of {', '.join(UNIFORM)}")
        return UNIFORM[tol]
    usable = [t for t in _LEVELS if t <= float(tol) * (1 + 1e-9)]
    if not usable:
        raise InputError(f"render tol = {tol}: the smallest tolerance provided is {min(_LEVELS)}")
    return max(usable)


def plan(
    tol: float, field: Field, bounds: Bounds, cusped: bool = False, textured: bool = False
) -> Plan:
    """Enough cells for a ring of the largest Einstein radius, or as much of it as the field
    holds. cusped, textured: as those of `Light`."""
    care = _TEXTURED if textured else _CUSPED if cusped else _PLAIN
    per_pixel, rounds = _LEVELS[tol]
    ring = 2 * math.pi * min(bounds.theta_e / field.grid.scale, 0.55 * field.grid.size)
    smooth = (_GALAXY / field.grid.scale) ** 2
    split = _vectors(care.split * (8 + ring / 12))
    return Plan(
        blocks=min(_vectors(48 + 1.5 * (ring + smooth)), field.across**2),
        pixels=4 * split * math.ceil((24 + care.pixels * per_pixel * ring) / (4 * split)),
        rounds=rounds + max(care.rounds, int(ring > _LONG)),
        split=split,
        rule=care.rule,
    )


_LONG = 90
"""Pixels along a ring. `Bounds` of the whole domain allow longer ones at every pixel scale, and
scenes are then of many kinds. One more round brings those above the tolerance from 16 to 7 of 1,221
(benchmarks/errors.py). The priors of surveys have shorter rings, and save the time."""

_GALAXY = 0.5
"""Half-light radius (arcsec) of a large source: all of its pixels are looked at."""


def _vectors(count: float) -> int:
    """The next multiple of what a processor's vector instructions hold, which takes half the time
    of other numbers."""
    return 16 * math.ceil(count / 16)


WIDEST = 2.0
"""FWHM (arcsec) that a traced PSF may have without bounds, or WIDEST_PIXELS if that is more."""

WIDEST_PIXELS = 8.0

NARROWEST = 1.5
"""Pixels of the narrowest PSF's FWHM."""

_MARGINS = (8, 11, 14, 17, 20, 26, 32, 48, 64, 96, 128)


def fields(psf: Any, grid: PixelGrid, bounds: Bounds) -> tuple[Field, ...]:
    """The pixels that light is put on: one field if the PSF's width is known, else two, for a wide
    and for a narrow one."""
    if not hasattr(psf, "own_pixels_from"):
        step = getattr(psf, "oversampling", 1)
        half = getattr(psf, "half_width", None)
        wide = _widest(grid) / grid.scale if half is None else 1e9
        margin = math.ceil(min(1.3 * wide, half if half is not None else 1e9) * step)
        return (Field(grid, step, _margin(min(margin, _MARGINS[-1]))),)
    if not isinstance(psf.fwhm, jax.core.Tracer):
        widths = np.asarray(psf.fwhm)
        known = float(widths.min()), float(widths.max())
    elif bounds.fwhm is not None:
        known = bounds.fwhm
    else:
        return _field(psf, grid, (math.inf, _widest(grid))), _field(psf, grid, (0.0, 0.0))
    return (_field(psf, grid, known),)


def _widest(grid: PixelGrid) -> float:
    return max(WIDEST, WIDEST_PIXELS * grid.scale)


def _field(psf: Any, grid: PixelGrid, fwhm: tuple[float, float]) -> Field:
    least, most = fwhm
    step = 1 if least >= psf.own_pixels_from * grid.scale else 2
    most = max(most, psf.own_pixels_from * grid.scale)
    return Field(grid, step, _margin(math.ceil(psf.margin * most / grid.scale * step)))


def _margin(least: int) -> int:
    return next((m for m in _MARGINS if m >= least), _MARGINS[-1])
