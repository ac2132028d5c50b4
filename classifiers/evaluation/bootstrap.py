"""Bootstrap: how much a metric would move with another sample of the same sky.

Objects are drawn with replacement, or whole HEALPix cells with all their objects: neighbours share
seeing, depth and structure, and intervals that ignore this are too narrow. A resample is a vector
of counts, so every metric takes it as weights. Samples are sorted once, and counts are drawn in the
order of the first one; all objects are drawn alike, so this order makes no difference.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from classifiers.evaluation.drawing import Drawing
from classifiers.evaluation.metrics import Curve, Sample

CELLS = 1_000_000
"""counts that are held in memory at once: few enough to stay in a processor's cache"""


@dataclass(frozen=True)
class Draws:
    """Resamples of a sample: its counts (R, n) or (n,) in the sample's order, and their curves."""

    sample: Sample
    counts: Float[np.ndarray, "*r n"]
    curve: Curve

    @classmethod
    def of(cls, sample: Sample, counts: Float[np.ndarray, "*r n"] | None = None) -> Draws:
        """The sample itself, each object once, unless there are counts."""
        counts = np.ones(len(sample.score)) if counts is None else counts
        return cls(sample, counts, sample.curve(counts))

    def mean(self, of: Float[np.ndarray, " n"]) -> Float[np.ndarray, " *r"]:
        """Mean over the objects of each resample of a number for each object of the sample."""
        return self.counts @ of / (self.curve.lenses + self.curve.others)


Metric = Callable[[Draws], np.ndarray]
"""A value for each resample."""


def resamples(
    n: int, number: int, seed: int, blocks: np.ndarray | None = None
) -> Iterator[Float[np.ndarray, "r n"]]:
    """`number` resamples as counts, in chunks that fit into memory.

    blocks: the cell of each object; cells are drawn whole. The numbers drawn depend on the seed
    only.
    """
    draw = Drawing(np.random.default_rng(seed))
    cell = None if blocks is None else np.unique(np.asarray(blocks), return_inverse=True)[1]
    cells = n if cell is None else int(cell.max()) + 1 if n else 0
    chunk = max(1, CELLS // max(n, 1))
    for start in range(0, number if n else 0, chunk):
        counts = np.empty((min(chunk, number - start), cells))
        for row in counts:
            row[:] = draw(cells)
        yield counts if cell is None else counts.take(cell, axis=1)


def draws(
    samples: Sequence[Sample], number: int, seed: int, blocks: np.ndarray | None = None
) -> Iterator[tuple[Draws, ...]]:
    """Resamples of the same objects as each of these samples has them, for example with the scores
    of several finders.

    blocks: the cell of each object, in the order of rows. Samples have the same rows.
    """
    order = samples[0].order
    place = np.argsort(order)
    cell = None if blocks is None else np.asarray(blocks)[order]
    places = [place[s.order] for s in samples[1:]]
    for counts in resamples(len(order), number, seed, cell):
        others = (Draws.of(s, counts.take(p, axis=1)) for s, p in zip(samples[1:], places))
        yield (Draws.of(samples[0], counts), *others)


def replicates(
    functions: Mapping[str, Metric],
    sample: Sample,
    number: int,
    seed: int,
    blocks: np.ndarray | None = None,
) -> dict[str, Float[np.ndarray, " r"]]:
    """Each metric over the resamples; NaN where a resample lost all lenses or all others. blocks:
    the cell of each object, in the order of rows."""
    found: dict[str, list[np.ndarray]] = {name: [] for name in functions}
    for (drawn,) in draws([sample], number, seed, blocks):
        for name, function in functions.items():
            found[name].append(function(drawn))
    return {name: np.concatenate(parts) if parts else np.empty(0) for name, parts in found.items()}


def interval(values: Float[np.ndarray, " r"]) -> dict[str, float | None]:
    """Central 68 % and 95 % of the resamples that have a value: lo68, hi68, lo95, hi95."""
    known = values[np.isfinite(values)]
    if not len(known):
        return dict.fromkeys(("lo68", "hi68", "lo95", "hi95"))
    lo95, lo68, hi68, hi95 = np.percentile(known, [2.5, 16, 84, 97.5]).tolist()
    return {"lo68": lo68, "hi68": hi68, "lo95": lo95, "hi95": hi95}
