"""The chain on the real survey extracts, wherever they are."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import programs
import pytest
import quick_compilation

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def run(survey_data, tmp_path_factory) -> Path:
    """The preset `real`, with a small untrained finder and few injections."""
    from classifiers import frozen
    from data import columns, manifest
    from data.survey import default

    programs.java()
    folder = tmp_path_factory.mktemp("real")
    finder = folder / "elsewhere" / "training"
    finder.mkdir(parents=True)
    frozen.save(finder, frozen.untrained())
    manifest.write(
        finder.parent / "manifest.parquet", columns.schema(default(), "manifest").empty_table()
    )  # trained on nothing
    words = [
        "run",
        "real",
        "--out",
        str(folder / "out"),
        "--set",
        f"evaluate.classifier={finder}",
        f"audit.classifier={finder}",
    ]
    words += [
        "audit.theta_e=[1.0, 2.0]",
        "audit.injections=10",
        "audit.sensitivity_sample=8",
        "audit.treatment_sample=0",
        "audit.counterfactuals=0",
        "evaluate.resamples=40",
    ]
    environment = os.environ | {
        "LENSJAX_DATA": str(survey_data),
        "XLA_FLAGS": quick_compilation.FLAGS,
    }
    done = subprocess.run(
        [sys.executable, "-m", "lensjax.cli", *words],
        capture_output=True,
        text=True,
        env=environment,
        cwd=ROOT,
        timeout=900,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return folder / "out"


def test_old_schemas_are_refused_with_the_missing_columns_named(run):
    refused = pd.read_csv(run / "quarantine.csv").set_index("path").reason
    assert "MASKBITS" in refused["tractor/sweep_dr7/sweep-330m005-340p000.fits"]
    assert "NOBS_G" in refused["tractor/dr10_lrg/lrg_parent_total_lrg_v3.parquet"]
    assert not refused.index.str.contains("dr8|dr9").any()


def test_the_dr10_candidates_are_matched_validated_and_scored(run):
    manifest = pd.read_parquet(run / "manifest.parquet")
    lenses = manifest[manifest.label == 1]
    assert len(lenses) == 5 and lenses.quality_ok.all() and set(lenses.tier) == {"B"}
    scores = pd.read_parquet(run / "evaluation" / "scores.parquet").set_index("galaxy_id").score
    assert scores[lenses.galaxy_id].between(0, 1).all()


def test_arcs_are_injected_into_real_hosts(run):
    injections = pd.read_parquet(run / "audit" / "injections.parquet")
    assert injections.galaxy_id.nunique() > 10 and injections.score.between(0, 1).all()


def test_what_five_lenses_cannot_support_is_said_in_words(run):
    figures = json.loads((run / "evaluation" / "metrics.json").read_text())["figures"]
    assert figures["roc_auc"]["value"] is None and "insufficient" in figures["roc_auc"]["status"]
    page = (run / "report" / "index.html").read_text()
    assert "insufficient" in page and "SIMULATED SURVEY" not in page
