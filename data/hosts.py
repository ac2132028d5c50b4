"""Real galaxies from outside the survey as hosts for injected arcs: DES stamps and pieces of a Legacy Surveys cube, as cutout files.

They are label 0, in split `test`, in no pool, and belong to no stratum. Stamps keep their own size and pixel scale; nothing is resampled.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32

from data.coadds import pixel_scale, read_cube, read_image, with_nan
from data.cutouts import BANDS, PIPELINE_VERSION, SIZE, cutout_path, write_npz
from data.quality import features, rejected
from lensjax.errors import InputError

DES_PIXEL_SCALE = 0.263
DES_TO_NANOMAGGIES = 1e-3  # zero point 30 against 22.5: 10^((22.5 - 30) / 2.5)
Stamp = tuple[Float32[np.ndarray, "h w 3"], dict[str, Any]]


def des_stamps(folder: str | Path) -> Iterator[Stamp]:
    """Stamps of a folder with g.fits, r.fits, z.fits, each (n, H, W) at zero point 30, converted to nanomaggies; positions are not recorded (NaN).

    Raises InputError when a band is missing or damaged, or when the three differ in shape.
    """
    folder = Path(folder)
    planes = [read_image(folder / f"{band}.fits")[0] for band in BANDS]
    if planes[0].ndim != 3 or len({p.shape for p in planes}) > 1:
        shapes = ", ".join(f"{band} {p.shape}" for band, p in zip(BANDS, planes))
        raise InputError(f"{folder}: stamps of different shapes ({shapes}); expected (n, H, W), the same in every band")
    stack = with_nan(np.stack(planes, axis=-1)) * np.float32(DES_TO_NANOMAGGIES)
    for i, image in enumerate(stack):
        yield np.ascontiguousarray(image), _meta(f"desstamp_{i}", "desstamp", image, DES_PIXEL_SCALE, "des", f"{folder.name}/{{{','.join(BANDS)}}}.fits[{i}]")


def cube_tiles(path: str | Path, size: int = SIZE) -> Iterator[Stamp]:
    """As many whole size x size pieces of a cube as fit side by side about its centre, with the position of each middle pixel.

    Raises InputError when the cube is not one, or smaller than a piece.
    """
    path = Path(path)
    image, header = read_cube(path)
    down, across = image.shape[0] // size, image.shape[1] // size
    if not down * across:
        raise InputError(f"{path}: {image.shape[0]} x {image.shape[1]} pixels, less than one piece of {size} x {size}")
    top, left = (image.shape[0] - down * size) // 2, (image.shape[1] - across * size) // 2
    layer = f"ls-{str(header.get('VERSION', '')).strip().lower()}".rstrip("-")
    brick = "cube" + "".join(c for c in path.stem if c.isalnum())
    for i in range(down * across):
        y, x = top + i // across * size, left + i % across * size
        tile = np.ascontiguousarray(image[y : y + size, x : x + size])
        meta = _meta(f"{brick}_{i}", brick, tile, pixel_scale(header), layer, f"{path.name}[{y}:{y + size},{x}:{x + size}]")
        meta["ra"], meta["dec"] = _position(header, x + size // 2, y + size // 2)
        yield tile, meta


def write(out: str | Path, stamps: Iterable[Stamp]) -> list[str]:
    """Writes stamps as cutouts of a run; returns their paths relative to it."""
    paths = []
    for image, meta in stamps:
        paths.append(cutout_path(meta["brickname"], meta["galaxy_id"]))
        write_npz(Path(out) / paths[-1], image, meta)
    return paths


def _meta(galaxy_id: str, brickname: str, image: np.ndarray, scale: float, layer: str, source: str) -> dict[str, Any]:
    return {
        "galaxy_id": galaxy_id,
        "ra": float("nan"),
        "dec": float("nan"),
        "cutout_type": "host",
        "size": image.shape[0],
        "pixel_scale": scale,
        "timestamp": "",
        "pipeline_version": PIPELINE_VERSION,
        "cutout_url": source,
        "layer": layer,
        "bands_requested": BANDS,
        "brickname": brickname,
        **features(image),
        "quality_ok": not rejected(image, image.shape[0]),
    }


def _position(header: dict[str, Any], x: int, y: int) -> tuple[float, float]:
    """RA and Dec (deg) of a pixel; NaN without a WCS."""
    from astropy.io import fits
    from astropy.wcs import WCS

    from data.coadds import WCS_KEYS

    cards = {key: header[key] for key in WCS_KEYS if key in header}
    if "CRVAL1" not in cards:
        return float("nan"), float("nan")
    ra, dec = WCS(fits.Header(cards)).wcs_pix2world([x], [y], 0)
    return float(ra[0]), float(dec[0])
