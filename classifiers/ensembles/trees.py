"""Small boosted trees of scikit-learn, and their probabilities out of fold."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float, Int, Shaped

TREES, LEAVES = 80, 8


def fitted(
    label: Shaped[np.ndarray, " n"], x: Float[np.ndarray, "n f"], seed: int, **options: Any
) -> Any:
    """A HistGradientBoostingClassifier fitted to two classes (0 and 1, or False and True).
    options: of its constructor."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    model = HistGradientBoostingClassifier(
        max_iter=TREES, max_leaf_nodes=LEAVES, early_stopping=False, random_state=seed, **options
    )
    return model.fit(x, label)


def probability(model: Any, x: Float[np.ndarray, "m f"]) -> Float[np.ndarray, " m"]:
    """Probability of the class 1. A model that was fitted to one class only gives that class to all
    objects: scikit-learn then still returns two columns, and the first is that class, whichever it
    is."""
    if len(model.classes_) == 1:
        return np.full(len(x), float(model.classes_[0]))
    return model.predict_proba(x)[:, -1]


def out_of_fold(
    label: Shaped[np.ndarray, " n"],
    x: Float[np.ndarray, "n f"],
    fold: Int[np.ndarray, " n"],
    seed: int,
    **options: Any,
) -> tuple[Float[np.ndarray, " n"], list[Any]]:
    """Probabilities (n,), each by a model fitted to the other folds only, and these models. fold:
    as `folds.of_groups` makes it."""
    found, models = np.empty(len(label)), []
    with one_thread():
        for k in np.unique(fold):
            inside = fold == k
            models.append(fitted(label[~inside], x[~inside], seed, **options))
            found[inside] = probability(models[-1], x[inside])
    return found, models


def one_thread() -> Any:
    """A context in which trees use one thread: fits this small are slower on two, on a busy machine
    a hundred times. The library that it limits has to be loaded before."""
    import sklearn.ensemble  # noqa: F401
    from threadpoolctl import threadpool_limits

    return threadpool_limits(1)
