"""The verb on a run directory: outputs, resuming, refusal."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest
from auditable import run_directory

from classifiers.audit import command
from classifiers.audit.campaign import Campaign
from classifiers.selection import SelectionFunction
from data import record
from data.files import sha256
from lensjax.cli import main
from lensjax.errors import InputError

FLAGS = (
    "--injections 12 --theta-e 1.0 2.0 --batch 16 --sufficient 10 --sensitivity-sample 0 "
    "--treatment-sample 0 --counterfactuals 0 --psf-edges 1.0 1.3 1.6"
).split()
PRODUCTS = ("completeness.fits", "marginals.ecsv", "latex/headline.tex", "figures/maps.pdf")


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    out = run_directory(tmp_path_factory.mktemp("audit") / "run", 60)
    assert command(["--out", str(out), *FLAGS]) == 0
    return out


def test_outputs_agree_with_one_another(finished):
    rows = pd.read_parquet(finished / "audit/injections.parquet")
    table = pd.read_parquet(finished / "audit/completeness.parquet")
    summary = json.loads((finished / "audit/summary.json").read_text())
    whole = table[(table["source_mag_bin"] == "all") & (table["threshold_name"] == "p0.5")]
    assert whole["n"].sum() == len(rows) == summary["injections"]
    assert whole["k"].sum() == (rows["score"] > 0.5).sum() == summary["completeness"]["p0.5"]["k"]
    assert set(rows["split"]) == {"val", "test"} and not (finished / "audit/parts").exists()
    listed = record.read(finished, "audit")["outputs"]
    assert {f"audit/{name}" for name in PRODUCTS} <= {one["path"] for one in listed}
    product = SelectionFunction.load(finished)
    assert product.about["injections_sha256"] == sha256(finished / "audit/injections.parquet")
    assert product.about["finders"][""]["name"] == "shielded_resnet"
    with np.load(finished / "audit/gallery.npz") as gallery:
        assert gallery["stamp"].shape == gallery["host"].shape and len(gallery["kind"]) == len(
            gallery["stamp"]
        )
        found = dict(
            zip(
                rows["galaxy_id"] + rows["theta_e"].astype(str) + rows["source_mag"].astype(str),
                rows["score"],
            )
        )
        names = [
            g + str(t) + str(m)
            for g, t, m in zip(gallery["galaxy_id"], gallery["theta_e"], gallery["source_mag"])
        ]
        assert [found[n] for n in names] == gallery["score"].tolist()
        np.testing.assert_allclose(
            gallery["stamp"], gallery["host"] + gallery["arc"], rtol=1e-6, atol=1e-9
        )


def test_second_run_is_up_to_date_and_an_interrupted_one_ends_with_the_same_bytes(
    finished, tmp_path, monkeypatch, capsys
):
    assert command(["--out", str(finished), *FLAGS]) == 0
    assert "up to date" in capsys.readouterr().out
    out = tmp_path / "again"
    shutil.copytree(finished, out)
    shutil.rmtree(out / "audit")
    for name in ("audit.json", "audit.started"):
        (out / "records" / name).unlink()
    whole, calls = Campaign.inject, []

    def interrupted(self, chunk):
        if len(calls) == 1:
            raise KeyboardInterrupt
        calls.append(chunk.name)
        return whole(self, chunk)

    monkeypatch.setattr(Campaign, "inject", interrupted)
    with pytest.raises(KeyboardInterrupt):
        command(["--out", str(out), *FLAGS])
    assert (
        len(list((out / "audit/parts").glob("site-*.parquet"))) == 1
        and not (out / "records/audit.json").exists()
    )
    made = []
    monkeypatch.setattr(
        Campaign,
        "inject",
        lambda self, chunk: (made.append(chunk.name), whole(self, chunk))[1],
    )
    assert command(["--out", str(out), *FLAGS]) == 0
    assert made and calls[0] not in made
    for name in (
        "injections.parquet",
        "completeness.parquet",
        "completeness.csv",
        "marginals.csv",
        "summary.json",
        "gallery.npz",
    ):
        assert sha256(out / "audit" / name) == sha256(finished / "audit" / name), name


def test_a_training_host_stops_the_audit_with_one_line(finished, tmp_path, capsys):
    table = pd.read_parquet(finished / "manifest.parquet")
    name = table[(table["split"] == "train") & (table["label"] == 0)]["galaxy_id"].iloc[0]
    (tmp_path / "hosts.csv").write_text(f"galaxy_id\n{name}\n")
    assert main(["audit", "--out", str(finished), "--host-list", str(tmp_path / "hosts.csv")]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and name in error and "training split" in error


def test_what_another_runs_classifier_was_trained_on_must_be_known(finished, tmp_path):
    shutil.copytree(finished / "training", tmp_path / "alone/training")
    with pytest.raises(InputError, match="manifest.parquet: missing"):
        command(["--out", str(finished), *FLAGS, "--classifier", str(tmp_path / "alone/training")])
    shutil.copy(finished / "manifest.parquet", tmp_path / "alone/manifest.parquet")
    with pytest.raises(InputError, match="was in the classifier's training split"):
        command(["--out", str(finished), *FLAGS, "--classifier", str(tmp_path / "alone/training")])


def test_before_training_it_says_what_to_run(tmp_path):
    with pytest.raises(InputError, match="step 'survey' has not finished"):
        command(["--out", str(tmp_path)])
