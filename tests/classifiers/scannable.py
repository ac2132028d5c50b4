"""Things to scan: a small survey with bricks and a catalogue, finders that cost nothing, and what a
scan leaves."""

import hashlib
import json
from dataclasses import dataclass, replace
from pathlib import Path

import galaxies
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from astropy.io import fits
from astropy.table import Table
from astropy.wcs import WCS

from classifiers import finders as loading
from classifiers import frozen
from classifiers.scanning import ScanSettings
from data import record, shards
from data import survey as surveys
from data.loader import load_split

SMALL = replace(surveys.load("ls_dr10"), name="small", title="Stamps of 32 pixels", stamp=32)
BRICKS = {"1500p100": (150.0, 10.0), "1502p100": (150.2, 10.0), "1504p100": (150.4, 10.0)}
SIDE = 160
FINDER = """
import numpy as np

def bright(stamps):
    middle = np.nan_to_num(stamps[:, 12:20, 12:20]).mean(axis=(1, 2, 3))
    return 1 / (1 + np.exp(-40 * (middle - 0.05)))

def red(stamps):
    g, z = (np.nan_to_num(stamps[:, 12:20, 12:20, b]).mean(axis=(1, 2)) for b in (0, 2))
    return 10 * (z - g)

def choosy(stamps):
    score = bright(stamps)
    return np.where(np.nan_to_num(stamps).max(axis=(1, 2, 3)) > 50, np.nan, score)

def broken(stamps):
    raise ValueError("no such file or directory")
"""
"""Finders as a user writes them; `choosy` has no answer for stamps with a very bright pixel."""


def finders(folder: Path, *names: str) -> dict[str, str]:
    """Name to description of some of them."""
    (folder / "my_finders.py").write_text(FINDER)
    said = "preprocess=none output"
    kind = {name: "logit" if name == "red" else "score" for name in names}
    return {name: f"{folder / 'my_finders.py'}:{name} {said}={kind[name]}" for name in names}


def header(ra: float, dec: float) -> fits.Header:
    made = {"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRVAL1": ra, "CRVAL2": dec}
    made |= {"CRPIX1": (SIDE + 1) / 2, "CRPIX2": (SIDE + 1) / 2, "CD1_2": 0.0, "CD2_1": 0.0}
    made |= {"CD1_1": -0.262 / 3600, "CD2_2": 0.262 / 3600, "DRVERSIO": 10000}
    return fits.Header(made)


def bricks(root: Path, per_brick: int = 12) -> Table:
    """Writes the survey's definition, coadds, and a catalogue of two files; returns its rows. In
    each brick the first object lies at the edge, the second on a hole, and the third is not its
    brick's own."""
    surveys.write(root / surveys.DEFINITION, SMALL)
    rng, rows = np.random.default_rng(5), []
    for name, place in BRICKS.items():
        sky = WCS(header(*place))
        images = rng.normal(0, 0.01, (3, SIDE, SIDE)).astype(np.float32)
        y, x = np.mgrid[:SIDE, :SIDE]
        hole = (0, 0)
        for i in range(per_brick):
            at = (3.0, 80.0) if i == 0 else tuple(rng.uniform(20, SIDE - 20, 2))
            flux = rng.uniform(0.05, 1.5, 3) * [0.3, 1, 2]
            blob = np.exp(-0.5 * ((x - at[0]) ** 2 + (y - at[1]) ** 2) / 4.0)
            images += (flux[:, None, None] * blob / 25).astype(np.float32)
            hole = (round(at[1]), round(at[0])) if i == 1 else hole
            ra, dec = (float(v) for v in sky.all_pix2world(*at, 0))
            rows.append((name, i, ra, dec, i != 2, ("SER", "PSF", "EXP")[i % 3], *flux, 1.1, 800.0))
        row, column = hole
        images[1, row - 2 : row + 3, column - 2 : column + 3] = 0.0
        for band, image in zip(SMALL.bands, images):
            path = root / "coadd" / name[:3] / name / f"legacysurvey-{name}-image-{band}.fits.fz"
            path.parent.mkdir(parents=True, exist_ok=True)
            hdu = fits.ImageHDU(image, header(*place))
            fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(path)
    names = ["BRICKNAME", "OBJID", "RA", "DEC", "BRICK_PRIMARY", "TYPE"]
    names += ["FLUX_G", "FLUX_R", "FLUX_Z", "PSFSIZE_R", "PSFDEPTH_R"]
    found = Table(rows=rows, names=names)
    found["EBV"], found["RELEASE"] = 0.05, 10000
    (root / "sweep").mkdir()
    # The middle brick lies in both files.
    half = len(found) // 2
    found[:half].write(root / "sweep" / "sweep-a.fits")
    found[half:].write(root / "sweep" / "sweep-b.fits")
    return found


@dataclass(frozen=True)
class Settings:
    """Of the steps that never ran."""


def trained_run(run: Path, per_brick: int = 12) -> Table:
    """A run as if it had simulated the bricks, trained on other galaxies of the same survey and
    evaluated; returns the rows of its catalogue."""
    galaxies.small_survey(run, 220)
    index = json.loads((shards.located(run) / shards.INDEX).read_text())
    (shards.located(run) / shards.INDEX).write_text(json.dumps({**index, "survey": "small"}))
    (run / "survey").mkdir()
    catalogue = bricks(run / "survey", per_brick)
    surveys.write(run / surveys.OF_A_RUN, SMALL)
    surveys.write(shards.located(run) / surveys.DEFINITION, SMALL)
    surveys.write(run / "shards" / surveys.DEFINITION, SMALL)
    network = frozen.untrained(crop=32)
    for step, files in {"simulate": [], "train": frozen.save(run / "training", network)}.items():
        with record.Step(run, step, Settings()) as done:
            done.finish([path.relative_to(run) for path in files])
    read = load_split(run, "val")
    found = loading.scored(loading.load("", run), read["image"], batch=256)
    scores = pd.DataFrame({"split": "val", "label": read["label"], "logit": found.logit})
    (run / "evaluation").mkdir()
    scores.to_parquet(run / "evaluation" / "scores.parquet")
    info = json.loads((run / "training" / "classifier.json").read_text())
    keys = ("model", "weights_sha256")
    known = {"classifier": {key: info[key] for key in keys}}
    (run / "evaluation" / "metrics.json").write_text(json.dumps(known))
    return catalogue


def scores(out: Path) -> pa.Table:
    """All rows of a scan, by source and row."""
    paths = sorted((out / "scan" / "parts").glob("*.parquet"))
    return pa.concat_tables(pq.read_table(p) for p in paths).sort_by(
        [("source", "ascending"), ("row", "ascending")]
    )


def digests(folder: Path) -> dict[str, str]:
    """SHA-256 of every file below a folder."""
    return {
        str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in sorted(folder.rglob("*"))
        if p.is_file()
    }


def settings(folder: Path, *names: str, **more: object) -> ScanSettings:
    """Of a scan with some of the finders, eight stamps a batch."""
    return ScanSettings(finders=finders(folder, *names), batch=8, **more)  # type: ignore[arg-type]
