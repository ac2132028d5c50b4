"""Scores of every stamp of a survey, with the columns that figures are broken down by."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from classifiers.finders import Finder, Scores, scored
from classifiers.finders.scorefile import Exchange, ScoreFile
from data import shards
from data.columns import names
from data.loader import load_split
from data.survey import Survey, of_run

PART = 1024
"""stamps of one part that goes out to be scored elsewhere"""


def fields(survey: Survey) -> tuple[str, ...]:
    """Columns of the shards that a row of scores has, beside logit and score."""
    found = ("logit", "score")
    return tuple(name for name in names(survey, "scores") if name not in found)


def table(
    out: Path, finder: Finder, batch: int, tick: Callable[[int], None] = lambda n: None
) -> pd.DataFrame:
    """A row for every object of train, val and test, sorted by galaxy_id: the columns of `fields`,
    logit and score (float64).

    tick: told how many stamps were just scored. Raises InputError as `finders.scored` does, and
    where scores come back in a table, as long as they are not there.
    """
    survey, parts = of_run(out), []
    exchange = None
    if isinstance(finder, ScoreFile):
        exchange = Exchange(finder.folder / "evaluation", survey, _identity(out), "galaxy_id")
    for split in shards.SPLITS:
        columns = load_split(out, split, ("image", *fields(survey)))
        stamps = columns.pop("image")
        if exchange is not None:
            _send(exchange, split, stamps, columns)
            parts.append(pd.DataFrame(columns))
        else:
            found = scored(finder, stamps, columns["galaxy_id"], batch, tick)
            parts.append(pd.DataFrame(columns).assign(logit=found.logit, score=found.score))
    rows = pd.concat(parts).sort_values("galaxy_id", kind="stable").reset_index(drop=True)
    if exchange is not None:
        exchange.complete()
        back: Scores = exchange.scores(rows["galaxy_id"].tolist())
        rows = rows.assign(logit=back.logit, score=back.score)
        tick(len(rows))
    return rows


def _send(
    exchange: Exchange, split: str, stamps: np.ndarray, columns: dict[str, np.ndarray]
) -> None:
    for start in range(0, len(stamps), PART):
        name, part = f"{split}-{start // PART:04d}", slice(start, start + PART)
        if not exchange.has(name):
            known = {"ra": columns["ra"][part], "dec": columns["dec"][part]}
            exchange.write(name, columns["galaxy_id"][part], stamps[part], known)


def _identity(out: Path) -> str:
    """A digest of the shards: of another survey the stamps are others."""
    return hashlib.sha256(json.dumps(shards.index(out), sort_keys=True).encode()).hexdigest()
