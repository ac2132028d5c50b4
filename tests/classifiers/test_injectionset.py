"""The file of injections that others read."""

import pandas as pd
import pytest

import lensjax as lj
from classifiers.audit.injectionset import InjectionSet
from classifiers.audit.resampling import threshold_of


def made(**changed):
    table = pd.DataFrame({"theta_e": [1.0, 2.0], "ln_p_draw": [-1.0, -1.5], "score": [0.2, 0.9]})
    about = {"total_generated": 3, "density_over": ["theta_e"], "finders": {"own": {}}} | changed
    return InjectionSet(table, about)


def test_what_is_written_is_read(tmp_path):
    made().save(tmp_path / "injections.parquet")
    found = InjectionSet.load(tmp_path / "injections.parquet")
    pd.testing.assert_frame_equal(found.table, made().table)
    assert found.about == made().about and found.total == 3 and len(found) == 2
    assert found.score().tolist() == [0.2, 0.9]
    with pytest.raises(lj.InputError, match="no scores of finder 'other'.*there are own"):
        found.score("other")


def test_the_first_finder_has_a_name_too_and_its_thresholds_at_rates_of_its_own():
    about = {
        "finders": {"": {"name": "own"}, "b": {"name": "b"}},
        "thresholds": {"p0.5": 0.5},
        "finder_thresholds": {"own": {"hosts_fpr0.05": 0.9}, "b": {"hosts_fpr0.05": 0.3}},
    }
    found = made(**about)
    assert found.score("own").tolist() == found.score().tolist() == [0.2, 0.9]
    of = lambda finder: threshold_of(found, "hosts_fpr0.05", finder)
    assert of("") == of("own") == 0.9 and of("b") == 0.3
    assert threshold_of(found, "p0.5", "own") == 0.5
    with pytest.raises(lj.InputError, match="no threshold 'p0.5' of finder 'b'"):
        threshold_of(found, "p0.5", "b")


@pytest.mark.parametrize(
    "wrong, message",
    [
        ({"density_over": ["slope"]}, "column 'slope' is missing"),
        ({"total_generated": 1}, "2 rows, but only 1 draws"),
    ],
)
def test_a_set_that_contradicts_itself_is_refused(tmp_path, wrong, message):
    made(**wrong).save(tmp_path / "x.parquet")
    with pytest.raises(lj.InputError, match=message):
        InjectionSet.load(tmp_path / "x.parquet")


def test_other_files_are_refused(tmp_path):
    made().table.to_parquet(tmp_path / "x.parquet")
    with pytest.raises(lj.InputError, match="is no injection set; make it with `lensjax audit`"):
        InjectionSet.load(tmp_path / "x.parquet")
    (tmp_path / "y.parquet").write_text("no Parquet")
    with pytest.raises(lj.InputError, match="cannot be read as an injection set"):
        InjectionSet.load(tmp_path / "y.parquet")
    with pytest.raises(lj.InputError, match="no such injection set"):
        InjectionSet.load(tmp_path / "z.parquet")
