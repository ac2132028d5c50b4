"""Maps of observing conditions on the sky: PSF width, depth, exposures and E(B-V) where a survey
has galaxies.

A map is a partial HEALPix map (NESTED) in the format of healsparse, one FITS file each, so that
maps of others, as decasu makes them, can stand in for ours. The value of a pixel is the mean over
the galaxies of a catalogue in it, and the map `galaxies` has their number. The footprint, which is
also written as a MOC, consists of the pixels with at least one galaxy. The header says what a map
holds (WHAT), its unit (UNIT) and survey (SURVEY); AXIS names the axis of a selection function that
the map gives values of.

    maps = SkyMaps.load("runs/mine/maps")
    maps["psf_fwhm"].at(ra, dec)            # arcsec; NaN outside of the footprint
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from data.files import replacing
from data.photometry import depth_m5
from data.survey import Survey
from lensjax.errors import InputError, said

if TYPE_CHECKING:
    import pandas as pd

ENDING = ".hsp"
COVERAGE = 32
"""Nside of the coarse map that says which parts of the sky a file holds."""
GALAXIES = "galaxies"
FOOTPRINT = "footprint.moc.fits"
"""where there is a galaxy, as a multi-order coverage map, which other tools read"""


@dataclass(frozen=True)
class SkyMap:
    """A map in a file, read when it is first asked. path: of a healsparse file of one value a
    pixel."""

    path: Path

    @cached_property
    def _read(self) -> Any:
        import healsparse

        try:
            found = healsparse.HealSparseMap.read(str(self.path))
        except Exception as error:  # readers of several libraries stand behind it
            raise InputError(
                f"{self.path}: cannot be read as a healsparse map ({said(error, 120)})"
            ) from None
        if found.is_rec_array or found.is_wide_mask_map:
            raise InputError(f"{self.path}: a map of several values; give one of one value a pixel")
        return found

    @property
    def about(self) -> dict[str, Any]:
        """What the file's header says."""
        return {str(k): v for k, v in dict(self._read.metadata or {}).items()}

    @property
    def axis(self) -> str:
        """Name of the axis that it gives values of; empty where it is none."""
        return str(self.about.get("AXIS", ""))

    def at(self, ra: Any, dec: Any) -> Float[np.ndarray, "*n"]:
        """Values at positions (degrees, shapes that broadcast); NaN outside of the footprint.
        Raises InputError for what is no position."""
        ra, dec = positions(ra, dec)
        found = self._read.get_values_pos(np.ravel(ra), np.ravel(dec), lonlat=True)
        found = np.where(found == self._read.sentinel, np.nan, found).astype(np.float64)
        return found.reshape(ra.shape)


class SkyMaps(Mapping[str, SkyMap]):
    """Maps by the axis that they give values of, or by name where they are of none."""

    def __init__(self, maps: Mapping[str, SkyMap]):
        self._maps = dict(maps)

    def __getitem__(self, name: str) -> SkyMap:
        return self._maps[name]

    def __iter__(self) -> Any:
        return iter(self._maps)

    def __len__(self) -> int:
        return len(self._maps)

    @classmethod
    def load(cls, source: str | Path | Mapping[str, str | Path]) -> SkyMaps:
        """Those of a folder or of a run directory; or files by the name of their axis. Raises
        InputError where there are none."""
        if isinstance(source, Mapping):
            return cls({str(name): SkyMap(_file(path)) for name, path in source.items()})
        folders = [Path(source), Path(source) / "maps"]
        files = next((f for d in folders if (f := sorted(d.glob(f"*{ENDING}")))), [])
        if not files:
            raise InputError(
                f"{source}: no maps of the sky (*{ENDING}); run `lensjax survey`, which makes them"
            )
        maps = [SkyMap(path) for path in files]
        return cls({m.axis or m.path.stem: m for m in maps})


def _file(path: str | Path) -> Path:
    if not Path(path).is_file():
        raise InputError(f"{path}: no such map of the sky")
    return Path(path)


def positions(ra: Any, dec: Any) -> tuple[np.ndarray, np.ndarray]:
    """Positions (degrees) as arrays of one shape. Raises InputError for NaN, a declination beyond
    the poles and shapes that do not broadcast."""
    try:
        ra, dec = np.broadcast_arrays(np.asarray(ra, np.float64), np.asarray(dec, np.float64))
    except (TypeError, ValueError) as error:
        raise InputError(f"ra and dec: {said(error)}") from None
    if not (np.isfinite(ra).all() and np.isfinite(dec).all()):
        raise InputError("ra or dec is not finite: leave such positions out")
    if (np.abs(dec) > 90).any():
        raise InputError(
            f"dec is {dec[np.abs(dec) > 90].ravel()[0]:g}: it is from -90 to 90 degrees"
        )
    return ra, dec


def quantities(survey: Survey) -> dict[str, tuple[str, str, str, str]]:
    """Name of each map: the column that it is made of, unit, axis and meaning."""
    found = {}
    for band in survey.bands:
        own = band == survey.reference
        for name, column, unit, words in (
            ("psf_fwhm", "psfsize", "arcsec", "mean PSF FWHM"),
            ("depth_m5", "psfdepth", "mag", "mean 5-sigma depth of a point source (AB)"),
        ):
            axis = name if own else ""
            found[f"{name}_{band}"] = (f"{column}_{band}", unit, axis, f"{words} in {band}")
        found[f"nobs_{band}"] = (f"nobs_{band}", "", "", f"mean number of exposures in {band}")
    found["ebv"] = ("ebv", "mag", "ebv", "mean E(B-V)")
    return found


def sums(table: Mapping[str, Any], survey: Survey, nside: int) -> pd.DataFrame:
    """For each pixel with a galaxy, in order: `pixel`, `galaxies`, and for every quantity the sum
    of its values and how many are known (`<name>_sum`, `<name>_n`).

    table: columns of a catalogue, ra and dec in degrees, psfsize in arcsec, psfdepth in
    nanomaggy^-2; those that it lacks are unknown. A PSF or depth of 0 or less is unknown too.
    """
    import healpy
    import pandas as pd

    ra, dec = (np.asarray(table[name], np.float64) for name in ("ra", "dec"))
    pixel = healpy.ang2pix(nside, ra, dec, nest=True, lonlat=True)
    names, place = np.unique(pixel, return_inverse=True)
    total = lambda values: np.bincount(place, values, len(names))
    made = {"pixel": names.astype(np.int64), GALAXIES: total(np.ones(len(ra))).astype(np.int64)}
    for name, (column, *_) in quantities(survey).items():
        values = np.full(len(ra), np.nan)
        if column in table:
            values = np.asarray(table[column], np.float64)
        if column.startswith(("psfsize", "psfdepth")):
            values = np.where(values > 0, values, np.nan)
        if column.startswith("psfdepth"):
            values = depth_m5(values)
        known = np.isfinite(values)
        made[f"{name}_sum"] = total(np.where(known, values, 0.0))
        made[f"{name}_n"] = total(known.astype(np.float64)).astype(np.int64)
    return pd.DataFrame(made)


def coarser(found: pd.DataFrame, nside: int, to: int) -> pd.DataFrame:
    """The `sums` of pixels of nside for those of a smaller one. Raises ValueError for a larger."""
    if to > nside:
        raise ValueError(f"sums of nside {nside} cannot be had for nside {to}")
    larger = np.asarray(found["pixel"]) >> 2 * (nside.bit_length() - to.bit_length())
    return found.assign(pixel=larger).groupby("pixel", as_index=False).sum()


def write(folder: Path, parts: Sequence[pd.DataFrame], survey: Survey, nside: int) -> list[Path]:
    """Writes the map of every quantity that is known somewhere, and the number of galaxies, from
    the `sums` of parts of the catalogue; returns the files. The same parts give the same bytes
    (files are not compressed, since compressed ones differ from time to time)."""
    import pandas as pd

    every = pd.concat(parts).groupby("pixel").sum()
    pixel = every.index.to_numpy()
    counts = every[GALAXIES].to_numpy()
    made = {GALAXIES: (pixel, counts.astype(np.int32), "", "", "galaxies of the catalogue")}
    for name, (_, unit, axis, words) in quantities(survey).items():
        n = every[f"{name}_n"].to_numpy()
        mean = every[f"{name}_sum"].to_numpy()[n > 0] / n[n > 0]
        if len(mean):
            made[name] = (pixel[n > 0], mean.astype(np.float32), unit, axis, words)
    files = [
        _write(folder / f"{name}{ENDING}", pixels, values, nside, survey, unit, axis, words)
        for name, (pixels, values, unit, axis, words) in made.items()
    ]
    return files + _write_footprint(folder / FOOTPRINT, pixel, nside)


def _write_footprint(path: Path, pixels: np.ndarray, nside: int) -> list[Path]:
    """The pixels as a MOC (IVOA MOC 2.0); no file where there are none."""
    import healsparse

    path.unlink(missing_ok=True)
    if not len(pixels):
        return []
    found = healsparse.HealSparseMap.make_empty(min(COVERAGE, nside), nside, np.uint8, sentinel=0)
    found.update_values_pix(pixels, np.ones(len(pixels), np.uint8))
    with replacing(path) as temporary:
        found.write_moc(str(temporary), clobber=True)
    return [path]


def _write(
    path: Path,
    pixels: np.ndarray,
    values: np.ndarray,
    nside: int,
    survey: Survey,
    unit: str,
    axis: str,
    words: str,
) -> Path:
    """One map; the number of galaxies is an integer, which is 0 outside of the footprint."""
    import healsparse

    nothing = 0 if values.dtype.kind == "i" else None
    found = healsparse.HealSparseMap.make_empty(
        min(COVERAGE, nside), nside, values.dtype, sentinel=nothing
    )
    if len(pixels):
        found.update_values_pix(pixels, values)
    about = {"WHAT": words, "UNIT": unit, "SURVEY": survey.name, "REFBAND": survey.reference}
    found.metadata = about | ({"AXIS": axis} if axis else {})
    with replacing(path) as temporary:
        found.write(str(temporary), nocompress=True)
    return path
