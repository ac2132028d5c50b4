"""What a network takes a stamp for: the stamps nearest to it in the space of its features.

Features are brought to the mean and scatter of the stamps that are searched, so that none rules by
its unit; the distance is Euclid's. By default every distance is computed (scikit-learn), which is
exact. With `usearch` a graph of neighbours is searched (Malkov & Yashunin 2020, IEEE TPAMI 42,
824): quicker where millions of stamps are asked for, and it may miss some.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import pandas as pd
from jaxtyping import Float, Float32, Int

from lensjax.errors import InputError

Way = Literal["exact", "usearch"]
WAYS: tuple[Way, ...] = ("exact", "usearch")


def standardised(
    features: Float[np.ndarray, "n f"], *others: Float[np.ndarray, "m f"]
) -> tuple[Float32[np.ndarray, "n f"], ...]:
    """Features, and others in the same units: minus the mean, over the scatter of the first; a
    feature that is the same everywhere is 0."""
    mean, scale = features.mean(axis=0), features.std(axis=0)
    known = scale > 0
    inverse = np.where(known, 1 / np.where(known, scale, 1.0), 0.0)
    return tuple(((x - mean) * inverse).astype(np.float32) for x in (features, *others))


def nearest(
    features: Float[np.ndarray, "n f"],
    asked: Float[np.ndarray, "m f"],
    number: int,
    way: Way = "exact",
) -> tuple[Int[np.ndarray, "m k"], Float[np.ndarray, "m k"]]:
    """Rows of the nearest features for each one asked, nearest first, and their distances (in
    scatters of the features).

    number: how many; fewer where there are fewer features. Raises InputError for features that are
    not finite or of another length, a number below 1, and `usearch` where it is not installed.
    """
    features, asked = np.asarray(features, np.float64), np.asarray(asked, np.float64)
    if features.ndim != 2 or asked.ndim != 2 or features.shape[1] != asked.shape[1]:
        raise InputError(f"features are {features.shape} and {asked.shape}; as long as each other")
    if number < 1 or not len(features):
        raise InputError(f"{number} neighbours of {len(features)} features; at least 1 of each")
    if not (np.isfinite(features).all() and np.isfinite(asked).all()):
        raise InputError("features are not finite; mend the network that gave them")
    k = min(number, len(features))
    whole, mine = standardised(features, asked)
    if not len(mine):
        return np.empty((0, k), np.int64), np.empty((0, k))
    if way == "usearch":
        return _usearch(whole, mine, k)
    from sklearn.neighbors import NearestNeighbors

    apart, rows = NearestNeighbors(n_neighbors=k, algorithm="brute").fit(whole).kneighbors(mine)
    return rows.astype(np.int64), apart.astype(np.float64)


def _usearch(
    whole: Float32[np.ndarray, "n f"], mine: Float32[np.ndarray, "m f"], k: int
) -> tuple[Int[np.ndarray, "m k"], Float[np.ndarray, "m k"]]:
    try:
        from usearch.index import Index
    except ImportError:
        raise InputError(
            "a graph of neighbours needs usearch; pip install 'lensjax[neighbours]', or take exact"
        ) from None
    index = Index(ndim=whole.shape[1], metric="l2sq", dtype="f32")
    index.add(np.arange(len(whole)), whole)
    found = index.search(mine, k)
    rows = np.asarray(found.keys, np.int64).reshape(len(mine), k)
    # Distances of the graph are squares, and of its own precision: these are of the features.
    apart = np.linalg.norm(mine[:, None] - whole[rows], axis=-1).astype(np.float64)
    order = np.argsort(apart, axis=1, kind="stable")
    return np.take_along_axis(rows, order, 1), np.take_along_axis(apart, order, 1)


def table(
    ids: np.ndarray,
    label: Int[np.ndarray, " n"],
    features: Float[np.ndarray, "n f"],
    places: Int[np.ndarray, " m"],
    number: int,
    way: Way = "exact",
) -> pd.DataFrame:
    """A row for every neighbour of the stamps at `places`: id, label, neighbour, neighbour_label,
    place (1 for the nearest), distance. A stamp is no neighbour of itself."""
    rows, apart = nearest(features, features[places], number + 1, way)
    found = []
    for at, near, away in zip(places, rows, apart):
        others = [(j, d) for j, d in zip(near, away) if j != at][:number]
        for place, (j, d) in enumerate(others, 1):
            row = {"id": ids[at], "label": int(label[at]), "neighbour": ids[j]}
            found.append({**row, "neighbour_label": int(label[j]), "place": place, "distance": d})
    names = ["id", "label", "neighbour", "neighbour_label", "place", "distance"]
    return pd.DataFrame(found, columns=names)
