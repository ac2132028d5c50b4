"""Names that a person or a catalogue chose: they work or are refused by row, and never lead out."""

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from small_survey import sweep, write_lenses

from data import lenses
from data.files import sha256
from data.selection import Selection
from lensjax.errors import InputError
from spark.crossmatch import CrossmatchSettings, crossmatch
from spark.jobs import outputs, run_partitions
from spark.pool import negative_pool, refused_rows, unique_names
from spark.sampling import SampleSettings, sample

ODD = ("_a", ".b", "c d", "e[1]", "f,g", "ü", "h*", "i;j", "100%", "#k")


def test_a_brick_that_leads_out_is_refused_by_row(tmp_path):
    table = sweep(1)
    bricks = table["BRICKNAME"].astype("U20")
    bricks[4], bricks[9], bricks[11] = "../../xy", "", "_x"
    table["BRICKNAME"] = bricks
    table["TYPE"], table["MASKBITS"] = "SER", 0
    for band in "GRZ":
        table[f"NOBS_{band}"] = 5
    table.write(tmp_path / "s.fits")
    write_lenses(tmp_path / "l.csv", [("DESI-1", table["RA"][4], table["DEC"][4], "probable")])
    listed, _ = lenses.read(tmp_path / "l.csv")
    none = listed.where(np.empty(0, int))
    assert negative_pool(None, tmp_path, tmp_path, ["s.fits"], none, Selection()) == []
    rows = refused_rows(tmp_path, ["s.fits"])
    assert [(path, row) for path, row, _ in rows] == [("s.fits", row) for row in (5, 10, 12)]
    assert "'../../xy'" in rows[0][2]
    counts = pd.read_csv(tmp_path / "counts" / "pool.csv").set_index("file").loc["s.fits"]
    assert counts["nameless"] == 3
    pool = pq.read_table(outputs(tmp_path / "pool")[0])["galaxy_id"].to_pylist()
    assert len(pool) == counts["kept"] and not any("/" in name or not name for name in pool)
    crossmatch(None, tmp_path, tmp_path, ["s.fits"], [], listed, CrossmatchSettings())
    reasons = pd.read_csv(tmp_path / "counts" / "unmatched.csv")["reason"]
    assert reasons.str.contains("no BRICKNAME and OBJID").tolist() == [True]


def test_files_of_any_name_give_the_same_rows_with_spark_and_without(tmp_path, spark):
    root = tmp_path / "a root, [ü]"
    root.mkdir()
    tables = [sweep(seed + 1, rows=40) for seed in range(len(ODD))]
    files = [f"{name}.fits" for name in ODD]
    for table, file in zip(tables, files, strict=True):
        table.write(root / file)
    chosen = [("DESI-1", tables[0]["RA"][3], tables[0]["DEC"][3], "confident")]
    write_lenses(root / "l.csv", chosen)
    listed, _ = lenses.read(root / "l.csv")
    found = []
    for session, name in ((None, "loop [1]"), (spark, "spark {2}*")):
        out = tmp_path / name
        negative_pool(session, out, root, files, listed, Selection())
        crossmatch(session, out, root, files, [], listed, CrossmatchSettings())
        made = outputs(out / "pool")
        assert len({p.name for p in made}) == len(files)
        assert all(p.name[0].isalnum() for p in made)
        figures = sample(session, out, made, SampleSettings(negatives_per_positive=1000.0))
        assert figures["pool"]["rows"] == sum(pq.read_metadata(p).num_rows for p in made) > 0
        found.append(sha256(out / "sample" / "sample.parquet"))
    assert found[0] == found[1]


def test_names_of_items_are_safe_and_differ():
    names = unique_names([f"{name}.fits" for name in (*ODD, "a", "c-d")])
    assert len(set(names)) == len(names) and "a" in names and "c-d" in names
    assert unique_names(["sweep-a.fits", "x/sweep-b.fits"]) == ["sweep-a", "sweep-b"]


def test_a_job_refuses_an_item_that_leads_out(tmp_path):
    with pytest.raises(InputError, match=r"name of an item '\.\./x' cannot be used"):
        run_partitions(None, tmp_path / "job", [("../x", 1)], lambda *_: {}, ".txt", "job")
    assert not (tmp_path / "x.txt").exists()
