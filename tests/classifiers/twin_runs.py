"""Run directories with an evaluation and an audit of a finder whose completeness is known: what it
finds follows from one uniform number of each injection, which two finders of the same injections
share."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
from auditable import run_directory

from classifiers.audit import completeness, thresholds
from classifiers.audit.axes import Axis, Grid
from classifiers.audit.injectionset import InjectionSet
from classifiers.evaluation import figures
from classifiers.selection import products, tablefile
from data import record
from data.files import write_json
from data.manifest import read as read_manifest
from data.survey import default, plain

HOSTS, PER_HOST = 90, 4
THRESHOLD = "p0.5"
GRID = Grid(
    (Axis("theta_e", "Einstein radius", "arcsec", "drawn", "theta_e", edges=(0.5, 1.5, 2.5)),),
    (Axis("psf_fwhm", "PSF FWHM", "arcsec", "host", "psf", edges=(1.0, 1.2, 1.4)),),
    (Axis("source_mag", "magnitude", "mag", "measured", "source_mag", edges=(23.0, 24.5, 26.0)),),
)


@dataclass(frozen=True)
class Settings:
    """Of the steps that never ran."""

    epochs: int = 3
    architecture: dict = field(default_factory=dict)


def found(theta_e, slope: float):
    """Probability with which a finder of this slope finds an arc."""
    return np.clip(0.2 + slope * (np.asarray(theta_e) - 0.5), 0, 1)


def injections(slope: float, seed: int = 1, grid: Grid = GRID) -> pd.DataFrame:
    """All of one seed have the same ids, hosts and arcs. The paired interval holds the truth in 94
    of 100 seeds (300 tried); the usual one is of these, seed 0 is not."""
    rng, n = np.random.default_rng(seed), HOSTS * PER_HOST
    theta_e, u = rng.uniform(0.5, 2.5, n), rng.random(n)
    host = np.repeat(np.arange(HOSTS), PER_HOST)
    psf = grid.host[0]
    cells = [psf.cells[h % len(psf)].value for h in host]
    return pd.DataFrame(
        {
            "injection_id": [f"{seed:04x}{i:012x}" for i in range(n)],
            "galaxy_id": [f"{seed}_{h}" for h in host],
            "host_sha256": [f"{h:064x}" for h in host],
            "theta_e": theta_e,
            "cell_psf_fwhm": np.array(cells, float),
            "source_mag": rng.uniform(23, 26, n),
            "arc_snr": rng.uniform(1, 60, n),
            "score": 1 / (1 + np.exp(-8 * (found(theta_e, slope) - u))),
            "score_before": 0.1,
            "ln_p_draw": 0.0,
            "weight": 1.0,
        }
    )


def add_audit(out: Path, rows: pd.DataFrame, grid: Grid = GRID, prior=("arclike", {"n": 1.0})):
    """The tables of an audit that two runs are compared by."""
    folder = out / "audit"
    folder.mkdir(exist_ok=True)
    about = {
        "total_generated": len(rows),
        "density_over": ["theta_e"],
        "thresholds": {THRESHOLD: 0.5, "p0.7": 0.7},
        "prior_name": prior[0],
        "prior": prior[1],
        "settings": {"source_magnitude": [23.0, 26.0], "mode": "matched"},
        "survey": plain(default()),
        "finders": {},
        "hosts": {},
        "versions": {},
    }
    InjectionSet(rows, about).save(folder / "injections.parquet")
    asked = thresholds.given((0.5, 0.7))
    cells = pd.DataFrame(
        [{"theta_e": t.value, "psf_fwhm": p.value} for t in grid.drawn[0].cells
         for p in grid.host[0].cells]
    )  # fmt: skip
    table = completeness.table(rows, cells, asked, grid, 20)
    marginal = completeness.marginals(rows, asked, grid, 20)
    said = products.about(about, [asdict(a) for a in (*grid.axes, *grid.measured)], "0" * 64)
    for name, lines in (("completeness", table), ("marginals", marginal)):
        tablefile.write(lines, said, folder / f"{name}.parquet")
    passed = "passed" if rows["score"].mean() > 0.45 else "failed"
    summary = {
        "threshold_of_words": 0.5,
        "psf": "Gaussian",
        "thresholds": about["thresholds"],
        "no_threshold": {"fpr0.001": "insufficient"},
        "cells": {"total": 4, "sufficient": 4},
        "saturation": {"flag": False},
        "headline": {"statistical": {"status": "sufficient"}},
        "realism": {"verdict": passed, "gates": [{"name": "colours", "status": "passed"}]},
    }
    write_json(folder / "summary.json", summary)
    finish(out, "audit", "audit/summary.json")


def add_evaluation(out: Path, quality: float, seed: int = 1, on: str = "test", extra: int = 0):
    """Scores of 400 objects that two finders see with the same noise. quality: distance of lenses
    from others in standard deviations. extra: begins the names of objects at another number."""
    rng, n = np.random.default_rng(seed), 400
    label = (np.arange(n) < 60).astype(int)
    logit = quality * label + rng.normal(size=n)
    scores = pd.DataFrame(
        {
            "galaxy_id": [f"object_{i + extra}" for i in range(n)],
            "split": "test",
            "label": label,
            "score": 1 / (1 + np.exp(1.0 - logit)),
            "logit": logit - 1.0,
            "healpix_128": np.arange(n) // 10,
        }
    )
    folder = out / "evaluation"
    folder.mkdir(exist_ok=True)
    scores.to_parquet(folder / "scores.parquet", index=False)
    score = scores["score"].to_numpy()
    metrics = {
        "on": on,
        "lenses": 60,
        "others": n - 60,
        "figures": figures.estimated(label, score, 10, 40, 0),
        "thresholds": figures.at_thresholds(label, score, (0.5,), 10),
        "bootstrap": {"resamples": 40, "of": "objects", "seed": 0},
    }
    (folder / "metrics.json").write_text(json.dumps(metrics))
    finish(out, "evaluate", "evaluation/metrics.json")
    return scores


def finish(out: Path, name: str, *files: str, settings=Settings()) -> None:
    with record.Step(out, name, settings) as step:
        step.finish(files)


def twin(out: Path, slope: float, quality: float, epochs: int = 3) -> Path:
    """A run with an audit and an evaluation."""
    run_directory(out, 16, finder=False)
    assert len(read_manifest(out / "manifest.parquet")) == 16
    finish(out, "train", settings=Settings(epochs, {"widths": [8, epochs]}))
    add_evaluation(out, quality)
    add_audit(out, injections(slope))
    return out
