"""Objects into folds. Objects that share anything are in one fold, and labels have no say in it.

Scikit-learn's stratified folds depend on the labels: a changed label moves objects between folds,
so one cannot test that the scores of a fold do not depend on its labels. Here folds follow from
groups and a seed alone: when labels of a fold are changed, its out-of-fold scores stay the same,
bit by bit.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Int, Shaped

from lensjax.errors import InputError

FOLDS = 5


def joined(*keys: Shaped[np.ndarray, " n"]) -> Int[np.ndarray, " n"]:
    """Groups of objects that share the value of any key, also by way of others: an object whose
    copies lie in two cells of the sky joins these cells. keys: cells, names of objects, ... (n,).
    Returns (n,) numbers from 0."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    n = len(keys[0])
    numbers, start = [], n
    for key in keys:
        different, number = np.unique(key, return_inverse=True)
        numbers.append(number + start)
        start += len(different)
    one, other = np.tile(np.arange(n), len(keys)), np.concatenate(numbers)
    graph = coo_array((np.ones(len(one), bool), (one, other)), shape=(start, start))
    return connected_components(graph, directed=False)[1][:n]


def of_groups(
    group: Int[np.ndarray, " n"], number: int = FOLDS, seed: int = 42
) -> Int[np.ndarray, " n"]:
    """The fold (n,) of each object, 0 to number - 1: groups in a random order, each to the fold
    that has the fewest objects so far. Raises InputError with fewer than two folds or fewer groups
    than folds."""
    if number < 2:
        raise InputError(f"folds is {number}; at least 2 are needed")
    _, place, size = np.unique(group, return_inverse=True, return_counts=True)
    if len(size) < number:
        raise InputError(
            f"the objects are {len(size)} groups (cells of the sky, or objects), fewer than the "
            f"{number} folds; a group is in one fold"
        )
    order = np.random.default_rng(seed).permutation(len(size))
    order = order[np.argsort(-size[order], kind="stable")]
    total, fold = np.zeros(number, np.int64), np.empty(len(size), np.int64)
    for g in order:
        fold[g] = np.argmin(total)
        total[fold[g]] += size[g]
    return fold[place]
