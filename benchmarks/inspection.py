"""How long does the inspection page take for an object, with 100,000 candidates? `python -m
benchmarks.inspection --help`

A server in a process of its own, as `lensjax inspect serve` starts it, and a client that asks for
what the page asks for: which object comes next, what is known of it, and every picture, one after
the other, without the page's fetching ahead; then it sends a grade. Once as a grader who begins,
once as one who has graded all but the last objects. Only the objects that are asked for have a
file.
"""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import httpx
import numpy as np
import tyro

from classifiers.inspection import objects, store
from data import record
from data.files import write_json
from data.survey import default

START = "import sys; from classifiers.inspection.verb import command; command(sys.argv[1:])"


@dataclass(frozen=True)
class Question:
    """What is measured."""

    candidates: int = 100_000
    asked: int = 100
    """objects that each of the two graders looks at"""
    out: Annotated[Path, tyro.conf.arg(help="default benchmarks/results/inspection-cpu.json")] = (
        Path("")
    )


def stamp(seed: int) -> np.ndarray:
    """A galaxy with noise and an arc, nanomaggies."""
    survey, rng = default(), np.random.default_rng(seed)
    half = (survey.stamp - 1) / 2
    y, x = np.mgrid[: survey.stamp, : survey.stamp] - half
    radius = np.hypot(x, y / 0.8)
    galaxy = np.exp(-radius / 5)[..., None] * np.linspace(0.5, 2, len(survey.bands))
    arc = np.exp(-((radius - 9) ** 2) / 4) * (x > 0)
    arc = arc[..., None] * np.linspace(0.2, 0.1, len(survey.bands))
    return (galaxy + arc + rng.normal(0, 0.02, galaxy.shape)).astype(np.float32)


def looked(to: httpx.Client, grader: str, number: int) -> dict[str, float]:
    """Seconds of one object: until all its pictures are there, and until its grade is saved."""
    began = time.perf_counter()
    shown = to.get("api/next", params={"grader": grader}).json()["number"]
    found = to.get(f"api/object/{shown}", params={"grader": grader}).json()
    for panel in found["panels"]:
        assert to.get(panel["src"]).headers["content-type"] == "image/png"
    assert len(found["panels"]) > 3, found
    seen = time.perf_counter()
    body = {"grader": grader, "number": shown, "grade": "D", "note": "", "key": f"{grader}{number}"}
    assert to.post("api/grade", json=body).json() == {"saved": True}
    return {"page": seen - began, "grade": time.perf_counter() - seen}


def summary(seconds: list[float]) -> dict[str, float]:
    """Median, 95th percentile and largest, in ms."""
    names = ("median_ms", "p95_ms", "largest_ms")
    return dict(zip(names, (1e3 * np.quantile(seconds, (0.5, 0.95, 1.0))).tolist()))


def main(q: Question) -> dict[str, Any]:
    """Measures, prints, writes all down."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        table, images = folder / "candidates.csv", folder / "images"
        rows = (f"object-{i},{i / q.candidates:.6f}" for i in range(q.candidates))
        table.write_text("\n".join(["id,score", *rows]) + "\n")
        order = objects.read(table)
        images.mkdir()
        for i, o in enumerate([*order[: q.asked], *order[-q.asked :]]):
            np.savez(images / f"{o.id}.npz", image=stamp(i))
        words = [str(table), "--images", str(images), "--out", str(folder / "out"), "--port", "0"]
        began = time.perf_counter()
        with subprocess.Popen(
            [sys.executable, "-c", START, "serve", *words], stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None
            address = next(s.split()[-1] for s in process.stdout if "http://" in s)
            start = time.perf_counter() - began
            almost(folder / "out" / store.FILE, q.candidates - q.asked)
            busy = processor_seconds(process.pid)
            times: dict[str, list[dict[str, float]]] = {}
            with httpx.Client(base_url=address, timeout=60) as to:
                for grader in ("beginning", "ending"):
                    times[grader] = [looked(to, grader, i) for i in range(q.asked)]
            status = Path(f"/proc/{process.pid}/status").read_text()
            memory = next(s.split()[1] for s in status.splitlines() if s.startswith("VmHWM"))
            busy = processor_seconds(process.pid) - busy
            process.terminate()
    answer: dict[str, Any] = {
        "question": " ".join((__doc__ or "").split("`")[0].split()),
        "candidates": q.candidates,
        "objects_asked_for": q.asked,
        "seconds_to_start": start,
        "server_memory_mb": int(memory) / 1024,
        "server_processor_ms_an_object": 1e3 * busy / (2 * q.asked),
        **{
            f"{grader}_{what}": summary([t[what] for t in found])
            for grader, found in times.items()
            for what in ("page", "grade")
        },
        "cores": os.cpu_count(),
        "load": os.getloadavg()[0],
        "niceness": os.getpriority(os.PRIO_PROCESS, 0),
        "versions": record.versions(),
        "commit": record.commit(),
    }
    print(
        f"{q.candidates} candidates, started in {start:.1f} s, {answer['server_memory_mb']:.0f} MB"
    )
    print(f"{answer['server_processor_ms_an_object']:.0f} ms of a core for an object")
    for name, found in answer.items():
        if isinstance(found, dict) and "median_ms" in found:
            print(name.replace("_", ", ") + ": " + ", ".join(f"{v:.0f} ms" for v in found.values()))
    out = q.out if q.out != Path("") else Path(__file__).parent / "results" / "inspection-cpu.json"
    write_json(out, answer)
    print(out)
    return answer


def processor_seconds(pid: int) -> float:
    """Processor time that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def almost(path: Path, number: int) -> None:
    """Grades of the first so many objects, by the grader who is about to end."""
    with sqlite3.connect(path) as db:
        db.executemany(
            "INSERT INTO events (key, at, grader, number, grade, note) "
            "VALUES ('bulk' || ?, '', 'ending', ?, 'D', '')",
            ((n, n) for n in range(1, number + 1)),
        )
        db.execute("INSERT INTO current SELECT grader, number, seq FROM events")
    db.close()


if __name__ == "__main__":
    main(tyro.cli(Question, description=__doc__))
