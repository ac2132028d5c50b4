"""Validation reads every file back, measures it, and gives a reason for each it rejects."""

import numpy as np
import pytest
from test_cutouts_job import SETTINGS, example, write_sample

from data import manifest
from data.columns import names
from data.cutouts import read_npz, write_npz
from data.quality import features
from data.survey import default
from spark.cutouts import CutoutSettings, make_cutouts
from spark.given import describe
from spark.validation import judge, table, validate, wrong_provenance


def test_good_cutouts_pass_and_the_others_have_a_reason(tmp_path):
    root, out = example(tmp_path)
    make_cutouts(None, out, root, SETTINGS)
    (out / "cutouts/3598m030/3598m030_0.npz").write_bytes(b"")
    refused = {galaxy: reason for _, galaxy, reason in validate(None, out, 101)}
    assert set(refused) == {"0001m002_0", "0001m002_1", "1500p100_2", "3598m030_0"}
    assert (
        refused["0001m002_0"] == "no data in band r"
        and "not a whole NPZ" in refused["3598m030_0"]
        and "% of the central" in refused["1500p100_2"]
    )
    rows = {row["galaxy_id"]: row for row in table(out).to_pylist()}
    assert {galaxy for galaxy, row in rows.items() if row["quality_ok"]} == {
        "1500p100_0",
        "1500p100_1",
        "3598m030_1",
    } and len(rows) == 6
    image, _ = read_npz(out / rows["1500p100_0"]["cutout_path"])
    measured = features(image)
    assert {name: rows["1500p100_0"][name] for name in measured} == measured
    assert (
        rows["0001m002_0"]["core_max_r"] is None
        and rows["0001m002_0"]["nan_count_r"] == 101**2
        and rows["0001m002_0"]["has_r"] is False
    )


def test_rows_fit_the_manifest(tmp_path):
    import pyarrow.parquet as pq

    root, out = example(tmp_path)
    make_cutouts(None, out, root, SETTINGS)
    validate(None, out, 101)
    whole = manifest.assembled(table(out), pq.read_table(out / "sample" / "sample.parquet"))
    assert whole.num_rows == 7 and whole.column_names[:59] == [*names(default(), "manifest")]
    row = whole.to_pylist()[whole["galaxy_id"].to_pylist().index("1500p100_0")]
    assert (
        row["label"] == 1
        and row["split"] == "train"
        and row["filename"] == "1500p100_0.npz"
        and row["psfsize_z"] == 1.1
        and row["layer"] == "ls-dr10"
    )


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({}, ""),
        ({"bands_requested": "griz"}, "bands requested 'griz'"),
        ({"bands_requested": None}, "bands requested 'unknown'"),
        ({"pixel_scale": 0.263}, ""),
        ({"pixel_scale": 0.396}, "pixel scale 0.396"),
        ({"pixel_scale": None}, "pixel scale nan"),
        ({"size": 64}, "size 64 by its metadata, 101 by its pixels"),
        ({"galaxy_id": "1500p100_9"}, "is of object 1500p100_9"),
    ],
)
def test_provenance_is_checked(change, reason):
    meta = {
        "galaxy_id": "1500p100_1",
        "bands_requested": "grz",
        "pixel_scale": 0.262,
        "size": 101,
    } | change
    meta = {k: v for k, v in meta.items() if v is not None}
    found = wrong_provenance(np.zeros((101, 101, 3), "f4"), meta, "1500p100_1")
    assert found.startswith(reason) and bool(found) == bool(reason)


def test_odd_metadata_of_one_cutout_are_missing_or_refuse_it_alone(tmp_path):
    """Where existing cutouts are described, and where cutouts are validated."""
    import pyarrow.parquet as pq

    image = np.random.default_rng(0).normal(0, 0.01, (101, 101, 3)).astype(np.float32)
    plain = {"ra": 1, "dec": -2.5, "size": 101, "pixel_scale": 0.262, "bands_requested": "grz"}
    odd = [{"nobs_z": np.nan}, {"nobs_z": np.inf, "type": 1}, {"pixel_scale": "x"}, {"ra": np.inf}]
    chunk = []
    for i, change in enumerate(odd):
        chunk.append((f"1500p100_{i}", f"cutouts/1500p100/1500p100_{i}.npz"))
        write_npz(tmp_path / chunk[i][1], image, {**plain, "galaxy_id": chunk[i][0], **change})
    made = tmp_path / "part.parquet"
    found = judge(chunk, made, out=tmp_path)
    rows = pq.read_table(made).to_pylist()
    assert [row["nobs_z"] for row in rows] == [None] * 4 and rows[1]["type"] == "1"
    assert rows[0]["ra"] == 1.0 and rows[3]["ra"] is None
    assert [r[1] for r in found["refused"]] == ["1500p100_2"]
    paths = [path for _, path in chunk]
    described = describe(paths, made, root=tmp_path, on_bad_file="quarantine")
    assert [r[0] for r in described["refused"]] == [paths[3]]
    assert pq.read_table(made)["ra"].to_pylist() == [1.0] * 3


def test_the_real_cutouts_pass_and_hosts_keep_their_size(tmp_path, survey_data):
    names = sorted(p.name for p in (survey_data / "images" / "ls_dr10_lens_cutouts").glob("*.npz"))
    rows = []
    for name in names:
        path = f"images/ls_dr10_lens_cutouts/{name}"
        meta = read_npz(survey_data / path)[1]
        rows.append(
            {
                "galaxy_id": meta["galaxy_id"],
                "brickname": meta["brickname"],
                "source_cutout": path,
                "label": 1,
                "split": "test",
                "sample_weight": 0.5,
            }
        )
    write_sample(tmp_path, rows)
    make_cutouts(
        None,
        tmp_path,
        survey_data,
        CutoutSettings(
            stamps=("images/des_lrg_hosts_grizY",),
            cubes=("images/ls_dr5_grz/grz_225px_0p262.fits",),
        ),
    )
    assert validate(None, tmp_path, 101) == []
    found = table(tmp_path).to_pylist()
    assert len(found) == 5 + 38 + 4 and all(row["quality_ok"] for row in found)
    assert sum(row["cutout_type"] == "positive" for row in found) == 5 and {
        row["size"] for row in found
    } == {91, 101}


def test_a_cutout_of_another_size_is_rejected_unless_it_is_a_host(tmp_path):
    image = np.random.default_rng(0).normal(size=(91, 91, 3)).astype("f4")
    meta = {"ra": 1.0, "dec": 2.0, "bands_requested": "grz", "pixel_scale": 0.263, "size": 91}
    for name, kind in (("a_1", "negative"), ("b_2", "host")):
        write_npz(tmp_path / f"{name}.npz", image, {"galaxy_id": name, "cutout_type": kind, **meta})
    counters = judge(
        [("a_1", "a_1.npz"), ("b_2", "b_2.npz")], tmp_path / "out.parquet", out=tmp_path, size=101
    )
    assert counters["usable"] == 1 and counters["refused"] == [
        ["a_1.npz", "a_1", "shape 91x91x3, expected 101x101x3"]
    ]
