"""What do published lens lists share, and how well can their lenses be told apart? `python -m
benchmarks.channels --help`

Runs `lensjax channels` on the lists below LENSJAX_DATA (lenscat, Huang et al. 2020 and 2021,
Storfer et al. 2024, Stein et al. 2021, SLACS, and ten searches of other surveys): once for what
they share, and once with the lenses of Stein et al. as the population, whose magnitudes, dust,
exposures and types explain the choices. Lists that are not there are left out, and named. `python
-m benchmarks.tables` makes the table of docs/channels.md from the results.
"""

from __future__ import annotations

import os
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import pandas as pd
import tyro
from PIL import Image

from classifiers.channels.verb import command
from data import record
from data.config import data_directory
from data.files import replacing, write_json
from lensjax.errors import InputError

ROOT = Path(__file__).resolve().parents[1]
CANDIDATES, STEIN, SLACS = "lenses/desi_candidates", "lenses/stein2021", "lenses/slacs"
LISTS = {
    "lenscat": "lenses/lenscat/catalog.csv",
    "huang2020": f"{CANDIDATES}/huang2020_published_catalog.csv",
    "huang2021": f"{CANDIDATES}/huang2021_published_catalog.csv",
    "storfer2024": f"{CANDIDATES}/storfer2024_published_catalog.csv",
    "stein2021": f"{STEIN}/new_lenses.tsv",
    "slacs": f"{SLACS}/SLACS_table.cat",
    "slacs_masterlens": f"{SLACS}/masterlens_slacs_catalog.csv",
    "literature": f"{CANDIDATES}/positives_literature.parquet@source",
}
"""Lists by name, relative to LENSJAX_DATA; the last joins several searches."""
POPULATION = (f"{STEIN}/new_lenses.tsv", f"{STEIN}/training_lenses.tsv")
FEATURES = ("mag_g", "mag_r", "mag_z", "ebv", "nobs_z", "source_type")
FIGURES = {"combinations": "channels", "apart": "channels-apart"}
"""Figures of the command, and their names in docs/images."""


@dataclass(frozen=True)
class Question:
    """What is measured."""

    resamples: int = 2000
    out: Annotated[Path, tyro.conf.arg(help="default benchmarks/results/channels.json")] = Path("")
    images: Annotated[Path, tyro.conf.arg(help="folder of the figures")] = ROOT / "docs" / "images"


def lists(root: Path) -> tuple[list[str], list[str]]:
    """The words of the command for the lists that are there, and names of the others."""
    there = {name: (root / path.partition("@")[0]).is_file() for name, path in LISTS.items()}
    words = [f"{name}={root / path}" for name, path in LISTS.items() if there[name]]
    return words, [name for name, found in there.items() if not found]


def timed(words: list[str]) -> dict[str, float]:
    """Runs the command; returns its seconds, and those of a core."""
    began, busy = time.perf_counter(), time.process_time()
    command(words)
    seconds, busy = time.perf_counter() - began, time.process_time() - busy
    return {"seconds": round(seconds, 2), "processor_seconds": round(busy, 2)}


def rows(table: pd.DataFrame, columns: list[str]) -> list[dict[str, Any]]:
    """Rows without gaps of the status ok, as JSON values."""
    own = table[table["status"] == "ok"] if "status" in table else table
    return own[columns].dropna().to_dict("records")


def smaller(figure: Path, to: Path) -> None:
    """A figure for a page. It needs no more than 64 colours, with which it has fewer bytes."""
    with Image.open(figure) as picture, replacing(to) as temporary:
        picture.convert("RGB").quantize(64).save(temporary, "PNG", optimize=True)


def main(q: Question) -> dict[str, Any]:
    """Runs both, writes figures and results."""
    if not data_directory():
        raise InputError("LENSJAX_DATA is not set; it names the folder with lenses/")
    root = Path(data_directory())
    words, missing = lists(root)
    chosen = ["--resamples", str(q.resamples), "--features", *FEATURES]
    chosen += ["--population", *(str(root / path) for path in POPULATION)]
    with tempfile.TemporaryDirectory() as name:
        shared, told = Path(name) / "shared", Path(name) / "told"
        times = {"shared": timed([*words, "--out", str(shared)])}
        times["told_apart"] = timed([*words, *chosen, "--out", str(told)])
        objects = pd.read_csv(shared / "objects.csv")
        overlap = pd.read_csv(shared / "overlap.csv")
        apart = pd.read_csv(told / "apart.csv")
        sizes = pd.read_csv(told / "coverage.csv")
        doubtful, refused = (
            len(pd.read_csv(shared / f"{table}.csv")) for table in ("doubtful", "refused")
        )
        for figure, own in FIGURES.items():
            if (told / f"{figure}.png").is_file():
                smaller(told / f"{figure}.png", q.images / f"{own}.png")
    ends = ["lo95", "hi95"]
    several = objects["channels"].str.contains(" + ", regex=False)
    answer = {
        "question": " ".join((__doc__ or "").split("`")[0].split()),
        "lists": sizes[["channel", "entries", "in_parent", "with_features"]].to_dict("records"),
        "missing": missing,
        "objects": len(objects),
        "in_several": int(several.sum()),
        "doubtful": doubtful,
        "without_position": refused,
        "features": FEATURES,
        "overlap": rows(
            overlap,
            ["first", "second", "both", "either", "value", *ends, "chance"],
        ),
        "apart": rows(
            apart, ["first", "second", "only_first", "only_second", "both", "accuracy", *ends]
        ),
        "times": times,
        "cores": os.cpu_count(),
        "load": os.getloadavg()[0],
        "versions": record.versions(),
        "commit": record.commit(),
    }
    out = q.out if q.out != Path("") else ROOT / "benchmarks" / "results" / "channels.json"
    write_json(out, answer)
    print(out)
    return answer


if __name__ == "__main__":
    main(tyro.cli(Question, description=__doc__))
