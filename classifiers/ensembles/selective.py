"""Risk against coverage: how often a finder is wrong on the objects on which it is surest."""

from __future__ import annotations

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int

from classifiers.evaluation import figures
from classifiers.intervals import jeffreys

COVERAGES = (*(0.05 * i for i in range(1, 19)), 0.95, 0.98, 0.99, 1.0)


def margin(score: Float[np.ndarray, " n"], threshold: float) -> Float[np.ndarray, " n"]:
    """How sure a score is: its distance from the threshold in units of the side that it is on, from
    0 at the threshold to 1 at 0 and 1."""
    side = np.where(score > threshold, 1 - threshold, threshold)
    return np.abs(score - threshold) / side


def curve(
    wrong: Bool[np.ndarray, " n"], confidence: Float[np.ndarray, " n"]
) -> Float[np.ndarray, " n"]:
    """Risk (n,) of the k surest objects, k from 1 to n (Geifman & El-Yaniv 2017, arXiv 1705.08500,
    equation 3): the share of them that are wrong. Among equally sure objects the share of wrong
    ones counts for each of them: this is the mean over every order of them."""
    order = np.argsort(-confidence, kind="stable")
    run = np.cumsum(np.append(0, np.diff(confidence[order]) != 0))
    shared = (np.bincount(run, wrong[order]) / np.bincount(run))[run]
    return np.cumsum(shared) / np.arange(1, len(wrong) + 1)


def area(wrong: Bool[np.ndarray, " n"], confidence: Float[np.ndarray, " n"]) -> dict[str, float]:
    """aurc: the mean risk over all coverages; excess: its difference from that of the best order,
    in which the errors come last (Geifman, Uziel & El-Yaniv 2019, arXiv 1805.08206, section 3);
    chance: that of a random order, which is the share of errors."""
    best = curve(wrong, -wrong.astype(np.float64)).mean()
    own = curve(wrong, confidence).mean()
    return {"aurc": float(own), "excess": float(own - best), "chance": float(wrong.mean())}


def table(
    label: Int[np.ndarray, " n"],
    score: Float[np.ndarray, " n"],
    confidence: Float[np.ndarray, " n"],
    threshold: float,
    minimum: int = 10,
) -> pd.DataFrame:
    """A row for each coverage: coverage, n, errors (expected), value (the risk) with lo68 ... hi95
    (Jeffreys), lenses (among the n, expected), recall (of those lenses, expected), status. Where
    few objects are lenses the risk is that of the others; recall says what it costs."""
    wrong = (score > threshold) != (label == 1)
    risk = curve(wrong, confidence)
    number = np.arange(1, len(label) + 1)
    lenses = curve(label == 1, confidence) * number
    found = curve((label == 1) & ~wrong, confidence) * number
    rows = []
    for coverage in COVERAGES:
        n = round(coverage * len(label))
        if (why := figures.few(n, minimum)) != "ok":
            rows.append({"coverage": coverage, "n": n, **figures.nothing(why)})
            continue
        errors = risk[n - 1] * n
        row = {"coverage": coverage, "n": n, "errors": errors, "value": risk[n - 1]}
        for level in (68, 95):
            ends = jeffreys(min(errors, n), n, level / 100)
            row |= {f"{end}{level}": float(x) for end, x in zip(("lo", "hi"), ends)}
        recall = found[n - 1] / lenses[n - 1] if lenses[n - 1] > 0 else np.nan
        rows.append({**row, "lenses": lenses[n - 1], "recall": recall, "status": "ok"})
    return pd.DataFrame(rows)
