"""Scores of any number of stamps with any finder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import numpy as np
from jaxtyping import Float

from classifiers import processor
from classifiers.finders.interface import Finder, Scores
from classifiers.finders.outside import Outside, checked


def scored(
    finder: Finder,
    stamps: Float[np.ndarray, "n h w c"],
    ids: Sequence[Any] | np.ndarray | None = None,
    batch: int = 256,
    tick: Callable[[int], None] = lambda n: None,
) -> Scores:
    """Logits and scores (n,) of stamps in nanomaggies, `batch` of them at a time.

    ids: names of the stamps, for messages. tick: told how many were just scored. A differentiable
    finder is compiled once for the shape of a batch, and the last batch is filled up.
    Raises InputError when the finder fails or its answers cannot be right, naming stamps.
    """
    names = [str(i) for i in (range(len(stamps)) if ids is None else ids)]
    parts = []
    for start in range(0, len(stamps), batch):
        part = np.asarray(stamps[start : start + batch])
        parts.append(_batch(finder, part, names[start : start + batch], batch))
        tick(len(part))
    nothing = np.empty(0)
    return Scores(
        np.concatenate([nothing, *(p.logit for p in parts)]),
        np.concatenate([nothing, *(p.score for p in parts)]),
    )


def _batch(finder: Finder, stamps: np.ndarray, names: list[str], size: int) -> Scores:
    if isinstance(finder, Outside):
        return finder.scores(stamps, names)
    if finder.differentiable:
        full = np.pad(stamps, [(0, size - len(stamps))] + [(0, 0)] * 3)
        found = np.asarray(_compiled()(finder, full))[: len(stamps)]
    else:
        found = np.asarray(finder.logits(stamps))
    return Scores.of(checked(found, names, finder.name, "logit"), "logit")


@cache
def _compiled() -> Callable[[Any, Any], Any]:
    return processor.jit(lambda finder, stamps: finder.logits(stamps))
