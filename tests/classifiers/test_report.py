"""The page: every section, nothing from the network, every table beside it, and sentences where
parts are missing."""

import json
import re
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from auditable import PIXELS, run_directory

from classifiers.audit import (
    completeness,
    hosteffects,
    hosts,
    merging,
    plan,
    summary,
    thresholds,
)
from classifiers.audit.settings import AuditSettings
from classifiers.report import command
from classifiers.report.images import MISSING, rgb
from classifiers.selection import plots
from data import record
from data.manifest import read as read_manifest
from data.photometry import depth_m5
from data.survey import default
from lensjax.cli import main

SECTIONS = (
    "verdict",
    "run",
    "survey",
    "gallery",
    "training",
    "evaluation",
    "completeness",
    "assumptions",
    "sensitivity",
    "limitations",
)
rng = np.random.default_rng(0)


@dataclass(frozen=True)
class Settings:
    """Of a step that never ran."""

    seed: int = 1


def finish(out: Path, name: str, *files: str, **notes) -> None:
    with record.Step(out, name, Settings()) as step:
        step.finish(files, **notes)


def add_training(out: Path) -> None:
    (out / "training").mkdir(exist_ok=True)
    lines = [
        {
            "epoch": i + 1,
            "train_loss": 0.5 / (i + 1),
            "val_loss": 0.6 / (i + 1),
            "val_auc": 0.8 + i / 50,
            "seconds": 1.0,
        }
        for i in range(5)
    ]
    (out / "training/metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    finish(out, "train", best_epoch=5)


def figure(value: float | None, status: str = "ok") -> dict:
    bounds = {
        f"{side}{level}": None if value is None else value + sign * level / 1000
        for side, sign in (("lo", -1), ("hi", 1))
        for level in (68, 95)
    }
    return {"value": value, **bounds, "status": status}


def add_evaluation(out: Path, enough: bool = True) -> None:
    folder = out / "evaluation"
    folder.mkdir(exist_ok=True)
    table = read_manifest(out / "manifest.parquet").to_pandas()
    score = np.clip(0.7 * table["label"] + 0.3 * rng.random(len(table)), 0, 1)
    table.assign(score=score, logit=0.0)[["galaxy_id", "split", "label", "score"]].to_parquet(
        folder / "scores.parquet"
    )
    reason = "insufficient: 5 lenses, at least 10 needed"
    found = figure(0.93) if enough else figure(None, reason)
    metrics = {"on": "test", "lenses": 5, "others": 20, "figures": {"roc_auc": found, "ece": found}}
    metrics |= {
        "thresholds": {"0.5": {"recall": found, "precision": found, "false_positive_rate": found}},
        "splits": {"test": {"roc_auc": found}},
    }
    (folder / "metrics.json").write_text(
        json.dumps(metrics | {"classifier": {"model": "shielded_resnet"}})
    )
    listed = [
        {"name": "p0.5", "threshold": 0.5, "status": "ok"},
        {"name": "fpr0.001", "threshold": None, "fpr_target": 0.001, "status": reason},
    ]
    columns = ("threshold_lo95", "threshold_hi95", "n_effective")
    pd.DataFrame(listed).assign(**dict.fromkeys(columns)).to_csv(
        folder / "thresholds.csv", index=False
    )
    grid = np.linspace(1, 0, 21)
    curve = pd.DataFrame(
        {"threshold": grid, "false_positive_rate": (1 - grid) ** 3, "recall": 1 - grid**3}
    )
    curve.head(len(curve) if enough else 0).to_csv(folder / "roc.csv", index=False)
    bins = pd.DataFrame(
        {
            "scope": "all",
            "bin": range(5),
            "n": 5,
            "mean_score": np.linspace(0, 1, 5),
            "fraction_lenses": np.linspace(0, 0.9, 5),
        }
    )
    bins.to_csv(folder / "reliability.csv", index=False)
    kinds = [
        {"category": c, "threshold": 0.5, "n": 20, "false_positives": 1, "fpr": f["value"], **f}
        for c, f in (("ring_proxy", figure(0.1)), ("none", found))
    ]
    pd.DataFrame(kinds).drop(columns="value").to_csv(folder / "confusers.csv", index=False)
    finish(out, "evaluate", "evaluation/metrics.json")


def add_audit(out: Path) -> None:
    folder, s = out / "audit", AuditSettings(injections=8, sufficient=8, theta_e=(1.0, 2.0))
    folder.mkdir()
    found = hosts.candidates(read_manifest(out / "manifest.parquet").to_pandas(), s.splits)
    axes = s.axes(found.psf[:, 1], depth_m5(found.psfdepth[:, 1]))
    chunks = plan.chunks(found, axes, s.injections, s.per_host, False, s.seed)
    rows = pd.concat(
        pd.DataFrame(
            {
                "galaxy_id": found.ids[c.host],
                "split": found.split[c.host],
                "theta_e": c.drawn["theta_e"],
                "cell_psf_fwhm": c.site.centre("psf_fwhm"),
                "cell_depth_m5": c.site.centre("depth_m5"),
            }
        )
        for c in chunks
    )
    random = {
        "source_mag": rng.uniform(23, 26, len(rows)),
        "arc_snr": rng.uniform(0, 60, len(rows)),
        "snr": rng.uniform(1, 90, len(rows)),
    }
    rows = rows.assign(**random, score=rng.random(len(rows)), score_before=0.1).reset_index(
        drop=True
    )
    rows.to_parquet(folder / "injections.parquet")
    asked = thresholds.asked(out, (0.3, 0.5), {"model": "shielded_resnet"})
    table = completeness.table(rows, plan.cells(found, axes, False), asked, axes, s.sufficient)
    marginal = completeness.marginals(rows, asked, axes, s.sufficient)
    columns = [rows[name].to_numpy() for name in ("score", "galaxy_id")]
    at_thresholds = thresholds.table(asked, columns[0], np.ones(len(rows)), columns[1])
    columns = [
        "parameter",
        "unit",
        "gradient",
        "gradient_error",
        "finite_difference",
        "step",
        "relative_difference",
        "difference_error",
        "injections",
    ]
    magnitude = (
        "source magnitude",
        "per 0.1 mag fainter",
        -0.011,
        0.002,
        -0.0108,
        0.4,
        0.02,
        0.0002,
        40,
    )
    width = (
        "PSF width of the arc",
        "per 10 % wider",
        -0.004,
        0.001,
        -0.0041,
        0.2,
        0.024,
        0.0001,
        40,
    )
    gradients = pd.DataFrame([magnitude, width], columns=columns)
    for name, content in (
        ("completeness", table),
        ("marginals", marginal),
        ("sensitivity", gradients),
        ("thresholds", at_thresholds),
        ("host_effects", hosteffects.table(rows, 0.5, 4)),
        ("merged", merging.table(rows, asked, axes, 30, ["depth_m5"])),
    ):
        content.to_parquet(folder / f"{name}.parquet")
    words = summary.summarise(
        out,
        s,
        axes,
        found,
        np.zeros(len(found), bool),
        {"model": "m"},
        rows,
        table,
        marginal,
        gradients,
        at_thresholds,
        0.5,
    )
    (folder / "summary.json").write_text(json.dumps(words))
    images = {
        name: rng.normal(size=(4, PIXELS.size, PIXELS.size, 3)).astype(np.float32)
        for name in ("host", "arc", "stamp")
    }
    numbers = {
        name: rng.uniform(0, 1, 4)
        for name in (
            "theta_e",
            "source_mag",
            "arc_mag",
            "snr",
            "arc_snr",
            "score_before",
            "score",
            "host_psf_fwhm",
        )
    }
    names = {
        "kind": np.array(["found", "found", "ordinary", "ordinary"]),
        "galaxy_id": rows["galaxy_id"].to_numpy()[:4].astype(str),
    }
    np.savez(folder / "gallery.npz", **names, **images, **numbers)
    finish(out, "audit")


def add_counts(out: Path) -> None:
    (out / "counts").mkdir()
    pool = {
        "file": ["sweep-a.fits", "total"],
        "rows": [100, 100],
        "type": [40, 40],
        "z_mag": [50, 50],
        "kept": [10, 10],
    }
    pd.DataFrame(pool).to_csv(out / "counts/pool.csv", index=False)
    pd.DataFrame({"quantity": ["listed", "matched"], "value": ["9", "8"]}).to_csv(
        out / "counts/crossmatch.csv", index=False
    )
    refused = (
        "stage,path,row,reason\nvalidation,<script>alert(1)</script>.npz,x,no data in band g\n"
    )
    (out / "quarantine.csv").write_text(refused)


class Page(HTMLParser):
    """Collects what a browser would load, identifiers, links, images without alternative text, and
    the text."""

    def __init__(self, text: str):
        super().__init__()
        self.ids, self.loads, self.links, self.silent, self.scripts, self.words = (
            set(),
            [],
            [],
            0,
            0,
            [],
        )
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.ids.add(given.get("id"))
        self.links += [given["href"]] if tag == "a" else []
        self.loads += [
            v
            for k, v in attrs
            if k in ("src", "srcset", "data", "poster", "background")
            or (k == "href" and tag in ("link", "image", "use"))
        ]
        self.silent += tag == "img" and not given.get("alt")
        self.scripts += tag == "script"

    def handle_data(self, data):
        self.words.append(data)


@pytest.fixture(scope="module")
def survey_only(tmp_path_factory):
    return run_directory(tmp_path_factory.mktemp("report") / "bare", 48, finder=False)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    out = run_directory(tmp_path_factory.mktemp("report") / "whole", 48, finder=False)
    finish(out, "simulate")
    add_counts(out)
    add_training(out)
    add_evaluation(out)
    add_audit(out)
    assert command(["--out", str(out)]) == 0
    return out


def text_of(out: Path) -> str:
    return (out / "report/index.html").read_text()


def test_every_section_is_there_and_the_page_says_that_the_survey_is_simulated(whole):
    page = Page(text_of(whole))
    assert set(SECTIONS) <= page.ids
    words = " ".join(page.words)
    assert "SIMULATED" in re.search(r"<title>(.*?)</title>", text_of(whole)).group(1)
    for phrase in (
        "score above 0.5",
        "; by hosts: ",
        "observable",
        "epoch 5 was kept",
        "outranks another galaxy",
        "what each cut removed".capitalize(),
    ):
        assert phrase in words, phrase
    assert (
        text_of(whole).count("<svg") >= 11 and text_of(whole).count("data:image/png;base64,") > 20
    )


def test_nothing_is_loaded_from_elsewhere_and_text_from_files_is_escaped(whole):
    text = text_of(whole)
    page = Page(text)
    assert page.scripts == 0 and "<script>" not in text and "&lt;script&gt;" in text
    assert all(load.startswith(("data:image/png;base64,", "#")) for load in page.loads)
    assert not re.search(r"url\((?!#)|@import|https?://", text)
    assert page.silent == 0 and 'lang="en"' in text and len(text) < 6e6


def test_every_table_lies_beside_the_page_in_both_formats(whole):
    links = [link for link in Page(text_of(whole)).links if not link.startswith("#")]
    assert links and all((whole / "report" / link).is_file() for link in links)
    names = {Path(link).stem for link in links}
    assert {
        "completeness",
        "marginals",
        "audit_thresholds",
        "host_effects",
        "merged",
        "sensitivity",
        "injections",
        "steps",
        "cuts",
        "epochs",
        "figures",
        "confusers",
        "quarantine",
    } <= names
    for name in names:
        a, b = (
            pd.read_csv(whole / f"report/tables/{name}.csv"),
            pd.read_parquet(whole / f"report/tables/{name}.parquet"),
        )
        assert list(a.columns) == list(b.columns) and len(a) == len(b)
    source = pd.read_parquet(whole / "audit/completeness.parquet")
    pd.testing.assert_frame_equal(
        pd.read_parquet(whole / "report/tables/completeness.parquet"), source
    )


def test_identifiers_of_the_figures_do_not_collide(whole):
    ids = re.findall(r'<(?:clipPath|path|pattern|g)[^>]* id="([^"]+)"', text_of(whole))
    assert len(ids) == len(set(ids))


def test_same_inputs_same_page_and_a_new_step_makes_it_out_of_date(whole, survey_only, capsys):
    first = text_of(whole)
    assert command(["--out", str(whole)]) == 0 and "up to date" in capsys.readouterr().out
    assert command(["--out", str(whole), "--force"]) == 0
    assert text_of(whole) == first


def test_missing_parts_are_said_in_words(survey_only):
    assert command(["--out", str(survey_only)]) == 0
    page = Page(text_of(survey_only))
    words = " ".join(page.words)
    assert set(SECTIONS) <= page.ids
    for phrase in (
        "No injections were made",
        "No training in this run",
        "No evaluation in this run",
        "Nothing was refused",
        "real data",
    ):
        assert phrase in words, phrase
    assert "SIMULATED" not in words
    add_evaluation(survey_only, enough=False)
    assert command(["--out", str(survey_only)]) == 0
    words = " ".join(Page(text_of(survey_only)).words)
    assert (
        "no ROC can be given: insufficient: 5 lenses" in words
        and "No number for ROC AUC" in words
        and "No threshold fpr0.001" in words
    )


def test_without_a_survey_it_says_what_to_run(tmp_path, capsys):
    assert main(["report", "--out", str(tmp_path)]) == 2
    assert "lensjax run" in capsys.readouterr().err


def test_pictures_are_red_where_z_is_bright_upside_right_and_mark_missing_pixels():
    stamp = np.zeros((9, 9, 3), np.float32)
    stamp[0, 0] = (0.0, 0.0, 50.0)
    stamp[8, 8] = (10.0, 0.0, 0.0)
    stamp[4, 4, 1] = np.nan
    picture = rgb(stamp, default())
    assert picture[8, 0, 0] > 200 > 100 > picture[8, 0, 2] and picture[0, 8, 2] > 200
    assert tuple(picture[4, 4]) == MISSING and np.ptp(picture[3, 3].astype(int)) == 0


def test_numbers_on_a_map_are_white_on_dark_and_black_on_light_cells():
    dark, light = (0.27, 0.0, 0.33), (0.12, 0.63, 0.53)  # contrasts to white: 15.2 and 3.2
    assert (plots.readable_on(dark), plots.readable_on(light)) == ("#ffffff", "#000000")
