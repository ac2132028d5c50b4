"""Populations of scored objects with a known best way to combine their finders."""

import numpy as np
from scipy.special import expit

from classifiers.evaluation.predictions import Predictions, logit


def table(label, logits, cell, columns=None):
    ids = np.array([f"o{i:05d}" for i in range(len(label))])
    scores = {name: expit(x) for name, x in logits.items()}
    as_logits = {name: logit(s) for name, s in scores.items()}
    return Predictions(ids, label, scores, as_logits, columns or {}, cell)


def specialists(n=4000, seed=0):
    """Each of two finders knows half of the lenses and gives the other half any score, and a third
    knows nothing but is sure: only a combination that looks at all of them helps."""
    rng = np.random.default_rng(seed)
    y, deep = (rng.random(n) < 0.1).astype(int), rng.random(n) < 0.5
    a = 4 * y * deep + rng.normal(size=n) - 3
    b = 4 * y * ~deep + rng.normal(size=n) - 3
    return table(y, {"a": a, "b": b, "c": 4 * rng.normal(size=n)}, np.arange(n) // 10)


def alike(n=4000, seed=0):
    """Three finders that see the same, with a little noise of their own, as networks of one
    architecture do that began with other weights: no combination beats their mean."""
    rng = np.random.default_rng(seed)
    y = (rng.random(n) < 0.1).astype(int)
    seen = 2.5 * y + rng.normal(size=n) - 3
    own = {name: seen + 0.3 * rng.normal(size=n) for name in "abc"}
    return table(y, own, np.arange(n) // 10)


def planted(n=3000, per_cell=30, seed=0):
    """No finder knows anything; but all objects of a cell are of one label and have nearly the same
    scores, so that whoever has seen one of them knows the others."""
    rng = np.random.default_rng(seed)
    cell = np.arange(n) // per_cell
    y = (rng.random(cell.max() + 1) < 0.5).astype(int)[cell]
    mark = rng.normal(size=(2, cell.max() + 1))[:, cell]
    a, b = mark + 0.01 * rng.normal(size=(2, n))
    return table(y, {"a": a, "b": b}, cell)
