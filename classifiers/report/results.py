"""Training and evaluation on the page."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from classifiers.evaluation.strata import PLAIN
from classifiers.evaluation.thresholds import operating
from classifiers.report import figures
from classifiers.report.collect import Run
from classifiers.report.page import Figures, Table, Tile, Words

NAMES = {
    "roc_auc": "ROC AUC",
    "average_precision": "average precision",
    "recall_at_fpr_1e-2": "recall at FPR 1e-2",
    "recall_at_fpr_1e-3": "recall at FPR 1e-3",
    "recall_at_fpr_1e-4": "recall at FPR 1e-4",
    "tpr0": "recall without a false positive",
    "tpr10": "recall with fewer than 10 false positives",
    "precision_at_recall_0.9": "precision at recall 0.9",
    "recall_at_precision_0.9": "recall at precision 0.9",
    "ece": "expected calibration error",
    "mce": "maximum calibration error",
    "brier": "Brier score",
    "log_loss": "logarithmic loss",
}


def known(figure: dict[str, Any] | None) -> bool:
    """Whether a figure has a number."""
    return figure is not None and figure.get("status") == "ok" and figure.get("value") is not None


def interval(figure: dict[str, Any]) -> str:
    """The 95 % interval of a figure as text."""
    return f"95 %: {figure['lo95']:.3f} to {figure['hi95']:.3f}"


def percents(figure: dict[str, Any]) -> str:
    """The 95 % interval of a share as text, in percent."""
    return f"95 %: {100 * figure['lo95']:.1f} to {100 * figure['hi95']:.1f} %"


def middle(metrics: dict[str, Any]) -> str | None:
    """Name of the operating threshold."""
    names = {float(t): t for t in metrics["thresholds"]}
    return names[operating(names)] if names else None


def tiles(run: Run) -> list[Tile]:
    """AUC, recall and false-positive rate at the middle threshold."""
    if not run.metrics:
        return []
    found = []
    auc = run.metrics["figures"].get("roc_auc")
    if known(auc):
        found.append(Tile(f"{auc['value']:.3f}", f"ROC AUC, {_sample(run.metrics)}", interval(auc)))
    name = middle(run.metrics)
    if name:
        of = run.metrics["thresholds"][name]
        if known(of.get("recall")):
            r = of["recall"]
            found.append(
                Tile(
                    f"{100 * r['value']:.1f} %",
                    f"labelled lenses found above {name}",
                    f"{percents(r)} of {run.metrics['lenses']}",
                )
            )
        if known(of.get("false_positive_rate")):
            f = of["false_positive_rate"]
            found.append(
                Tile(
                    f"{100 * f['value']:.2f} %",
                    f"others above {name}",
                    f"{percents(f)} of {run.metrics['others']}",
                )
            )
    return found


def _sample(m: dict[str, Any]) -> str:
    return "all objects" if m["on"] == "all" else f"{m['on']} split"


def in_words(run: Run) -> str:
    """The evaluation in one sentence."""
    m = run.metrics or {}
    auc = m["figures"].get("roc_auc", {})
    where = "all there are" if m["on"] == "all" else f"{m['on']} split"
    which = f"{m['lenses']} lenses and {m['others']} others ({where})"
    if not known(auc):
        return f"On {which} no ROC can be given: {auc.get('status', 'not computed')}."
    return (
        f"On {which} a lens outranks another galaxy with probability {auc['value']:.3f} "
        f"({interval(auc)})."
    )


def training(run: Run) -> list[Any]:
    """Learning curves and the table behind them."""
    if run.epochs is None:
        return [
            Words(
                [
                    "No training in this run: the classifier comes from elsewhere (see the "
                    "settings of evaluate and audit)."
                ]
            )
        ]
    notes = run.records.get("train", {}).get("notes", {})
    config = run.records.get("train", {}).get("config", {})
    best = notes.get("best_epoch")
    drawn = [
        (alt, svg, caption)
        for (alt, svg), caption in zip(
            figures.learning(run.epochs, best),
            ("Loss.", "Validation AUC; the kept epoch is marked."),
        )
    ]
    words = [
        f"{config.get('model', 'model')}, {len(run.epochs)} epochs"
        + (f"; epoch {best} was kept for its validation AUC." if best else ".")
    ]
    if config.get("shuffle_labels"):
        words.append("Labels were shuffled on purpose: this is a control, not a finder.")
    return [Words(words), Figures(drawn), Table("epochs", "Every epoch", run.epochs, folded=True)]


def evaluation(run: Run) -> list[Any]:
    """ROC, reliability, scores, confusers, figures with intervals; sentences where the sample is
    too small."""
    if not run.metrics:
        return [Words(["No evaluation in this run (`lensjax evaluate`)."])]
    m = run.metrics
    blocks: list[Any] = [Words([in_words(run)])]
    drawn = []
    curve = run.table("roc", ["threshold", "false_positive_rate", "recall"])
    if curve is not None:
        drawn.append(
            (
                "ROC curve: recall against false-positive rate",
                figures.roc(curve, run.table("thresholds")),
                "ROC with the thresholds in use; dotted: chance.",
            )
        )
    bins = run.table("reliability", ["scope", "mean_score", "fraction_lenses"])
    bins = bins[(bins["scope"] == "all") & bins["mean_score"].notna()] if bins is not None else None
    if bins is not None and len(bins):
        drawn.append(
            (
                "Reliability: observed fraction of lenses against mean score",
                figures.reliability(bins),
                "Reliability in bins of equal number.",
            )
        )
    groups = score_groups(run)
    if groups:
        drawn.append(
            (
                "Histogram of scores per group",
                figures.histogram(groups),
                "Scores: shares per bin of 0.04, logarithmic.",
            )
        )
    table = run.table("confusers", ["category", "threshold", "n", "fpr", "lo95"])
    if table is not None:  # of the kinds there can be, those that are among the objects
        table = table[table["n"] > 0]
        table = None if set(table["category"]) <= {PLAIN} else table
    if table is not None and table["fpr"].notna().any():
        at = min(table["threshold"].unique(), key=lambda t: abs(t - 0.5))
        shown, short = (
            table[(table["threshold"] == at) & (table["fpr"].notna() == good)]
            for good in (True, False)
        )
        caption = (
            "False positives per kind of confuser (number of galaxies); thick 68 %, thin 95 % "
            "Jeffreys intervals."
        )
        if len(short):
            named = [f"{c.replace('_', ' ')} ({n})" for c, n in zip(short["category"], short["n"])]
            caption += f" Too few to say: {', '.join(named)}."
        drawn.append(
            (
                f"False-positive rate per confuser at {at:g}",
                figures.confusers(shown, float(at)),
                caption,
            )
        )
    if drawn:
        blocks.append(Figures(drawn))
    blocks.append(
        Table(
            "figures",
            f"Figures of {'' if m['on'] == 'all' else 'the '}{_sample(m)}",
            figure_table(m),
        )
    )
    blocks.append(Table("at_thresholds", "At fixed thresholds", threshold_table(m), folded=True))
    for name, caption in (
        (
            "thresholds",
            "Thresholds and their false-positive rates; these intervals allow for galaxies of one "
            "cell of the sky being alike, so that they can be wider than those of the figures",
        ),
        ("confusers", "False positives per confuser"),
        ("strata", "By stratum"),
    ):
        found = table if name == "confusers" else run.table(name)
        if found is not None:
            blocks.append(Table(name, caption, found, folded=True))
    for name, caption in (
        ("scores", "Every score"),
        ("roc", "ROC curve"),
        ("reliability", "Reliability bins"),
    ):
        found = run.table(name)
        if found is not None:
            blocks.append(Table(name, caption, found, on_page=False))
    return blocks


def score_groups(run: Run) -> dict[str, np.ndarray]:
    """Scores of lenses, of others, and of injections."""
    scores, on = run.table("scores", ["label", "score", "split"]), (run.metrics or {}).get("on")
    groups = {}
    if scores is not None:
        inside = scores[scores["split"] == on] if on in set(scores["split"]) else scores
        groups = {
            name: inside.loc[inside["label"] == label, "score"].to_numpy()
            for name, label in (("lenses", 1), ("others", 0))
        }
    injected = run.table("injections", ["score"])
    if injected is not None:
        groups["injections"] = injected["score"].to_numpy()
    return {name: found for name, found in groups.items() if len(found)}


def figure_table(m: dict[str, Any]) -> pd.DataFrame:
    """Table of the figures of an evaluation."""
    rows = [
        {
            "figure": NAMES.get(name, name),
            "value": f["value"],
            "lo95": f["lo95"],
            "hi95": f["hi95"],
            "status": f["status"],
        }
        for name, f in sorted(
            m["figures"].items(),
            key=lambda item: list(NAMES).index(item[0]) if item[0] in NAMES else len(NAMES),
        )
    ]
    rows += [
        {
            "figure": f"ROC AUC, {split} split",
            **{k: of["roc_auc"][k] for k in ("value", "lo95", "hi95", "status")},
        }
        for split, of in m.get("splits", {}).items()
        if m["on"] != "all"
    ]
    return pd.DataFrame(rows).astype({"value": float, "lo95": float, "hi95": float})


def threshold_table(m: dict[str, Any]) -> pd.DataFrame:
    """Table of the figures of an evaluation at each threshold."""
    rows = []
    for threshold, of in m["thresholds"].items():
        rows += [
            {
                "threshold": float(threshold),
                "figure": k.replace("_", " "),
                **{c: f[c] for c in ("value", "lo95", "hi95", "status")},
            }
            for k, f in of.items()
        ]
    return pd.DataFrame(
        rows, columns=["threshold", "figure", "value", "lo95", "hi95", "status"]
    ).astype({"value": float, "lo95": float, "hi95": float})


def limitations(run: Run) -> list[str]:
    """Figures that could not be given, with the reason, and thresholds that were refused."""
    if not run.metrics:
        return ["There was no evaluation."]
    reasons: dict[str, list[str]] = {}
    for name, figure in run.metrics["figures"].items():
        if not known(figure):
            reasons.setdefault(figure["status"], []).append(NAMES.get(name, name))
    words = [f"No number for {', '.join(names)}: {reason}." for reason, names in reasons.items()]
    thresholds = run.table("thresholds", ["name", "status"])
    if thresholds is not None:
        words += [
            f"No threshold {r['name']}: {r['status']}."
            for r in thresholds.to_dict("records")
            if r["status"] != "ok"
        ]
    return words
