"""P(selected | features) of each channel, by gradient-boosted trees.

A slope may be imposed where there is an argument for its sign, for example that an arc of the same
kind is found more easily on a deeper image; scikit-learn's trees then never go the other way.
Without an argument nothing is imposed. The probabilities are of being in a list, among the objects
of the parent population: they hold what the search found, who inspected it, and where it looked.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from classifiers.channels.parent import Parent
from classifiers.ensembles import folds, trees
from classifiers.evaluation import figures
from lensjax.errors import InputError, some

MEASURES = ("roc_auc", "average_precision", "ece", "log_loss")
GRID = 12
"""Quantiles of a feature at which the dependence is taken."""
MEANT = 1000
"""Objects at most whose mean it is."""
FOLDS = 5


def slopes(parent: Parent, wanted: Mapping[str, int]) -> tuple[int, ...]:
    """-1, 0 or 1 for every feature. Raises InputError for names that are no features, features of
    texts, and other numbers."""
    if strange := [name for name in wanted if name not in parent.features]:
        raise InputError(f"monotone {some(strange)} is no feature; there are {parent.features}")
    if texts := [name for name in wanted if name in parent.texts]:
        raise InputError(f"monotone {some(texts)}: a feature of texts has no order")
    if wrong := {name: s for name, s in wanted.items() if s not in (-1, 1)}:
        raise InputError(f"monotone {wrong}: a slope is -1 (falls) or 1 (rises)")
    return tuple(wanted.get(name, 0) for name in parent.features)


def options(parent: Parent, slope: tuple[int, ...]) -> dict[str, Any]:
    """Options of the trees of `ensembles.trees` that explain a choice by all features."""
    texts = [name in parent.texts for name in parent.features]
    return {"l2_regularization": 1.0, "monotonic_cst": slope, "categorical_features": texts}


def chosen(
    parent: Parent,
    wanted: Mapping[str, int] | None = None,
    minimum: int = 30,
    resamples: int = 2000,
    seed: int = 42,
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """What features say of being in each channel.

    wanted: sign of the slope of features, -1 or 1, where one is imposed. First table: channel,
    selected, others, metric (`MEASURES`, out of fold), value, lo68 ... hi95, status; an AUC of 0.5
    says that the features have no part in the choice. Second: channel, feature, at (a number, or a
    text), probability (the mean over at most 1000 objects with this feature at the value and the
    others as they are, Friedman 2001, Annals of Statistics 29, 1189, section 8.2), low and high
    (the range of the folds' fits). Features are correlated with one another: it says what the fit
    does, not what causes the choice. Third: ra, dec, the features, and for every channel whether it
    has the object and the out-of-fold probability. Channels with fewer than `minimum` selected or
    other objects have no fit and say so. Raises InputError as `slopes` and `folds.of_groups` do.
    """
    how = options(parent, slopes(parent, wanted or {}))
    measured, curves = [], []
    objects = pd.DataFrame({"ra": parent.ra, "dec": parent.dec})
    for i, name in enumerate(parent.features):
        kinds = parent.texts.get(name)
        own = parent.x[:, i]
        objects[name] = own if kinds is None else np.array(kinds)[own.astype(int)]
    for name, inside in parent.inside.items():
        label = inside.astype(int)
        numbers = int(label.sum()), int((1 - label).sum())
        of = {"channel": name, "selected": numbers[0], "others": numbers[1]}
        why = figures.lacking(minimum, *numbers)
        if why != "ok":
            words = why.replace("non-lenses", "others").replace("lenses", "selected objects")
            measured += [{**of, "metric": m, **figures.nothing(words)} for m in MEASURES]
            continue
        fold = folds.of_groups(parent.cell, FOLDS, seed)
        p, models = trees.out_of_fold(inside, parent.x, fold, seed, **how)
        with trees.one_thread():
            last = trees.fitted(inside, parent.x, seed, **how)
            curves.append(_dependence(parent, last, models).assign(channel=name))
        objects[name], objects[f"{name}_probability"] = label, p
        found = figures.estimated(label, p, 10, resamples, seed, parent.cell, MEASURES)
        measured += [{**of, "metric": m, **f} for m, f in found.items()]
    columns = ["channel", "feature", "at", "probability", "low", "high"]
    curve = pd.concat(curves)[columns] if curves else pd.DataFrame(columns=columns)
    return pd.DataFrame(measured), curve, objects


def _dependence(parent: Parent, last: Any, models: list[Any]) -> pd.DataFrame:
    rows = []
    some_objects = parent.x[:: -(-len(parent) // MEANT)]
    for i, name in enumerate(parent.features):
        own, kinds = parent.x[:, i], parent.texts.get(name)
        grid = np.quantile(own, np.linspace(0.02, 0.98, GRID))
        for value in np.unique(own if kinds else grid):
            x = some_objects.copy()
            x[:, i] = value
            each = [float(trees.probability(m, x).mean()) for m in models]
            at = kinds[int(value)] if kinds else value
            own_mean = float(trees.probability(last, x).mean())
            row = {"feature": name, "at": at, "probability": own_mean}
            rows.append({**row, "low": min(each), "high": max(each)})
    return pd.DataFrame(rows)
