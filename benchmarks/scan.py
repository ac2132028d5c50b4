"""How fast is a scan, and how near to the bare network? `python -m benchmarks.scan --help`

Cutouts a second of `lensjax scan` from TFRecord shards in a temporary folder: reading, checking,
scoring, writing scores and ranking them. Beside it the bare network: the same compiled function on
a batch that lies in memory. Both take turns in one process, so that whatever else the machine does
meets both, and processor time is given beside wall-clock time. Then a list of a million candidates
is made in every format, and timed in the same two ways. Results of models that are not asked for
stay in the file as they are.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import tyro

from benchmarks.training import processor, survey
from classifiers import finders, frozen
from classifiers.processor import keep_memory
from classifiers.scanning import formats, listing, probability, ranking, stamps
from classifiers.scanning.scan_verb import scan
from classifiers.scanning.settings import MEAN, ScanSettings
from data import lenses, record
from data.files import write_json
from data.survey import default
from lensjax.cli import prepared

MODELS: dict[str, tuple[str, dict[str, Any]]] = {
    "resnet18": ("resnet18", {}),
    "shielded_resnet": ("shielded_resnet", {}),
    "shielded_resnet_stride_2": ("shielded_resnet", {"stem_stride": 2}),
}
"""Network and what differs from its defaults: the published shielded network, and the same with a
stem of stride 2, which has a quarter of the operations."""


@dataclass(frozen=True)
class Question:
    """What is measured."""

    models: tuple[str, ...] = ("resnet18", "shielded_resnet", "shielded_resnet_stride_2")
    """names of `MODELS`"""
    stamps: int = 2048
    """cutouts in the shards"""
    crop: int = 101
    batch: int = 256
    repeats: int = 3
    ahead: int = 3
    """batches that are read ahead"""
    listed: int = 1_000_000
    """rows of the list of candidates; 0: none"""
    out: Annotated[Path, tyro.conf.arg(help="default benchmarks/results/scan-cpu.json")] = Path("")


def case(folder: Path, model: str, q: Question) -> dict[str, Any]:
    """Rates of a model, alone and in a scan, by turns."""
    out = folder / model
    frozen.save(out / "finder", frozen.untrained(*MODELS[model], crop=q.crop))
    s = ScanSettings(
        source="shards",
        root=str(folder),
        finders={"it": str(out / "finder")},
        batch=q.batch,
        ahead=q.ahead,
    )
    finder = finders.load(s.finders["it"], out)
    of = default()
    shape = q.batch, of.stamp, of.stamp, len(of.bands)
    batch = np.random.default_rng(0).normal(0, 0.02, shape).astype(np.float32)
    finders.scored(finder, batch, batch=q.batch)
    scan(s, out)
    n = -(-q.stamps // q.batch) * q.batch
    bare, whole, inside = [], [], []
    busy: dict[str, list[float]] = {"bare": [], "scan": []}
    for _ in range(q.repeats):
        shutil.rmtree(out / "scan")
        began, start = time.perf_counter(), time.process_time()
        for _ in range(n // q.batch):
            finders.scored(finder, batch, batch=q.batch)
        bare.append(n / (time.perf_counter() - began))
        busy["bare"].append((time.process_time() - start) / n)
        began, start = time.perf_counter(), time.process_time()
        inside.append(scan(s, out)[1])
        whole.append(q.stamps / (time.perf_counter() - began))
        busy["scan"].append((time.process_time() - start) / q.stamps)
    ratios = np.array(inside) / np.array(bare)
    return {
        "model": model,
        "crop": q.crop,
        "batch": q.batch,
        "ahead": q.ahead,
        "stamps": q.stamps,
        "bare_per_second": max(bare),
        "scan_per_second": max(inside),
        "scan_with_ranking_per_second": max(whole),
        "share_of_bare_by_turn": ratios.round(3).tolist(),
        "share_of_bare": float(np.median(ratios)),
        "processor_ms_a_stamp": {name: 1e3 * min(of) for name, of in busy.items()},
        "share_of_bare_by_processor_time": min(busy["bare"]) / min(busy["scan"]),
    }


def million(n: int) -> dict[str, Any]:
    """Seconds of a list of n candidates of two finders near 30,000 known lenses: ranked, calibrated
    and matched, and written in each format."""
    of, rng = default(), np.random.default_rng(0)
    rows = table(n, rng)
    ranked = ranking.Ranked(("a", "b"), MEAN)
    label = (rng.random(5000) < 0.1).astype(int)
    logit = {name: rng.normal(size=5000) + 3 * label - 2 for name in ranked.finders}
    maps = probability.fitted(probability.Validation(label, logit, ""), ranked, "beta", 10)
    places = rng.uniform(0, 360, 30_000), rng.uniform(-18, 32, 30_000)
    known = lenses.Lenses(np.full(30_000, "a lens"), *places, np.full(30_000, "confident"))
    seconds: dict[str, tuple[float, float]] = {}

    def timed(name: str, action: Callable[[], Any]) -> Any:
        began, busy = time.perf_counter(), time.process_time()
        found = action()
        seconds[name] = time.perf_counter() - began, time.process_time() - busy
        return found

    parts = [rows.slice(i, 4096) for i in range(0, n, 4096)]
    best = timed("ranking", lambda: ranking.best(parts, ranked, n))
    listed = timed(
        "columns", lambda: listing.table(best, of, ranked, maps, 1e-4, known, 5.0, None, {})
    )
    with tempfile.TemporaryDirectory() as folder:
        write = lambda: formats.write(listed, {}, Path(folder), "list", [*formats.WRITERS])
        timed("six formats", write)
    return {
        "rows": n,
        "columns": listed.num_columns,
        "seconds": {name: clock for name, (clock, _) in seconds.items()},
        "processor_seconds": {name: busy for name, (_, busy) in seconds.items()},
        "total_seconds": sum(clock for clock, _ in seconds.values()),
        "total_processor_seconds": sum(busy for _, busy in seconds.values()),
    }


def table(n: int, rng: np.random.Generator) -> Any:
    """Rows as a scan of bricks by two finders gives them."""
    import pyarrow as pa
    from scipy.special import expit

    of = default()
    schema = stamps.schema(of, ("a", "b"))
    logit = {name: rng.normal(-3, 2, n) for name in "ab"}
    columns: dict[str, Any] = {
        "source": np.full(n, "sweep/sweep-010m005-015p000.fits", object),
        "row": np.arange(n),
        "galaxy_id": np.array([f"{i // 500:04d}p015_{i}" for i in range(n)], object),
        "ra": rng.uniform(0, 360, n),
        "dec": rng.uniform(-18, 32, n),
        "brickname": np.array([f"{i // 500:04d}p015" for i in range(n)], object),
        "type": rng.choice(np.array(["SER", "DEV", "REX"], object), n),
        **{f"flux_{band}": rng.uniform(1, 9, n) for band in of.bands},
        f"psfsize_{of.reference}": rng.uniform(0.9, 1.8, n),
        f"psfdepth_{of.reference}": rng.uniform(300, 2000, n),
        "ebv": rng.uniform(0, 0.1, n),
        **{f"logit_{name}": x for name, x in logit.items()},
        **{f"score_{name}": expit(x) for name, x in logit.items()},
    }
    make = lambda f: pa.array(columns[f.name], f.type) if f.name in columns else pa.nulls(n, f.type)
    return pa.table([make(f) for f in schema], schema=schema)


def main(q: Question) -> dict[str, Any]:
    """Measures, prints and writes everything down."""
    keep_memory()
    found: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as name:
        survey(Path(name), q.stamps)
        shutil.rmtree(Path(name) / "npz")
        for model in q.models:
            found.append(case(Path(name), model, q))
            one = found[-1]
            print(
                f"{model}: bare {one['bare_per_second']:.0f}/s, scan {one['scan_per_second']:.0f}/s"
                f" (with ranking {one['scan_with_ranking_per_second']:.0f}/s), "
                f"{100 * one['share_of_bare']:.0f} % of bare, "
                f"{100 * one['share_of_bare_by_processor_time']:.0f} % by processor time",
                flush=True,
            )
    answer: dict[str, Any] = {
        "question": " ".join((__doc__ or "").split("`")[0].split()),
        "device": processor("cpu"),
        "cores": os.cpu_count(),
        "load": os.getloadavg()[0],
        "versions": record.versions(),
        "commit": record.commit(),
        "models": found,
    }
    if q.listed:
        answer["list"] = million(q.listed)
        both = (answer["list"][k] for k in ("total_seconds", "total_processor_seconds"))
        print("list of {}: {:.1f} s, {:.1f} s of a core".format(q.listed, *both), flush=True)
    out = q.out if q.out != Path("") else Path(__file__).parent / "results" / "scan-cpu.json"
    if out.is_file():
        before = json.loads(out.read_text())
        kept = [m for m in before.get("models", []) if m["model"] not in q.models]
        answer = {**({"list": before["list"]} if "list" in before else {}), **answer}
        answer["models"] = [*kept, *found]
    write_json(out, answer)
    print(out)
    return answer


if __name__ == "__main__":
    prepared()
    main(tyro.cli(Question, description=__doc__))
