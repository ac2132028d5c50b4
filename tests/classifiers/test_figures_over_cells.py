"""With cells of the sky every share has its interval over cells, which holds the truth where
neighbours are alike."""

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit

from classifiers.evaluation import conformal, figures, judging, strata, verb
from classifiers.evaluation.predictions import Predictions, logit
from classifiers.evaluation.settings import EvaluateSettings
from classifiers.intervals import weighted

PER = 10
"""lenses, and others, of a cell"""


def clustered(rng, cells=60):
    """Label, score and cell: the logits of a cell share a part with a scatter of 1.5."""
    cell = np.repeat(np.arange(cells), 2 * PER)
    label = np.tile(np.repeat([1, 0], PER), cells)
    own = rng.normal(0, 1.5, cells)[cell] + rng.logistic(size=len(cell))
    return label, expit(own + 2 * label - 1), cell


def test_intervals_over_cells_hold_the_truth_where_those_over_objects_do_not():
    rng = np.random.default_rng(3)
    label, score, _ = clustered(rng, 10_000)
    true, held = (score[label == 1] > 0.5).mean(), {"cells": 0, "objects": 0}
    for _ in range(100):
        label, score, cell = clustered(rng)
        for name, blocks in (("cells", cell), ("objects", None)):
            (at,) = figures.at_thresholds(label, score, (0.5,), 10, blocks).values()
            held[name] += at["recall"]["lo95"] <= true <= at["recall"]["hi95"]
    assert held["cells"] >= 92 and held["objects"] <= 82


@pytest.fixture(scope="module")
def table():
    label, score, cell = clustered(np.random.default_rng(4))
    half = np.where(cell % 2, "odd", "even")
    ids = np.arange(len(label)).astype(str)
    scores = {"ours": score}
    return Predictions(ids, label, scores, {"ours": logit(score)}, {"half": half}, cell)


def over_cells(passed, cell):
    ends = weighted(passed, np.ones(len(passed)), cell).interval(0.95)
    return pytest.approx(tuple(float(end) for end in ends))


def test_every_share_of_a_table_with_cells_is_over_cells(table):
    found = judging.judged(table, judging.Question(resamples=20))
    y, score, cell = table.label, table.scores["ours"], table.cell
    lens, above = y == 1, score > 0.5
    ends = found["thresholds"].set_index("metric")[["lo95", "hi95"]]
    for name, passed, among in (
        ("recall", above, lens),
        ("false_positive_rate", above, ~lens),
        ("precision", lens, above),
    ):
        assert tuple(ends.loc[name]) == over_cells(passed[among], cell[among])
    tpr10 = found["figures"].set_index("metric").loc["tpr10"]
    passed = score[lens] > np.sort(score[~lens])[-10]
    assert (tpr10["lo95"], tpr10["hi95"]) == over_cells(passed, cell[lens])
    own = found["strata"].query("bin == 'odd' and metric == 'recall_at_0.5'").iloc[0]
    odd = lens & (cell % 2 == 1)
    assert (own["lo95"], own["hi95"]) == over_cells(above[odd], cell[odd])
    assert found["strata"]["p_value"].isna().all()
    few = strata.broken_down(y, score, {"a": cell.astype(str)}, 0.5, 10, 20, 1, cell)
    assert few["status"].str.startswith("insufficient: 1 cells of the sky").all()
    sets = conformal.judged(table, table, "ours", 0.9, None)[1].set_index("what")
    covered = conformal.judged(table, table, "ours", 0.9, None)[0]["p_lens"].to_numpy() > 0.1
    row = sets.loc["covered lenses"]
    assert (row["lo95"], row["hi95"]) == over_cells(covered[lens], cell[lens])


def test_an_evaluation_that_draws_cells_does_so_for_every_split_and_confuser(table):
    frame = pd.DataFrame({"label": table.label, "score": table.scores["ours"]})
    frame = frame.assign(split="test", confuser_category="", healpix_128=table.cell)
    cells = EvaluateSettings(bootstrap="healpix", resamples=100)
    objects = EvaluateSettings(bootstrap="objects", resamples=100)
    wide, narrow = (verb.summary(frame, "test", frame, s)["splits"]["test"]["roc_auc"]
                    for s in (cells, objects))  # fmt: skip
    assert wide["hi95"] - wide["lo95"] != narrow["hi95"] - narrow["lo95"]
    whole = verb.summary(frame, "test", frame, cells)
    assert whole["figures"]["roc_auc"] == wide and whole["bootstrap"]["of"] == "healpix"
    lens = table.label == 1
    ends = whole["thresholds"]["0.5"]["recall"]
    above = table.scores["ours"] > 0.5
    assert (ends["lo95"], ends["hi95"]) == over_cells(above[lens], table.cell[lens])
    row = strata.confusers(frame, cells).query("category == 'none' and threshold == 0.5").iloc[0]
    assert (row["lo95"], row["hi95"]) == over_cells(above[~lens], table.cell[~lens])
