"""Bricks of 260 pixels, and a sample of objects on them."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from astropy.io import fits
from astropy.wcs import WCS

from data.coadds import image_path
from spark.cutouts import CutoutSettings

SIDE = 260
SETTINGS = CutoutSettings(size=101)
BRICKS = {"1500p100": (150.05, 10.0), "0001m002": (0.15, -0.25), "3598m030": (359.85, -3.0)}


def header(name: str) -> fits.Header:
    values = {
        "CTYPE1": "RA---TAN",
        "CTYPE2": "DEC--TAN",
        "CRVAL1": BRICKS[name][0],
        "CRVAL2": BRICKS[name][1],
        "DRVERSIO": 10000,
    }
    values |= {
        "CRPIX1": (SIDE + 1) / 2,
        "CRPIX2": (SIDE + 1) / 2,
        "CD1_1": -0.262 / 3600,
        "CD1_2": 0.0,
        "CD2_1": 0.0,
        "CD2_2": 0.262 / 3600,
    }
    return fits.Header(values | {"DATE": "2020-01-02"})


def write_survey(root: Path, bands: dict[str, str]) -> None:
    for i, (name, present) in enumerate(bands.items()):
        for band in present:
            path = image_path(root, name, band)
            path.parent.mkdir(parents=True, exist_ok=True)
            pixels = (
                np.random.default_rng((i, ord(band))).normal(0.02, 0.01, (SIDE, SIDE)).astype("f4")
            )
            hdu = fits.CompImageHDU(
                pixels,
                header(name),
                compression_type="RICE_1",
                quantize_method=2,
                dither_seed=1,  # otherwise the clock decides over the last bits
            )
            fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(path, checksum=True)


def objects_of(name: str, places: list[tuple[float, float]], label: int = 0) -> list[dict]:
    rows = []
    for i, (x, y) in enumerate(places):
        ra, dec = WCS(header(name)).wcs_pix2world(x, y, 0)
        row = {
            "galaxy_id": f"{name}_{i}",
            "ra": float(ra) % 360,
            "dec": float(dec),
            "brickname": name,
            "label": label,
            "source_cutout": None,
        }
        row |= {
            "cutout_type": "positive" if label else "negative",
            "tier": "A" if label else "N1",
            "weight": 1.0,
            "sample_weight": 1.0,
            "nobs_z": 4,
        }
        row |= {
            "match_type": "SER" if label else None,
            "type": "SER",
            "psfsize_z": 1.1,
            "split": "train",
            "pool": "N1",
            "healpix_128": 5,
        }
        rows.append(row)
    return rows


def write_sample(out: Path, rows: list[dict]) -> None:
    (out / "sample").mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows), out / "sample" / "sample.parquet")


def example(tmp_path: Path) -> tuple[Path, Path]:
    """Three bricks (the second without r) and eight objects, of which one lies off the image."""
    root, out = tmp_path / "survey", tmp_path / "run"
    write_survey(root, {"1500p100": "grz", "0001m002": "gz", "3598m030": "grz"})
    rows = objects_of("1500p100", [(130.2, 120.7), (100, 150), (20, 130)], label=1) + objects_of(
        "0001m002", [(130, 130), (110, 110)]
    )
    rows += objects_of("3598m030", [(130, 130), (140.4, 99.6), (300, 130)])
    write_sample(out, rows[::-1])
    return root, out
