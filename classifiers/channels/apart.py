"""How different two channels' lenses are: a classifier tries to tell them apart.

If no classifier that sees the features beats a coin, the two selections are the same as far as
these features go (the classifier two-sample test, Lopez-Paz & Oquab 2017, arXiv 1610.06545). Only
objects that one of the two has are told apart: those that both have are alike by definition, and
their number is Jaccard's index, which stands in another table. Positions are no features: where a
survey looked is not what it chose.
"""

from __future__ import annotations

from functools import partial
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float

from classifiers.channels.chosen import FOLDS, options
from classifiers.channels.parent import Parent
from classifiers.ensembles import folds, trees
from classifiers.evaluation import bootstrap, figures, metrics


def balanced(right: Float[np.ndarray, " n"], d: bootstrap.Draws) -> Float[np.ndarray, " *r"]:
    """Mean of the shares of each side that are right, for each resample; NaN where one is lost."""
    side = d.sample.label.astype(np.float64)
    shares = []
    for one in (side, 1 - side):
        there = d.counts @ one
        shares.append(d.counts @ (right * one) / np.where(there > 0, there, np.nan))
    return np.asarray(np.mean(shares, axis=0))


def told_apart(
    parent: Parent, minimum: int = 30, resamples: int = 2000, seed: int = 42
) -> pd.DataFrame:
    """A row for every pair of channels: first, second, only_first, only_second, both, accuracy
    (balanced: the mean of the shares of each channel's own objects that are recognised, out of
    fold; a coin has 0.5) with lo68 ... hi95 over cells of the sky, auc with auc_lo95 and auc_hi95,
    status. Fewer than `minimum` objects of one side are insufficient."""
    rows, how = [], options(parent, (0,) * len(parent.features))
    for first, second in combinations(parent.inside, 2):
        a, b = parent.inside[first], parent.inside[second]
        which = np.flatnonzero(a != b)
        label = b[which].astype(int)
        alone = int((a & ~b).sum()), int((b & ~a).sum())
        row: dict[str, Any] = {"first": first, "second": second, "only_first": alone[0]}
        row |= {"only_second": alone[1], "both": int((a & b).sum())}
        cell = parent.cell[which]
        why = figures.reason(
            figures.few(min(alone), minimum, "objects of one side"), figures.few_cells(cell)
        )
        if why != "ok":
            nothing = dict.fromkeys(("accuracy", *figures.BOUNDS))
            rows.append({**row, **nothing, "status": why})
            continue
        fold = folds.of_groups(cell, FOLDS, seed)
        p, _ = trees.out_of_fold(label, parent.x[which], fold, seed, **how)
        # The share of the second channel is not 1/2, so this share is the threshold.
        right = (p > label.mean()) == (label == 1)
        sample = metrics.Sample.of(label, p)
        functions: dict[str, bootstrap.Metric] = {
            "accuracy": partial(balanced, right[sample.order].astype(np.float64)),
            "auc": lambda d: metrics.roc_auc(d.curve),
        }
        itself = bootstrap.Draws.of(sample)
        spread = bootstrap.replicates(functions, sample, resamples, seed, cell)
        row |= {
            "accuracy": float(functions["accuracy"](itself)),
            **bootstrap.interval(spread["accuracy"]),
        }
        ends = bootstrap.interval(spread["auc"])
        row |= {"auc": float(functions["auc"](itself))}
        rows.append({**row, "auc_lo95": ends["lo95"], "auc_hi95": ends["hi95"], "status": "ok"})
    return pd.DataFrame(rows)
