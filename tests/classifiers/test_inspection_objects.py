"""Which objects are inspected, and in which order."""

import numpy as np
import pandas as pd
import pytest

from classifiers.inspection.objects import read
from lensjax.errors import InputError


def tables(folder, n=60, calibration=20, shuffle=None):
    rows = pd.DataFrame({"id": [f"c{i}" for i in range(n)], "score": np.arange(n) / n})
    known = pd.DataFrame(
        {
            "id": [f"k{i}" for i in range(calibration)],
            "truth": [
                ("lens", "injection", "confuser", "other")[i % 4] for i in range(calibration)
            ],
            "theta_e": np.linspace(0.5, 2.0, calibration),
        }
    )
    if shuffle is not None:
        rows, known = (t.sample(frac=1, random_state=shuffle) for t in (rows, known))
    folder.mkdir(exist_ok=True)
    rows.to_csv(folder / "c.csv", index=False)
    known.to_parquet(folder / "k.parquet", index=False)
    return folder / "c.csv", folder / "k.parquet"


def test_the_order_is_that_of_the_names_and_the_seed_whatever_the_order_of_the_rows(tmp_path):
    first = read(*tables(tmp_path / "a"))
    again = read(*tables(tmp_path / "b", shuffle=1))
    other = read(*tables(tmp_path / "a"), seed=7)
    assert [o.id for o in first] == [o.id for o in again] != [o.id for o in other]
    assert sorted(o.id for o in first) == sorted(o.id for o in other)
    assert [o.number for o in first] == list(range(1, 81))


def test_calibration_items_lie_anywhere_or_among_the_first(tmp_path):
    where = tables(tmp_path, 400, 100)
    place = lambda **how: np.array([o.number for o in read(*where, **how) if o.calibration])
    anywhere, early = place(), place(within=150)
    assert len(anywhere) == len(early) == 100
    # Uniform between 0 and 500: mean 250, standard error 14.
    assert abs(anywhere.mean() - 250) < 60 and anywhere.max() > 450
    assert early.max() <= 150 and early.min() < 20
    with pytest.raises(InputError, match="within: 100 objects have no place for candidates"):
        read(*where, within=100)


def test_ranked_candidates_fall_in_score_and_keep_it_in_the_table(tmp_path):
    found = read(*tables(tmp_path), order="ranked")
    scores = [o.about["score"] for o in found if not o.calibration]
    assert scores == sorted(scores, reverse=True)
    known = [o for o in found if o.calibration]
    assert {o.truth for o in known} == {"lens", "injection", "confuser", "other"}
    assert all(0.5 <= o.about["theta_e"] <= 2 and "truth" not in o.about for o in known)


def test_an_object_in_both_tables_is_one_candidate_with_a_known_truth(tmp_path):
    candidates, known = tables(tmp_path)
    both = pd.DataFrame({"id": ["c3", "k0"], "truth": ["lens", "confuser"], "theta_e": [1.0, None]})
    both.to_parquet(known)
    found = {o.id: o for o in read(candidates, known)}
    assert len(found) == 61
    assert found["c3"].truth == "lens" and not found["c3"].calibration
    assert found["c3"].about == {"score": 3 / 60, "theta_e": 1.0}


def test_an_empty_cell_of_a_candidate_takes_nothing_from_what_is_known_of_it(tmp_path):
    candidates, known = tables(tmp_path)
    listed = pd.DataFrame({"id": ["a", "b"], "score": [0.9, 0.8], "theta_e": [None, 2.0]})
    listed.to_csv(candidates, index=False)
    both = pd.DataFrame({"id": ["a", "b"], "truth": ["lens", "lens"], "theta_e": [1.5, 1.2]})
    both.to_parquet(known)
    found = {o.id: o.about["theta_e"] for o in read(candidates, known)}
    assert found == {"a": 1.5, "b": 2.0}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("name\na\n", "no column 'id'"),
        ("id\n", "holds no objects"),
        ("id,n\na,1\n,2\n", r"id is empty in row 2"),
        ("id,score\na,1\nb,2\na,3\n", r"there already: row 3 \('a', as row 1\)"),
        ("id,score\na,1\nb,\n", "b: score None is no number"),
    ],
)
def test_tables_that_cannot_be_used_are_refused_with_their_rows(tmp_path, content, said):
    (tmp_path / "t.csv").write_text(content)
    with pytest.raises(InputError, match=said):
        read(tmp_path / "t.csv", order="ranked")


def test_a_truth_that_is_none_and_a_table_that_is_not_there_are_refused(tmp_path):
    candidates, _ = tables(tmp_path)
    (tmp_path / "k.csv").write_text("id,truth\nx,galaxy\n")
    with pytest.raises(InputError, match="x: truth 'galaxy' is not one of lens, injection"):
        read(candidates, tmp_path / "k.csv")
    with pytest.raises(InputError, match="no such table"):
        read(tmp_path / "none.csv")


def test_ids_are_text_and_keep_their_zeros(tmp_path):
    (tmp_path / "t.csv").write_text('id,n\n007,1\n"=1+1",2\n<b>x</b>,3\n')
    found = read(tmp_path / "t.csv")
    assert {o.id for o in found} == {"007", "=1+1", "<b>x</b>"}
    assert {o.about["n"] for o in found} == {1, 2, 3}
