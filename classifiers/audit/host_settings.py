"""Settings of an audit that are about its hosts: axes of the grid, the galaxies that are to be
searched, and files of measured PSFs."""

from __future__ import annotations

from dataclasses import field
from itertools import pairwise
from typing import Annotated

from pydantic import Field, model_validator

from data.config import settings

POOL = "pool"
"""What `target.table` calls the negatives of the run that passed every cut."""


@settings
class AxisSettings:
    """An axis of the grid. Give points for a parameter of the prior: they are the middles of bins
    in which it is drawn (a single point is held); edges, or the number of cells of about equally
    many hosts; or words. Numbers that are measured are sorted into edges afterwards."""

    column: str = ""
    """column of the manifest, parameter of the prior, or column of the injections, where it is not
    the name of the axis"""
    points: tuple[float, ...] = ()
    edges: tuple[float, ...] = ()
    cells: Annotated[int, Field(ge=0, le=100)] = 0
    words: tuple[str, ...] = ()
    label: str = ""
    unit: str = ""

    @model_validator(mode="after")
    def _one_form(self) -> AxisSettings:
        given = [k for k in ("points", "edges", "cells", "words") if getattr(self, k)]
        if len(given) > 1:
            raise ValueError(f"{' and '.join(given)}: give one of them")
        for key in ("points", "edges"):
            if any(b <= a for a, b in pairwise(getattr(self, key))):
                raise ValueError(f"{key}: {list(getattr(self, key))} must increase")
        if len(self.edges) == 1:
            raise ValueError("edges need two values or none")
        return self


@settings
class TargetSettings:
    """The galaxies that the finder is meant to search. Hosts are weighted to them, cell by cell."""

    table: str = ""
    """CSV or Parquet file with a row for each of these galaxies; `pool`: the negatives of this run
    that passed every cut; empty: hosts count as they were sampled"""
    axis: dict[str, AxisSettings] = field(default_factory=dict)
    """what cells are over, each with edges, cells (of equally many galaxies of the table) or words:
    `{type: {}, mag_z: {cells: 3}, psf_fwhm: {edges: [0.9, 1.3, 1.8]}}`. psf_fwhm, depth_m5 and
    mag_BAND are known from psfsize_, psfdepth_ and flux_; others are columns of the manifest"""
    columns: dict[str, str] = field(default_factory=dict)
    """name of an axis to the table's column, where they differ"""
    weight: str = ""
    """column of the table that says how many galaxies a row stands for; empty: one"""
    uncovered: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """share of the table that may lie in cells without a host; more is refused"""


@settings
class HostPsf:
    """The measured PSF of some hosts."""

    files: str | dict[str, str] = ""
    """file of the kernels in all bands (NPZ or FITS, axes band, row, column), or one file a band,
    by band or with {band} in its name: a FITS image, NPZ array or PsfEx model. LENSJAX_DATA at the
    start of a path stands for the folder that this environment variable names"""
    x: float | None = None
    """of PsfEx models: the pixel of the detector, along x, at which the hosts lie"""
    y: float | None = None
    """the same along y"""
    pixel_scale: Annotated[float, Field(gt=0, le=100)] | None = None
    """arcsec per pixel of the kernels; none: that of the hosts' stamps"""
    of: str = ""
    """where it was measured, if that is not on the hosts' own images: `an exposure of another
    field`; the report then says so"""

    @model_validator(mode="after")
    def _whole(self) -> HostPsf:
        if not self.files:
            raise ValueError("files: name the PSF's file or files")
        if (self.x is None) != (self.y is None):
            raise ValueError("x and y: give both or neither")
        return self
