"""Uncertainties of the fitted numbers.

The numbers are where the gradient g of the energy distance E is zero, so that they scatter from
sample to sample as H^-1 g does, H being the matrix of second derivatives: their covariance is H^-1
Cov(g) H^-1 (the sandwich of M-estimators; van der Vaart 1998, Asymptotic Statistics, theorem 5.21).
Cov(g) is that of the gradient over bootstrap samples of lenses and of hosts of injections. H is
taken by differences of the gradient over a fifth of a unit, because E has kinks where an injection
meets a lens. Observables are known to first order near the point, so that none of this renders
anything.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float

from classifiers.audit.calibration.energy import resampled
from classifiers.audit.calibration.fit import REACH, Near, Problem

FLOOR = 1e-3
"""A direction that curves less than this, relative to the most curved one, or the wrong way, counts
as curving so much."""


def deviations(
    problem: Problem,
    near: Near,
    x: Float[np.ndarray, " k"],
    which: Bool[np.ndarray, " k"],
    group: np.ndarray,
    seed: int = 0,
) -> Float[np.ndarray, " k"]:
    """Standard deviations of the numbers `which` (k,), in units, the others being held where they
    are (NaN). x: where the problem is given. group (n,): host of every injection."""
    found = np.full(len(which), np.nan)
    own = np.flatnonzero(which)
    if not len(own):
        return found
    times = resampled(group, len(near.weight), seed)
    gradients = np.stack([problem.gradient(near, x, a, b)[own] for a, b in zip(*times)])
    scatter = np.atleast_2d(np.cov(gradients, rowvar=False))
    values, vectors = np.linalg.eigh(_hessian(problem, near, np.asarray(x, np.float64), own))
    if values.max() <= 0:
        return np.where(which, np.inf, np.nan)
    inverse = (vectors / np.maximum(values, FLOOR * values.max())) @ vectors.T
    found[own] = np.sqrt(np.maximum(np.diag(inverse @ scatter @ inverse), 0.0))
    return found


def _hessian(
    problem: Problem, near: Near, x: Float[np.ndarray, " k"], own: np.ndarray
) -> Float[np.ndarray, "j j"]:
    """Second derivatives of the distance in the numbers `own`."""
    rows = []
    for i in own:
        step = np.zeros(len(x))
        step[i] = REACH
        up, down = (problem.legal(x + s) for s in (step, -step))
        slope = problem.gradient(near, up) - problem.gradient(near, down)
        rows.append(slope[own] / max(up[i] - down[i], 1e-6))
    return 0.5 * (np.stack(rows) + np.stack(rows).T)
