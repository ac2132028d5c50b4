"""Measured PSFs for hosts that come without one: from the files that the settings name, into the
manifest's columns.

Kernels are normalised and written to audit/psf/ of the run directory, so that an injection can be
made again from there, and the FWHM of the hosts becomes that of their kernels.
"""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from classifiers.audit import kernels, psfshape
from classifiers.audit.host_settings import HostPsf
from classifiers.audit.hosts import KERNEL, MEASURED_ON
from data.config import external
from data.files import replacing
from data.survey import Survey
from lensjax.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

FOLDER = "audit/psf"
"""Where kernels are kept, relative to the run directory."""
SAME = 0.005
"""Relative difference of pixel scales up to which kernel and stamp have the same pixels."""


def files(psfs: Mapping[str, HostPsf], survey: Survey) -> list[Path]:
    """All files that the settings name."""
    return [path for key, psf in psfs.items() for path in _paths(key, psf, survey)]


def _paths(key: str, psf: HostPsf, survey: Survey) -> list[Path]:
    where, given = f"audit.psf_files.{key}", psf.files
    if isinstance(given, dict):
        if missing := [b for b in survey.bands if b not in given]:
            raise InputError(f"{where}.files: no file for band {missing[0]}; add it")
        return [external(given[band], where) for band in survey.bands]
    if "{band}" in given:
        return [external(given.replace("{band}", band), where) for band in survey.bands]
    return [external(given, where)]


def with_kernels(
    manifest: pd.DataFrame, psfs: Mapping[str, HostPsf], out: Path, survey: Survey
) -> pd.DataFrame:
    """The manifest with columns `psf_path`, `psfsize_` (arcsec) and `psf_measured_on` for the
    objects whose id one of the settings' patterns matches, the first that does; and the kernels'
    files under `out`.

    Raises InputError, naming the key, for files that hold no PSF, for kernels of other pixels than
    the stamps', and for a pattern that no object has.
    """
    if not psfs:
        return manifest
    ids = manifest["galaxy_id"].astype(str)
    table = manifest.copy()
    for name in (KERNEL, MEASURED_ON):
        if name not in table:
            table[name] = None
        table[name] = table[name].astype(object)
    free = np.ones(len(ids), bool)
    for key, psf in psfs.items():
        own = free & np.array([fnmatchcase(i, key) for i in ids], bool)
        if not own.any():
            raise InputError(
                f"audit.psf_files.{key}: no object of the manifest has such an id; ids are, for "
                f"example, {ids.iloc[0] if len(ids) else 'none'}"
            )
        free &= ~own
        scales = table.loc[own, "pixel_scale"] if "pixel_scale" in table else None
        scale = _scale(key, psf, scales, survey)
        path, fwhm = _kept(key, psf, out, survey, scale)
        table.loc[own, KERNEL] = path
        table.loc[own, MEASURED_ON] = psf.of
        for band, width in zip(survey.bands, fwhm):
            table.loc[own, f"psfsize_{band}"] = width
    return table


def _scale(key: str, psf: HostPsf, scales: pd.Series | None, survey: Survey) -> float:
    """Pixel scale of the stamps, which has to be that of the kernels."""
    found = np.full(1, survey.pixel_scale) if scales is None else scales.to_numpy(np.float64)
    found = np.where(np.isfinite(found), found, survey.pixel_scale)
    wanted = float(found[0]) if psf.pixel_scale is None else psf.pixel_scale
    wrong = np.abs(found / wanted - 1) > SAME
    if wrong.any():
        raise InputError(
            f'audit.psf_files.{key}: kernels of {wanted:g}" pixels for stamps of '
            f"{found[wrong][0]:g}\" pixels; give kernels that are sampled at the stamps' pixels"
        )
    return float(np.median(found))


def _kept(
    key: str, psf: HostPsf, out: Path, survey: Survey, scale: float
) -> tuple[str, Float[np.ndarray, " b"]]:
    """Writes the normalised kernels; returns their file, relative to `out`, and FWHM (arcsec)."""
    where, paths = f"audit.psf_files.{key}", _paths(key, psf, survey)
    at = None if psf.x is None or psf.y is None else (psf.x, psf.y)
    if isinstance(psf.files, dict) or "{band}" in psf.files:
        kernel = kernels.of_bands(paths, at, where, f"give {where}.x and .y")
    else:
        kernel = kernels.read(paths[0], len(survey.bands))
    kernel = kernel / kernel.sum((1, 2), keepdims=True, dtype=np.float64)
    kernel = kernel.astype(np.float32)
    fwhm = np.array([psfshape.fwhm(image) * scale for image in kernel])
    name = f"{FOLDER}/{sha256(kernel.tobytes()).hexdigest()[:16]}.npz"
    with replacing(out / name) as temporary, open(temporary, "wb") as handle:
        np.savez(handle, kernel=kernel)
    return name, np.round(fwhm, 4)


def unsaid(columns: Mapping[str, np.ndarray], hosts: int) -> list[str]:
    """What a PSF that was not measured on the hosts cannot support."""
    told = columns.get(MEASURED_ON)
    if told is None:
        return []
    words = []
    for of in sorted({str(v) for v in told if v}):
        n = sum(v == of for v in told)
        words.append(
            f"The PSF of {n} of {hosts} hosts is a measured one, but of {of}: that of the hosts' "
            "own images is not known, so nothing is said of how completeness depends on it."
        )
    return words
