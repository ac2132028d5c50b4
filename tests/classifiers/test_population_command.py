"""`lensjax population`: what it prints is what `reweight` says."""

import json
import tomllib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

import lensjax as lj
from classifiers.audit.injectionset import InjectionSet
from classifiers.audit.population import reweight
from classifiers.audit.population_verb import command

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    """A set drawn from the preset raw_notes but for theta_e, whose density it is over."""
    rng = np.random.default_rng(0)
    theta_e = rng.uniform(0.5, 3.0, 2000)
    score = np.where(rng.random(2000) < theta_e / 3, 0.9, 0.4)
    table = pd.DataFrame({"theta_e": theta_e, "ln_p_draw": -np.log(2.5), "score": score})
    prior = yaml.safe_load((ROOT / "lensjax" / "prior" / "presets.yaml").read_text())["raw_notes"]
    about = {
        "total_generated": 2000,
        "density_over": ["theta_e"],
        "proposal": {"theta_e": {"uniform": [0.5, 3.0]}},
        "thresholds": {"low": 0.3},
        "prior": prior,
    }
    file = tmp_path_factory.mktemp("set") / "injections.h5"
    InjectionSet(table, about).save(file)
    return file


def test_it_is_registered():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    verbs = project["entry-points"]["lensjax.verbs"]
    assert verbs[command.name] == "classifiers.audit.population_verb:command"


def test_a_prior(path, tmp_path, capsys):
    words = ["--from", str(path), "--prior", "raw_notes", "--number", "100"]
    assert command([*words, "--out", str(tmp_path / "x.json")]) == 0
    wanted = reweight(InjectionSet.load(path), "raw_notes")
    printed = capsys.readouterr().out
    assert f"population: {wanted}\n" in printed
    assert f"{100 * wanted.completeness:.1f} detections among 100 lenses (95 %: " in printed
    written = json.loads((tmp_path / "x.json").read_text())
    assert written["low"] == wanted.low and written["expected"]["deviation"] > 0


def test_a_table_and_a_threshold_by_name(path, tmp_path, capsys):
    lenses = pd.DataFrame({"tE": np.linspace(0.6, 2.0, 300), "rate": 1.0})
    lenses.to_csv(tmp_path / "lenses.csv", index=False)
    words = ["--from", path, "--lenses", tmp_path / "lenses.csv", "--columns", "theta_e=tE"]
    assert command([*map(str, words), "--threshold", "low", "--weight", "rate"]) == 0
    assert "completeness 100.00 %" in capsys.readouterr().out


@pytest.mark.parametrize(
    "words, message",
    [
        ([], "give the population as --prior or as --lenses"),
        (["--prior", "arclike", "--lenses", "x.csv"], "one of them"),
        (["--lenses", "raw_notes"], "a table of lenses ends in .csv or .parquet"),
        (["--prior", "arclike"], "prior 'arclike', lens Shear: has another parametrisation"),
        (["--lenses", "x.csv", "--columns", "theta_e"], "write ours=theirs"),
        (["--prior", "raw_notes", "--threshold", "high"], "no threshold 'high'.*there are low"),
    ],
)
def test_mistakes_are_refused(path, words, message):
    with pytest.raises(lj.InputError, match=message):
        command(["--from", str(path), *words])
