"""The verb `judge` from tables to tables."""

import json

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit
from sklearn.metrics import roc_auc_score

from benchmarks import evaluation
from classifiers.evaluation import strata
from classifiers.evaluation.judge_verb import command
from lensjax.errors import InputError


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    out, rng = tmp_path_factory.mktemp("judge"), np.random.default_rng(0)
    n = 2400
    y = (rng.random(n) < 0.25).astype(int)
    x = rng.normal(size=n) + 2 * y - 1
    table = pd.DataFrame(
        {
            "id": np.arange(n),
            "label": y,
            "score": expit(3 * x),
            "b": expit(x + rng.normal(size=n)),
            "split": np.where(np.arange(n) < 1200, "val", "test"),
            "kind": np.where(y == 1, "", np.where(rng.random(n) < 0.5, "ring", "plain")),
            "depth": rng.choice(["deep", "shallow"], n),
            "cell": np.arange(n) // 5,
        }
    )
    table.drop(columns="b").to_parquet(out / "a.parquet")
    table[["id", "label", "b"]].sample(frac=1, random_state=1).to_csv(out / "b.csv", index=False)
    kinds = {"lens": 0.01, "ring": 0.2, "plain": 0.79}
    rows = [{"scenario": "wide", "kind": k, "share": v} for k, v in kinds.items()]
    pd.DataFrame(rows).to_csv(out / "scenarios.csv", index=False)
    return out


def test_two_tables_become_figures_probabilities_comparison_and_lists(folder, capsys):
    out = folder / "out"
    arguments = [str(folder / "a.parquet"), "--other", str(folder / "b.csv"), "--other-scores", "b"]
    arguments += ["--split", "split", "--calibrate", "platt", "--prevalence", "0.001"]
    arguments += ["--coverage", "0.9", "--false-discovery", "0.1"]
    arguments += ["--scenarios", str(folder / "scenarios.csv"), "--kind", "kind"]
    arguments += ["--objects", "1e5", "--budgets", "300", "--columns", "depth", "--cell", "cell"]
    assert command([*arguments, "--resamples", "60", "--out", str(out)]) == 0
    said = capsys.readouterr().out
    assert "score: roc_auc 0." in said and "b minus score: roc_auc" in said and "q = " in said
    tables = {path.stem: pd.read_csv(path) for path in out.glob("*.csv")}
    assert set(tables) == {
        *("figures", "thresholds", "roc", "precision_recall", "reliability", "strata", "budgets"),
        *("comparison", "calibration", "calibrated_reliability", "calibrated"),
        *("lists", "composition", "conformal", "conformal_sets"),
    }
    test = pd.read_parquet(folder / "a.parquet").query("split == 'test'")
    auc = tables["figures"].query("finder == 'score' and metric == 'roc_auc'")["value"].item()
    assert auc == pytest.approx(roc_auc_score(test["label"], test["score"]), abs=1e-7)
    assert set(tables["strata"]["stratum"]) == {"depth"}
    drawn = {path.stem for path in out.glob("*.pdf")}
    assert drawn == {path.stem for path in out.glob("*.png")} and drawn < set(tables)
    assert drawn >= {"roc", "precision_recall", "budgets", "composition"}
    listed = tables["calibrated"]
    assert listed["id"].tolist() == test["id"].tolist()
    assert listed["score_in_survey"].mean() < 0.1 < listed["score_probability"].mean()
    ece = tables["calibration"].query("finder == 'score' and metric == 'ece'")
    ece = ece.set_index("when")["value"]
    assert ece["after"] < 0.5 * ece["before"]
    maps = json.loads((out / "calibrators.json").read_text())
    assert maps["score"]["method"] == "platt" and len(maps["b"]["numbers"]) == 2


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--calibrate", "beta"], "name the column of --split"),
        (["--prevalence", "0.1"], "--prevalence needs probabilities; set --calibrate"),
        (["--scenarios", "x.csv"], "scenarios need --kind"),
        (["--resamples", "3"], "at least 20 resamples"),
        (["--scores", "logit"], "column logit is missing"),
        (["--split", "depth"], "no object has depth = 'test'"),
    ],
)
def test_choices_that_do_not_fit_are_refused(folder, arguments, words):
    with pytest.raises(InputError, match=words):
        command([str(folder / "a.parquet"), *arguments])


def test_columns_of_numbers_are_cut_into_fifths_and_endless_texts_refused():
    numbers = np.arange(100).astype(str)
    numbers[7] = "unknown"
    bins = strata.grouped("depth", numbers)
    found, sizes = np.unique(bins, return_counts=True)
    assert len(found) == 6 and "unknown" in found and sorted(sizes)[1:] == [19, 20, 20, 20, 20]
    few = np.array(["a", "b", "unknown"])
    assert (strata.grouped("type", few) == few).all()
    with pytest.raises(InputError, match="column 'name' has 101 different values, for example g0"):
        strata.grouped("name", np.array([f"g{i}" for i in range(101)]))


def test_the_benchmark_measures_both_ways_on_the_same_resamples(tmp_path):
    q = evaluation.Question(3000, 300, 30, loop=5, out=tmp_path / "found.json")
    found = evaluation.main(q)
    assert found["largest_difference"]["roc_auc"] < 1e-12 and (tmp_path / "found.json").is_file()
    assert found["largest_difference"]["recall_at_fpr_1e-3"] < 1e-12
