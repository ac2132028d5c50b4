"""A population that is a table of lenses, such as those of LensPop or SLSim: every lens gives its
weight to the injections that are most like it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from jaxtyping import Float

from classifiers.audit.resampling import Draws
from data.tables import read_csv
from lensjax.errors import InputError, some

if TYPE_CHECKING:
    import pandas as pd

NEAREST = 8
"""Injections that share the weight of a lens."""
FAR = 0.1
"""How far, as a share of the draws, lenses may on average lie from their injections in any."""


class Matched(NamedTuple):
    """weight: of every injection, 0 or larger, its sum the number of injections (n,). as_drawn:
    parameters of the density that the table does not have. within: share of the lenses inside of
    what was drawn. outside: that share by parameter. distance: mean distance between lenses and
    their injections by parameter, as a share of the draws."""

    weight: Float[np.ndarray, " n"]
    as_drawn: list[str]
    within: float
    outside: dict[str, float]
    distance: dict[str, float]


def read(path: Path) -> pd.DataFrame:
    """A table of lenses in CSV or Parquet. Raises InputError, naming the file, when it is none."""
    import pandas as pd
    import pyarrow as pa

    if not path.is_file():
        raise InputError(f"{path}: no such table of lenses")
    try:
        return read_csv(path, text=False) if path.suffix == ".csv" else pd.read_parquet(path)
    except InputError:
        raise
    except (OSError, ValueError, pa.ArrowException) as error:
        said = " ".join(str(error).split())[:120]
        raise InputError(f"{path}: cannot be read as a table of lenses ({said})") from None


def lenses(
    table: pd.DataFrame, draws: Draws, columns: Mapping[str, str], weight: str
) -> tuple[dict[str, Float[np.ndarray, " m"]], Float[np.ndarray, " m"]]:
    """Parameters of the density that a table of m lenses has, by our names, and their weights.

    columns: our names to the table's, where they differ. weight: column of weights, "" for equal
    ones. Raises InputError for columns that do not exist, for values that are no finite numbers,
    and for weights that are negative.
    """
    if unknown := [name for name in columns if name not in draws.parameters]:
        known = ", ".join(draws.parameters)
        raise InputError(f"columns: the draws are not over {unknown[0]!r}; they are over {known}")
    theirs = {name: columns.get(name, name) for name in draws.parameters}
    if missing := [columns[name] for name in columns if columns[name] not in table]:
        have = some([str(c) for c in table], 8)
        raise InputError(f"the table of lenses has no column {missing[0]!r}; it has {have}")
    shared = [name for name, own in theirs.items() if own in table]
    if not shared or not len(table):
        raise InputError(
            f"the table of lenses has {len(table)} rows and {len(shared)} of the parameters "
            f"{some(list(draws.parameters), 8)}; name its columns, columns={{ours: theirs}}"
        )
    values = {name: _finite(table, theirs[name]) for name in shared}
    if not weight:
        return values, np.full(len(table), 1 / len(table))
    if weight not in table:
        raise InputError(f"the table of lenses has no column {weight!r} to weight by")
    given = _finite(table, weight)
    if (given < 0).any() or not given.any():
        raise InputError(
            f"column {weight!r} of the table of lenses should be 0 or larger and not all 0"
        )
    return values, given / given.sum()


def _finite(table: pd.DataFrame, column: str) -> Float[np.ndarray, " m"]:
    try:
        values = table[column].to_numpy(np.float64)
    except (TypeError, ValueError):
        raise InputError(f"column {column!r} of the table of lenses holds no numbers") from None
    if not np.isfinite(values).all():
        row = int(np.argmin(np.isfinite(values)))
        raise InputError(f"row {row} of the table of lenses: {column} is {values[row]}; remove it")
    return values


def matched(
    values: Mapping[str, Float[np.ndarray, " m"]],
    share: Float[np.ndarray, " m"],
    draws: Draws,
    nearest: int = NEAREST,
) -> Matched:
    """Weights of n injections for a table of m lenses: each lens inside of what was drawn spreads
    its share evenly over the injections nearest to it.

    Near is measured in quantiles of the draws, where injections are uniform and no parameter's unit
    counts: half of the draws lie within half of the side. values: by parameter; share: of each
    lens, 1 together. Raises InputError where lenses lie far from all injections.
    """
    from scipy.spatial import cKDTree

    n = len(draws.ln_p_draw)
    if n < nearest:
        raise InputError(f"{n} injections are too few to match lenses to; draw more")
    inside = np.ones(len(share), bool)
    outside, ours, theirs = {}, [], []
    for name, value in values.items():
        drawn = draws.parameters[name]
        low, high = drawn.min(), drawn.max()
        if name in draws.laws and np.isfinite(draws.laws[name].support).all():
            low, high = draws.laws[name].support
        held = (value >= low) & (value <= high)
        outside[name] = float(share[~held].sum())
        inside &= held
        ordered = np.sort(drawn)
        place = (np.arange(n) + 0.5) / n
        ours.append(np.interp(drawn, ordered, place))
        theirs.append(np.interp(value, ordered, place))
    wanted = np.stack(theirs, 1)[inside]
    have, kept = np.stack(ours, 1), share[inside]
    within = float(kept.sum())
    as_drawn = [name for name in draws.parameters if name not in values]
    if not within:
        return Matched(np.zeros(n), as_drawn, 0.0, outside, {})
    _, index = cKDTree(have).query(wanted, nearest)
    index = np.asarray(index).reshape(len(wanted), nearest)
    weight = np.bincount(index.ravel(), np.repeat(kept / nearest, nearest), n) * n / within
    apart = np.abs(have[index] - wanted[:, None]).mean(1)
    distance = dict(zip(values, (kept @ apart / within).tolist()))
    return Matched(weight, as_drawn, within, outside, distance)
