"""Planted shortcuts are found, fair stamps raise no flag, and each view sees its part only."""

import galaxies
import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from classifiers.ensembles import trees
from classifiers.shortcuts import features, views
from classifiers.shortcuts.verb import command
from data.survey import default
from lensjax.errors import InputError


def test_a_telling_number_is_flagged_in_either_direction_and_a_blind_one_is_not():
    rng, y = np.random.default_rng(0), np.arange(2000) % 4 == 0
    y = y.astype(int)
    values = {
        "bright": 2 * y + rng.normal(size=2000),
        "faint": -0.5 * y + rng.normal(size=2000),
        "blind": rng.normal(size=2000),
        "gaps": np.where((y == 1) & (rng.random(2000) < 0.5), np.nan, rng.normal(size=2000)),
        "never": np.full(2000, np.nan),
    }
    found = features.judged(y, values, resamples=100).set_index("feature")
    assert found["flag"].to_dict() == {
        "bright": "red",
        "faint": "yellow",
        **dict.fromkeys(("blind", "gaps", "never"), "none"),
    }
    assert found.loc["faint", "value"] == pytest.approx(1 - roc_auc_score(y, values["faint"]))
    assert found.loc["faint", "lens_is"] == "lower" and found.loc["gaps", "missing_others"] == 0
    assert 0.4 < found.loc["gaps", "missing_lenses"] < 0.6
    assert found.loc["never", "status"].startswith("insufficient")
    few = features.judged(y, {"a": values["bright"]}, blocks=np.zeros(2000))
    assert "1 cells of the sky" in few["status"][0]


def test_brightness_of_cores_is_compared_by_medians():
    y = np.array([1, 1, 0, 0, 0])
    assert features.ratio(y, np.array([2.0, 4.0, 1.0, 3.0, np.nan])) == 1.5
    assert np.isnan(features.ratio(y, np.array([2.0, 4.0, -1.0, -3.0, 0.0])))


def test_rings_have_means_and_scatters_of_their_pixels_and_miss_what_is_missing():
    rng = np.random.default_rng(1)
    stamp = rng.normal(size=(2, 9, 9, 3)).astype(np.float32)
    stamp[0, 4, 4, 0] = np.nan
    found = views.rings(stamp, np.array([0, 1, 2.5]), scatter=True)
    y, x = np.mgrid[:9, :9]
    r = np.hypot(y - 4, x - 4)
    ring = stamp[:, (r >= 1) & (r < 2.5)].astype(float)
    assert found[:, 3:6] == pytest.approx(ring.mean(axis=1))
    assert found[:, 9:12] == pytest.approx(ring.std(axis=1))
    assert np.isnan(found[0, 0]) and found[1, 0] == pytest.approx(stamp[1, 4, 4, 0])


def test_trees_of_one_class_give_it_to_all_and_those_of_two_are_out_of_fold():
    x = np.random.default_rng(3).normal(size=(60, 2))
    for label in (True, False):
        only = trees.fitted(np.full(60, label), x, 0)
        assert (trees.probability(only, x) == label).all()
    # the only lenses are in the first fold, so that its own trees know of none
    y, fold = (np.arange(60) < 20).astype(int), np.arange(60) // 20
    found, models = trees.out_of_fold(y, x, fold, 0)
    assert (found[:20] == 0).all() and (found[20:] > 0).all() and len(models) == 3


def test_each_view_is_blind_for_what_lies_elsewhere():
    """Lenses are given a bright middle; rings about the annulus know nothing of it."""
    rng, y = np.random.default_rng(2), (np.arange(600) % 3 == 0).astype(int)
    stamps = rng.normal(0, 0.1, (600, 61, 61, 3)).astype(np.float32)
    stamps[y == 1, 30, 30] += 1.0
    found = views.judged(y, views.seen(stamps, default()), np.arange(600) // 5, resamples=60)
    own = found.set_index("view")
    assert own.loc["core", "above_gate"] and own.loc["core", "value"] > 0.9
    assert not own.loc["annulus", "above_gate"] and own.loc["annulus", "value"] < 0.6
    few = views.judged(y[:20], {"core": np.zeros((20, 1))}, np.arange(20))
    assert few["status"][0].startswith("insufficient")


def test_the_verb_writes_flags_and_views(survey, tmp_path, capsys):
    arguments = [str(survey), "--on", "all", "--resamples", "40", "--out", str(tmp_path)]
    assert command(arguments) == 0
    said = capsys.readouterr().out
    assert "cores of lenses are" in said and "trees that see the annulus only: AUC" in said
    flags, seen = (pd.read_csv(tmp_path / f"{n}.csv") for n in ("features", "views"))
    assert {"psfsize_r", "core_brightness_r"} <= set(flags["feature"])
    assert seen["view"].tolist() == list(views.VIEWS)
    one = galaxies.table(40, share=0.0)
    images = galaxies.stamps(np.zeros(40, int))
    with pytest.raises(InputError, match="not of both classes"):
        command([str(galaxies.survey(tmp_path / "one", one, images))])
