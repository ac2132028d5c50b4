"""A held-out table is freed of everything near a training positive, and says what it lost."""

import numpy as np
import pandas as pd
import pytest

from classifiers.evaluation import independence, predictions
from classifiers.evaluation.judge_verb import command
from lensjax.errors import InputError

ARCSEC = 1 / 3600


@pytest.fixture
def files(tmp_path):
    """40 objects along the equator; the list has one at 0, one 9 arcsec from the fourth across RA
    0, and one 11 arcsec from the tenth."""
    ra = np.arange(40.0)
    table = pd.DataFrame({"id": [f"o{i}" for i in range(40)], "label": np.arange(40) % 2})
    table = table.assign(ra=ra, dec=0.0, score=np.linspace(0.1, 0.9, 40), split="test")
    table.to_csv(tmp_path / "t.csv", index=False)
    lens = {"name": ["x", "y", "z"], "RA": [360 - 2 * ARCSEC, 3.0, 9.0]}
    lens["DEC"] = [0.0, 9 * ARCSEC, 11 * ARCSEC]
    pd.DataFrame(lens).to_csv(tmp_path / "l.csv", index=False)
    return tmp_path


def test_what_lies_within_the_radius_is_removed_and_listed(files):
    table = predictions.read(files / "t.csv", columns=("ra", "dec"))
    left, done = independence.freed(table, [files / "l.csv"], 10)
    assert done.removed["id"].tolist() == ["o0", "o3"] and len(left) == 38
    assert done.removed["lens"].tolist() == ["x", "y"]
    assert done.removed["separation"].to_numpy() == pytest.approx([2, 9], abs=1e-6)
    assert done.removed["row"].tolist() == [1, 4] and set(left.id) == set(table.id) - {"o0", "o3"}
    assert "2 of 40 objects lie within 10 arcsec of one of 3 training positives" in str(done)
    assert len(independence.freed(table, [files / "l.csv"], 12)[1].removed) == 3


def test_judge_calls_nothing_independent_that_was_not_freed(files, capsys):
    common = [str(files / "t.csv"), "--resamples", "20", "--minimum", "5"]
    assert command(common) == 0
    said = capsys.readouterr().out
    assert "not freed" in said and "are independent" not in said
    assert command([*common, "--trained-on", str(files / "l.csv")]) == 0
    said = capsys.readouterr().out
    assert "the 38 others are independent of these by position" in said and "not freed" not in said


def test_sets_are_fitted_to_freed_objects_too(tmp_path, capsys):
    """Half of the lenses were trained on, and the finder scores them higher; the sets then hold the
    lenses that it does not know as often as they say (1,000 of them, known to a point)."""
    rng, n = np.random.default_rng(0), 12_000
    y, split = (np.arange(n) % 3 == 0).astype(int), np.where(np.arange(n) % 2, "test", "val")
    trained = (y == 1) & (rng.random(n) < 0.5)
    x = np.where(y == 1, 1.0 + 3 * trained, -1.0) + rng.normal(size=n)
    ra, dec = rng.uniform(10, 60, n), rng.uniform(-10, 10, n)
    table = pd.DataFrame({"id": np.arange(n), "label": y, "score": 1 / (1 + np.exp(-x))})
    table.assign(split=split, ra=ra, dec=dec).to_parquet(tmp_path / "t.parquet")
    known = pd.DataFrame({"name": np.flatnonzero(trained), "ra": ra[trained], "dec": dec[trained]})
    known.to_csv(tmp_path / "l.csv", index=False)
    arguments = ["--split", "split", "--coverage", "0.95"]
    arguments += ["--trained-on", str(tmp_path / "l.csv"), "--resamples", "20"]
    assert command([str(tmp_path / "t.parquet"), *arguments, "--out", str(tmp_path / "o")]) == 0
    sets = pd.read_csv(tmp_path / "o" / "conformal_sets.csv").set_index("what")
    assert abs(sets.loc["covered lenses", "value"] - 0.95) < 0.03
    removed = pd.read_csv(tmp_path / "o" / "removed.csv")
    assert removed.groupby("split").size().min() > 900
    said = capsys.readouterr().out
    assert "of the split test, " in said and "of the split val, " in said


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("name,RA,DEC\nx,400,0\n", "1 training positives have no position, the first in line 2"),
        ("name,RA,DEC\n", "holds no lens"),
        ("name,mag\nx,20\n", "no column RA or DEC"),
    ],
)
def test_a_list_that_cannot_be_kept_apart_is_refused(files, text, words):
    (files / "bad.csv").write_text(text)
    table = predictions.read(files / "t.csv", columns=("ra", "dec"))
    with pytest.raises(InputError, match=words):
        independence.freed(table, [files / "bad.csv"])


def test_positions_radius_and_what_is_left_are_checked(files):
    table = predictions.read(files / "t.csv", columns=("ra", "dec", "split"))
    with pytest.raises(InputError, match="radius is 0"):
        independence.freed(table, [files / "l.csv"], 0)
    with pytest.raises(InputError, match="column 'ra' was not read"):
        independence.freed(table.keeping(["split"]), [files / "l.csv"])
    frame = pd.DataFrame({"RA": np.arange(0, 40, 2.0), "DEC": 0.0})
    frame.to_csv(files / "all.csv", index=False)
    with pytest.raises(InputError, match="20 lenses and 0 others are left"):
        independence.freed(table, [files / "all.csv"])
