"""Bootstrap: how much a metric would move with another sample of the same sky.

Objects are drawn with replacement, or whole HEALPix cells with all their objects: neighbours share
seeing, depth and structure, and intervals that ignore this are too narrow. A resample is a vector
of counts, so every metric takes it as weights.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import numpy as np
from jaxtyping import Float, Int

from classifiers.evaluation.metrics import Curve, curve

Metric = Callable[[Curve, np.ndarray], np.ndarray]
"""(curve, weights) -> a value for each resample. The weights are for what cannot be read off the
curve."""
CELLS = 4_000_000
"""counts that are held in memory at once"""


def resamples(
    n: int, number: int, seed: int, blocks: Int[np.ndarray, " n"] | None = None
) -> Iterator[Int[np.ndarray, "r n"]]:
    """`number` resamples as counts, in chunks that fit into memory.

    blocks: the cell of each object; cells are drawn whole. The numbers drawn depend on the seed
    only.
    """
    rng = np.random.default_rng(seed)
    cell = np.arange(n) if blocks is None else np.unique(np.asarray(blocks), return_inverse=True)[1]
    cells = int(cell.max()) + 1 if n else 0
    chunk = max(1, CELLS // max(n, 1))
    for start in range(0, number if n else 0, chunk):
        drawn = rng.integers(0, cells, (min(chunk, number - start), cells))
        counts = np.stack([np.bincount(row, minlength=cells) for row in drawn])
        yield counts[:, cell]


def replicates(
    functions: Mapping[str, Metric],
    label: Int[np.ndarray, " n"],
    score: Float[np.ndarray, " n"],
    number: int,
    seed: int,
    blocks: np.ndarray | None = None,
) -> dict[str, Float[np.ndarray, " r"]]:
    """Each metric over the resamples; NaN where a resample lost all lenses or all others."""
    found: dict[str, list[np.ndarray]] = {name: [] for name in functions}
    for counts in resamples(len(label), number, seed, blocks):
        c = curve(label, score, counts)
        for name, function in functions.items():
            found[name].append(function(c, counts))
    return {name: np.concatenate(parts) if parts else np.empty(0) for name, parts in found.items()}


def interval(values: Float[np.ndarray, " r"]) -> dict[str, float | None]:
    """Central 68 % and 95 % of the resamples that have a value: lo68, hi68, lo95, hi95."""
    known = values[np.isfinite(values)]
    if not len(known):
        return dict.fromkeys(("lo68", "hi68", "lo95", "hi95"))
    lo95, lo68, hi68, hi95 = np.percentile(known, [2.5, 16, 84, 97.5]).tolist()
    return {"lo68": lo68, "hi68": hi68, "lo95": lo95, "hi95": hi95}
