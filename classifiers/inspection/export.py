"""Grades as tables for others: CSV that is safe to open in a spreadsheet, and Parquet."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from classifiers.inspection.store import GRADES
from data.files import replacing
from data.names import as_text

if TYPE_CHECKING:
    import pandas as pd


def csv(table: pd.DataFrame) -> str:
    """A table as CSV. Text that a spreadsheet would take for a formula gets an apostrophe in front
    and stays on one line (`data.names.as_text`); so do names of columns."""
    safe = table.rename(columns=as_text)
    for column in safe.select_dtypes(include=["object", "string"]).columns:
        safe[column] = safe[column].map(as_text)
    return safe.to_csv(index=False)


def parquet(table: pd.DataFrame) -> bytes:
    """A table as Parquet, every text as it is. A column of numbers and texts becomes text, because
    Arrow has one type a column."""
    plain, buffer = table.copy(), io.BytesIO()
    for column in plain.select_dtypes(include=["object"]).columns:
        if plain[column].dropna().map(type).nunique() > 1:
            plain[column] = plain[column].map(lambda v: v if v is None else str(v))
    plain.to_parquet(buffer, index=False)
    return buffer.getvalue()


def seen(grades: pd.DataFrame, show: Sequence[str], mixed: bool) -> pd.DataFrame:
    """Grades as the page offers them for download: with what it shows of an object. Ids are
    included only if no calibration items are mixed in, because these could be recognised by their
    ids."""
    columns = ["number", *([] if mixed else ["id"]), *show, "grader", "grade", "note", "at"]
    return grades[[c for c in dict.fromkeys(columns) if c in grades]]


def by_object(grades: pd.DataFrame) -> pd.DataFrame:
    """A row for each object with a grade: the columns of its table, the number of graders, how many
    gave each grade, the mean grade (0 for the best), and the best and the worst one."""
    letters = list(GRADES)
    code = grades["grade"].map({g: i for i, g in enumerate(letters)})
    own = [c for c in grades if c not in ("grader", "grade", "note", "at")]
    found = grades[own].drop_duplicates("number").set_index("number")
    groups = code.groupby(grades["number"])
    found["graders"] = groups.size()
    for i, letter in enumerate(letters):
        found[f"n_{letter}"] = (code == i).groupby(grades["number"]).sum()
    found["mean_grade"] = groups.mean()
    found["best"] = groups.min().map(lambda i: letters[int(i)])
    found["worst"] = groups.max().map(lambda i: letters[int(i)])
    return found.reset_index()


def write(folder: Path, name: str, table: pd.DataFrame) -> None:
    """Writes folder/name.csv and folder/name.parquet."""
    for ending, content in (("csv", csv(table).encode()), ("parquet", parquet(table))):
        with replacing(folder / f"{name}.{ending}") as temporary:
            temporary.write_bytes(content)
