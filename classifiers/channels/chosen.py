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
from jaxtyping import Bool, Float, Int

from classifiers.channels.parent import Parent
from classifiers.ensembles import folds
from classifiers.evaluation import figures
from lensjax.errors import InputError, some

MEASURES = ("roc_auc", "average_precision", "ece", "log_loss")
TREES, LEAVES, SMALLEST = 80, 8, 20
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


def trees(
    parent: Parent,
    label: Bool[np.ndarray, " m"],
    rows: np.ndarray,
    slope: tuple[int, ...],
    seed: int,
) -> Any:
    """Boosted trees of scikit-learn (HistGradientBoostingClassifier), fitted to these rows."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    model = HistGradientBoostingClassifier(
        max_iter=TREES,
        learning_rate=0.1,
        max_leaf_nodes=LEAVES,
        min_samples_leaf=SMALLEST,
        l2_regularization=1.0,
        monotonic_cst=slope,
        categorical_features=[name in parent.texts for name in parent.features],
        early_stopping=False,
        random_state=seed,
    )
    return model.fit(parent.x[rows], label)


def probability(model: Any, x: Float[np.ndarray, "m f"]) -> Float[np.ndarray, " m"]:
    """Of the class 1; the one class of a fit to a single one has it all."""
    found = model.predict_proba(x)
    return found[:, -1] if found.shape[1] == 2 else np.full(len(x), float(model.classes_[0]))


def by_folds(
    parent: Parent,
    label: Bool[np.ndarray, " m"],
    rows: Int[np.ndarray, " m"],
    slope: tuple[int, ...],
    seed: int,
) -> tuple[Float[np.ndarray, " m"], list[Any]]:
    """Out-of-fold probabilities (m,) of rows of the parent, cells of the sky whole, and the fits of
    the folds."""
    fold = folds.of_groups(parent.cell[rows], FOLDS, seed)
    found, models = np.empty(len(rows)), []
    for k in range(FOLDS):
        inside = fold == k
        models.append(trees(parent, label[~inside], rows[~inside], slope, seed))
        found[inside] = probability(models[-1], parent.x[rows[inside]])
    return found, models


def one_thread() -> Any:
    """A context in which trees use one thread: fits this small are slower on two, on a busy machine
    a hundred times. The library that it limits has to be loaded before."""
    import sklearn.ensemble  # noqa: F401
    from threadpoolctl import threadpool_limits

    return threadpool_limits(1)


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
    (the range of the folds' fits). Features go together: it says what the fit does, not what causes
    it. Third: ra, dec, the features, and for every channel whether it has the object and the
    out-of-fold probability. Channels with fewer than `minimum` selected or other objects have no
    fit and say so. Raises InputError as `slopes` and `folds.of_groups` do.
    """
    slope = slopes(parent, wanted or {})
    rows = np.arange(len(parent))
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
        with one_thread():
            p, models = by_folds(parent, inside, rows, slope, seed)
            last = trees(parent, inside, rows, slope, seed)
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
            each = [float(probability(m, x).mean()) for m in models]
            at = kinds[int(value)] if kinds else value
            row = {"feature": name, "at": at, "probability": float(probability(last, x).mean())}
            rows.append({**row, "low": min(each), "high": max(each)})
    return pd.DataFrame(rows)
