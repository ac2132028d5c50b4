"""Which stamps of a split are trained on: an expression of columns, and a table of objects that are
left out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Int

from classifiers.training.settings import TrainSettings
from data import manifest
from data.tables import read_csv
from lensjax.errors import InputError, some


def holds(
    columns: dict[str, np.ndarray], expression: str, where: Path, what: str = "select"
) -> Bool[np.ndarray, " n"]:
    """For which stamps an expression of columns of shards or manifest holds.

    columns: of the shards, with galaxy_id. where: the run, whose manifest has more columns. what:
    name of the setting, for messages. Raises InputError when it cannot be evaluated.
    """
    import pandas as pd

    number = len(columns["galaxy_id"])
    if (
        "@" in expression or "__" in expression
    ):  # pandas would reach from there into the running program
        raise InputError(
            f"{what} {expression!r}: '@' and '__' are not part of an expression of columns"
        )
    frame, listed = pd.DataFrame(columns), where / "manifest.parquet"
    if listed.is_file():
        more = manifest.read(listed).to_pandas()
        frame = frame.merge(
            more[["galaxy_id", *more.columns.difference(frame.columns)]], on="galaxy_id", how="left"
        )
    try:
        found = np.asarray(frame.eval(expression))
    except Exception as error:
        known = ", ".join(map(str, frame))
        raise InputError(
            f"{what} {expression!r} cannot be evaluated "
            f"({type(error).__name__}: {str(error).splitlines()[0]}); columns: {known}"
        ) from None
    if found.dtype != bool or found.shape != (number,):
        raise InputError(
            f"{what} {expression!r} is not a condition: it must be true or false for every stamp"
        )
    return found


def left_out(path: Path) -> set[str]:
    """The ids of a table of objects that are left out: its column galaxy_id. Raises InputError for
    a file that is no such table."""
    import pandas as pd

    try:
        frame: Any = pd.read_parquet(path) if path.suffix == ".parquet" else read_csv(path)
    except InputError as error:
        raise InputError(f"without: {error}") from None
    except FileNotFoundError:
        raise InputError(f"without: {path}: no such file") from None
    except (OSError, ValueError) as error:
        said = str(error).splitlines()[0][:120]
        raise InputError(f"without: {path}: not a readable table ({said})") from None
    if "galaxy_id" not in frame:
        raise InputError(
            f"without: {path}: no column galaxy_id; it has {some([*map(str, frame)], 8)}"
        )
    return set(frame["galaxy_id"].astype(str))


def chosen(
    columns: dict[str, np.ndarray], s: TrainSettings, where: Path, split: str
) -> Int[np.ndarray, " m"]:
    """Rows of the stamps of a split that `select` and `without` leave.

    Raises InputError as `holds` and `left_out` do, when no stamp is left, and when not one object
    of `without` is among the training stamps.
    """
    number = len(columns["galaxy_id"])
    kept = np.ones(number, bool)
    if s.select:
        kept = holds(columns, s.select, where)
        if number and not kept.any():
            raise InputError(
                f"{where}, split {split}: select {s.select!r} holds for none of {number} stamps"
            )
    if s.without:
        path = where / s.without
        gone = np.isin(columns["galaxy_id"].astype(str), sorted(left_out(path)))
        if split == "train" and not gone.any():
            raise InputError(
                f"without: {path}: none of its objects is in split train, so nothing would be left "
                "out"
            )
        kept &= ~gone
        if number and not kept.any():
            raise InputError(f"{where}, split {split}: without leaves none of {number} stamps")
    return np.flatnonzero(kept)
