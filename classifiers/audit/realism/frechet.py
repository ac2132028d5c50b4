"""The Frechet distance of two samples of features, block by block of a network, beside that of one
process against itself at the same size."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Float, Shaped

SPLITS = 8
"""random halves that the yardstick is the mean of"""
PER_DIMENSION = 2
"""objects for each feature, below which a warning says that the distance is mostly bias"""


def distance(a: Float[np.ndarray, "n f"], b: Float[np.ndarray, "m f"]) -> float:
    """Squared Frechet distance of the Gaussians with the means and covariances of two samples:
    |mean difference|^2 + tr(A + B - 2 (A B)^(1/2)) (Dowson & Landau 1982, J. Multivar. Anal. 12,
    450, equation 16; Heusel et al. 2017, arXiv 1706.08500, equation 6), in the features' unit
    squared.

    It is biased upwards, by about tr(A) (1/n + 1/m) from the means alone and by more from the
    covariances where there are few objects for each feature: read it beside the distance of one
    process against itself at the same size. NaN with fewer than two objects.
    """
    if min(len(a), len(b)) < 2:
        return float("nan")
    rows = [(t - t.mean(0)) / np.sqrt(len(t) - 1) for t in (a, b)]
    # tr (A B)^(1/2) of A = X'X and B = Y'Y is the sum of the singular values of X Y'.
    # Of long matrices their triangles have the same.
    small = [np.asarray(np.linalg.qr(r, mode="r")) if len(r) > r.shape[1] else r for r in rows]
    cross = np.linalg.svd(small[0] @ small[1].T, compute_uv=False).sum()
    means = float(((a.mean(0) - b.mean(0)) ** 2).sum())
    return max(means + float(sum((r**2).sum() for r in rows)) - 2 * float(cross), 0.0)


def beside_itself(
    a: Float[np.ndarray, "n f"],
    b: Float[np.ndarray, "m f"],
    groups_b: Shaped[np.ndarray, " m"],
    seed: int = 0,
) -> dict[str, Any]:
    """Distance of a and b, and of b from itself, with the same number of objects on every side.

    Features are divided by the standard deviation of b. groups_b: objects of one name (injections
    into one host) stay on one side. Returns distance, self_distance (mean over SPLITS) with its
    scatter, ratio, n, features and a warning or "".
    """
    spread = b.std(0)
    used = spread > 1e-9 * max(float(spread.max(initial=0.0)), 1e-300)
    a, b = a[:, used] / spread[used], b[:, used] / spread[used]
    rng = np.random.default_rng(seed)
    names, group = np.unique(np.asarray(groups_b).astype(str), return_inverse=True)
    n = min(len(a), len(b) // 2)
    between, within = [], []
    for _ in range(SPLITS):
        half = rng.permutation(len(names)) % 2
        one, two = (rng.permutation(np.flatnonzero(half[group] == k))[:n] for k in (0, 1))
        within.append(distance(b[one], b[two]))
        between.append(distance(a[rng.permutation(len(a))[:n]], b[one]))
    found, own = (float(np.mean(v)) if n > 1 else float("nan") for v in (between, within))
    few = n < PER_DIMENSION * int(used.sum())
    return {
        "distance": found,
        "self_distance": own,
        "self_scatter": float(np.std(within)) if n > 1 else float("nan"),
        "ratio": found / own if own > 0 else float("nan"),
        "n": n,
        "features": int(used.sum()),
        "warning": (
            f"{n} objects for {int(used.sum())} features: the distance is mostly bias, so read the "
            "ratio only"
            if few
            else ""
        ),
    }


def by_block(
    a: Mapping[str, Float[np.ndarray, "n f"]],
    b: Mapping[str, Float[np.ndarray, "m f"]],
    groups_b: Shaped[np.ndarray, " m"],
    seed: int = 0,
) -> list[dict[str, Any]]:
    """`beside_itself` for every block, in order."""
    return [{"block": name} | beside_itself(a[name], b[name], groups_b, seed) for name in a]
