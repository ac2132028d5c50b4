"""The pixels of one object from files that somebody else made, as a cutout of this project.

They are an NPZ file (one of ours, or plain arrays), a FITS cube, or one FITS file a band. Which
channel is which band is said by the file where it says anything (BANDS, FILTER, names of arrays);
else the order is the survey's, and the cutout's metadata note that no file confirmed it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float32

from data import provenance, wcs
from data.coadds import plane_bands, read_image, with_nan
from data.columns import as_column
from data.cutouts import LARGEST_SIDE, PIPELINE_VERSION, read_arrays, read_npz
from data.names import inside
from data.quality import measured, rejected
from data.survey import Survey
from lensjax.errors import InputError
from lensjax.units import ZERO_POINT

if TYPE_CHECKING:
    from data.folder import Folder


def read_stamp(
    folder: str | Path, row: Mapping[str, Any], s: Folder, survey: Survey, size: int
) -> tuple[Float32[np.ndarray, "h w b"], dict[str, Any]]:
    """Pixels (size, size, bands) in nanomaggies of a row of `read_table` or of the sample, and the
    metadata of its cutout.

    Raises InputError, naming file and row, when a file is missing or damaged, when its header
    contradicts what it is taken for, when shape or pixel scale are not the expected ones, and when
    the pixels are not fit for use (`data.quality.rejected`).
    """
    image, scale, silent = read_pixels(folder, row, s, survey, size)
    scale = round(scale, 6)
    position = [float("nan") if row[k] is None else float(row[k]) for k in ("ra", "dec")]
    return image, {
        "galaxy_id": row["galaxy_id"],
        "ra": position[0],
        "dec": position[1],
        "cutout_type": row.get("cutout_type") or "",
        "size": size,
        "pixel_scale": scale,
        "timestamp": "",
        "pipeline_version": PIPELINE_VERSION,
        "cutout_url": named(row),
        "layer": survey.name,
        "survey": survey.name,
        "bands_requested": survey.bands_text,
        "tier": row.get("tier") or "",
        "weight": 1.0,
        "brickname": row.get("brickname") or "",
        "provenance": provenance.note(silent),
        **measured(image, survey, scale),
    }


def named(row: Mapping[str, Any]) -> str:
    """The files of a row in one text."""
    return ", ".join(row["files"])


def read_pixels(
    folder: str | Path, row: Mapping[str, Any], s: Folder, survey: Survey, size: int
) -> tuple[Float32[np.ndarray, "h w b"], float, list[str]]:
    """The pixels of `read_stamp` alone, their scale (arcsec) and what no file says of them. Raises
    InputError as it does."""
    folder, names = Path(folder), list(row["files"])
    paths = [inside(folder, name, f"row {row['row']}") for name in names]
    try:
        if paths[0].suffix == ".npz":
            image, scale, silent = _from_npz(paths[0], row, s, survey)
        else:
            image, scale, silent = _from_fits(paths, s, survey)
        if math.isnan(scale):
            scale, silent = survey.pixel_scale, [*silent, "pixel scale"]
        problem = provenance.scale_problem(scale, survey.pixel_scale)
        problem = problem or rejected(image, size, survey, scale)
        if problem:
            raise InputError(f"{folder / named(row)}: {problem}")
    except InputError as error:
        raise InputError(f"row {row['row']}: {error}") from None
    return image, scale, silent


def _from_npz(
    path: Path, row: Mapping[str, Any], s: Folder, survey: Survey
) -> tuple[np.ndarray, float, list[str]]:
    """Image, pixel scale (NaN if unknown) and what the file does not say."""
    arrays = read_arrays(path, large=None)
    if "cutout" in arrays and "meta_galaxy_id" in arrays and not s.array:
        image, meta = read_npz(path)
        if meta["galaxy_id"] != row["galaxy_id"]:
            raise InputError(f"{path}: is of object {meta['galaxy_id']}, not {row['galaxy_id']}")
        said = meta.get("bands_requested", survey.bands_text)
        if said != survey.bands_text:
            raise InputError(f"{path}: bands {said!r}, expected {survey.bands_text!r}")
        if meta.get("zero_point", ZERO_POINT) != ZERO_POINT:
            raise InputError(f"{path}: zero point {meta['zero_point']}, expected {ZERO_POINT}")
        silent = [] if "bands_requested" in meta else ["band"]
        scale = as_column(meta.get("pixel_scale"), "float64")
        return image, math.nan if scale is None else scale, silent
    by_band = [arrays[band] for band in survey.bands if band in arrays and not s.array]
    if len(by_band) == len(survey.bands) and len({a.shape for a in by_band}) == 1:
        image, silent = np.stack(by_band, -1), ["zero point"]
    else:
        image, silent = _only_image(arrays, path, s.array), ["band", "zero point"]
    return _in_order(_floats(image, path), path, survey, s), math.nan, silent


def _only_image(arrays: Mapping[str, np.ndarray], path: Path, name: str) -> np.ndarray:
    """The array of that name; without a name, the only one of two or three dimensions."""
    if name:
        if name not in arrays:
            raise InputError(f"{path}: no array {name!r} (found {', '.join(arrays)})")
        return arrays[name]
    images = [key for key, array in arrays.items() if array.ndim in (2, 3)]
    if len(images) != 1:
        found = ", ".join(images) or "no array of two or three dimensions"
        raise InputError(
            f"{path}: which array is the image is not clear ({found}); name it in "
            "survey.folder.array"
        )
    return arrays[images[0]]


def _floats(image: np.ndarray, path: Path) -> np.ndarray:
    if image.dtype.kind not in "iuf" or image.ndim not in (2, 3):
        raise InputError(
            f"{path}: {image.dtype} array {image.shape}, expected numbers (H, W, bands)"
        )
    # A value of exactly 0 means no data in an image of floats; whole numbers count photons.
    return with_nan(image.astype(np.float32)) if image.dtype.kind == "f" else image.astype("f4")


def _in_order(image: np.ndarray, path: Path, survey: Survey, s: Folder) -> np.ndarray:
    """(H, W, bands) in nanomaggies from (H, W, bands), (bands, H, W) or, for one band, (H, W)."""
    n = len(survey.bands)
    if image.ndim == 2:
        image = image[..., None]
    first, last = image.shape[0] == n, image.shape[-1] == n
    if not (first or last) or max(image.shape) > LARGEST_SIDE:
        shape = "x".join(map(str, image.shape))
        raise InputError(f"{path}: shape {shape} has no axis of {n} bands ({survey.bands_text})")
    if first and last and n > 1:
        raise InputError(
            f"{path}: shape {image.shape}: which axis is that of the bands is not clear"
        )
    image = image if last else np.moveaxis(image, 0, -1)
    zero_point = survey.zero_point if s.zero_point is None else s.zero_point
    factor = np.float32(10 ** (0.4 * (ZERO_POINT - zero_point)))
    return np.ascontiguousarray(np.where(np.isfinite(image), image * factor, np.float32(np.nan)))


def _from_fits(
    paths: Sequence[Path], s: Folder, survey: Survey
) -> tuple[np.ndarray, float, list[str]]:
    """As `_from_npz`, of a cube or of one file a band."""
    bands = survey.bands if len(paths) > 1 else ("",) * len(paths)
    if len(survey.bands) == 1:
        bands = survey.bands
    planes: list[np.ndarray] = []
    headers: list[dict[str, Any]] = []
    silent: list[str] = []
    for path, band in zip(paths, bands, strict=True):
        pixels, header = read_image(path)
        silent += provenance.check(header, path, survey, band=band, zero_point=s.zero_point)
        planes.append(with_nan(pixels))
        headers.append(header)
        if pixels.shape != planes[0].shape:
            raise InputError(f"{path}: shape {pixels.shape}, not that of {paths[0].name}")
        both = wcs.has_wcs(header) and wcs.has_wcs(headers[0])
        if both and not wcs.same(headers[0], header, pixels.shape[-2:]):
            raise InputError(f"{path}: its WCS is not that of {paths[0].name}")
    scale = wcs.pixel_scale(headers[0])
    if len(planes) > 1:
        image = np.stack(planes, -1)
        if image.ndim != 3:
            raise InputError(f"{paths[0]}: shape {planes[0].shape}, expected one image a band")
        return _in_order(image, paths[0], survey, s), scale, silent
    image = planes[0]
    named = plane_bands(headers[0], survey)
    if named and image.ndim == 3:
        if len(named) != image.shape[0] or [b for b in survey.bands if named.count(b) != 1]:
            raise InputError(
                f"{paths[0]}: {image.shape[0]} planes of bands {','.join(named)}, "
                f"expected {','.join(survey.bands)}"
            )
        image = np.stack([image[named.index(band)] for band in survey.bands], -1)
    elif image.ndim == 3:
        silent = [*silent, "band"]
    return _in_order(image, paths[0], survey, s), scale, silent
