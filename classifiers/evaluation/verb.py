"""The verb `evaluate`: scores, figures and tables of a finder."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from rich.console import Console
from rich.progress import Progress

from classifiers import finders
from classifiers.evaluation import diagrams, figures, scoring, strata, thresholds
from classifiers.evaluation.settings import EvaluateSettings
from data import shards
from data.config import Invocation
from data.files import replacing, sha256, write_json
from data.survey import of_run
from data.verb import Done, Reads
from lensjax.errors import InputError

PROVENANCE = (
    *("model", "config", "epoch", "seed", "weights_sha256", "manifest_sha256", "shuffled_labels"),
    *("sha256", "source_sha256", "output", "layout", "preprocess", "crop"),
)
"""What metrics.json says of the finder, where it is known."""


def chosen(scores: pd.DataFrame, s: EvaluateSettings) -> tuple[str, pd.DataFrame]:
    """Name and rows of the sample the figures are of; see EvaluateSettings.on. Raises InputError
    when it is empty."""
    on = s.on
    if on == "auto":
        on = "all" if s.elsewhere else "test" if (scores["split"] == "test").any() else "val"
    found = scores if on == "all" else scores[scores["split"] == on]
    if found.empty:
        raise InputError(
            f"no stamps in split {on!r} to evaluate on; set `on` to one of "
            f"{', '.join(sorted(set(scores['split'])))} or all"
        )
    return on, found.reset_index(drop=True)


def summary(
    scores: pd.DataFrame, on: str, sample: pd.DataFrame, s: EvaluateSettings
) -> dict[str, Any]:
    """The contents of metrics.json: counts, figures of the sample, AUC of every split, share of
    saturated scores."""
    label, score = sample["label"].to_numpy(), sample["score"].to_numpy()
    blocks = strata.drawn_whole(sample, s)
    by_split = {}
    for split in shards.SPLITS:
        part = scores[scores["split"] == split]
        y, p = part["label"].to_numpy(), part["score"].to_numpy()
        sure = (s.minimum, s.resamples, s.seed, strata.drawn_whole(part, s))
        one = figures.estimated(y, p, *sure, names=("roc_auc",))
        by_split[split] = {
            "lenses": int(y.sum()),
            "others": int((1 - y).sum()),
            "roc_auc": one["roc_auc"],
        }
    lenses, others = int(label.sum()), int((1 - label).sum())
    saturated = float(np.mean((score > 0.9) | (score < 0.1)))
    return {
        "on": on,
        "lenses": lenses,
        "others": others,
        "figures": figures.estimated(label, score, s.minimum, s.resamples, s.seed, blocks)
        | figures.before(label, score, s.minimum, blocks),
        "thresholds": figures.at_thresholds(label, score, s.thresholds, s.minimum, blocks),
        "splits": by_split,
        "scores": {
            "share_below_0.1_or_above_0.9": saturated,
            "mean_of_lenses": _mean(score[label == 1]),
            "mean_of_others": _mean(score[label == 0]),
        },
        "bootstrap": {"resamples": s.resamples, "of": s.bootstrap, "seed": s.seed},
    }


def _mean(values: np.ndarray) -> float | None:
    return float(values.mean()) if len(values) else None


def work(call: Invocation[EvaluateSettings]) -> Done:
    """The step `evaluate`: scores, measures, writes."""
    console = Console(stderr=True, highlight=False)
    s, out = call.settings, call.out
    finder = finders.load(s.elsewhere, out)
    folder = out / "evaluation"
    listed = shards.index(out)
    stamps = sum(entry["records"] for entry in listed["shards"])
    if not stamps:
        raise InputError(
            f"{out}: the shards hold no cutouts, so there is nothing to score; see quarantine.csv "
            "and counts/"
        )
    whose = s.elsewhere or str(out / "training")
    console.print(
        f"evaluate: {finder.name} of {whose} on {stamps} stamps", markup=False, soft_wrap=True
    )
    began = time.perf_counter()
    with Progress(console=console, disable=not console.is_terminal, transient=True) as progress:
        task = progress.add_task("evaluate", total=stamps)
        scores = scoring.table(out, finder, s.batch, lambda n: progress.advance(task, n))
    speed = stamps / (time.perf_counter() - began)
    on, sample = chosen(scores, s)
    with replacing(folder / "scores.parquet") as temporary:
        scores.to_parquet(temporary, index=False)
    negatives = thresholds.validation(scores, on)
    label, score = sample["label"].to_numpy(), sample["score"].to_numpy()
    kind = "non-lenses" if on == "all" else "validation non-lenses"
    tables = {
        "thresholds": pd.DataFrame(
            thresholds.table(
                negatives["score"].to_numpy(),
                s.thresholds,
                s.fpr_targets,
                s.minimum,
                kind,
                thresholds.together(negatives),
            )
        ),
        "roc": diagrams.roc(label, score, s.minimum),
        "reliability": diagrams.reliability(label, score, s.minimum),
        "confusers": strata.confusers(sample, s),
        "strata": strata.table(sample, s, of_run(out)),
    }
    for name, table in tables.items():
        with replacing(folder / f"{name}.csv") as temporary:
            table.to_csv(temporary, index=False)
    found = summary(scores, on, sample, s)
    manifest = out / "manifest.parquet"
    found["classifier"] = {k: finder.info.get(k) for k in PROVENANCE}
    found["classifier"] |= {
        "name": finder.name,
        "kind": finder.info.get("kind", "flax"),
        "elsewhere": bool(s.elsewhere),
    }
    found["manifest_sha256"] = sha256(manifest) if manifest.is_file() else None
    write_json(folder / "metrics.json", found)
    auc = found["figures"]["roc_auc"]
    names = ("scores.parquet", "metrics.json", *(f"{t}.csv" for t in tables))
    return Done(
        [f"evaluation/{name}" for name in names],
        {"roc_auc": auc["value"], "on": on},
        [*lines(found), f"{speed:.0f} stamps/s read and scored; {folder}"],
    )


def lines(found: dict[str, Any]) -> list[str]:
    """The main figures for people."""
    shown = [f"{found['on']}: {found['lenses']} lenses, {found['others']} non-lenses"]
    for name in ("roc_auc", "average_precision", "recall_at_fpr_1e-2", "ece"):
        figure = found["figures"][name]
        known = figure["status"] == "ok"
        shown.append(
            f"{name} "
            + (
                f"{figure['value']:.4f} (95 %: {figure['lo95']:.4f} to {figure['hi95']:.4f})"
                if known
                else figure["status"]
            )
        )
    for threshold, of in found["thresholds"].items():
        parts = [
            f"{k.replace('_', ' ')} {v['value']:.3f}"
            if v["status"] == "ok"
            else f"{k.replace('_', ' ')} {v['status']}"
            for k, v in of.items()
        ]
        shown.append(f"at {threshold}: " + ", ".join(parts))
    return shown


def reads(s: EvaluateSettings, out: Path) -> Reads:
    """The survey's shards, and this run's classifier or a finder from elsewhere."""
    after = ("survey",) if s.elsewhere else ("survey", "train")
    return Reads(after, list(finders.files(s.elsewhere, out)))
