"""The population that channels chose from: objects with the features that a search saw.

A lens list alone says what was chosen, not from what. Features are read from tables with positions,
the parent population, and channels are matched to its rows. A quantity that is known for some
objects only must not become a feature, because its absence alone would show which list an object is
from. Rows that lack a feature are left out, and counted by channel.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int

from classifiers.channels import lists, merging, overlap
from classifiers.channels.lists import Channel
from data.lenses import ROUNDING
from data.sky import SkyTree
from data.tables import NOTHING
from lensjax.errors import InputError, some

MISSING = (-99.0, -999.0)
"""Numbers by which catalogues say that there is none."""
MOST = 30
"""Different texts that a feature may have."""


@dataclass(frozen=True)
class Parent:
    """Objects with features. x (n, f): numbers, or for texts the place in `texts[feature]`. inside:
    which of the objects each channel has, by name, (n,). ra, dec (n,): degrees. cell (n,): that of
    `overlap.cells`, which lies in one fold and is drawn whole, because depth and dust are alike
    over degrees."""

    features: tuple[str, ...]
    x: Float[np.ndarray, "n f"]
    texts: Mapping[str, tuple[str, ...]]
    inside: Mapping[str, Bool[np.ndarray, " n"]]
    ra: Float[np.ndarray, " n"]
    dec: Float[np.ndarray, " n"]
    cell: Int[np.ndarray, " n"]

    def __len__(self) -> int:
        return len(self.x)


def read(
    paths: Sequence[str | Path],
    features: Sequence[str],
    channels: Sequence[Channel],
    radius: float = merging.RADIUS,
) -> tuple[Parent, pd.DataFrame]:
    """The parent population of the tables, and a row for each channel and one for all of it:
    channel, entries, in_parent (objects of the parent that the channel has), with_features.

    features: columns of the tables; numbers, or texts of at most 30 kinds. Rows of several tables
    within the radius (arcsec) are one object, with the features of the first. Raises InputError as
    `lists.read` does, for no features, columns that are missing from a table, and a feature of more
    texts.
    """
    if not features or len(set(features)) < len(features):
        raise InputError(f"features are {some([*features]) or 'none'}; name at least one, once")
    frames = []
    for path in paths:
        table, _ = lists.read(path)
        if missing := [name for name in features if name not in table]:
            raise InputError(f"{path}: no column {some(missing)}; it has {some([*table], 12)}")
        frames.append(table[["ra", "dec", *features]])
    whole = pd.concat(frames, ignore_index=True)
    _, first = merging.grouped(whole["ra"].to_numpy(), whole["dec"].to_numpy(), radius)
    whole = whole.loc[first].reset_index(drop=True)
    ra, dec = whole["ra"].to_numpy(np.float64), whole["dec"].to_numpy(np.float64)
    inside = {}
    for channel in channels:
        tree = SkyTree(channel.ra, channel.dec)
        inside[channel.name] = tree.within(ra, dec, radius + ROUNDING)
    columns, texts = [], {}
    for name in features:
        values, kinds = _feature(name, whole[name])
        columns.append(values)
        if kinds:
            texts[name] = kinds
    x = np.stack(columns, axis=-1)
    known = np.isfinite(x).all(axis=1)
    everything = [("all", len(x), np.ones(len(x), bool))]
    everything += [(c.name, len(c), inside[c.name]) for c in channels]
    rows = [
        {
            "channel": name,
            "entries": entries,
            "in_parent": int(own.sum()),
            "with_features": int((own & known).sum()),
        }
        for name, entries, own in everything
    ]
    found = Parent(
        tuple(features),
        x[known],
        texts,
        {name: own[known] for name, own in inside.items()},
        ra[known],
        dec[known],
        overlap.cells(ra[known], dec[known]),
    )
    return found, pd.DataFrame(rows)


def _feature(name: str, column: pd.Series) -> tuple[Float[np.ndarray, " n"], tuple[str, ...]]:
    """A feature as numbers, NaN where it has none, and its kinds if it is text."""
    text = column.astype(str).str.strip()
    empty = column.isna() | text.str.lower().isin(NOTHING)
    numbers = pd.to_numeric(column.where(~empty), errors="coerce").to_numpy(np.float64)
    if np.isfinite(numbers[~empty.to_numpy()]).all():
        return np.where(np.isin(numbers, MISSING), np.nan, numbers), ()
    kinds = tuple(sorted(set(text[~empty])))
    if len(kinds) > MOST:
        raise InputError(
            f"feature {name!r} has {len(kinds)} different texts, for example {some(kinds)}; at "
            f"most {MOST} are kinds"
        )
    place = text.map({kind: i for i, kind in enumerate(kinds)}).where(~empty)
    return place.to_numpy(np.float64), kinds
