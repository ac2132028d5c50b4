"""How many rows of a sweep a second the negative pool takes. `python -m benchmarks.survey --help`

A file in the format of a DR10 sweep, with all of its columns, is written to a temporary folder. The
numbers in it are simulated: positions without clustering, in bricks of a quarter of a degree, with
as many objects to the square degree as asked for, of which about one in twenty passes the cuts.
Columns that the pool does not use hold zeros; FITS stores them in as many bytes all the same.

In the same run the same file goes through astropy and pandas, and through a memory map that looks
at six columns first and takes the others for survivors only; both in one process, without
neighbours, names, counters and checksums. The file is in the page cache before anything is timed.
"""

from __future__ import annotations

import os
import resource
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import numpy as np
import tyro

from data import record
from data.files import write_json
from data.lenses import Lenses
from data.lenses import read as read_lenses
from data.ranges import RANGE_BYTES
from data.selection import Selection, completed
from data.survey import default
from lensjax.units import ZERO_POINT

BRIGHT = "GRIZ"
INFRARED = ("W1", "W2", "W3", "W4")
SIDE = 5.0
"""degrees of right ascension and declination that the file covers"""


@dataclass(frozen=True)
class Question:
    """What is measured."""

    rows: int = 1_700_000
    cores: int = 2
    repeats: int = 3
    pieces: int = 8
    """the same rows are also measured cut into so many files"""
    range_mib: int = RANGE_BYTES // 2**20
    """of a file that one task reads"""
    out: Annotated[Path, tyro.conf.arg(help="default benchmarks/results/survey.json")] = Path("")


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


def write_sweep(path: Path, rows: int, seed: int) -> None:
    """A simulated sweep with DATASUM and CHECKSUM; rows are in the order of bricks."""
    from astropy.io import fits

    rng = np.random.default_rng(seed)
    cells = int(SIDE * 4)
    brick = np.sort(rng.integers(0, cells**2, rows))
    first = np.searchsorted(brick, np.arange(cells**2))
    t = np.zeros(rows, layout())
    x, y = brick % cells, brick // cells
    t["RELEASE"], t["BRICKID"], t["OBJID"] = 10000, brick + 1, np.arange(rows) - first[brick]
    names = np.array([f"{100 + i // cells:04d}p{i % cells:03d}" for i in range(cells**2)], "S8")
    t["BRICKNAME"] = names[brick]
    t["TYPE"] = rng.choice(
        np.array(["PSF", "REX", "EXP", "DEV", "SER"], "S3"), rows, p=[0.45, 0.33, 0.1, 0.06, 0.06]
    )
    t["RA"] = 150 + (x + rng.random(rows)) / 4
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
    fits.BinTableHDU(t).writeto(path, checksum=True)


def with_astropy(path: Path, out: Path) -> int:
    """The cuts with astropy and pandas; returns how many rows passed."""
    import pandas as pd
    from astropy.io import fits

    s, names = completed(Selection(), default()), _columns()
    with fits.open(path) as hdus:
        data = hdus[1].data
        frame = pd.DataFrame({n: _native(data[n]) for n in names if n not in _TEXT})
        for name in _TEXT:
            frame[name] = np.asarray(data[name]).astype(str)
    kept = frame[_passes(frame, frame["TYPE"].isin(s.types or ()), s)]
    kept.to_parquet(out, compression="zstd")
    return len(kept)


def with_a_map(path: Path, out: Path) -> int:
    """The cuts over a memory map, six columns first, the others of the survivors."""
    import pandas as pd
    from astropy.io import fits

    s, names = completed(Selection(), default()), _columns()
    with fits.open(path) as hdus:
        start, rows = hdus[1].fileinfo()["datLoc"], hdus[1].header["NAXIS2"]
    data = np.memmap(path, layout(), "r", start, (rows,)).view(np.ndarray)
    flux = data["FLUX_Z"].astype(float)
    at = np.flatnonzero(flux > _faintest(s))
    at = at[np.isin(data["TYPE"][at], np.array(s.types or (), "S3"))]
    first = {n: data[n][at] for n in ("DEC", "MASKBITS", "NOBS_G", "NOBS_R", "NOBS_Z", "FLUX_Z")}
    at = at[_passes(first, np.ones(len(at), bool), s)]
    frame = pd.DataFrame(
        {n: _native(data[n][at]) for n in names if n not in _TEXT}
        | {n: data[n][at].astype(str) for n in _TEXT}
    )
    frame.to_parquet(out, compression="zstd")
    return len(frame)


def _native(column: Any) -> np.ndarray:
    """A column in this machine's byte order, as pandas wants it."""
    value = np.asarray(column)
    return value.astype(value.dtype.newbyteorder("="))


def _faintest(s: Selection) -> float:
    """Flux (nanomaggies) of the magnitude limit."""
    return float(10 ** (0.4 * (ZERO_POINT - (s.magnitude_max or 0.0))))


_TEXT = ("BRICKNAME", "TYPE")


def _columns() -> list[str]:
    """Columns of the file that the pool holds."""
    bands = default().bands
    stems = ("NOBS", "FLUX", "PSFSIZE", "PSFDEPTH", "GALDEPTH")
    plain = ("RELEASE", "BRICKNAME", "OBJID", "TYPE", "RA", "DEC", "EBV", "MASKBITS", "SERSIC")
    shape = ("SHAPE_R", "SHAPE_E1", "SHAPE_E2")
    return [*plain, *shape, *(f"{stem}_{b.upper()}" for stem in stems for b in bands)]


def _passes(c: Any, kind: Any, s: Selection) -> Any:
    """The cuts but for the one on neighbouring lenses."""
    bits = sum(1 << bit for bit in s.maskbits or ())
    enough = (c["NOBS_G"] >= s.nobs_min) & (c["NOBS_R"] >= s.nobs_min)
    return (
        kind
        & (c["DEC"] > s.dec_min)
        & (c["DEC"] < s.dec_max)
        & ((c["MASKBITS"] & bits) == 0)
        & enough
        & (c["NOBS_Z"] >= s.nobs_min)
        & (c["FLUX_Z"] > _faintest(s))
    )


def timed(
    work: Callable[[Path], int], folder: Path, repeats: int
) -> tuple[list[float], list[float], int]:
    """Seconds of each try, those that this process had a processor in each, and what was kept."""
    seconds, processor, kept = [], [], 0
    for i in range(repeats):
        start, used = time.perf_counter(), time.process_time()
        kept = work(folder / f"{work.__name__}-{i}")
        seconds.append(time.perf_counter() - start)
        processor.append(time.process_time() - used)
    return seconds, processor, kept


def main(q: Question) -> dict[str, Any]:
    """Measures, and writes the JSON file."""
    import pandas as pd

    from spark.pool import negative_pool
    from spark.session import session

    lines = []
    with TemporaryDirectory() as folder, session("lensjax benchmark", cores=q.cores) as spark:
        root = Path(folder)
        write_sweep(root / "one.fits", q.rows, 1)
        many = [f"piece-{i}.fits" for i in range(q.pieces)]
        for i, name in enumerate(many):
            write_sweep(root / name, q.rows // q.pieces, i + 2)
        lenses = _lenses(root)
        size = (root / "one.fits").stat().st_size

        def pool(files: list[str], out: Path, engine: Any = spark) -> int:
            negative_pool(
                *(engine, out, root, files, lenses, Selection()), range_bytes=q.range_mib * 2**20
            )
            return int(pd.read_csv(out / "counts" / "pool.csv")["kept"].iloc[-1])

        def astropy_and_pandas(out: Path) -> int:
            return with_astropy(root / "one.fits", out)

        def memory_map(out: Path) -> int:
            return with_a_map(root / "one.fits", out)

        def pool_in_one_process(out: Path) -> int:
            return pool(["one.fits"], out, None)

        def pool_of_one_file(out: Path) -> int:
            return pool(["one.fits"], out)

        def pool_of_many_files(out: Path) -> int:
            return pool(many, out)

        pool(many[:1], root / "warm")  # Java and Python start
        alone = (astropy_and_pandas, memory_map, pool_in_one_process)
        for work in (*alone, pool_of_one_file, pool_of_many_files):
            seconds, processor, kept = timed(work, root, q.repeats)
            middle = statistics.median(seconds)
            lines.append(
                {
                    "what": work.__name__,
                    "seconds": [round(s, 3) for s in seconds],
                    "processor_seconds": [round(s, 3) for s in processor if work in alone],
                    "rows_per_second": round(q.rows / middle),
                    "kept": kept,
                    "load": round(os.getloadavg()[0], 2),
                }
            )
            print(lines[-1], flush=True)
    result = {
        "commit": record.commit(),
        "simulated": "columns of a DR10 sweep, unused ones zero; warm page cache",
        "rows": q.rows,
        "bytes": size,
        "columns": len(layout().names or ()),
        "bytes_per_row": layout().itemsize,
        "cores": q.cores,
        "pieces": q.pieces,
        "range_mib": q.range_mib,
        "driver_peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        "lines": lines,
    }
    write_json(q.out if q.out.name else Path("benchmarks/results/survey.json"), result)
    return result


def _lenses(root: Path) -> Lenses:
    """Thirty thousand listed lenses all over the sky."""
    rng = np.random.default_rng(0)
    ra, dec = rng.uniform(0, 360, 30_000), np.degrees(np.arcsin(rng.uniform(-1, 1, 30_000)))
    rows = [f"L{i},{a:.6f},{d:.6f},-,galaxy,probable,x" for i, (a, d) in enumerate(zip(ra, dec))]
    text = "\n".join(["name,RA [deg],DEC [deg],zlens,type,grading,ref", *rows])
    (root / "lenses.csv").write_text(text + "\n")
    return read_lenses(root / "lenses.csv")[0]


if __name__ == "__main__":
    main(tyro.cli(Question))
