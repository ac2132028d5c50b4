"""The manifest keeps its schema, its order and its promises."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from data import manifest, survey
from data.columns import names
from data.files import sha256
from data.survey import default
from lensjax.errors import InputError


def rows(n=4, **columns):
    table = {
        "cutout_path": [f"c/{i}.npz" for i in range(n)],
        "galaxy_id": [f"b_{i}" for i in range(n)],
        "label": [int(i == 0) for i in range(n)],
        "split": ["train", "val", "test", "train"][:n],
        "sample_weight": [1.0] * n,
        "tier": ["A", "N1", "N2", "N1"][:n],
    }
    return pa.table(table | columns)


def test_round_trip_sorts_and_fills_the_whole_schema(tmp_path):
    path = tmp_path / "manifest.parquet"
    manifest.write(path, rows().take([2, 0, 3, 1]))
    table = manifest.read(path)
    assert (
        table.column_names == list(names(default(), "manifest")) and len(table.column_names) == 59
    )
    assert table["galaxy_id"].to_pylist() == ["b_0", "b_1", "b_2", "b_3"]
    assert table["psfsize_r"].null_count == 4 and table["healpix_128"].type == pa.int64()


def test_equal_tables_are_equal_bytes(tmp_path):
    manifest.write(tmp_path / "a", rows())
    manifest.write(tmp_path / "b", rows().take([3, 2, 1, 0]))
    assert sha256(tmp_path / "a") == sha256(tmp_path / "b")


def test_healpix_stored_as_double_is_accepted(tmp_path):
    pq.write_table(
        rows(healpix_128=[1.0, 2.0, None, 4.0], a_column_of_another_project=[1, 2, 3, 4]),
        tmp_path / "m.parquet",
    )
    table = manifest.read(tmp_path / "m.parquet")
    assert table["healpix_128"].to_pylist() == [1, 2, None, 4]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"label": [0, 1, 2, 0]}, "row 2 has label 2"),
        ({"label": ["a", "b", "c", "d"]}, "column label is string"),
        ({"split": ["train", "holdout", "val", "val"]}, "row 1 has split 'holdout'"),
        ({"tier": ["A", "B", "C", None]}, "row 2 has tier 'C'"),
        ({"sample_weight": [1.0, None, 1.0, 1.0]}, "row 1 has no sample_weight"),
        ({"sample_weight": [1.0, 1.0, float("nan"), 1.0]}, "row 2 has sample_weight nan"),
        ({"sample_weight": [1.0, -1.0, 1.0, 1.0]}, "row 1 has sample_weight -1.0"),
        ({"galaxy_id": ["x", "y", "x", "z"]}, "galaxy_id 'x' occurs twice"),
        ({"healpix_128": [1.5, 2.0, 3.0, 4.0]}, "column healpix_128 is double"),
    ],
)
def test_what_training_cannot_use_is_refused_by_name(change, message):
    with pytest.raises(InputError, match=message):
        manifest.validated(rows(**change))


def test_missing_and_unreadable_files_are_one_line(tmp_path):
    with pytest.raises(InputError, match="no such manifest"):
        manifest.read(tmp_path / "none.parquet")
    (tmp_path / "bad.parquet").write_bytes(b"<html>404</html>")
    with pytest.raises(InputError, match="bad.parquet: not a readable Parquet"):
        manifest.read(tmp_path / "bad.parquet")
    with pytest.raises(InputError, match="column split is missing"):
        manifest.validated(rows().drop_columns("split"))


def test_assembled_from_cutouts_and_sample_the_catalogue_wins_and_hosts_are_marked():
    cutouts = pa.table(
        {
            "galaxy_id": ["b_1", "a_2", "host_0"],
            "cutout_path": ["x", "y", "z"],
            "ra": [1.0, 2.0, None],
            "size": [101, 101, 91],
        }
    )
    cutouts = cutouts.append_column("quality_ok", pa.array([True, False, True]))
    sample = pa.table(
        {
            "galaxy_id": ["a_2", "b_1", "c_3"],
            "label": [1, 0, 0],
            "split": ["val", "train", "test"],
            "ra": [2.5, None, 3.0],
        }
    )
    sample = sample.append_column("sample_weight", pa.array([0.5, 1.0, 1.0]))
    rows = manifest.assembled(
        cutouts, sample.append_column("other", pa.array([1, 2, 3]))
    ).to_pylist()
    picked = [
        {
            k: r[k]
            for k in (
                "galaxy_id",
                "cutout_path",
                "label",
                "split",
                "sample_weight",
                "ra",
                "size",
                "quality_ok",
                "healpix_128",
            )
        }
        for r in rows
    ]
    assert [tuple(r.values()) for r in picked] == [
        ("a_2", "y", 1, "val", 0.5, 2.5, 101, False, None),
        ("b_1", "x", 0, "train", 1.0, 1.0, 101, True, None),
        ("host_0", "z", 0, "test", 1.0, None, 91, True, None),
    ]


@pytest.mark.parametrize("path", ["", "/etc/passwd", "../a.npz", "cutouts/../../a.npz", "a\\b.npz"])
def test_paths_that_lead_out_of_the_run_are_refused(path):
    table = rows(2, cutout_path=["cutouts/a/a.npz", path])
    with pytest.raises(InputError, match=r"^m: row 1 has cutout_path .* does not lie below"):
        manifest.validated(table, "m")


def test_a_manifest_of_another_survey_is_refused_in_one_line(tmp_path):
    table = rows(2, bands_requested=["grizy", "grizy"], quality_ok=[False, True])
    pq.write_table(table, tmp_path / "manifest.parquet")
    with pytest.raises(
        InputError, match=r"manifest.parquet: row 1 has bands_requested 'grizy', the "
    ):
        manifest.read(tmp_path / "manifest.parquet")
    survey.write(tmp_path / survey.OF_A_RUN, survey.load("hsc"))
    assert manifest.read(tmp_path / "manifest.parquet").num_rows == 2
    manifest.write(tmp_path / "manifest.parquet", table)
    (tmp_path / survey.OF_A_RUN).unlink()
    with pytest.raises(InputError, match="manifest of another survey .survey 'hsc', expected 'ls"):
        manifest.read(tmp_path / "manifest.parquet")
    pq.write_table(rows(2, psfsize_y=[1.0, 1.0]), tmp_path / "manifest.parquet")
    with pytest.raises(InputError, match="another survey .it has columns of band 'y'"):
        manifest.read(tmp_path / "manifest.parquet")
