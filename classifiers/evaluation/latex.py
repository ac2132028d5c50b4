"""The tables of `judge`, `ensemble`, `channels` and `candidates` that a paper shows, in LaTeX
(booktabs), with 95 % intervals as errors.

A table is described by a `Form`: which columns it has, under which headings, and how many digits.
Names of finders, lists and objects are text: what LaTeX would read as commands is made plain.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from classifiers.evaluation.figures import RATES
from classifiers.selection.latex import escaped, tabular, with_errors
from data.files import replacing

FOLDER = "latex"
SHOWN = ("roc_auc", "average_precision", *RATES, "ece", "brier")
"""Metrics of a paper's table."""
LONGEST = 30
"""Rows of a table; a longer one says how many there are."""
DASH = "---"


@dataclass(frozen=True)
class Column:
    """name: in the table. heading: LaTeX. digits: of a number; None: text, or a whole number.
    errors: ends of the interval that belongs to it. optional: whether a table may be without it."""

    name: str
    heading: str
    digits: int | None = None
    errors: tuple[str, str] | None = None
    optional: bool = False


def _valued(name: str = "value", heading: str = "value", digits: int = 3) -> Column:
    return Column(name, heading, digits, ("lo95", "hi95"))


@dataclass(frozen=True)
class Form:
    """How a table is shown. only: rows with one of these values in a column."""

    caption: str
    columns: tuple[Column, ...]
    only: tuple[str, tuple[str, ...]] | None = None


PAIR = (Column("finder", "finder"), Column("other", "other"))
ERRORS = r"Errors are 95\,\% bootstrap intervals."
FORMS: Mapping[str, Form] = {
    "figures": Form(
        f"Figures of merit of every finder. {ERRORS}",
        (Column("finder", "finder"), Column("metric", "metric"), _valued()),
        ("metric", SHOWN),
    ),
    "comparison": Form(
        f"The second finder minus the first, on the same objects. {ERRORS} $p$: of DeLong's "
        "test; $q$: after Benjamini and Hochberg, over every test of every pair.",
        (
            *PAIR,
            Column("metric", "metric"),
            _valued("difference", "difference", 4),
            Column("p_value", "$p$", 3),
            Column("q_value", "$q$", 3),
        ),
        ("metric", SHOWN),
    ),
    "calibration": Form(
        f"Calibration before and after a map fitted to validation objects. {ERRORS}",
        (
            Column("finder", "finder"),
            Column("when", "when"),
            Column("metric", "metric"),
            _valued(digits=4),
        ),
    ),
    "budgets": Form(
        f"Purity of the first objects of every list. {ERRORS}",
        (Column("finder", "finder"), Column("budget", "objects"), _valued("purity", "purity")),
    ),
    "yields": Form(
        f"Lenses among the first objects of every list, and how many more than in that of the "
        f"average. {ERRORS}",
        (
            Column("finder", "finder"),
            Column("budget", "objects"),
            _valued("lenses", "lenses", 1),
            Column("more", "more", 1, ("more_lo95", "more_hi95")),
        ),
    ),
    "discovery": Form(
        r"Objects that an ensemble finds and no member does (gained), and the other way round "
        r"(lost). Errors are 95\,\% intervals (Jeffreys).",
        (
            Column("finder", "ensemble"),
            Column("of", "of"),
            Column("set", "set"),
            Column("number", "number"),
            _valued(heading="share", digits=4),
        ),
    ),
    "ablation": Form(
        f"Members trained with and without a kind of lenses, compared on the same held-out "
        f"objects. {ERRORS}",
        (
            Column("kind", "without"),
            Column("lenses", "held-out lenses"),
            Column("n", "number"),
            *PAIR,
            Column("metric", "metric"),
            _valued("difference", "difference", 4),
        ),
        ("metric", ("roc_auc", "average_precision")),
    ),
    "members": Form(
        "Members of the ensemble, and the objects that each was trained on.",
        (
            Column("member", "member"),
            Column("model", "model"),
            Column("select", "selected by"),
            Column("train_lenses", "lenses"),
            Column("train_others", "others"),
            Column("left_out", "left out"),
            Column("val_auc", "validation AUC", 4),
        ),
    ),
    "overlap": Form(
        r"What searches share; the index of Jaccard with 95\,\% intervals (Jeffreys), and the "
        "pairs expected by chance.",
        (
            Column("first", "first"),
            Column("second", "second"),
            Column("first_number", "of first"),
            Column("second_number", "of second"),
            Column("both", "both"),
            Column("chance", "by chance", 1),
            _valued(heading="Jaccard"),
        ),
    ),
    "chosen": Form(
        f"How far the choice of every search follows from the features, out of fold. {ERRORS}",
        (
            Column("channel", "search"),
            Column("selected", "selected"),
            Column("others", "others"),
            _valued(heading="AUC"),
        ),
        ("metric", ("roc_auc",)),
    ),
    "apart": Form(
        f"How well a classifier tells the lenses of two searches apart. {ERRORS}",
        (
            Column("first", "first"),
            Column("second", "second"),
            Column("only_first", "only first"),
            Column("only_second", "only second"),
            _valued("accuracy", "accuracy"),
        ),
    ),
    "candidates": Form(
        "The best candidates.",
        (
            Column("rank", "rank"),
            Column("galaxy_id", "object"),
            Column("ra", "RA (deg)", 5),
            Column("dec", "Dec (deg)", 5),
            Column("score", "score", 3),
            Column("probability", "probability", 3, optional=True),
            Column("completeness", "completeness", 2, optional=True),
            Column("known_lens", "known lens", optional=True),
        ),
    ),
}


def text(name: str, table: pd.DataFrame) -> str:
    """A table of `FORMS` as LaTeX; empty where it has no row to show. Optional columns that the
    table does not have are left out; a figure that the data cannot support is a dash. Raises
    KeyError for any other column that the table does not have."""
    form = FORMS[name]
    if form.only is not None and form.only[0] in table:
        table = table[table[form.only[0]].isin(form.only[1])]
    if not len(table):
        return ""
    columns = [c for c in form.columns if c.name in table or not c.optional]
    needed = [name for c in columns for name in (c.name, *(c.errors or ()))]
    if missing := [name for name in needed if name not in table]:
        raise KeyError(f"the table {name} has no column {missing}; it has {[*table.columns]}")
    rows = [
        {c.heading: _cell(c, line) for c in columns}
        for line in table.head(LONGEST).to_dict("records")
    ]
    caption = form.caption
    if len(table) > LONGEST:
        caption += f" The first {LONGEST} of {len(table)} rows."
    return tabular(rows, caption, name)


def write(tables: Mapping[str, pd.DataFrame], out: Path) -> list[Path]:
    """Writes what a paper shows of the tables to `out/latex`; returns the files."""
    files = []
    for name in FORMS:
        if name in tables and (found := text(name, tables[name])):
            files.append(out / FOLDER / f"{name}.tex")
            with replacing(files[-1]) as temporary:
                temporary.write_text(found)
    return files


def _cell(column: Column, line: Mapping[Any, Any]) -> str:
    value = line[column.name]
    if value is None or (isinstance(value, float) and not np.isfinite(value)):
        return DASH
    if column.errors is not None:
        ends = [line[end] for end in column.errors]
        low, high = (np.nan if end is None else float(end) for end in ends)
        return with_errors(float(value), low, high, column.digits or 0)
    if column.digits is not None:
        small = 0 < float(value) < 10**-column.digits
        shown = f"<{10**-column.digits:.{column.digits}f}" if small else None
        return f"${shown or f'{float(value):.{column.digits}f}'}$"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return escaped(" ".join(str(value).split())) or DASH
