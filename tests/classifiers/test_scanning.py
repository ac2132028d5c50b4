"""Scans: every row comes out once, the same whatever the order, the interruption or the source."""

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import galaxies
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from scannable import BRICKS, SMALL, bricks, digests, finders, scores

from classifiers import finders as doors
from classifiers import frozen
from classifiers.scanning import ScanSettings, ranking, scan_verb
from classifiers.scanning import scan as command
from classifiers.scanning.readahead import ahead
from classifiers.scanning.scan_verb import scan
from classifiers.scanning.stamps import Part, Stamp, batches
from data import shards
from data import survey as surveys
from data.coadds import pixel_positions, read_brick, slice_out
from data.cutouts import write_npz
from data.loader import load_split
from lensjax.errors import InputError

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """Folder of a survey's bricks, and its catalogue."""
    root = tmp_path_factory.mktemp("world")
    return root, bricks(root)


@pytest.fixture(scope="module")
def packed(tmp_path_factory):
    """A run with shards of 32-pixel stamps and a small network."""
    out = galaxies.small_survey(tmp_path_factory.mktemp("packed"), 130)
    frozen.save(out / "training", frozen.untrained(crop=32))
    return out


def settings(folder, *names, **more):
    return ScanSettings(finders=finders(folder, *names), batch=8, **more)


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
        found = {i: sent[1](sent[0][i], int(i)) for i in order}
        advance(len(items))
        return [found[i] for i in range(len(items))]

    scan(s, tmp_path, mapper=shuffled)
    assert digests(tmp_path / "scan") == digests(out / "scan")


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


def test_shards_are_scored_as_the_evaluation_scores_them(packed, tmp_path):
    out = tmp_path / "run"
    shutil.copytree(packed, out)
    shutil.copy(packed / "records" / "survey.json", out / "records" / "train.json")
    with open(out / "records" / "train.json") as handle:
        record = {**json.load(handle), "step": "train", "outputs": [], "after": []}
    (out / "records" / "train.json").write_text(json.dumps(record))
    assert command(["--out", str(out), "--source", "shards", "--batch", "32"]) == 0
    rows = scores(out).to_pandas().set_index("galaxy_id")
    finder = frozen.load(packed / "training")
    for split in shards.SPLITS:
        read = load_split(packed, split)
        expected = doors.scored(finder, read["image"], batch=32)
        own = rows.loc[read["galaxy_id"]]
        np.testing.assert_allclose(own["logit_own"], expected.logit, atol=2e-5)
        assert (own["split"] == split).all() and (own["label"] == read["label"]).all()
        assert np.array_equal(own["psfsize_r"], read["psfsize_r"].astype(float))
    assert command(["--out", str(out), "--source", "shards", "--batch", "32"]) == 0  # up to date


def damaged(packed, out, change):
    shutil.copytree(packed, out)
    path = next((out / "shards").rglob("*train*00000*"))
    content = bytearray(path.read_bytes())
    path.write_bytes(change(content))
    return path


@pytest.mark.parametrize("what", ["data", "length", "end", "other"])
def test_a_damaged_shard_loses_what_is_damaged_and_says_so(packed, tmp_path, what):
    def change(content):
        if what == "other":
            return bytes(len(content))[:0] + bytes(content)[: len(content) // 2]
        if what == "end":
            return content[:-50]
        content[3 if what == "length" else 9000] ^= 1
        return content

    out = tmp_path / "run"
    path = damaged(packed, out, change)
    whole_ = sum(e["records"] for e in shards.index(packed)["shards"])
    s = settings(tmp_path, "bright", source="shards")
    if what != "data":
        with pytest.raises(InputError, match=path.name):
            scan(s, out)
        assert len(list((out / "scan" / "parts").glob("*.parquet"))) == 2  # the rest is done
        shutil.rmtree(out / "scan")
    found, _ = scan(replace(s, on_bad_file="quarantine"), out)
    assert found["rows"] == whole_ == found["scored"] + found["refused"]
    refused = {"data": 1, "length": 0, "end": 1}.get(what)
    if what == "length":
        refused = next(
            e["records"] for e in shards.index(packed)["shards"] if e["file"] == path.name
        )
    assert refused is None or found["refused"] == refused


def test_a_folder_of_our_cutouts_needs_no_table(tmp_path):
    root = tmp_path / "cutouts"
    images = galaxies.stamps(np.arange(9) % 2)
    images[4, 14:18, 14:18] = np.nan
    images[5] = 0.25
    surveys.write(root / surveys.DEFINITION, SMALL)
    for i, image in enumerate(images):
        meta = {"galaxy_id": f"g{i % 8}", "ra": 10.0 + i, "dec": 0.0, "brickname": "b1"}
        write_npz(root / f"b{i // 3}" / f"g{i}.npz", image, meta)
    (root / "b0" / "g1.npz").write_bytes(b"PK no zip")
    found, _ = scan(settings(tmp_path, "bright", source="folder", root=str(root)), tmp_path / "out")
    assert (found["rows"], found["scored"], found["refused"]) == (9, 6, 3)
    assert found["doubled"] == ["g0"] and found["doubled_ids"] == 1
    why = {r["source"]: r["refused"] for r in scores(tmp_path / "out").to_pylist() if r["refused"]}
    assert set(why) == {"b0/g1.npz", "b1/g4.npz", "b1/g5.npz"}
    assert "NaN" in why["b1/g4.npz"] and "blank" in why["b1/g5.npz"]


def test_a_folder_with_a_table_of_hostile_names_loses_no_row(tmp_path):
    root = tmp_path / "theirs"
    root.mkdir()
    surveys.write(root / surveys.DEFINITION, SMALL)
    ids = ["a1", "../../etc/passwd", '=HYPERLINK("http://x")', "a2", "<script>", "a2", "a3"]
    lines = [["id", "ra", "dec", "psfsize_r"], *([name, 10.0, 1.0, 1.2] for name in ids)]
    with open(root / "table.csv", "w", newline="") as handle:
        csv.writer(handle).writerows(lines)
    for name in ("a1", "a2", "a3"):
        np.savez(root / f"{name}.npz", image=galaxies.stamps(np.ones(1, int))[0])
    s = settings(tmp_path, "bright", source="folder", root=str(root), table={"table": "table.csv"})
    found, _ = scan(s, tmp_path / "out")
    assert (found["rows"], found["scored"], found["refused"]) == (7, 2, 5)
    text = (tmp_path / "out" / "scan" / "refused.csv").read_text()
    listed = [row["row"] for row in csv.DictReader(text.splitlines())]
    assert listed == ["2", "3", "4", "5", "6"]
    cells = [cell for row in csv.reader(text.splitlines()) for cell in row]
    assert not [cell for cell in cells if cell.startswith(("=", "+", "-", "@"))]


def test_a_stamp_that_a_finder_cannot_score_is_refused_alone(world, tmp_path):
    images = galaxies.stamps(np.zeros(20, int))
    images[[3, 11], 2, 2] = 90.0
    root = tmp_path / "cutouts"
    surveys.write(root / surveys.DEFINITION, SMALL)
    for i, image in enumerate(images):
        write_npz(root / f"g{i:02d}.npz", image, {"galaxy_id": f"g{i:02d}", "ra": 1.0, "dec": 0.0})
    s = settings(tmp_path, "choosy", "bright", source="folder", root=str(root))
    found, _ = scan(s, tmp_path / "out")
    assert (found["scored"], found["refused"]) == (18, 2)
    rows = scores(tmp_path / "out").to_pylist()
    assert [r["galaxy_id"] for r in rows if r["refused"]] == ["g03", "g11"]
    assert all("finder choosy" in r["refused"] for r in rows if r["refused"])
    broken = settings(tmp_path, "broken", source="folder", root=str(root))
    with pytest.raises(InputError, match="no such file or directory"):
        scan(broken, tmp_path / "broken")


def test_a_missing_brick_stops_the_scan_after_the_others_or_is_refused(world, tmp_path):
    root = tmp_path / "world"
    shutil.copytree(world[0], root)
    shutil.rmtree(root / "coadd" / "150" / "1502p100")
    s = settings(tmp_path, "bright", root=str(root), rows_per_part=4)
    with pytest.raises(InputError, match="1502p100"):
        scan(s, tmp_path / "out")
    found, _ = scan(replace(s, on_bad_file="quarantine"), tmp_path / "out")
    assert found["rows"] == 36 and found["scored"] + found["refused"] == 33
    lost = [r for r in scores(tmp_path / "out").to_pylist() if r["brickname"] == "1502p100"]
    assert len(lost) == 11 and all("no image of brick" in r["refused"] for r in lost)


def test_only_what_is_asked_for_is_scored_and_the_rest_is_counted(world, tmp_path):
    root, catalogue = world
    s = settings(tmp_path, "bright", root=str(root), types=("SER", "EXP"), magnitude_max=22.5)
    found, _ = scan(s, tmp_path / "out")
    own = catalogue[catalogue["BRICK_PRIMARY"]]
    typed = own[np.isin(own["TYPE"], ("SER", "EXP"))]
    assert found["left_out"] == {
        "not_primary": 3,
        "not_of_type": len(own) - len(typed),
        "fainter": int((typed["FLUX_Z"] < 1).sum()),
    }


def test_rows_without_name_or_position_are_refused_by_their_number(world, tmp_path):
    root = tmp_path / "world"
    shutil.copytree(world[0], root)
    catalogue = world[1][:6].copy()
    catalogue["BRICKNAME"] = catalogue["BRICKNAME"].astype("U12")
    catalogue["BRICKNAME"][3], catalogue["RA"][4] = "../../x", np.nan
    catalogue.write(root / "sweep" / "sweep-a.fits", overwrite=True)
    s = settings(tmp_path, "bright", root=str(root), sweeps=("sweep/sweep-a.fits",))
    found, _ = scan(s, tmp_path / "out")
    rows = [r for r in scores(tmp_path / "out").to_pylist() if r["refused"]]
    assert [r["row"] for r in rows if "no position" in r["refused"]] == [4, 5]
    assert found["rows"] == 6


def test_refused_rows_alone_are_listed_before_the_scan_says_so(tmp_path):
    root = tmp_path / "cutouts"
    surveys.write(root / surveys.DEFINITION, SMALL)
    blank = np.zeros((32, 32, 3), np.float32)
    write_npz(root / "g.npz", blank, {"galaxy_id": "g", "ra": 1.0, "dec": 0.0})
    with pytest.raises(InputError, match="no row has a score"):
        scan(settings(tmp_path, "bright", source="folder", root=str(root)), tmp_path / "out")
    assert "blank background" in (tmp_path / "out" / "scan" / "refused.csv").read_text()


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

    def task(item, attempt):
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


def test_another_survey_than_the_run_s_is_refused(world, tmp_path):
    s = settings(tmp_path, "bright", root=str(world[0]), rows_per_part=100)
    surveys.write(tmp_path / "out" / surveys.OF_A_RUN, SMALL)
    with pytest.raises(InputError, match="hsc is not small"):
        scan(replace(s, definition="hsc"), tmp_path / "out")
    with pytest.raises(InputError, match="no file matches"):
        scan(replace(s, sweeps=("nothing-*.fits",)), tmp_path / "out")
