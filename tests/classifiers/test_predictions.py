"""A table of predictions is read as it is, or refused with the row."""

import numpy as np
import pandas as pd
import pytest

from classifiers.evaluation import predictions
from lensjax.errors import InputError


def frame(n=8):
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "id": [f"{i:03d}" for i in range(n)],
            "label": np.arange(n) % 2,
            "score": np.round(rng.random(n), 3),
            "other": rng.random(n).astype(np.float32),
            "depth": ["deep", "", "shallow", None] * (n // 4),
            "cell": np.arange(n) // 2,
            "ra": np.linspace(0, 359, n),
            "dec": np.linspace(-80, 80, n),
        }
    )


def written(table, folder, ending="csv"):
    path = folder / f"table.{ending}"
    table.to_parquet(path, index=False) if ending == "parquet" else table.to_csv(path, index=False)
    return path


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_a_table_keeps_its_rows_ids_and_numbers(tmp_path, ending):
    table = frame()
    path = written(table, tmp_path, ending)
    found = predictions.read(path, ("score", "other"), columns=("depth",), cell="cell")
    assert found.id.tolist() == table["id"].tolist() and len(found) == 8
    assert (found.label == table["label"]).all() and (found.scores["score"] == table["score"]).all()
    assert found.scores["other"] == pytest.approx(table["other"].to_numpy(), abs=1e-7)
    assert found.columns["depth"].tolist() == ["deep", "unknown", "shallow", "unknown"] * 2
    assert (found.cell == table["cell"]).all()
    p = found.scores["score"]
    assert found.logits["score"] == pytest.approx(np.log(p / (1 - p)))


def test_logits_are_read_as_logits_and_cells_come_from_positions(tmp_path):
    import healpy

    table = frame().assign(score=np.linspace(-4, 4, 8), label=[True, False] * 4)
    found = predictions.read(written(table, tmp_path), output="logit", cell="healpix")
    assert found.scores["score"] == pytest.approx(1 / (1 + np.exp(-table["score"])))
    where = healpy.ang2pix(128, table["ra"], table["dec"], nest=True, lonlat=True)
    assert (found.cell == where).all() and found.label.tolist() == [1, 0] * 4


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"score": [0.1] * 7 + [np.nan]}, r"no finite numbers: row 8 \(007\)"),
        ({"score": [0.1] * 7 + [np.inf]}, r"no finite numbers: row 8"),
        ({"score": ["0.1"] * 7 + ["high"]}, r"no finite numbers: row 8 \(007\): high"),
        ({"score": [0.5, 2.5, -3.0] + [0.5] * 5}, r"outside 0 to 1 \(logits\?.*row 2.*row 3"),
        (
            {"id": ["a", "b", "a", "", "c", "d", "e", "a"]},
            r"empty: row 4.*already: row 3 \(a\), ro",
        ),
        ({"label": [0, 1, 2, 1, 0, 1, 0.5, 1]}, r"other than 0 and 1: row 3 \(002\): 2.*, row 7"),
        ({"label": [0, 1, None, 1, 0, 1, 0, 1]}, r"other than 0 and 1: row 3"),
        ({"label": [1] * 8}, r"are all lenses \(8\)"),
        ({"label": [0] * 8}, r"are all non-lenses \(8\)"),
        ({"cell": [1, 2, None, 4, 5, 6, 7, 8]}, r"cells that are empty: row 3"),
    ],
)
@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_bad_rows_are_named(tmp_path, change, words, ending):
    path = written(frame().assign(**change), tmp_path, ending)
    with pytest.raises(InputError, match=words):
        predictions.read(path, cell="cell")


def test_probabilities_that_are_called_logits_are_refused(tmp_path):
    with pytest.raises(InputError, match="every score lies in 0 to 1"):
        predictions.read(written(frame(), tmp_path), output="logit")


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_none_is_a_name_and_large_numbers_are_kept(tmp_path, ending):
    """A category of ours is called none. Whole numbers above 2^63 are no 64-bit integers."""
    table = pd.DataFrame({"id": ["a", "b", "c"], "label": [0, 1, 0], "score": [0.1, 0.9, 0.2]})
    table = table.assign(kind=["none", None, "NA"], big=[1e20, 2.0, np.nan], few=[1.0, np.nan, 2.0])
    path = tmp_path / f"t.{ending}"
    table.to_csv(path, index=False) if ending == "csv" else table.to_parquet(path)
    found = predictions.read(path, columns=("kind", "big", "few")).columns
    assert found["kind"].tolist() == ["none", "unknown", "NA"]
    assert found["big"].astype(str).tolist() == ["1e+20", "2.0", "unknown"]
    assert found["few"].tolist() == (["1.0", "unknown", "2.0"] if ending == "csv"
                                     else ["1", "unknown", "2"])  # fmt: skip


def test_tables_without_a_column_and_files_that_are_none_are_refused(tmp_path):
    path = written(frame().drop(columns="label"), tmp_path)
    with pytest.raises(InputError, match=r"column label is missing; it has id, score"):
        predictions.read(path)
    for text, words in (
        ("id,label,score,score\na,1,0.5,0.5\n", "score is there 2 times"),
        ("id,label,score\na,1,0.5\nb,0\n", "line 3 has 2 values, the heading 3"),
        ("id,label,score\na,1,0.5,9\n", "line 2 has 4 values"),
        ("id,label,score\n", "holds no objects"),
        ("", "id is missing"),
    ):
        path.write_text(text)
        with pytest.raises(InputError, match=words):
            predictions.read(path)
    (tmp_path / "x.parquet").write_text("no parquet")
    with pytest.raises(InputError, match="not a readable table"):
        predictions.read(tmp_path / "x.parquet")
    with pytest.raises(InputError, match="no such file"):
        predictions.read(tmp_path / "nowhere.csv")
    with pytest.raises(InputError, match="at least one column"):
        predictions.read(path, ())
    bad = frame().assign(ra=[400.0, *[0.0] * 7])
    with pytest.raises(InputError, match=r"ras outside 0 to 360 degrees: row 1 \(000\): 400"):
        predictions.read(written(bad, tmp_path), cell="healpix")


def test_two_tables_come_together_by_id_and_never_lose_an_object(tmp_path):
    table = frame()
    first = predictions.read(written(table, tmp_path), columns=("depth",))
    mixed = table.iloc[::-1].rename(columns={"score": "a", "other": "score"})
    second = predictions.read(written(mixed, tmp_path), ("a",))
    both = predictions.together(first, second)
    assert (both.scores["a"] == both.scores["score"]).all() and (both.id == first.id).all()
    assert both.columns["depth"].tolist() == first.columns["depth"].tolist()
    with pytest.raises(InputError, match="both tables have a finder score"):
        predictions.together(first, first)
    fewer = predictions.read(written(mixed.iloc[1:].replace("003", "x"), tmp_path), ("a",))
    with pytest.raises(
        InputError, match=r"2 only in the first: row 4 \(003\), row 8 \(007\); 1 on"
    ):
        predictions.together(first, fewer)
    other = mixed.assign(label=[*mixed["label"][:-1], 1])
    with pytest.raises(InputError, match=r"label objects differently: row 1 \(000\)"):
        predictions.together(first, predictions.read(written(other, tmp_path), ("a",)))


def test_parts_are_chosen_by_a_column(tmp_path):
    table = frame().assign(split=["val"] * 4 + ["test"] * 3 + ["one"])
    found = predictions.read(written(table, tmp_path), columns=("split",))
    assert found.only("split", "test").id.tolist() == ["004", "005", "006"]
    for column, value, words in (
        ("split", "train", "no object has split = 'train'; there are one, test, val"),
        ("split", "one", "split = one are all lenses"),
        ("depth", "x", "'depth' was not read; split were"),
    ):
        with pytest.raises(InputError, match=words):
            found.only(column, value)
