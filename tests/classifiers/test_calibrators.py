"""Calibration maps against scikit-learn and closed forms; never judged where they were fitted."""

import numpy as np
import pytest
from scipy.special import expit
from scipy.stats import norm
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.calibration import CalibratedClassifierCV
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression

from classifiers.evaluation import calibrators, predictions
from classifiers.evaluation.calibrators import Calibrator, fit
from lensjax.errors import InputError

METHODS = ("temperature", "platt", "isotonic", "beta")


def drawn(n, seed, hot=3.0, shift=-1.0):
    """Labels of known probabilities, and logits that are overconfident and shifted."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=n) * 1.5 - 0.5
    return (rng.random(n) < expit(x)).astype(int), hot * x + shift, expit(x)


class Given(ClassifierMixin, BaseEstimator):
    """A classifier whose decisions are its only feature."""

    def fit(self, x, y):
        self.classes_, self.fitted_ = np.array([0, 1]), True
        return self

    def decision_function(self, x):
        return x.ravel()

    def predict(self, x):
        return (x.ravel() > 0).astype(int)


def test_temperature_is_logistic_regression_without_an_intercept():
    y, x, _ = drawn(500, 0, shift=0)
    line = LogisticRegression(C=np.inf, fit_intercept=False, tol=1e-10).fit(x[:, None], y)
    assert fit(y, x, "temperature").numbers[0] == pytest.approx(1 / line.coef_.item(), rel=1e-4)


@pytest.mark.parametrize("case", ["usual", "separable", "one lens"])
def test_platt_is_scikit_learns(case):
    y, x, _ = drawn(300, 1)
    if case == "separable":
        y = (x > 0).astype(int)
    if case == "one lens":
        y = np.eye(1, 300, 5, dtype=int)[0]
        x = np.where(y, 2.0, x)
    given = FrozenEstimator(Given().fit(None, None))
    theirs = CalibratedClassifierCV(given, method="sigmoid", cv=[(np.arange(2), np.arange(300))])
    theirs.fit(x[:, None], y)
    expected = theirs.predict_proba(x[:, None])[:, 1]
    assert fit(y, x, "platt")(x) == pytest.approx(expected, abs=2e-3)


def test_beta_is_logistic_regression_on_two_logarithms():
    y, x, _ = drawn(800, 2, hot=2.0)
    k, m = y.sum(), (1 - y).sum()
    target = np.where(y == 1, (k + 1) / (k + 2), 1 / (m + 2))
    terms = np.stack([np.log(expit(x)), -np.log(expit(-x))], -1)
    line = LogisticRegression(C=np.inf, tol=1e-10, max_iter=10_000)
    line.fit(np.r_[terms, terms], np.repeat([1, 0], 800), np.r_[target, 1 - target])
    assert (line.coef_ > 0).all()
    expected = line.predict_proba(terms)[:, 1]
    assert fit(y, x, "beta")(x) == pytest.approx(expected, abs=1e-4)


def test_isotonic_is_the_min_max_formula():
    rng = np.random.default_rng(3)
    x = np.sort(np.round(rng.normal(size=60), 1))
    y = (rng.random(60) < expit(x)).astype(int)
    values, run = np.unique(x, return_inverse=True)
    s, n = np.r_[0, np.cumsum(np.bincount(run, y))], np.r_[0, np.cumsum(np.bincount(run))]
    mean = lambda i, j: (s[j + 1] - s[i]) / (n[j + 1] - n[i])
    last = range(len(values))
    expected = [max(min(mean(i, j) for j in last if j >= k) for i in last if i <= k) for k in last]
    assert fit(y, x, "isotonic")(values) == pytest.approx(expected)


@pytest.mark.parametrize("method", METHODS)
def test_a_map_finds_the_true_probabilities_and_never_falls(method):
    y, x, _ = drawn(20_000, 4, shift=0.0)
    found = fit(y, x, method)
    _, fresh, true = drawn(5000, 5, shift=0.0)
    assert np.abs(found(fresh) - true).mean() < 0.02
    far = found(np.linspace(-800, 800, 401))
    assert np.isfinite(far).all() and (np.diff(far) >= 0).all() and far.min() >= 0 <= 1 >= far.max()
    assert (Calibrator.of(found.state())(fresh) == found(fresh)).all()


@pytest.mark.parametrize("method", METHODS)
def test_hard_samples_have_finite_maps(method):
    for y, x in (
        (np.array([0, 1]), np.array([-1.0, 1.0])),
        (np.array([1, 0] * 5), np.zeros(10)),
        (np.repeat([0, 1], 20), np.linspace(5, -5, 40)),
        (np.repeat([0, 1], 20), np.repeat([-36.0, 36.0], 20)),
    ):
        p = fit(y, x, method)(np.linspace(-40, 40, 9))
        assert np.isfinite(p).all() and (np.diff(p) >= -1e-12).all()
    with pytest.raises(InputError, match="lenses and others"):
        fit(np.ones(4, int), np.zeros(4), method)


def test_a_prior_shift_is_bayes_theorem():
    """Two normal classes, whose posterior is known for every prevalence."""
    x = np.linspace(-3, 4, 50)
    posterior = lambda share: (
        share * norm.pdf(x - 1) / (share * norm.pdf(x - 1) + (1 - share) * norm.pdf(x))
    )
    for survey in (1e-4, 0.3, 0.9):
        assert calibrators.prior_shift(posterior(0.3), 0.3, survey) == pytest.approx(
            posterior(survey), rel=1e-9
        )
    assert calibrators.prior_shift(np.array([0.0, 1.0]), 0.5, 1e-4).tolist() == [0, 1]
    with pytest.raises(InputError, match="survey is 0"):
        calibrators.prior_shift(x, 0.5, 0)


def table(n, seed, start):
    y, x, _ = drawn(n, seed)
    ids = np.array([str(i) for i in range(start, start + n)])
    return predictions.Predictions(ids, y, {"a": expit(x)}, {"a": x}, {})


def test_a_map_is_judged_on_other_objects_only():
    one, two = table(2000, 6, 0), table(2000, 7, 2000)
    for method in METHODS:
        _, rows = calibrators.before_and_after(one, two, "a", method, resamples=50)
        by = rows.set_index(["metric", "when"])["value"]
        for metric in ("ece", "brier", "log_loss"):
            assert by[metric, "after"] < by[metric, "before"]
        if method != "isotonic":
            assert by["roc_auc", "after"] == pytest.approx(by["roc_auc", "before"], abs=1e-9)
    with pytest.raises(InputError, match=r"500 objects are in the tables to fit .*: 1500, 1501"):
        calibrators.before_and_after(one, table(2000, 7, 1500), "a", "platt")
    few = one.rows(np.r_[np.flatnonzero(one.label)[:3], np.flatnonzero(1 - one.label)])
    with pytest.raises(InputError, match="insufficient: 3 lenses"):
        calibrators.before_and_after(few, two, "a", "platt")
