"""Injections made again from the file, in this process and in another."""

import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from auditable import run_directory

from classifiers.audit import command
from classifiers.audit.injectionset import InjectionSet
from classifiers.audit.redraw import redraw
from classifiers.audit.resampling import threshold_of
from classifiers.report import together
from classifiers.report.collect import collect
from lensjax.cli import main
from lensjax.errors import InputError

pytestmark = pytest.mark.usefixtures("hardly_optimised")

CONFIG = """
audit:
  mode: degraded
  injections: 8
  per_host: 2
  theta_e: [1.0, 2.0]
  psf_edges: [1.2, 1.7]
  depth_edges: [22.6, 23.2]
  batch: 6
  sufficient: 4
  sensitivity_sample: 0
  treatment_sample: 0
  counterfactuals: 0
  realism_sample: 0
  gain: 150
  moffat_beta: 3.5
  prior: raw_notes
  proposal: {n: {uniform: [0.5, 4.0]}}
  more_finders: {same: training}
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    out = run_directory(tmp_path_factory.mktemp("redraw") / "run", 60)
    config = out / "config.yaml"
    config.write_text(CONFIG.replace("same: training", f"same: {out / 'training'}"))
    assert command([str(config), "--out", str(out)]) == 0
    return out


def test_the_set_says_what_it_was_drawn_from(made):
    found = InjectionSet.load(made / "audit/injections.parquet")
    table = found.table
    assert found.total == len(table) == 16 and table["injection_id"].is_unique
    assert set(found.density_over) <= set(table) and found.about["prior_name"] == "raw_notes"
    assert found.about["proposal"]["n"] == {"uniform": [0.5, 4.0]}
    assert found.about["proposal"]["theta_e"] == {"bins": [0.5, 1.5, 2.5]}
    assert ((table["weight"] == 0) == ((table["n"] > 2.5) | (table["n"] < 0.7))).all()
    assert table["theta_e"].nunique() == len(table)
    np.testing.assert_allclose(
        table["snr"] ** 2, sum(table[f"snr_{b}"] ** 2 for b in "grz"), rtol=1e-5
    )
    assert (table["score_same"] == table["score"]).all() and (found.score("same") > 0).all()


def test_the_same_finder_twice_finds_the_same(made):
    """Also without an arc, in the tables, in the set's thresholds and in the summary."""
    rows = pd.read_parquet(made / "audit/injections.parquet")
    assert (rows["score_before_same"] == rows["score_before"]).all()
    table = pd.read_csv(made / "audit/finders.csv")
    table = table[(table["axis"] == "all") & (table["look"] == "p0.5")].set_index("measure")
    assert (table.loc["unique", "share"] == 0).all()
    assert table.loc["any", "share"] == table.loc["all", "share"] == table.loc["both", "share"]
    assert (table.loc["finder", "share"] == table.loc["any", "share"]).all()
    shapes = pd.read_csv(made / "audit/finder_shapes.csv")
    assert shapes["status"].str.startswith("insufficient").all()
    name = table.loc["finder", "finder"].iloc[0]
    found = InjectionSet.load(made / "audit/injections.parquet")
    assert found.about["finder_thresholds"].keys() == {name, "same"}
    assert found.about["finder_thresholds"]["same"]["p0.5"] == 0.5
    with pytest.raises(InputError, match="no threshold 'fpr0.01' of finder 'same'.*p0.3, p0.5"):
        threshold_of(found, "fpr0.01", "same")
    said = json.loads((made / "audit/summary.json").read_text())["finders"]
    assert said["names"] == [name, "same"] and "hosts_fpr0.05" in said["refused"]
    (page,) = together.section(collect(made))
    words, figures, *tables = page.blocks
    assert "Not compared at hosts_fpr0.05: " in " ".join(words.lines) and page.id == "finders"
    assert len(figures.figures) >= 1 and all("<svg" in svg for _, svg, _ in figures.figures)
    assert [t.name for t in tables] == ["finders_together", "finders", "finder_shapes"]


def test_every_row_is_made_again_to_the_last_bit(made):
    found = InjectionSet.load(made / "audit/injections.parquet")
    for row in (5, len(found) - 1):
        again = redraw(found, row, made)
        assert again.differs == [] and np.nanmax(np.abs(again.stamp - again.host)) > 0


@pytest.mark.stress
def test_another_process_makes_the_same_bytes_and_says_so(made, tmp_path):
    path = made / "audit/injections.parquet"
    ours = redraw(InjectionSet.load(path), 3, made)
    ask = ["inject", "--from", str(path), "--row", "3", "--to", str(tmp_path / "x.npz")]
    ran = subprocess.run(
        [sys.executable, "-m", "lensjax.cli", *ask], capture_output=True, text=True, check=True
    )
    assert "every measured column is the same" in ran.stdout
    with np.load(tmp_path / "x.npz", allow_pickle=False) as images:
        for name in ("host", "arc", "stamp"):
            assert images[name].tobytes() == getattr(ours, name).tobytes()


def test_what_cannot_be_made_again_is_said(made, tmp_path, capsys):
    path = made / "audit/injections.parquet"
    found = InjectionSet.load(path)
    with pytest.raises(InputError, match="row 16: the set has rows 0 to 15"):
        redraw(found, 16, made)
    other = InjectionSet(found.table.assign(host_sha256="0" * 64), found.about)
    with pytest.raises(InputError, match="not the cutout that the set was made of"):
        redraw(other, 0, made)
    older = {k: v for k, v in found.about.items() if k != "survey"}
    with pytest.raises(InputError, match="made by another version"):
        redraw(InjectionSet(found.table, older), 0, made)
    changed = InjectionSet(
        found.table.assign(snr=found.table["snr"] * 1.01),
        found.about | {"versions": {**found.about["versions"], "jax": "0.1"}},
    )
    changed.save(tmp_path / "audit" / "x.parquet")
    ask = ["inject", "--from", str(tmp_path / "audit/x.parquet"), "--row", "0", "--out", str(made)]
    assert main(ask) == 1
    said = capsys.readouterr().out
    assert "not the same as in the file: snr" in said and "the set was made with jax 0.1" in said
