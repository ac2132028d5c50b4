"""The verb on a run directory: outputs, resuming, refusal."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from auditable import run_directory

from classifiers import frozen
from classifiers.audit import command
from classifiers.audit.campaign import Campaign
from classifiers.evaluation import thresholds
from classifiers.report.collect import collect
from classifiers.report.hosts import hosts
from classifiers.selection import FLAGS as FLAGS_OF_ANSWERS
from classifiers.selection import SelectionFunction
from data import lenses, record
from data.files import sha256
from lensjax.cli import main
from lensjax.errors import InputError

pytestmark = pytest.mark.usefixtures("hardly_optimised")

FLAGS = (
    "--injections 12 --theta-e 1.0 2.0 --batch 16 --sufficient 10 --sensitivity-sample 0 "
    "--treatment-sample 0 --counterfactuals 0 --psf-edges 1.0 1.3 1.6 --merge depth_m5 theta_e "
    "--native-sample 8"
).split()
PRODUCTS = ("completeness.fits", "marginals.ecsv", "latex/headline.tex", "figures/maps.pdf")
NEAR = "0010p000_4"
"""A possible host, in split val, that a listed lens is near."""


def evaluated(out):
    """The evaluation of the run's classifier, with a rate that its few negatives can carry and one
    that they cannot."""
    table = pd.read_parquet(out / "manifest.parquet")
    table = table[table["label"] == 0].reset_index(drop=True)
    score = np.random.default_rng(5).uniform(0.4, 1, len(table))
    folder, own = out / "evaluation", frozen.load(out / "training").info
    folder.mkdir()
    columns = ["galaxy_id", "split", "label", "healpix_128"]
    table[columns].assign(score=score).to_parquet(folder / "scores.parquet")
    negatives = score[table["split"] == "val"]
    rows = thresholds.table(negatives, (0.5,), (0.3, 0.001), 4, "validation non-lenses")
    pd.DataFrame(rows).to_csv(folder / "thresholds.csv", index=False)
    (folder / "metrics.json").write_text(json.dumps({"on": "test", "classifier": own}))


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    out = run_directory(tmp_path_factory.mktemp("audit") / "run", 60)
    evaluated(out)
    row = pd.read_parquet(out / "manifest.parquet").set_index("galaxy_id").loc[NEAR]
    near = np.array([row["ra"] + 10.9 / 3600]), np.array([row["dec"]])
    lenses.write(out / lenses.OF_A_RUN, lenses.Lenses(np.array(["L1"]), *near, np.array(["C"])))
    assert command(["--out", str(out), *FLAGS]) == 0
    return out


def test_the_page_about_selection_functions_asks_this_one(finished, capsys):
    page = Path(__file__).resolve().parents[2] / "docs" / "selection-function.md"
    code = page.read_text().split("```python\n")[1].split("```")[0]
    assert '"runs/default"' in code
    exec(code.replace('"runs/default"', repr(str(finished))), {})
    shown = capsys.readouterr().out
    assert any(flag in shown for flag in FLAGS_OF_ANSWERS)
    assert all(f"`{flag}`" in page.read_text() for flag in FLAGS_OF_ANSWERS)


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


def test_completeness_at_a_rate_has_both_uncertainties_and_a_refusal_is_said(finished):
    table = pd.read_csv(finished / "audit/thresholds.csv").set_index("threshold_name")
    assert list(table.index) == ["p0.3", "p0.5", "p0.7", "fpr0.3", "fpr0.001"]
    at = table.loc["fpr0.3"]
    assert at["threshold_lo95"] < at["threshold"] < at["threshold_hi95"]
    assert at["lo95_total"] < at["lo95_hosts"] and at["hi95_hosts"] < at["hi95_total"]
    assert table.loc["p0.5", "lo95_total"] == table.loc["p0.5", "lo95_hosts"]
    whole = pd.read_csv(finished / "audit/marginals.csv").query("axis == 'all'")
    assert set(whole["threshold_name"]) == set(table.index) - {"fpr0.001"}
    line = whole.set_index("threshold_name").loc["fpr0.3"]
    for name in ("completeness", "lo95_hosts", "hi95_hosts", "lo95_total", "hi95_total"):
        assert line[name] == pytest.approx(at[name])
    assert table.loc["fpr0.001", "status"].startswith("insufficient")
    summary = json.loads((finished / "audit/summary.json").read_text())
    assert list(summary["no_threshold"]) == ["fpr0.001"]
    assert any("false-positive rate of 30 %" in words for words in summary["words"])
    assert any(
        "No completeness at a false-positive rate of 0.1 %" in w for w in summary["limitations"]
    )


def test_insufficient_cells_are_joined_in_a_table_of_their_own_and_said(finished):
    table = pd.read_csv(finished / "audit/merged.csv").query("threshold_name == 'p0.5'")
    cells = pd.read_csv(finished / "audit/completeness.csv").query("threshold_name == 'p0.5'")
    cells = cells[cells["source_mag_bin"] == "all"]
    assert table["cells"].sum() == len(cells) and table["n"].sum() == cells["n"].sum()
    summary = json.loads((finished / "audit/summary.json").read_text())
    assert summary["merged"]["groups"] == len(table)
    assert any("smaller_neighbour along depth_m5, theta_e" in w for w in summary["limitations"])


def test_a_host_near_a_listed_lens_of_any_grade_is_left_out_and_said_everywhere(finished):
    rows = pd.read_parquet(finished / "audit/injections.parquet")
    others = {f"0010p000_{i}" for i in range(60) if i % 3 and i % 8} - {NEAR}
    assert set(rows["galaxy_id"]) == others
    (line,) = pd.read_csv(finished / "audit/hosts_left_out.csv").to_dict("records")
    assert (line["galaxy_id"], line["lens"], line["grading"]) == (NEAR, "L1", "C")
    assert line["separation_arcsec"] == pytest.approx(10.9, abs=1e-6)
    summary = json.loads((finished / "audit/summary.json").read_text())
    (said,) = [w for w in summary["limitations"] if "Native and degraded hosts" in w]
    assert "pairs in which one host" in said and summary["native"]["agree"] is None
    assert summary["lens_veto"]["hosts_left_out"] == 1
    assert summary["lens_veto"]["hosts_considered"] == len(others) + 1
    (said,) = [w for w in summary["words"] if "left out" in w]
    assert NEAR in said and '10.90" from L1' in said
    page = hosts(collect(finished))
    shown = [b for b in page if b.kind == "table"]
    assert [t.table["galaxy_id"].tolist() for t in shown] == [[NEAR]]


def test_hosts_are_weighted_to_the_galaxies_that_are_to_be_searched(finished, tmp_path):
    out = tmp_path / "run"
    shutil.copytree(finished, out)
    table = pd.read_parquet(out / "manifest.parquet")
    kind = np.where(table["galaxy_id"].str[-1].astype(int) < 5, "DEV", "SER")
    table.assign(type=kind).to_parquet(out / "manifest.parquet")
    pd.DataFrame({"type": ["DEV"] * 9 + ["SER"]}).to_csv(tmp_path / "searched.csv", index=False)
    (tmp_path / "c.yaml").write_text(
        yaml.safe_dump({"audit": {"target": {"table": str(tmp_path / "searched.csv")}}})
    )
    ask = [str(tmp_path / "c.yaml"), "--out", str(out), *FLAGS, "--trained-on", "train"]
    with pytest.raises(InputError, match="audit.target.axis: name at least one"):
        command(ask)
    section = {"table": str(tmp_path / "searched.csv"), "axis": {"type": {}}}
    (tmp_path / "c.yaml").write_text(yaml.safe_dump({"audit": {"target": section}}))
    assert command(ask) == 0
    rows = pd.read_parquet(out / "audit/injections.parquet")
    own = rows["galaxy_id"].map(dict(zip(table["galaxy_id"], kind)))
    share = rows.groupby(own)["host_weight"].sum() / len(rows)
    assert share["DEV"] == pytest.approx(0.9)
    np.testing.assert_allclose(rows["weight"], rows["prior_weight"] * rows["host_weight"])
    each = rows.groupby("galaxy_id")["host_weight"].sum().groupby(dict(zip(table.galaxy_id, kind)))
    assert (each.max() / each.min() < 1 + 1e-9).all()
    summary = json.loads((out / "audit/summary.json").read_text())
    found = summary["completeness"]["p0.5"]["completeness"]
    assert summary["target"]["weighted"]["value"] == pytest.approx(found)
    assert summary["headline"]["completeness"] == pytest.approx(found)
    plain = json.loads((finished / "audit/summary.json").read_text())
    assert summary["target"]["as_sampled"]["value"] == pytest.approx(
        plain["headline"]["completeness"]
    )
    assert any("weighted to searched.csv (10 galaxies)" in w for w in summary["words"])
    page = hosts(collect(out))
    assert "target_cells" in [b.name for b in page if b.kind == "table"]


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
