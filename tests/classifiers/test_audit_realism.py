"""The audit's summary has a realism verdict with named gates, and the two stages by bin."""

import json

import numpy as np
import pandas as pd
import pytest
from auditable import run_directory

from classifiers.audit import command
from classifiers.audit.realism import gates, panel

pytestmark = pytest.mark.usefixtures("hardly_optimised")

FLAGS = (
    "--injections 40 --theta-e 1.0 2.0 --batch 16 --sufficient 4 --sensitivity-sample 0 "
    "--psf-edges 1.0 1.3 1.6 --realism-sample 64 --treatment-sample 0 --counterfactuals 0"
).split()


@pytest.fixture(scope="module")
def audited(tmp_path_factory):
    out = run_directory(tmp_path_factory.mktemp("audit") / "run", 96)
    assert command(["--out", str(out), *FLAGS]) == 0
    return out


def summary(out):
    return json.loads((out / "audit" / "summary.json").read_text())


def test_the_verdict_names_its_gates_and_says_where_lenses_are_too_few(audited):
    found = summary(audited)["realism"]
    by_name = {g["name"]: g for g in found["gates"]}
    assert {f"background pixels in {b}" for b in "grz"} < set(by_name)
    assert {"median g - r of arcs", "median r - z of arcs", "score saturation"} < set(by_name)
    assert {"linear probe, penultimate features", "linear probe, Gabor bank"} < set(by_name)
    # 12 labelled lenses are too few for anything that compares samples.
    assert by_name["background pixels in r"]["status"] == "cannot be said"
    assert by_name["background pixels in r"]["n_lenses"] == 12
    assert "fewer than 20" in by_name["median g - r of arcs"]["words"]
    assert by_name["blinded panel"]["status"] == "not done"
    assert found["verdict"] != "passed" and "12 labelled lenses" in found["lenses"]
    assert gates.sentence(found) in summary(audited)["limitations"]


def test_the_two_stages_multiply_to_the_completeness_of_the_sample_in_every_bin(audited):
    gate = summary(audited)["gate"]
    rows = pd.read_parquet(audited / "audit" / "injections.parquet")
    assert gate["all"]["completeness"]["n"] == min(64, len(rows))
    axes = {line["axis"] for line in gate["bins"]}
    assert {"theta_e", "psf_fwhm", "depth_m5", "source_mag"} <= axes
    for line in [gate["all"], *gate["bins"]]:
        o = line["observable"]["value"]
        parts = [line[k]["value"] or 0.0 for k in ("found_observable", "found_unobservable")]
        total = o * parts[0] + (1 - o) * parts[1]
        assert total == pytest.approx(line["completeness"]["value"])
    for axis in axes:
        number = sum(x["completeness"]["n"] for x in gate["bins"] if x["axis"] == axis)
        assert number == gate["all"]["completeness"]["n"]
    assert gate["calibration"]["random"]["n"] >= 30 and not gate["calibration"]["fitted"]


def test_answers_of_the_panel_are_read_by_the_next_run_and_wrong_ones_are_not_counted(audited):
    key = json.loads((audited / "audit" / panel.KEY).read_text())
    rows = [{"image": r["image"], "answer": r["truth"]} for r in key["images"]]
    answers = audited / "panel_answers.json"
    answers.write_text(json.dumps({"panel": key["panel"], "answers": rows}))
    assert command(["--out", str(audited), *FLAGS]) == 0
    gate = summary(audited)["realism"]["gates"][-1]
    assert gate["name"] == "blinded panel" and gate["value"] == 1.0
    assert json.loads((audited / "audit" / panel.KEY).read_text()) == key
    answers.write_text(json.dumps({"panel": "another", "answers": rows}))
    assert command(["--out", str(audited), *FLAGS]) == 0
    gate = summary(audited)["realism"]["gates"][-1]
    assert gate["status"] == "not done" and "another panel" in gate["words"]
    answers.unlink()


def test_the_same_run_says_the_same(audited):
    before = summary(audited)["realism"]["gates"][:-1]
    assert command(["--out", str(audited), *FLAGS, "--force"]) == 0
    again = summary(audited)["realism"]["gates"][:-1]
    assert json.dumps(before) == json.dumps(again)
    assert np.isfinite([g["n_injections"] for g in again]).all()
