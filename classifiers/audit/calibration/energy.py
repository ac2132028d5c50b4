"""The energy distance of two weighted samples, and the test of it.

E = 2 E|X - Y| - E|X - X'| - E|Y - Y'| is 0 exactly when X and Y have the same distribution (Szekely
& Rizzo 2013, J. Stat. Plan. Inference 143, 1249, equation 1.3). With weights w and v that add up to
one, the means are sums over w_i v_j, and over pairs of different members of one sample
w_i w_j / (1 - sum w^2), so that the estimate has no bias from the size of the samples and may be a
little below 0.
"""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

NEAR = 1e-12
"""offset of a squared distance, which keeps derivatives finite for equal points"""
PERMUTATIONS = 400
SAMPLES = 100
"""bootstrap samples"""
CLEAR = 1.25
"""standard deviations by which a distance has to be larger in order to count as larger. A distance
rises with the square of a step, so that this is 2.5 standard deviations of the step."""


def apart(
    x: Float[Array | np.ndarray, "n d"], y: Float[Array | np.ndarray, "m d"]
) -> Float[Array, "n m"]:
    """Euclidean distances."""
    return jnp.sqrt(jnp.sum((x[:, None] - y[None]) ** 2, -1) + NEAR)


def distance(
    x: Float[Array, "n d"], w: Float[Array, " n"], y: Float[Array, "m d"], v: Float[Array, " m"]
) -> Float[Array, ""]:
    """Energy distance of samples x and y with weights w and v (any positive scale), which is
    differentiable in all four. Rows of weight 0 do not count."""
    w, v = w / w.sum(), v / v.sum()
    return 2 * w @ apart(x, y) @ v - _within(x, w) - _within(y, v)


def _within(x: Float[Array, "n d"], w: Float[Array, " n"]) -> Float[Array, ""]:
    """Mean distance of two different members; w adds up to one."""
    between = apart(x, x) * (1 - jnp.eye(len(x)))
    return w @ between @ w / (1 - w @ w)


def p_value(x: Float[np.ndarray, "n d"], y: Float[np.ndarray, "m d"], seed: int = 0) -> float:
    """Share of PERMUTATIONS random divisions of both samples together that are at least as far
    apart: the permutation test of equal distributions (Szekely & Rizzo 2013, section 4)."""
    from scipy.spatial.distance import cdist

    pooled = np.concatenate([x, y])
    between = cdist(pooled, pooled)
    first = np.arange(len(pooled)) < len(x)
    rng = np.random.default_rng(seed)

    def of(inside: np.ndarray) -> float:
        a, b = inside / inside.sum(), ~inside / (~inside).sum()
        to_a, to_b = between @ a, between @ b
        return 2 * a @ to_b - sum(s @ to / (1 - s @ s) for s, to in ((a, to_a), (b, to_b)))

    here = of(first)
    farther = sum(of(rng.permutation(first)) >= here for _ in range(PERMUTATIONS))
    return (1 + farther) / (1 + PERMUTATIONS)


class Rise(NamedTuple):
    """By how much one energy distance is larger than another one, and its standard deviation."""

    value: float
    deviation: float

    @property
    def clear(self) -> bool:
        """Whether it is larger by more than CLEAR standard deviations."""
        return self.value > CLEAR * self.deviation


def rise(
    before: tuple[Float[np.ndarray, "n d"], Float[np.ndarray, " n"]],
    after: tuple[Float[np.ndarray, "n d"], Float[np.ndarray, " n"]],
    lenses: Float[np.ndarray, "l d"],
    weight: Float[np.ndarray, " l"],
    group: np.ndarray,
    seed: int = 0,
) -> Rise:
    """How much farther from the lenses (with weights) a second state of the same n injections is
    than a first one, each being (values, weights). The deviation is over bootstrap samples of
    lenses and of groups of injections (hosts), the same for both."""
    from scipy.spatial.distance import cdist

    times, times_lens = resampled(group, len(weight), seed)
    parts = [(cdist(x, lenses), cdist(x, x), w) for x, w in (before, after)]

    def of(t: np.ndarray, u: np.ndarray) -> float:
        v = weight * u / (weight * u).sum()
        found = []
        for between, within, own in parts:
            w = own * t / (own * t).sum()
            found.append(2 * w @ between @ v - w @ within @ w / (1 - w @ w))
        return found[1] - found[0]

    ones = np.ones(len(group)), np.ones(len(weight))
    draws = [of(t, u) for t, u in zip(times, times_lens)]
    return Rise(float(of(*ones)), float(np.std(draws, ddof=1)))


def resampled(
    group: np.ndarray, lenses: int, seed: int, samples: int = SAMPLES
) -> tuple[Float[np.ndarray, "s n"], Float[np.ndarray, "s l"]]:
    """How often every injection and every lens is in each bootstrap sample. group (n,): injections
    of one group are drawn together."""
    rng = np.random.default_rng(seed)
    _, place = np.unique(np.asarray(group).astype(str), return_inverse=True)
    groups = place.max() + 1
    times = rng.multinomial(groups, np.full(groups, 1 / groups), samples)[:, place]
    times_lens = rng.multinomial(lenses, np.full(lenses, 1 / lenses), samples)
    return times.astype(np.float64), times_lens.astype(np.float64)
