"""Evaluation from shards to tables: the numbers of the tables are those of the scores, any finder
gives them, and small samples say so in words."""

import json
import sys

import galaxies
import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from classifiers import finders, frozen, onnxfile
from classifiers.evaluation import EvaluateSettings, command, strata
from data import survey
from data.loader import load_split
from lensjax.errors import InputError

ARGUMENTS = ["--resamples", "40", "--batch", "64"]


@pytest.fixture(scope="module")
def classifier(tmp_path_factory):
    folder = tmp_path_factory.mktemp("classifier")
    frozen.save(folder, frozen.untrained(crop=32))
    return folder


@pytest.fixture(scope="module")
def evaluated(classifier, tmp_path_factory):
    out = galaxies.small_survey(tmp_path_factory.mktemp("run"), 300)
    assert (
        command(["--out", str(out), "--classifier", str(classifier), "--on", "test", *ARGUMENTS])
        == 0
    )
    return out


def test_scores_are_the_classifiers(evaluated, classifier):
    scores = pd.read_parquet(evaluated / "evaluation" / "scores.parquet")
    assert len(scores) == 300 and scores["galaxy_id"].is_unique
    columns = load_split(evaluated, "val", ("image", "galaxy_id"))
    mine = scores.set_index("galaxy_id").loc[columns["galaxy_id"]]
    assert np.allclose(frozen.load(classifier).logits(columns["image"]), mine["logit"], atol=1e-5)
    assert np.allclose(mine["score"], 1 / (1 + np.exp(-mine["logit"])))


def test_figures_are_those_of_the_test_scores(evaluated):
    found = json.loads((evaluated / "evaluation" / "metrics.json").read_text())
    scores = pd.read_parquet(evaluated / "evaluation" / "scores.parquet").query("split == 'test'")
    auc = found["figures"]["roc_auc"]
    assert (
        auc["value"] == pytest.approx(roc_auc_score(scores["label"], scores["score"]))
        and auc["lo95"] <= auc["value"] <= auc["hi95"]
    )
    assert found["on"] == "test" and found["lenses"] == scores["label"].sum()
    roc = pd.read_csv(evaluated / "evaluation" / "roc.csv")
    assert roc["recall"].iloc[-1] == 1 and roc["false_positive_rate"].iloc[-1] == 1


def test_thresholds_come_from_validation_negatives_and_refuse(evaluated):
    table = pd.read_csv(evaluated / "evaluation" / "thresholds.csv").set_index("name")
    assert list(table.columns) == [
        "threshold",
        "fpr_target",
        "fpr",
        "fpr_lo95",
        "fpr_hi95",
        "threshold_lo95",
        "threshold_hi95",
        "n_negatives",
        "n_effective",
        "status",
    ]
    assert (table["threshold_lo95"] == table["threshold"]).loc["p0.3":"p0.7"].all()
    negatives = pd.read_parquet(evaluated / "evaluation" / "scores.parquet").query(
        "split == 'val' and label == 0"
    )
    assert (table["n_negatives"] == len(negatives)).all()
    assert table.loc["p0.5", "fpr"] == pytest.approx((negatives["score"] > 0.5).mean())
    assert table.loc["fpr0.001", "status"].startswith("insufficient") and np.isnan(
        table.loc["fpr0.001", "threshold"]
    )


def test_every_negative_is_in_one_confuser_row(evaluated):
    table = pd.read_csv(evaluated / "evaluation" / "confusers.csv").query("threshold == 0.5")
    scores = pd.read_parquet(evaluated / "evaluation" / "scores.parquet").query(
        "split == 'test' and label == 0"
    )
    assert (
        table["n"].sum() == len(scores)
        and table["false_positives"].sum() == (scores["score"] > 0.5).sum()
    )
    assert {"ring_proxy", "edge_on_proxy", "none"} <= set(table["category"])


def test_strata_partition_the_sample_and_single_kinds_have_no_calibration(evaluated):
    table = pd.read_csv(evaluated / "evaluation" / "strata.csv")
    found = json.loads((evaluated / "evaluation" / "metrics.json").read_text())
    for _, rows in table.drop_duplicates(["stratum", "bin"]).groupby("stratum"):
        assert rows["lenses"].sum() == found["lenses"] and rows["others"].sum() == found["others"]
    single = table[(table["stratum"] == "tier") & (table["metric"] == "ece")]
    assert single["value"].isna().all() and single["status"].str.startswith("insufficient").all()
    q = table["q_value"].dropna()
    assert len(q) and (q >= table.loc[q.index, "p_value"] - 1e-12).all()


def test_five_lenses_and_nothing_else_give_words(classifier, tmp_path):
    rows = [{**r, "label": 1, "tier": "A", "confuser_category": ""} for r in galaxies.table(5)]
    out = galaxies.survey(tmp_path, rows, galaxies.stamps(np.ones(5)))
    assert command(["--out", str(out), "--classifier", str(classifier), *ARGUMENTS]) == 0
    found = json.loads((out / "evaluation" / "metrics.json").read_text())
    assert found["on"] == "all" and found["lenses"] == 5
    assert all(
        f["value"] is None and f["status"].startswith("insufficient: 5 lenses and 0 non-lenses")
        for f in found["figures"].values()
    )
    assert len(pd.read_parquet(out / "evaluation" / "scores.parquet")) == 5
    assert pd.read_csv(out / "evaluation" / "roc.csv").empty


def test_without_a_classifier_it_says_what_to_do(evaluated, tmp_path):
    out = galaxies.small_survey(tmp_path, 30)
    with pytest.raises(InputError, match=r"'train' has not finished"):
        command(["--out", str(out)])
    with pytest.raises(InputError, match=r"classifier.json: no such file"):
        command(["--out", str(out), "--classifier", str(tmp_path / "nowhere")])


def test_bins_are_named_by_their_edges():
    assert strata.binned(np.array([0.5, 0.9, 1.3, 9.0, np.nan]), (0.9, 1.2, 1.8)).tolist() == [
        "< 0.9",
        "0.9-1.2",
        "1.2-1.8",
        ">= 1.8",
        "unknown",
    ]


def test_scoring_pads_the_last_batch(classifier):
    stamps = galaxies.stamps(np.ones(7))
    model = frozen.load(classifier)
    found = finders.scored(model, stamps, batch=4)
    assert np.allclose(found.logit, model.logits(stamps), atol=1e-5)
    assert EvaluateSettings().resamples == 1000


FUNCTION = """
from pathlib import Path
from classifiers import finders, frozen
network = frozen.load(Path(__file__).parent / "flax")
def score(stamps):
    return finders.scored(network, stamps, batch=64).score
"""
COUNTED = ("thresholds.csv", "confusers.csv")


def answer(folder):
    """Scores, by our own classifier, the stamps that wait in an exchange's folder."""
    network = frozen.load(folder / "flax")
    waiting = pd.read_csv(folder / "post" / "evaluation" / "stamps.csv")
    for file in sorted(set(waiting["file"])):
        with np.load(folder / "post" / "evaluation" / file) as part:
            found = finders.scored(network, part["stamps"])
            waiting.loc[waiting["file"] == file, "score"] = found.score
    table = waiting[["galaxy_id", "score"]].sample(frac=1, random_state=0)
    table.to_csv(folder / "post" / "evaluation" / "scores.csv", index=False)


def test_the_same_network_through_every_door_gives_the_same_tables(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    network = frozen.untrained(crop=32)
    frozen.save(tmp_path / "flax", network)
    onnxfile.save(tmp_path / "network.onnx", network)
    (tmp_path / "door_of_a_test.py").write_text(FUNCTION)
    out = galaxies.small_survey(tmp_path / "run", 120)
    tables = {}
    for spec in ("flax", "network.onnx", "door_of_a_test:score", "scores:post"):
        arguments = [
            "--out",
            str(out),
            "--finder",
            spec,
            "--on",
            "all",
            "--minimum",
            "3",
            *ARGUMENTS,
        ]
        if spec == "scores:post":
            with pytest.raises(InputError, match="write scores.csv with the columns id and score"):
                command(arguments)
            answer(tmp_path)
        assert command(arguments) == 0
        tables[spec] = [(out / "evaluation" / name).read_bytes() for name in COUNTED]
        assert command(arguments) == 0  # up to date
    assert len({tuple(t) for t in tables.values()}) == 1
    thresholds = pd.read_csv(out / "evaluation" / "thresholds.csv")
    assert (thresholds["status"] == "ok").sum() >= 4


def test_a_finder_and_a_classifier_at_once_are_refused(tmp_path):
    with pytest.raises(InputError, match="finder and classifier say the same; set one of them"):
        command(["--out", str(tmp_path), "--finder", "a.onnx", "--classifier", "b"])


def test_edges_of_strata_follow_from_the_survey():
    for name in ("ls_dr10", "hsc", "euclid_vis", "lsst"):
        if name in survey.names():
            edges = strata.conditions(survey.load(name))
            assert all(len(e) > 2 and list(e) == sorted(set(e)) for e in edges.values())
