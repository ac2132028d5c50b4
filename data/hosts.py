"""Real galaxies from outside the survey as hosts for injected arcs: DES stamps and pieces of a Legacy Surveys cube, as cutout files.

They are label 0, in split `test`, in no pool, and belong to no stratum. Stamps keep their own size and pixel scale; nothing is resampled.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32

from data.coadds import pixel_scale, read_cube, read_image, wcs, with_nan
from data.cutouts import BANDS, PIPELINE_VERSION, SIZE
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
        raise InputError(
            f"{folder}: stamps of different shapes ({shapes}); expected (n, H, W), the same in every band"
        )
    stack = with_nan(np.stack(planes, axis=-1)) * np.float32(DES_TO_NANOMAGGIES)
    for i, image in enumerate(stack):
        yield (
            np.ascontiguousarray(image),
            _meta(
                source_name(folder),
                i,
                image,
                DES_PIXEL_SCALE,
                "des",
                f"{folder.name}/{{{','.join(BANDS)}}}.fits[{i}]",
            ),
        )


def cube_tiles(path: str | Path, size: int = SIZE) -> Iterator[Stamp]:
    """As many whole size x size pieces of a cube as fit side by side about its centre, with the position of each middle pixel.

    Raises InputError when the cube is not one, or smaller than a piece.
    """
    path = Path(path)
    image, header = read_cube(path)
    down, across = image.shape[0] // size, image.shape[1] // size
    if not down * across:
        raise InputError(
            f"{path}: {image.shape[0]} x {image.shape[1]} pixels, less than one piece of {size} x {size}"
        )
    top, left = (image.shape[0] - down * size) // 2, (image.shape[1] - across * size) // 2
    layer = f"ls-{str(header.get('VERSION', '')).strip().lower()}".rstrip("-")
    for i in range(down * across):
        y, x = top + i // across * size, left + i % across * size
        tile = np.ascontiguousarray(image[y : y + size, x : x + size])
        meta = _meta(
            source_name(path),
            i,
            tile,
            round(pixel_scale(header), 6),
            layer,
            f"{path.name}[{y}:{y + size},{x}:{x + size}]",
        )
        if "CRVAL1" in header:
            ra, dec = wcs(header).wcs_pix2world(x + size // 2, y + size // 2, 0)
            meta |= {"ra": float(ra), "dec": float(dec)}
        yield tile, meta


def source_name(path: str | Path) -> str:
    """Name that stands for a brick in the ids of these hosts: the letters and digits of the file's or folder's name."""
    return "".join(c for c in Path(path).name.split(".")[0] if c.isalnum())


def _meta(
    name: str, number: int, image: np.ndarray, scale: float, layer: str, source: str
) -> dict[str, Any]:
    return {
        "galaxy_id": f"{name}_{number}",
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
        "brickname": name,
        **features(image),
        "quality_ok": not rejected(image, image.shape[0]),
    }
