"""`lensjax calibrate`: a wrong prior comes back within the realism gates, the right one stays, and
what cannot be matched is said."""

import itertools
import json
import tomllib
from dataclasses import replace
from pathlib import Path

import calibratable
import jax
import numpy as np
import pandas as pd
import pytest
import yaml

import lensjax as lj
from classifiers.audit.calibration import CalibrateSettings, command, judged, stage
from classifiers.audit.calibration import injected as injecting
from classifiers.audit.calibration.numbers import numbers
from classifiers.audit.calibration.observables import (
    THETA_E,
    Still,
    measurable,
    measured_with_change,
)
from classifiers.audit.injection import audit_prior
from data import record
from data.survey import default
from lensjax.prior import prior_entries

ROOT = Path(__file__).resolve().parents[2]
MOVED = ("g_r.mean", "r_z.mean", "r_eff.middle")
TRUE = (0.5, 0.4, 0.25)
SIZES = ("--injections", "192")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return calibratable.run_directory(tmp_path_factory.mktemp("calibrate") / "run")


def calibrate(run, folder, prior, *words):
    """Runs the verb on another view of the same run, and returns its folder and summary."""
    folder.mkdir(exist_ok=True)
    for name in ("manifest.parquet", "cutouts", "records"):
        if not (folder / name).exists():
            (folder / name).symlink_to(run / name)
    path = folder / "asked.yaml"
    path.write_text(yaml.safe_dump({"calibrate": {"prior": prior}}))
    assert command([str(path), "--out", str(folder), *words]) == 0
    return folder / "calibration", json.loads((folder / "calibration/summary.json").read_text())


@pytest.fixture(scope="module")
def corrected(run, tmp_path_factory):
    """The calibration of the wrong prior."""
    wrong = calibratable.prior(**calibratable.WRONG)
    words = ("--move", *MOVED, *SIZES)
    return calibrate(run, tmp_path_factory.mktemp("wrong") / "run", wrong, *words)


def status(found, when):
    return {g["name"]: g["status"] for g in found[when]["gates"]}


def test_a_wrong_prior_is_brought_back_within_the_gates_on_lenses_that_it_has_not_seen(corrected):
    _, found = corrected
    before, after = status(found, "before"), status(found, "after")
    assert len(after) == 5 and before["median g - r of arcs"] == "failed"
    assert before["median r - z of arcs"] == "failed"
    assert set(after.values()) == {"passed"} and found["verdict"] == "passed"
    assert found["before"]["distance"] > 1 and found["before"]["p"] < 0.01
    assert found["after"]["distance"] < 0.1 and found["after"]["p"] > 0.01
    assert "few lenses" in " ".join(found["words"])


def test_the_numbers_are_the_true_ones_within_their_errors(corrected):
    folder, found = corrected
    table = pd.read_csv(folder / "numbers.csv").set_index("number")
    assert list(table.index) == list(MOVED) and (table["status"] == "moved").all()
    for name, true in zip(MOVED, TRUE):
        line = table.loc[name]
        assert 0 < line["error"] < 0.1 and abs(line["after"] - true) < 3 * line["error"], name
        assert line["rise_when_put_back"] > 0.1
    # Sizes are moved by a factor, their range with them.
    low, high = found["moved"]["r_eff"]["after"]["uniform"]
    assert high / low == pytest.approx(4.0, rel=1e-4)


def test_the_calibrated_prior_is_one_that_an_audit_takes_and_nothing_else_has_changed(corrected):
    folder, found = corrected
    written = yaml.safe_load((folder / "prior.yaml").read_text())
    before = calibratable.prior(**calibratable.WRONG)
    prior = audit_prior(str(folder / "prior.yaml"), (), default())
    for name, own in found["moved"].items():
        ((kind, values),) = own["after"].items()
        assert (prior.parameters[name].kind, list(prior.parameters[name].numbers)) == (kind, values)
        before["source"]["Sersic"][name] = own["after"]
    assert written == before and set(found["moved"]) == {"g_r", "r_z", "r_eff"}
    assert set(found["fixed"]) == set(prior.parameters) - set(found["moved"])
    assert f"fixed: {', '.join(sorted(found['fixed']))}" in found["words"]


def test_the_run_record_names_files_and_settings(corrected):
    folder, _ = corrected
    told = record.read(folder.parent, "calibrate")
    names = {Path(o["path"]).name for o in told["outputs"]}
    assert names == {p.name for p in folder.iterdir()}
    assert {"prior.yaml", "observables.png", "observables.pdf", "lenses.parquet"} <= names
    assert told["config"]["move"] == list(MOVED) and told["notes"]["verdict"] == "passed"
    with open(folder / "observables.png", "rb") as file:
        assert file.read(4) == b"\x89PNG"


@pytest.mark.stress
def test_the_right_prior_is_not_moved_beyond_its_uncertainty(run, tmp_path):
    words = ("--move", *MOVED, *SIZES, "--refine", "--rounds", "2")
    folder, found = calibrate(run, tmp_path / "run", calibratable.TRUTH, *words)
    table = pd.read_csv(folder / "numbers.csv").set_index("number")
    for name, true in zip(MOVED, TRUE):
        line = table.loc[name]
        assert line["before"] == true and line["status"] in ("moved", "as it was")
        assert abs(line["after"] - true) < 3 * line["error"] < 0.3
    assert found["verdict"] == "passed"
    untouched, _ = calibrate(run, tmp_path / "two", calibratable.TRUTH, *words[:-3])
    written = yaml.safe_load((untouched / "prior.yaml").read_text())
    assert written == calibratable.TRUTH  # the gates pass at once


@pytest.fixture(scope="module")
def unmatched(run, corrected, tmp_path_factory):
    """Lenses, as a table, with arcs twice as wide, and a colour as the only number that may move.
    The fit is repeated with the same seed."""
    folder = tmp_path_factory.mktemp("unmatched")
    lenses = pd.read_parquet(corrected[0] / "lenses.parquet")
    lenses["arc_width"] *= 2
    lenses[["galaxy_id", "arc_g_r", "arc_width", "seen"]].to_csv(folder / "wide.csv", index=False)
    words = ("--lenses", str(folder / "wide.csv"), "--injections", "96", "--move", "g_r.mean")
    words += ("--observables", "arc_g_r", "arc_width")
    made = [calibrate(run, folder / n, calibratable.TRUTH, *words) for n in ("one", "two")]
    return made


def test_what_no_number_can_change_is_said_with_its_size(unmatched):
    _, found = unmatched[0]
    (line,) = (one for one in found["not_matched"] if one["observable"] == "arc_width")
    assert line["most_moved_by"] is None
    assert line["lenses_q50"] == pytest.approx(2 * line["injections_q50"], rel=0.2)
    said = next(w for w in found["words"] if w.startswith("not matched") and "width" in w)
    assert "no moved number changes it" in said
    assert found["numbers"][0]["after"] == pytest.approx(0.5, abs=0.15)
    # A table has no stamps: no SNR is compared, and no background.
    assert [g["name"] for g in found["after"]["gates"]] == ["median g - r of arcs"]
    assert found["after"]["background"] == []


def test_the_same_seed_gives_the_same_bytes(unmatched):
    one, two = (folder for folder, _ in unmatched)
    names = sorted(p.name for p in one.iterdir())
    assert names == sorted(p.name for p in two.iterdir()) and len(names) == 10
    for name in names:
        assert (one / name).read_bytes() == (two / name).read_bytes(), name


def test_the_derivatives_are_those_of_finite_differences(run):
    """The noise and the core of a galaxy are held, as they are for the derivatives."""
    faint = calibratable.prior(r_mag={"uniform": [23.5, 26.0]})
    s = CalibrateSettings(prior=faint, injections=48, per_host=1)
    prior = stage.prior_of(s, default())
    there = stage.prepared(run, s, default(), prior)
    moving = numbers(prior, ("r_mag", "r_eff", "theta_e", "g_r"))
    made = there.injected(moving, 5)
    found = made.answers(np.zeros(len(moving)), there.ruler)
    ((n, batch),) = made.batches
    look = lambda b: np.asarray(injecting._made(made.experiment, b, injecting._change(b))[0])
    still = Still.of(look(batch), there.ruler)

    def at(name, step):
        held = {**batch.drawn, name: batch.drawn[name] + step}
        stamps = look(replace(batch, drawn=held))
        (values, ln_seen), _ = measured_with_change(
            stamps, np.zeros_like(stamps), still, there.ruler
        )
        values = np.concatenate([values, np.log(np.asarray(held["theta_e"]))[:, None]], 1)
        return values[:n], np.asarray(ln_seen)[:n]

    seen = np.exp(found.ln_seen) > 0.1
    assert seen.sum() > 20 and np.isfinite(found.d_values).all()
    part = (found.ln_seen < -0.01) & (found.ln_seen > -8)  # seen with a probability in between
    assert part.sum() > 5
    for i, (name, step) in enumerate(zip(moving.parameters, (1e-3, 2e-4, 5e-4, 1e-3))):
        (up, up_seen), (down, down_seen) = at(name, step), at(name, -step)
        finite = (up - down) / (2 * step)
        scale = np.abs(finite[seen]).mean(0) + 0.02
        error = np.abs(found.d_values[i] - finite)[seen]
        # Larger steps meet kinks of the rings' medians, smaller ones rounding.
        assert (np.median(error, 0) < 0.03 * scale).all(), name
        slope = (up_seen - down_seen) / (2 * step)
        wrong = np.abs(found.d_ln_seen[i] - slope)[part]
        assert np.median(wrong) < 0.03 * np.abs(slope[part]).mean(), name


def test_it_is_a_step_that_runs_only_when_asked(monkeypatch):
    from classifiers import chain

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    verbs = project["entry-points"]["lensjax.verbs"]
    assert verbs["calibrate"] == "classifiers.audit.calibration:command"
    known = {name: verb for name, verb in chain.chain().items() if name != "calibrate"}
    monkeypatch.setattr(chain, "chain", lambda: {**known, "calibrate": command})
    assert "calibrate" not in chain.resolve("default", [])[0].steps
    asked = chain.resolve("default", ["run.steps=[survey, calibrate]"])
    assert set(asked[0].steps) == {"survey", "calibrate"}
    assert asked[1]["calibrate"] == CalibrateSettings()


@pytest.mark.parametrize("name", ["r_eff", "q", "lens_q", "n", "r_mag", "theta_e", "g_r"])
def test_whatever_the_steps_a_prior_stays_in_the_domains_of_its_parameters(name):
    prior = stage.prior_of(CalibrateSettings(prior=calibratable.TRUTH), default())
    name = next(n for n in (name, f"source_{name}") if n in prior.parameters)
    own = numbers(prior, (name,))
    singles = [numbers(prior, (n,)) for n in own.names]
    steps = np.array([-50.0, -1.0, 0.0, 0.5, 1.0, 50.0])
    domain = prior.domain(name)
    for moving in (own, *singles):
        for x in itertools.product(steps, repeat=len(moving)):
            made = moving.distributions(moving.legal(np.array(x)))[name]
            ends = [float(v) for v in made.numbers]
            if made.kind == "normal":
                assert ends[1] > 0
            else:
                assert domain.low <= ends[0] < ends[1] <= domain.high * (1 + 1e-6), (x, ends)


def test_an_index_that_is_moved_may_become_steep_unless_the_prior_says_that_it_does_not():
    implied = lj.priors("arclike")
    assert numbers(implied, ("n",)).every[-1].domain.high == 8.0
    for name, steep in (("n", True), ("r_eff", False)):
        drawn = numbers(implied, (name,)).prior.sample(jax.random.key(0), 2)
        assert drawn.source[0].steep == steep
    entries = prior_entries("arclike")
    source = {"Sersic": {**entries["source"]["Sersic"], "steep": False}}
    stated = lj.prior_from("mine", {**entries, "source": source})
    assert numbers(stated, ("n",)).every[-1].domain.high == 2.5


def test_a_colour_that_was_not_measured_leaves_the_others_their_gates():
    every = (*measurable(default()), THETA_E)
    values = np.full((30, len(every)), np.nan)
    values[:, every.index("arc_r_z")] = 0.4
    made = judged.of_observables(values, np.ones(30, bool), np.arange(30), default())
    colour = 2.5 * np.log10(made.flux[:, 2] / made.flux[:, 1])
    np.testing.assert_allclose(colour, 0.4, rtol=1e-6)


def test_help_teaches(capsys):
    with pytest.raises(SystemExit) as ended:
        command(["--help"])
    told = capsys.readouterr().out
    assert ended.value.code == 0
    for word in ("--move", "--lenses", "--held-out", "--observables", "audit --out runs/mine"):
        assert word in told


LENSES = pd.DataFrame(
    {
        "galaxy_id": [f"lens{i}" for i in range(120)],
        "arc_g_r": np.linspace(0.0, 1.0, 120),
        "arc_snr": np.linspace(3.0, 30.0, 120),
    }
)


@pytest.mark.parametrize(
    "change, words, message",
    [
        ({}, ("--move", "colour"), "has no parameter 'colour'; it has beta, "),
        ({}, ("--move", "g_r.width"), "g_r of prior .* has no 'width' to move; it has mean, sigma"),
        ({}, ("--move", "g_r", "g_r.mean"), "g_r.mean is named twice"),
        ({}, ("--observables", "arc_i_z"), "there is no 'arc_i_z'; in the bands g, r, z there are"),
        ({}, ("--observables", "arc_r_z"), "no column 'arc_r_z'; .*leave"),
        ({"arc_g_r": np.nan}, (), "row 0: arc_g_r is nan, which should be -10 to 10 mag"),
        ({"arc_snr": -3.0}, (), "row 0: arc_snr is -3.0, which should be 1e-06"),
        (
            {"arc_radius": 9.0},
            ("--observables", "arc_radius"),
            f"is 9.0, which should be 1e-06 to {default().radii.arc[1]:g}",
        ),
        ({"galaxy_id": "one"}, (), "galaxy_id one stands twice"),
        ({"keep": 30}, (), "lenses (held out|to fit), 20 are needed"),
        ({"arc_i_z": 1.0}, ("--observables", "arc_r_z"), "it has 'arc_i_z': measure the lenses in"),
    ],
)
def test_bad_input_is_refused_in_one_line(run, tmp_path, change, words, message):
    table = LENSES.head(change.pop("keep", None) or len(LENSES)).copy()
    for name, value in change.items():
        table[name] = value
    table.to_csv(tmp_path / "lenses.csv", index=False)
    usual = () if "--observables" in words else ("--observables", "arc_g_r", "arc_snr")
    usual += ("--lenses", str(tmp_path / "lenses.csv"))
    with pytest.raises(lj.InputError, match=message) as refused:
        calibrate(run, tmp_path / "run", calibratable.TRUTH, *usual, *words)
    assert "\n" not in str(refused.value)


def test_a_table_of_another_survey_and_a_run_without_lenses_are_refused(corrected, tmp_path, run):
    from classifiers.audit.calibration.lenses import of_table

    path = corrected[0] / "lenses.parquet"
    assert len(of_table(path, ("arc_g_r", "arc_snr"), default())) > 100
    other = replace(default(), name="another")
    with pytest.raises(lj.InputError, match="measured on ls_dr10 .*, and this run is another"):
        of_table(path, ("arc_g_r",), other)
    few = calibratable.run_directory(tmp_path / "few", 12, 60)
    with pytest.raises(lj.InputError, match="8 lenses to fit, 20 are needed"):
        calibrate(few, tmp_path / "run", calibratable.TRUTH)
    none = calibratable.run_directory(tmp_path / "none", 0, 60)
    with pytest.raises(lj.InputError, match="no labelled lens; give a table of lenses"):
        calibrate(none, tmp_path / "two", calibratable.TRUTH)
