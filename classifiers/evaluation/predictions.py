"""A predictions table of any finder, read and checked before anything is computed.

A table (CSV or Parquet) has a row for every object: an id, a label (1 for a lens, 0 for anything
else), one column of scores for each finder, and any columns to break figures down by. What is wrong
is refused with the row and the id; no row is ever left out, filled in, or joined away.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int, Shaped

from classifiers.evaluation.calibration import EPS
from data.tables import NOTHING
from lensjax.errors import InputError, some

Output = Literal["score", "logit"]
UNKNOWN = ("", "nan")
"""Texts of kept columns that say that there is no value; "none" and "NA" are names there."""


@dataclass(frozen=True)
class Predictions:
    """Scores of the same objects by one or several finders.

    id (n,) text, each once. label (n,): 1 or 0, both there. scores: probabilities (n,) by name of
    the finder; logits: the same, as they were given or log(p / (1 - p)). columns: everything else
    that was asked for, (n,) text as in the table, "unknown" where there is none. cell (n,): the
    cell of the sky, where it was asked for.
    """

    id: Shaped[np.ndarray, " n"]
    label: Int[np.ndarray, " n"]
    scores: Mapping[str, Float[np.ndarray, " n"]]
    logits: Mapping[str, Float[np.ndarray, " n"]]
    columns: Mapping[str, Shaped[np.ndarray, " n"]]
    cell: Int[np.ndarray, " n"] | None = None

    def __len__(self) -> int:
        return len(self.id)

    def rows(self, which: Bool[np.ndarray, " n"] | Int[np.ndarray, " m"]) -> Predictions:
        """The objects of these rows, in this order."""
        part = lambda of: {name: values[which] for name, values in of.items()}
        return replace(
            self,
            id=self.id[which],
            label=self.label[which],
            scores=part(self.scores),
            logits=part(self.logits),
            columns=part(self.columns),
            cell=None if self.cell is None else self.cell[which],
        )

    def keeping(self, columns: Sequence[str]) -> Predictions:
        """The table with these columns only."""
        return replace(self, columns={name: self.columns[name] for name in columns})

    def only(self, column: str, value: str) -> Predictions:
        """The objects with this value in a column. Raises InputError when the column was not read,
        or no object has the value, or those are of one class."""
        if column not in self.columns:
            raise InputError(f"column {column!r} was not read; {some([*self.columns], 8)} were")
        which = self.columns[column] == value
        if not which.any():
            there = some(sorted(set(self.columns[column])), 8)
            raise InputError(f"no object has {column} = {value!r}; there are {there}")
        found = self.rows(which)
        _both_classes(found.label, f"the objects with {column} = {value}")
        return found


def read(
    path: str | Path,
    scores: Sequence[str] = ("score",),
    *,
    output: Output = "score",
    id: str = "id",
    label: str = "label",
    columns: Sequence[str] = (),
    cell: str | None = None,
) -> Predictions:
    """Reads a table; a file that ends in .parquet is Parquet, any other CSV.

    scores: the columns of scores, one a finder. output: whether they are probabilities ("score") or
    logits. columns: those to keep. cell: the column of the cell of the sky that an object lies in,
    or "healpix" to compute it (nside 128) from the columns ra and dec, in degrees.
    Raises InputError, naming rows (counted from 1, without the heading) and ids, for columns that
    are missing or there twice, ids that are empty or doubled, labels other than 0 and 1, one class
    only, scores that are no numbers, NaN, infinite, or outside 0 to 1 (which logits are), and
    logits that all lie in 0 to 1 (which probabilities do).
    """
    from scipy.special import expit

    path = Path(path)
    position = ("ra", "dec") if cell == "healpix" else (cell,) if cell else ()
    wanted = list(dict.fromkeys([id, label, *scores, *columns, *position]))
    if not scores or len({id, label, *scores}) < 2 + len(scores):
        raise InputError(f"{path}: id, label and at least one column of scores, each another one")
    frame = _frame(path, wanted)
    if not len(frame):
        raise InputError(f"{path}: holds no objects")
    text = _text(frame[id], "").tolist()
    said = _Said(path, text)
    said.ids()
    labels = _numbers(frame[label])
    said.about(f"{label}s other than 0 and 1", ~np.isin(labels, (0, 1)), frame[label])
    values = {name: _numbers(frame[name]) for name in scores}
    for name, found in values.items():
        said.about(f"{name}s that are no finite numbers", ~np.isfinite(found), frame[name])
        outside = np.isfinite(found) & ((found < 0) | (found > 1))
        if output == "score":
            said.about(f"{name}s outside 0 to 1 (logits? then say so)", outside, frame[name])
        elif len(found) and not outside.any():
            said.problems.append(
                f"every {name} lies in 0 to 1, as probabilities do and logits do not; read them as "
                "scores"
            )
    places = {name: _numbers(frame[name]) for name in position} if cell == "healpix" else {}
    for name, found in places.items():
        limit = (0, 360) if name == "ra" else (-90, 90)
        wrong = ~((found >= limit[0]) & (found <= limit[1]))
        said.about(f"{name}s outside {limit[0]} to {limit[1]} degrees", wrong, frame[name])
    if cell and cell != "healpix":
        said.about(f"{cell}s that are empty", (_text(frame[cell], "") == "").to_numpy())
    said.end()
    integers = labels.astype(np.int64)
    _both_classes(integers, f"{path}: its objects")
    as_score = {n: v if output == "score" else expit(v) for n, v in values.items()}
    as_logit = {n: v if output == "logit" else logit(v) for n, v in values.items()}
    kept = {name: _text(frame[name], "unknown", UNKNOWN).to_numpy(str) for name in columns}
    where = _cells(places) if cell == "healpix" else None
    if cell and where is None:
        where = pd.factorize(_text(frame[cell], ""))[0]
    return Predictions(np.array(text, str), integers, as_score, as_logit, kept, where)


def together(first: Predictions, second: Predictions) -> Predictions:
    """One table with the finders of both, in the order of the first.

    Raises InputError, with rows and ids, where objects are in one table only or their labels
    differ, and for finders of one name. Columns of the first win.
    """
    place = pd.Series(np.arange(len(second)), index=second.id)
    at = place.reindex(first.id).to_numpy(np.float64)
    problems = []
    lines = lambda of, which: some([f"row {i + 1} ({of.id[i]})" for i in np.flatnonzero(which)])
    if (missing := np.isnan(at)).any():
        problems.append(f"{missing.sum()} only in the first: {lines(first, missing)}")
    if (extra := ~np.isin(second.id, first.id)).any():
        problems.append(f"{extra.sum()} only in the second: {lines(second, extra)}")
    if problems:
        raise InputError(f"the two tables are of different objects; {'; '.join(problems)}")
    other = second.rows(at.astype(np.int64))
    if (differ := first.label != other.label).any():
        raise InputError(f"the two tables label objects differently: {lines(first, differ)}")
    if same := sorted(set(first.scores) & set(second.scores)):
        raise InputError(f"both tables have a finder {some(same)}; give one of them another name")
    return replace(
        first,
        scores={**first.scores, **other.scores},
        logits={**first.logits, **other.logits},
        columns={**other.columns, **first.columns},
        cell=other.cell if first.cell is None else first.cell,
    )


def logit(score: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """log(p / (1 - p)) of probabilities, which are kept a rounding error away from 0 and 1."""
    from scipy import special

    return special.logit(np.clip(np.asarray(score, np.float64), EPS, 1 - EPS))


class _Said:
    """Collects what is wrong with the rows of a table."""

    def __init__(self, path: Path, ids: Sequence[str]) -> None:
        self.path, self.id, self.problems = path, ids, list[str]()

    def about(self, what: str, wrong: Bool[np.ndarray, " n"], values: Any = None) -> None:
        rows = np.flatnonzero(wrong)
        if len(rows):
            seen = (lambda i: f": {values.iloc[i]}") if values is not None else (lambda i: "")
            named = [f"row {i + 1} ({self.id[i]}){seen(i)}" for i in rows[:4]]
            more = f" and {len(rows) - 3} more" if len(rows) > 3 else ""
            self.problems.append(f"{what}: {', '.join(named[:3])}{more}")

    def ids(self) -> None:
        text = pd.Series(self.id)
        self.about("ids that are empty", (text == "").to_numpy())
        self.about("ids that are there already", (text.duplicated() & (text != "")).to_numpy())

    def end(self) -> None:
        if self.problems:
            raise InputError(f"{self.path}: {'; '.join(self.problems)}")


def _both_classes(label: Int[np.ndarray, " n"], whose: str) -> None:
    if label.min() == label.max():
        only = "lenses" if label[0] else "non-lenses"
        raise InputError(f"{whose} are all {only} ({len(label)}); lenses and others are needed")


def _frame(path: Path, wanted: Sequence[str]) -> pd.DataFrame:
    """The wanted columns, as text or as the numbers of a Parquet file."""
    header: list[str] = []
    try:
        if path.suffix == ".parquet":
            import pyarrow.parquet as pq

            header = list(pq.read_schema(path).names)
            _one_each(path, header, wanted)
            return pq.read_table(path, columns=list(wanted), partitioning=None).to_pandas()
        with open(path, newline="", encoding="utf-8-sig") as handle:
            lines = csv.reader(handle)
            header = [name.strip() for name in next(lines, [])]
            _one_each(path, header, wanted)
            place, rows = [header.index(name) for name in wanted], []
            for line in lines:
                if line and len(line) != len(header):
                    raise InputError(
                        f"{path}: line {lines.line_num} has {len(line)} values, the heading "
                        f"{len(header)}"
                    )
                if line:
                    rows.append([line[i].strip() for i in place])
        return pd.DataFrame(rows, columns=list(wanted), dtype=object)
    except InputError:
        raise
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except Exception as error:  # two readers with their own families of errors
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise InputError(f"{path}: not a readable table ({reason})") from None


def _one_each(path: Path, header: Sequence[str], wanted: Sequence[str]) -> None:
    wrong = [(name, header.count(name)) for name in wanted if header.count(name) != 1]
    if wrong:
        words = [f"{n} is " + ("missing" if not k else f"there {k} times") for n, k in wrong]
        raise InputError(f"{path}: column {some(words)}; it has {some(header, 12)}")


def _text(column: pd.Series, nothing: str, missing: Sequence[str] = NOTHING) -> pd.Series:
    """Values as text, `nothing` where there is none. missing: texts that say so."""
    known = column.notna()
    if (
        column.dtype.kind == "f"
        and ((column[known] % 1 == 0) & (column[known].abs() < 2**63)).all()
    ):
        column = column.astype("Int64")  # an integer with gaps, which was read as floats
    text = column.astype(str).str.strip()
    return text.where(known & ~text.str.lower().isin(missing), nothing)


def _numbers(column: pd.Series) -> Float[np.ndarray, " n"]:
    """Numbers; NaN where it is none. True and False are 1 and 0."""
    if column.dtype.kind in "fiub":
        return column.to_numpy(np.float64, na_value=np.nan)
    plain = column.astype(str).replace({"True": "1", "False": "0", "true": "1", "false": "0"})
    plain = plain.where(~plain.str.contains("_", regex=False), "")
    return pd.to_numeric(plain, errors="coerce").to_numpy(np.float64)


def _cells(places: Mapping[str, Float[np.ndarray, " n"]]) -> Int[np.ndarray, " n"]:
    from data.splits import healpix_128

    return healpix_128(places["ra"], places["dec"])
