"""A file in the format of a DR10 sweep, with all of its columns, of simulated rows.

Positions have no clustering; they lie in bricks of a quarter of a degree, in patches of five
degrees by five that follow each other in right ascension. About one row in twenty passes the cuts.
Columns that the pool does not use hold zeros; FITS stores them in as many bytes all the same.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits

from data.mapped import ALL_ONES, BLOCK, WORD, sum_of_words

BRIGHT = "GRIZ"
INFRARED = ("W1", "W2", "W3", "W4")
SIDE = 5.0
"""degrees of right ascension and declination that a patch covers"""


def layout() -> np.dtype:
    """Columns of a sweep after legacysurvey.org/dr10/files, in the file's byte order. The list has
    not been compared with a file of DR10; of the cuts and the pool every column is there."""
    every = (*BRIGHT, *INFRARED)
    two = ("W1", "W2")
    f4, i2 = ">f4", ">i2"
    columns: list[tuple[Any, ...]] = [("RELEASE", i2), ("BRICKID", ">i4"), ("BRICKNAME", "S8")]
    columns += [("OBJID", ">i4"), ("TYPE", "S3"), ("RA", ">f8"), ("DEC", ">f8")]
    columns += [("RA_IVAR", f4), ("DEC_IVAR", f4), ("DCHISQ", f4, (5,)), ("EBV", f4)]
    for stem in ("FLUX", "FLUX_IVAR", "MW_TRANSMISSION"):
        columns += [(f"{stem}_{b}", f4) for b in every]
    columns += [(f"NOBS_{b}", i2) for b in every]
    for stem in ("RCHISQ", "FRACFLUX", "FRACMASKED"):
        columns += [(f"{stem}_{b}", f4) for b in every]
    columns += [(f"FRACIN_{b}", f4) for b in BRIGHT]
    columns += [(f"{stem}_{b}", i2) for stem in ("ANYMASK", "ALLMASK") for b in BRIGHT]
    columns += [(f"WISEMASK_{b}", "u1") for b in two]
    columns += [(f"PSFSIZE_{b}", f4) for b in BRIGHT]
    columns += [(f"PSFDEPTH_{b}", f4) for b in (*BRIGHT, *two)]
    columns += [(f"{stem}_{b}", f4) for stem in ("GALDEPTH", "NEA", "BLOB_NEA") for b in BRIGHT]
    columns += [("WISE_COADD_ID", "S8")]
    columns += [(f"SHAPE_{p}{i}", f4) for p in ("R", "E1", "E2") for i in ("", "_IVAR")]
    columns += [(f"{stem}_{b}", f4) for stem in ("FIBERFLUX", "FIBERTOTFLUX") for b in BRIGHT]
    columns += [("REF_CAT", "S2"), ("REF_ID", ">i8"), ("REF_EPOCH", f4)]
    for band in ("G", "BP", "RP"):
        name = f"GAIA_PHOT_{band}_MEAN"
        columns += [(f"{name}_MAG", f4), (f"{name}_FLUX_OVER_ERROR", f4)]
    columns += [("GAIA_ASTROMETRIC_EXCESS_NOISE", f4), ("GAIA_DUPLICATED_SOURCE", "i1")]
    columns += [("GAIA_PHOT_BP_RP_EXCESS_FACTOR", f4), ("GAIA_ASTROMETRIC_SIGMA5D_MAX", f4)]
    columns += [("GAIA_ASTROMETRIC_PARAMS_SOLVED", "u1")]
    columns += [(f"{p}{i}", f4) for p in ("PARALLAX", "PMRA", "PMDEC") for i in ("", "_IVAR")]
    columns += [("MASKBITS", ">i4"), ("FITBITS", i2), ("SERSIC", f4), ("SERSIC_IVAR", f4)]
    return np.dtype(columns)


def write_sweep(path: Path, rows: int, patches: int = 1, first: int = 0) -> None:
    """A sweep of `patches` patches of `rows` rows each, with DATASUM; rows are in the order of
    bricks. first: number of the first patch, which says where it is, and is its seed."""
    with open(path, "wb") as handle:
        head = _header(rows * patches, 0)
        handle.write(head)
        total, left = 0, b""
        for number in range(first, first + patches):
            content = left + patch(rows, number).tobytes()
            whole = len(content) // WORD * WORD
            total += sum_of_words(np.frombuffer(content[:whole], np.uint8))
            handle.write(content[:whole])
            left = content[whole:]
        size = rows * patches * layout().itemsize
        end = left + bytes(-size % BLOCK)
        handle.write(end)
        total += sum_of_words(np.frombuffer(end, np.uint8))
        handle.seek(0)
        handle.write(_header(rows * patches, total % ALL_ONES))


def _header(rows: int, datasum: int) -> bytes:
    """Headers of the file."""
    header = fits.BinTableHDU(np.zeros(1, layout())).header
    header["NAXIS2"], header["DATASUM"] = rows, str(datasum)
    return (fits.PrimaryHDU().header.tostring() + header.tostring()).encode()


def patch(rows: int, number: int) -> np.ndarray:
    """Rows of a patch."""
    rng = np.random.default_rng(number)
    cells = int(SIDE * 4)
    brick = np.sort(rng.integers(0, cells**2, rows))
    first = np.searchsorted(brick, np.arange(cells**2))
    t = np.zeros(rows, layout())
    x, y = brick % cells, brick // cells
    t["RELEASE"], t["BRICKID"], t["OBJID"] = (
        10000,
        cells**2 * number + brick + 1,
        np.arange(rows) - first[brick],
    )
    names = np.array(
        [f"{number:03d}{i // cells:02d}p{i % cells:02d}" for i in range(cells**2)], "S8"
    )
    t["BRICKNAME"] = names[brick]
    t["TYPE"] = rng.choice(
        np.array(["PSF", "REX", "EXP", "DEV", "SER"], "S3"), rows, p=[0.45, 0.33, 0.1, 0.06, 0.06]
    )
    t["RA"] = 5 * number % 360 + (x + rng.random(rows)) / 4
    t["DEC"] = (y + rng.random(rows)) / 4
    t["MASKBITS"] = np.where(rng.random(rows) < 0.1, 2, 0)
    flux = rng.lognormal(0.9, 1.5, rows)
    for b, colour in zip(BRIGHT, (0.25, 0.6, 0.85, 1.0), strict=True):
        t[f"FLUX_{b}"] = flux * colour * rng.lognormal(0, 0.2, rows)
        t[f"NOBS_{b}"] = rng.poisson(6, rows)
        t[f"PSFSIZE_{b}"] = rng.normal(1.3, 0.1, rows)
        t[f"PSFDEPTH_{b}"] = t[f"GALDEPTH_{b}"] = rng.uniform(100, 2000, rows)
    t["EBV"] = rng.uniform(0, 0.1, rows)
    t["SHAPE_R"] = rng.lognormal(-0.3, 0.5, rows)
    t["SHAPE_E1"], t["SHAPE_E2"] = rng.normal(0, 0.2, (2, rows))
    t["SERSIC"] = rng.uniform(0.5, 6, rows)
    return t
