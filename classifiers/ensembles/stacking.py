"""The meta-learner: one hidden layer on the logits of several finders, and the plain average.

Scikit-learn's StackingClassifier fits the members itself and takes no groups; here members are
finished finders whose scores are given, and every score that is judged comes from a network which
saw no object of the same group. The members must not have been trained on these objects either:
their scores of training objects are better than those of any other, and the network would learn to
trust them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from classifiers.evaluation.predictions import Predictions
from lensjax.errors import InputError, some

UNITS = 300
"""of the hidden layer"""
PENALTY = 1e-3
"""of the squared weights (scikit-learn's alpha)"""
EPOCHS, STEPS = 60, 200
"""Epochs at most, and steps of one at most."""
FEW = 10
"""lenses, or others, that the network is fitted to at least"""

Combined = Callable[[Float[np.ndarray, "m d"]], Float[np.ndarray, " m"]]
Fit = Callable[[Int[np.ndarray, " n"], Float[np.ndarray, "n d"], int], Combined]


@dataclass(frozen=True)
class Stacker:
    """A fitted meta-learner: inputs minus `mean` over `scale`, a hidden layer of rectified linear
    units, and one logit. inputs: names of its columns; mean, scale (d,); hidden (d, u), bias (u,);
    out (u,), offset."""

    inputs: tuple[str, ...]
    mean: Float[np.ndarray, " d"]
    scale: Float[np.ndarray, " d"]
    hidden: Float[np.ndarray, "d u"]
    bias: Float[np.ndarray, " u"]
    out: Float[np.ndarray, " u"]
    offset: float

    def __call__(self, x: Float[np.ndarray, "m d"]) -> Float[np.ndarray, " m"]:
        """Probabilities of a lens."""
        from scipy.special import expit

        inner = np.maximum((x - self.mean) / self.scale @ self.hidden + self.bias, 0)
        return np.asarray(expit(inner @ self.out + self.offset))

    def state(self) -> dict[str, Any]:
        """As JSON holds it; `Stacker.of` turns it back."""
        arrays = {name: getattr(self, name).tolist() for name in _ARRAYS}
        return {"inputs": list(self.inputs), "offset": self.offset, **arrays}

    @classmethod
    def of(cls, state: Mapping[str, Any]) -> Stacker:
        """The stacker that a saved state describes."""
        arrays = {name: np.array(state[name], np.float64) for name in _ARRAYS}
        return cls(tuple(state["inputs"]), offset=float(state["offset"]), **arrays)


_ARRAYS = ("mean", "scale", "hidden", "bias", "out")


def inputs(table: Predictions, conditions: tuple[str, ...] = ()) -> Float[np.ndarray, "n d"]:
    """What the network sees: the logit of every finder, and observing conditions from columns of
    the table. Raises InputError, with rows and ids, where a condition is no finite number."""
    columns = [*table.logits.values()]
    for name in conditions:
        if name not in table.columns:
            raise InputError(f"column {name!r} was not read; {some([*table.columns], 8)} were")
        column = table.columns[name]
        numbers = np.array([_number(text) for text in column])
        if (wrong := np.flatnonzero(~np.isfinite(numbers))).size:
            named = some([f"row {i + 1} ({table.id[i]}): {column[i]}" for i in wrong])
            raise InputError(f"condition {name!r} is no finite number in {named}")
        columns.append(numbers)
    return np.stack(columns, axis=-1)


def network(label: Int[np.ndarray, " n"], x: Float[np.ndarray, "n d"], seed: int = 42) -> Stacker:
    """One hidden layer of 300 units by least logarithmic loss (scikit-learn's MLPClassifier with
    Adam). Stacking by a network of one layer is that of Coscrato, Inacio & Izbicki 2020,
    Neurocomputing 399, 141, here with the class's logit as output, not the members' weights.
    Raises InputError with fewer than ten lenses or others."""
    from sklearn.neural_network import MLPClassifier
    from threadpoolctl import threadpool_limits

    lenses, others = int(np.sum(label)), int(np.sum(1 - np.asarray(label)))
    if min(lenses, others) < FEW:
        raise InputError(
            f"a meta-learner is fitted to {lenses} lenses and {others} others; at least {FEW} of "
            "each are needed"
        )
    mean, scale = x.mean(axis=0), x.std(axis=0)
    scale = np.where(scale > 0, scale, 1.0)
    batch = max(200, -(-len(x) // STEPS))
    net = MLPClassifier(
        (UNITS,),
        alpha=PENALTY,
        batch_size=min(batch, len(x)),
        max_iter=EPOCHS,
        random_state=seed,
        learning_rate_init=3e-3,
        n_iter_no_change=5,
    )
    # A layer this small is slower on several threads than on one.
    with threadpool_limits(1), _silent():
        net.fit((x - mean) / scale, label)
    (hidden, out), (bias, offset) = net.coefs_, net.intercepts_
    names = tuple(f"input {i}" for i in range(x.shape[1]))
    return Stacker(names, mean, scale, hidden, bias, out.ravel(), float(offset.item()))


def out_of_fold(
    label: Int[np.ndarray, " n"],
    x: Float[np.ndarray, "n d"],
    fold: Int[np.ndarray, " n"],
    seed: int = 42,
    fit: Fit = network,
) -> Float[np.ndarray, " n"]:
    """Probabilities (n,), each from a fit to the other folds only. fold: as `folds.of_groups` makes
    it. Raises InputError as `network` does."""
    found = np.empty(len(label))
    for k in np.unique(fold):
        inside = fold == k
        found[inside] = fit(label[~inside], x[~inside], seed)(x[inside])
    return found


def average(table: Predictions) -> Float[np.ndarray, " n"]:
    """The mean of the members' probabilities, which needs no fit: what a meta-learner has to
    beat."""
    return np.mean([*table.scores.values()], axis=0)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return np.nan


def _silent() -> Any:
    """Without the warning that the last epoch was reached, which is how fits are meant to end."""
    import warnings

    from sklearn.exceptions import ConvergenceWarning

    return warnings.catch_warnings(action="ignore", category=ConvergenceWarning)
