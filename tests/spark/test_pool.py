"""The pool is what the plain functions select, file by file, and every row is accounted for."""

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from small_survey import ROWS, sweep, write_lenses, write_survey

from data import catalogue, lenses
from data.files import sha256
from data.selection import CATEGORIES, Selection, select
from lensjax.errors import InputError
from spark.crossmatch import CrossmatchSettings, crossmatch
from spark.jobs import outputs
from spark.pool import negative_pool, refused_rows, unique_names

FILES = ["sweep/sweep-a.fits", "sweep/sweep-b.fits"]


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return write_survey(tmp_path_factory.mktemp("survey"), cutouts=False)


def test_pool_agrees_with_the_plain_selection_and_counts_add_up(root, tmp_path, spark):
    listed, _ = lenses.read(root / "lenses.csv")
    assert negative_pool(spark, tmp_path, root, FILES, listed, Selection()) == []
    table = pd.read_csv(tmp_path / "counts" / "pool.csv").set_index("file")
    assert table.index.tolist() == [*FILES, "total"]
    kept = 0
    for file, path in zip(FILES, outputs(tmp_path / "pool"), strict=True):
        columns, counters = select(catalogue.read(root / file), Selection(), listed.tree())
        pool = pq.read_table(path).to_pandas()
        assert pool["galaxy_id"].tolist() == columns["galaxy_id"].tolist()
        np.testing.assert_array_equal(pool["psfsize_g"], columns["psfsize_g"])
        assert all(table.loc[file, name] == value for name, value in counters.items())
        kept += len(pool)
    total = table.loc["total"]
    cuts = (
        "not_primary",
        "not_finite_position",
        "declination",
        "type",
        "maskbits",
        "nobs",
        "flux_z_not_positive",
        "z_mag",
        "near_lens",
        "kept",
    )
    assert (
        total["rows"] == 2 * ROWS == sum(total[c] for c in cuts)
        and total["kept"] == kept == total["N1"] + total["N2"]
    )
    assert total["N2"] == sum(total[c] for c in CATEGORIES) > 0
    assert (
        total["near_lens"] > 0
        and pool["confuser_category"].isna().sum() == (pool["pool"] == "N1").sum()
    )


def test_loop_and_spark_write_the_same_bytes(root, tmp_path, spark):
    listed, _ = lenses.read(root / "lenses.csv")
    for name, session in (("loop", None), ("spark", spark)):
        negative_pool(session, tmp_path / name, root, FILES, listed, Selection())
    loop, sparked = (
        sorted(p for p in (tmp_path / name).rglob("*") if p.is_file()) for name in ("loop", "spark")
    )
    assert [sha256(p) for p in loop] == [sha256(p) for p in sparked]


def test_refused_files_stop_or_are_listed(root, tmp_path):
    (tmp_path / "sweep").mkdir()
    sweep(1).write(tmp_path / "sweep" / "good.fits")
    whole = (tmp_path / "sweep" / "good.fits").read_bytes()
    (tmp_path / "sweep" / "short.fits").write_bytes(whole[: len(whole) // 3])
    old = sweep(1)
    del old["MASKBITS"]
    old.write(tmp_path / "sweep" / "old.fits")
    write_lenses(tmp_path / "l.csv", [("x", 0.0, 0.0, "probable")])
    listed, _ = lenses.read(tmp_path / "l.csv")
    files = ["sweep/good.fits", "sweep/short.fits", "sweep/old.fits"]
    with pytest.raises(
        InputError, match=r"short.fits: not a readable FITS table .* \(and 1 more refused\)"
    ):
        negative_pool(None, tmp_path / "out", tmp_path, files, listed, Selection())
    refused = negative_pool(
        None, tmp_path / "out", tmp_path, files, listed, Selection(), "quarantine"
    )
    assert (
        [path for path, _ in refused] == files[1:]
        and "needs MASKBITS" in refused[1][1]
        and str(tmp_path) not in refused[1][1]
    )
    table = pd.read_csv(tmp_path / "out" / "counts" / "pool.csv").set_index("file")
    assert (
        table.loc["sweep/old.fits", "refused"] == refused[1][1]
        and table.loc["total", "refused"] == "2 files"
    )
    with pytest.raises(InputError, match="no catalogue file can give a negative pool"):
        negative_pool(
            None, tmp_path / "none", tmp_path, files[1:], listed, Selection(), "quarantine"
        )


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


def test_names_are_unique():
    names = unique_names(["a/x.fits", "b/x.fits.gz", "b/y.fits", "c/b/x.fits"])
    assert names == ["a-x", "b-x-0001", "y", "b-x-0003"]


def test_real_extracts(survey_data, tmp_path):
    """DR8 gives three negatives by hand count (one REX, two DEV); DR3, DR7 and the LRG table are
    refused with what they lack; DR9 lies too far north."""
    files = [
        "tractor/sweep_dr3/sweep-330m005-340p000.fits",
        "tractor/sweep_dr7/sweep-330m005-340p000.fits",
    ]
    files += [
        f"tractor/sweep_dr8/sweep-{name}.fits"
        for name in ("190m005-200p000", "310m005-320p000", "330m005-340p000")
    ]
    files += [f"tractor/tractor_dr8/tractor-{name}.fits" for name in ("3301m002", "3301m007")]
    files += [
        "tractor/tractor_dr9/tractor-1054p567.fits",
        "tractor/dr10_lrg/lrg_parent_total_lrg_v3.parquet",
    ]
    listed, _ = lenses.read(survey_data / "lenses" / "lenscat" / "catalog.csv")
    refused = dict(
        negative_pool(None, tmp_path, survey_data, files, listed, Selection(), "quarantine")
    )
    assert list(refused) == [files[0], files[1], files[-1]]
    assert (
        "needs MASKBITS" in refused[files[0]]
        and "OBJID, MASKBITS, NOBS_G, NOBS_R, NOBS_Z, SHAPE_R" in refused[files[-1]]
    )
    kept = pd.concat([pq.read_table(p).to_pandas() for p in outputs(tmp_path / "pool")])
    assert sorted(kept["galaxy_id"]) == ["3301m002_0_8000", "3301m002_15_8000", "3381m017_99_8000"]
    assert kept.set_index("galaxy_id")["pool"].to_dict() == {
        "3301m002_0_8000": "N2",
        "3301m002_15_8000": "N1",
        "3381m017_99_8000": "N1",
    }
    total = pd.read_csv(tmp_path / "counts" / "pool.csv").set_index("file").loc["total"]
    assert (
        total["rows"],
        total["type"],
        total["declination"],
        total["maskbits"],
        total["z_mag"],
    ) == (29, 16, 1, 4, 5)
