"""Where stamps come from: shards, folders and bricks, with whatever can be wrong with them."""

import csv
import json
import shutil
from dataclasses import replace

import galaxies
import numpy as np
import pytest
from scannable import SMALL, bricks, scores, settings

from classifiers import finders as doors
from classifiers import frozen
from classifiers.scanning import scan as command
from classifiers.scanning.scan_verb import scan
from data import shards
from data import survey as surveys
from data.cutouts import write_npz
from data.loader import load_split
from lensjax.errors import InputError


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


@pytest.mark.parametrize("what", ["data", "length", "end", "half", "records", "empty"])
def test_a_damaged_shard_loses_what_is_damaged_and_says_so(packed, tmp_path, what):
    def change(content):
        if what in ("half", "empty"):
            return content[: len(content) // 2 if what == "half" else 0]
        if what == "records":  # whole ones
            one = shards.tfrecord.HEADER.unpack(content[:12])[0] + 16
            return content[: 2 * one]
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
    of_file = next(e["records"] for e in shards.index(packed)["shards"] if e["file"] == path.name)
    lost = {"data": 1, "length": of_file, "end": 1, "empty": of_file}
    refused = lost.get(what)
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
    meta |= {"galaxy_id": "g2", "ra": 7, "ebv": "n/a", "type": 1, "label": np.nan}
    write_npz(root / "b0" / "g2.npz", images[2], meta)
    write_npz(root / "b0" / "g3.npz", images[2], {**meta, "pixel_scale": "x"})
    found, _ = scan(settings(tmp_path, "bright", source="folder", root=str(root)), tmp_path / "out")
    assert (found["rows"], found["scored"], found["refused"]) == (10, 6, 4)
    assert found["doubled"] == ["g0", "g2"]
    why = {r["source"]: r["refused"] for r in scores(tmp_path / "out").to_pylist() if r["refused"]}
    assert set(why) == {"b0/g1.npz", "b0/g3.npz", "b1/g4.npz", "b1/g5.npz"}
    (odd,) = (r for r in scores(tmp_path / "out").to_pylist() if r["source"] == "b0/g2.npz")
    assert (odd["ra"], odd["ebv"], odd["type"], odd["label"]) == (7.0, None, "1", None)
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


def test_a_replaced_cutout_of_a_table_starts_the_scan_again(tmp_path):
    """Also where the table lies elsewhere."""
    root, table = tmp_path / "theirs", tmp_path / "elsewhere" / "table.csv"
    table.parent.mkdir()
    surveys.write(root / surveys.DEFINITION, SMALL)
    table.write_text("id\na1\na2\n")
    made = galaxies.stamps(np.arange(3) % 2)
    for i in (1, 2):
        np.savez(root / f"a{i}.npz", image=made[i - 1])
    more = {"source": "folder", "root": str(root), "table": {"table": str(table)}}
    s, out = settings(tmp_path, "bright", **more), tmp_path / "out"
    scan(s, out)
    before = scores(out)["logit_bright"].to_pylist()
    np.savez(root / "a2.npz", image=made[2] * 3)
    with pytest.raises(InputError, match="holds a scan with other settings, finders or"):
        scan(s, out)
    scan(s, tmp_path / "again")
    after = scores(tmp_path / "again")["logit_bright"].to_pylist()
    assert after[0] == before[0] and after[1] != before[1]


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
    types = ("SER", "EXP", "SRE")
    s = settings(tmp_path, "bright", root=str(root), types=types, magnitude_max=22.5)
    found, _ = scan(s, tmp_path / "out")
    assert found["unseen_types"] == ["SRE"]  # a slip of the pen is said
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
