"""Scans: every row comes out once, the same whatever the order, the interruption or the source."""

import csv
import io
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from rich.console import Console
from scannable import BRICKS, SMALL, bricks, digests, scores, settings

from classifiers import finders as doors
from classifiers.scanning import ScanSettings, progress, ranking, scan_verb
from classifiers.scanning import scan as command
from classifiers.scanning.readahead import ahead
from classifiers.scanning.scan_verb import scan
from classifiers.scanning.stamps import Part, Stamp, batches
from data import survey as surveys
from data.coadds import pixel_positions, read_brick, slice_out
from lensjax.errors import InputError

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """Folder of a survey's bricks, and its catalogue."""
    root = tmp_path_factory.mktemp("world")
    return root, bricks(root)


@pytest.fixture(scope="module")
def whole(world, tmp_path_factory):
    """A run with an uninterrupted scan of the bricks by two finders."""
    root, _ = world
    out = tmp_path_factory.mktemp("whole")
    s = settings(out.parent, "bright", "red", root=str(root), rows_per_part=10, top=7)
    found, rate = scan(s, out)
    assert rate > 0
    return out, s, found


def test_rows_in_are_rows_scored_and_refused_and_left_out(whole, world):
    out, _, found = whole
    _, catalogue = world
    rows = scores(out)
    other = (~catalogue["BRICK_PRIMARY"]).sum()
    assert found["left_out"] == {"not_primary": other == 3 and 3}
    assert found["rows"] == len(catalogue) == found["scored"] + found["refused"] + other
    assert len(rows) == found["scored"] + found["refused"]
    refused = rows.filter(pa.compute.is_valid(rows["refused"])).to_pylist()
    assert len(refused) == found["refused"] >= 2 * len(BRICKS)
    for row in refused:
        assert row["score_bright"] is None and row["logit_red"] is None
    with open(out / "scan" / "refused.csv", newline="") as handle:
        listed = list(csv.DictReader(handle))
    assert [r["galaxy_id"] for r in listed] == [r["galaxy_id"] for r in refused]
    holes = [r for r in listed if r["galaxy_id"].endswith("_1")]
    assert len(holes) == 3 and all("NaN" in r["reason"] for r in holes)


def test_a_score_is_that_of_the_finder_on_the_pixels_about_the_position(whole, world):
    out, s, _ = whole
    root, catalogue = world
    finder = doors.load(s.finders["bright"], out)
    places = {f"{r['BRICKNAME']}_{r['OBJID']}": r for r in catalogue}
    rows = [r for r in scores(out).to_pylist() if r["refused"] is None][::4]
    for row in rows:
        own = places[row["galaxy_id"]]
        brick = read_brick(root, row["brickname"], SMALL)
        x, y = pixel_positions(brick, np.array([own["RA"]]), np.array([own["DEC"]]))
        image = slice_out(brick.images, x[0], y[0], SMALL.stamp).image
        assert row["score_bright"] == pytest.approx(finder.scores(image[None]).score[0], abs=1e-12)
        assert row["flux_r"] == own["FLUX_R"] and row["psfdepth_r"] == own["PSFDEPTH_R"]
        assert row["source"].startswith("sweep/sweep-") and row["ebv"] == 0.05


def test_the_best_are_ranked_by_the_mean_of_both_finders(whole):
    out, _, found = whole
    top = pq.read_table(out / "scan" / "top.parquet").to_pandas()
    rows = scores(out).to_pandas()
    rows = rows[rows["refused"].isna()]
    mean = (rows["score_bright"] + rows["score_red"]) / 2
    assert found["ranked_by"] == "mean" and top["rank"].tolist() == [*range(1, 8)]
    assert top["score"].tolist() == pytest.approx(sorted(mean, reverse=True)[:7])


def test_one_finder_alone_gives_the_scores_that_it_gives_among_several(whole, world, tmp_path):
    out, _, _ = whole
    s = settings(tmp_path, "red", root=str(world[0]), rows_per_part=10)
    scan(s, tmp_path / "one")
    assert scores(tmp_path / "one")["logit_red"] == scores(out)["logit_red"]


STOPS = """
import os, sys
from classifiers.scanning import ScanSettings, scoring
from classifiers.scanning.scan_verb import scan
from pathlib import Path
root, out, finder, after = sys.argv[1:]
real, seen = scoring.Scoring.__call__, []
def stopping(self, part, temporary):
    if len(seen) == int(after):
        temporary.write_bytes(b"half a file")
        os.kill(os.getpid(), 9)
    seen.append(real(self, part, temporary))
    return seen[-1]
scoring.Scoring.__call__ = stopping
scan(ScanSettings(root=root, finders={"bright": finder}, batch=8, rows_per_part=10), Path(out))
"""


def test_a_scan_that_is_killed_does_what_is_missing_and_ends_with_the_same_bytes(
    world, tmp_path, monkeypatch
):
    root = str(world[0])
    s = settings(tmp_path, "bright", root=root, rows_per_part=10)
    script = tmp_path / "stops.py"
    script.write_text(STOPS)
    out = tmp_path / "killed"
    words = [sys.executable, str(script), root, str(out), s.finders["bright"], "2"]
    path = {"PYTHONPATH": f"{ROOT}:{os.environ.get('PYTHONPATH', '')}"}
    done = subprocess.run(words, env={**os.environ, **path}, cwd=tmp_path)
    assert done.returncode == -signal.SIGKILL
    parts = out / "scan" / "parts"
    before = {p: p.stat().st_mtime_ns for p in parts.glob("*.parquet")}
    assert len([p for p in before if ".partial" not in p.name]) == 2
    assert [p for p in parts.iterdir() if ".partial" in p.name]
    scan(s, out)
    scan(s, tmp_path / "never")
    assert digests(out / "scan") == digests(tmp_path / "never" / "scan")
    assert all(p.stat().st_mtime_ns == t for p, t in before.items() if ".partial" not in p.name)
    assert not [p for p in out.rglob("*") if ".partial" in p.name]
    # What is there is not scored again.
    monkeypatch.setattr(scan_verb.Scoring, "__call__", lambda *_: 1 / 0)
    assert scan(s, out)[1] == 0.0


def test_workers_in_any_order_give_the_same_bytes_as_one_process(whole, world, tmp_path):
    """What Spark does with the parts: sent away, done in another order, without reading ahead."""
    import pickle

    out, s, _ = whole

    def shuffled(items, task, advance):
        order = np.random.default_rng(3).permutation(len(items))
        sent = pickle.loads(pickle.dumps((items, task)))
        found = {i: sent[1](sent[0][i]) for i in order}
        advance(len(items))
        return [found[i] for i in range(len(items))]

    scan(s, tmp_path / "sent", mapper=shuffled)
    scan(replace(s, ahead=0), tmp_path / "turns")
    for other in ("sent", "turns"):
        assert digests(tmp_path / other / "scan") == digests(out / "scan")


def test_the_ranking_does_not_depend_on_the_order_or_the_size_of_parts():
    rng = np.random.default_rng(0)
    n = 60_000
    table = pa.table(
        {
            "galaxy_id": [f"g{i % 7}" if i < 70 else f"g{i}" for i in range(n)],
            "source": ["s"] * n,
            "row": np.arange(n),
            "logit_a": np.round(rng.normal(0, 30, n)),
            "score_a": np.round(rng.random(n), 3),
            "refused": pa.nulls(n, pa.string()),
        }
    )
    ranked = ranking.Ranked(("a",), "a")
    plain = table.to_pandas().sort_values(
        ["score_a", "logit_a", "galaxy_id", "row"], ascending=[False, False, True, True]
    )
    for size in (501, n):
        order = rng.permutation(n)
        parts = [table.take(order[i : i + size]) for i in range(0, n, size)]
        best = ranking.best(parts, ranked, 900)
        assert best["row"].to_pylist() == plain["row"].tolist()[:900]
        assert best["rank"].to_pylist() == [*range(1, 901)]


def test_memory_of_the_ranking_is_bounded_by_what_it_lists():
    kept = ranking.Best(100)
    for i in range(300):
        score = np.random.default_rng(i).random(500)
        own = {"score": score, "logit": score, "galaxy_id": [f"{i}_{j}" for j in range(500)]}
        kept.add(pa.table(own | {"source": ["s"] * 500, "row": np.arange(500)}))
        assert sum(map(len, kept._parts)) <= 2 * 100 + 10_000 + 500


class Slow:
    """A source whose third part cannot be read."""

    survey, side = SMALL, 32

    def __init__(self):
        self.read, self.scored = [], []

    def stamps(self, part):
        for i in range(part.rows):
            if part.name == "p2" and i == 3:
                raise InputError("p2 cannot be read")
            self.read.append((part.name, i))
            yield Stamp({"row": i}, np.zeros((32, 32, 3), np.float32))


def test_reading_is_ahead_by_a_few_batches_and_errors_belong_to_their_part():
    source = Slow()
    parts = [(f"p{i}", Part(f"p{i}", 8, None)) for i in range(5)]

    def task(item):
        name, opened = item
        if name == "p1":
            return {"given up": next(opened.batches).known[0]["row"]}
        if name == "p0":
            time.sleep(0.5)
            assert 8 < len(source.read) <= 4 * (3 + 2)  # four stamps a batch
        try:
            return {"rows": [k["row"] for b in opened.batches for k in b.known]}
        except InputError as error:
            return {"error": str(error)}

    found = ahead(source, 4, 3)(parts, task, lambda n: None)
    every = {"rows": [*range(8)]}
    assert found == [every, {"given up": 0}, {"error": "p2 cannot be read"}, every, every]


def test_progress_says_rows_rate_and_time_left_each_minute_without_a_terminal(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    said = io.StringIO()
    rows = progress.Rows(10_000, Console(file=said))
    with rows.bar("scan", 3):
        rows.start(4_000)  # of parts that were there already
        for now[0] in (10.0, 30.0, 70.0, 80.0):
            rows.tick(500)
    assert said.getvalue() == "scan: 5500 of 10000 rows (55.0 %), 21/s, 0:03:30 left\n"
    assert rows.rate == 2000 / 80
    drawn = io.StringIO()
    bar = progress.Rows(100, Console(file=drawn, force_terminal=True, width=120))
    with bar.bar("scan", 3):
        bar.tick(50)
        now[0] += 1
        bar.tick(50)
    assert "100/100" in drawn.getvalue()


def test_batches_keep_refused_rows_in_their_places():
    image = np.ones((4, 4, 1), np.float32)
    made = lambda i: (image * i, "") if i % 3 == 0 else (None, "bad")
    rows = [Stamp({"row": i}, *made(i)) for i in range(80)]
    found = list(batches(iter(rows), 4, 1, 2))
    assert [k["row"] for b in found for k in b.known] == [*range(80)]
    for batch in found:
        assert [batch.known[p]["row"] for p in batch.place] == batch.images[:, 0, 0, 0].tolist()
        assert len(batch.place) <= 2
    none = list(batches(iter([Stamp({}, None, "bad")] * 100), 4, 1, 2))
    assert len(none) > 1 and sum(len(b.known) for b in none) == 100


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"finders": {"a b": "x:y"}}, "is no name"),
        ({"finders": {"mean": "x:y"}}, "is no name"),
        ({"finders": {"a": "scores:folder"}}, "come later"),
        ({"rank": "b"}, "expected own or mean"),
    ],
)
def test_settings_that_cannot_be_are_refused(more, words):
    with pytest.raises(ValueError, match=words):
        ScanSettings(**more)


def test_scores_are_kept_while_only_the_ranking_changes(world, tmp_path, monkeypatch):
    """And never taken for those of another finder."""
    s = settings(tmp_path, "bright", "red", root=str(world[0]), rows_per_part=10)
    out = tmp_path / "out"
    assert scan(s, out)[1] > 0
    for other in (replace(s, types=("SER",)), replace(s, finders={"red": s.finders["bright"]})):
        with pytest.raises(InputError, match="holds a scan with other settings"):
            scan(other, out)
    found, rate = scan(replace(s, rank="red", top=5, on_bad_file="quarantine"), out)
    top = pq.read_table(out / "scan" / "top.parquet")
    assert rate == 0 and found["ranked_by"] == "red" and top["score"] == top["score_red"]
    words = ["--out", str(out), "--root", str(world[0]), "--finders", "red", s.finders["red"]]
    assert command([*words, "--batch", "8"]) == 0
    assert "score_bright" not in scores(out).column_names
    before = digests(out / "scan" / "parts")
    monkeypatch.setattr(scan_verb.Scoring, "__call__", lambda *_: 1 / 0)
    assert command([*words, "--batch", "8", "--top", "3"]) == 0
    assert digests(out / "scan" / "parts") == before
    assert pq.read_table(out / "scan" / "top.parquet").num_rows == 3
    with pytest.raises(ZeroDivisionError):
        command([*words, "--batch", "8", "--force"])


def test_a_process_that_scans_again_takes_the_catalogue_and_finder_as_they_are_now(world, tmp_path):
    root, _ = world
    s = settings(tmp_path, "bright", root=str(root), sweeps=("sweep/sweep-b.fits",))
    out = tmp_path / "out"
    scan(s, out)
    types = set(scores(out)["type"].to_pylist())
    found, _ = scan(replace(s, types=("EXP",)), out, another="replace")
    rows = scores(out)
    assert "EXP" in types and len(types) == 3 and set(rows["type"].to_pylist()) == {"EXP"}
    before = rows["score_bright"].to_numpy()
    finder = tmp_path / "my_finders.py"
    finder.write_text(finder.read_text().replace("middle - 0.05", "middle - 0.06"))
    scan(replace(s, types=("EXP",)), out, another="replace")
    # The logit falls by 40 * 0.01.
    logit = lambda p: np.log(p / (1 - p))
    after = scores(out)["score_bright"].to_numpy()
    assert found["scored"] == len(rows) and logit(before) - logit(after) == pytest.approx(0.4)


def test_another_survey_than_the_run_s_is_refused(world, tmp_path):
    s = settings(tmp_path, "bright", root=str(world[0]), rows_per_part=100)
    surveys.write(tmp_path / "out" / surveys.OF_A_RUN, SMALL)
    with pytest.raises(InputError, match="hsc is not small"):
        scan(replace(s, definition="hsc"), tmp_path / "out")
    with pytest.raises(InputError, match="no file matches"):
        scan(replace(s, sweeps=("nothing-*.fits",)), tmp_path / "out")
