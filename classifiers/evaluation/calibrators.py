"""Maps from a finder's score to a probability, fitted on validation objects only, and from the
prevalence of a sample to that of a survey.

A map is never judged on objects that it was fitted to: `before_and_after` refuses tables that
share objects.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from classifiers.evaluation import figures
from classifiers.evaluation.predictions import Predictions
from lensjax.errors import InputError, some

Method = Literal["temperature", "platt", "isotonic", "beta"]
MEASURES = ("roc_auc", "ece", "mce", "brier", "log_loss")
COOLEST, HOTTEST = 0.01, 100.0
"""Range of temperatures that are tried."""


@dataclass(frozen=True)
class Calibrator:
    """A map from logits to probabilities that never falls.

    numbers: temperature (T,); platt (a, b) of a x + b; beta (a, b, c) of a ln p - b ln(1 - p) + c;
    isotonic: the logits and then the probabilities of its corners, linear between them.
    """

    method: Method
    numbers: tuple[float, ...]

    def __call__(self, logits: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
        """Calibrated probabilities."""
        from scipy.special import expit

        x = np.asarray(logits, np.float64)
        if self.method == "temperature":
            return np.asarray(expit(x / self.numbers[0]))
        if self.method == "isotonic":
            corners, probabilities = np.split(np.array(self.numbers), 2)
            return np.interp(x, corners, probabilities)
        return np.asarray(expit(_terms(self.method, x) @ np.array(self.numbers)))

    def state(self) -> dict[str, Any]:
        """As JSON holds it; `Calibrator.of` turns it back."""
        return {"method": self.method, "numbers": list(self.numbers)}

    @classmethod
    def of(cls, state: dict[str, Any]) -> Calibrator:
        """The calibrator that a saved state describes."""
        return cls(state["method"], tuple(state["numbers"]))


def fit(
    label: Int[np.ndarray, " n"], logits: Float[np.ndarray, " n"], method: Method
) -> Calibrator:
    """The map of least logarithmic loss (isotonic: of least squares).

    temperature: Guo et al. 2017, arXiv 1706.04599, section 4.2, T from 0.01 to 100. platt: Platt
    1999, with the targets (k + 1) / (k + 2) and 1 / (m + 2) for k lenses and m others, so that
    separable classes have a finite fit. beta: Kull, Silva Filho & Flach 2017, Electronic Journal of
    Statistics 11, 5052, equation 6, with a, b >= 0 and the same targets. isotonic: Zadrozny & Elkan
    2002; equal scores stay equal. Scores that rank the wrong way get a constant (temperature: T of
    100). Raises InputError for one class or an unknown method.
    """
    label, logits = np.asarray(label), np.asarray(logits, np.float64)
    if not 0 < label.sum() < len(label):
        raise InputError("a calibration needs lenses and others to be fitted to")
    if method == "temperature":
        return Calibrator(method, (_temperature(label, logits),))
    if method == "isotonic":
        return Calibrator(method, _isotonic(label, logits))
    if method in ("platt", "beta"):
        return Calibrator(method, _logistic(method, label, logits))
    raise InputError(f"method is {method!r}; expected temperature, platt, isotonic or beta")


def prior_shift(
    probability: Float[np.ndarray, " n"], sample: float, survey: float
) -> Float[np.ndarray, " n"]:
    """Probabilities for a survey with another share of lenses, whose lenses and whose others look
    as those of the sample do (Saerens, Latinne & Decaestecker 2002, Neural Computation 14, 21,
    equation 2.4).

    sample: share of lenses for which `probability` is calibrated; survey: that of the survey.
    Raises InputError for shares that are not between 0 and 1.
    """
    for name, share in (("sample", sample), ("survey", survey)):
        if not 0 < share < 1:
            raise InputError(f"{name} is {share}; a share of lenses lies between 0 and 1")
    p = np.asarray(probability, np.float64)
    lens, other = p * (survey / sample), (1 - p) * ((1 - survey) / (1 - sample))
    return lens / (lens + other)


def before_and_after(
    validation: Predictions,
    test: Predictions,
    finder: str,
    method: Method,
    minimum: int = 10,
    resamples: int = 10_000,
    seed: int = 42,
) -> tuple[Calibrator, pd.DataFrame]:
    """The map fitted to one table, and what it does to another: when (before, after), metric,
    value, lo68 ... hi95, status.

    Cells of the sky are drawn whole where the test objects have them. Raises InputError, with ids,
    where an object is in both tables, and with fewer than `minimum` lenses or others to fit to.
    """
    if shared := sorted(set(validation.id) & set(test.id)):
        raise InputError(
            f"{len(shared)} objects are in the tables to fit to and to judge on: {some(shared)}; a "
            "calibration that is judged on its own objects looks better than it is"
        )
    lenses = int(validation.label.sum())
    if (why := figures.lacking(minimum, lenses, len(validation) - lenses)) != "ok":
        raise InputError(f"validation objects are {why}")
    found = fit(validation.label, validation.logits[finder], method)
    rows = []
    after = found(test.logits[finder])
    for when, score in (("before", test.scores[finder]), ("after", after)):
        measured = figures.estimated(
            test.label, score, minimum, resamples, seed, test.cell, MEASURES
        )
        rows += [{"when": when, "metric": name, **f} for name, f in measured.items()]
    return found, pd.DataFrame(rows)


def _terms(method: str, x: Float[np.ndarray, " n"]) -> Float[np.ndarray, "n k"]:
    """What the numbers of a map multiply: (x, 1), or (ln p, -ln(1 - p), 1)."""
    one = np.ones_like(x)
    if method == "platt":
        return np.stack([x, one], axis=-1)
    return np.stack([-np.logaddexp(0, -x), np.logaddexp(0, x), one], axis=-1)


def _loss(eta: Float[np.ndarray, " n"], target: Float[np.ndarray, " n"]) -> float:
    return float(np.mean(np.logaddexp(0, eta) - target * eta))


def _temperature(label: Int[np.ndarray, " n"], x: Float[np.ndarray, " n"]) -> float:
    from scipy.optimize import minimize_scalar

    loss: Callable[[float], float] = lambda u: _loss(x * np.exp(u), label)
    ends = (-np.log(HOTTEST), -np.log(COOLEST))  # the loss is convex in 1 / T, so it has one valley
    best = minimize_scalar(loss, bounds=ends, method="bounded", options={"xatol": 1e-9})
    return float(np.exp(-best.x))


def _logistic(
    method: Method, label: Int[np.ndarray, " n"], x: Float[np.ndarray, " n"]
) -> tuple[float, ...]:
    from scipy.optimize import minimize
    from scipy.special import expit

    k, m = label.sum(), (1 - label).sum()
    target = np.where(label == 1, (k + 1) / (k + 2), 1 / (m + 2))
    terms = _terms(method, x)
    size = np.maximum(np.abs(terms).max(axis=0), 1e-12)  # so that every number is near 1
    scaled = terms / size

    def loss(numbers: np.ndarray) -> tuple[float, np.ndarray]:
        eta = scaled @ numbers
        return _loss(eta, target), scaled.T @ (expit(eta) - target) / len(x)

    bounds = [(0, None)] * (terms.shape[-1] - 1) + [(None, None)]
    start = np.append(np.ones(terms.shape[-1] - 1), 0.0) * size
    options = {"maxiter": 2000, "ftol": 1e-15, "gtol": 1e-10}
    best = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds, options=options)
    return tuple((best.x / size).tolist())


def _isotonic(label: Int[np.ndarray, " n"], x: Float[np.ndarray, " n"]) -> tuple[float, ...]:
    from sklearn.isotonic import IsotonicRegression

    fitted = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip").fit(x, label)
    return (*fitted.X_thresholds_.tolist(), *fitted.y_thresholds_.tolist())
