"""The outputs of a step done again, compared with its record byte by byte.

A file holds times where the step has said so in its record (`data.verb.Done.timed`); it is named
and not compared. Files that a record does not list (checkpoints, logs, single cutouts) are part of
no comparison.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from data.files import sha256

if TYPE_CHECKING:
    import pandas as pd

EQUAL, DIFFERS, TIMES, MISSING, NEW = "equal", "differs", "holds times", "not written", "new"
AS_RECORDED, CHANGED, GONE = "as recorded", "changed since", "gone"
COLUMNS = ("step", "path", "result", "original", "sha256_recorded", "sha256_now", "sha256_original")


def compared(step: str, then: Mapping[str, Any], now: Mapping[str, Any], out: Path) -> pd.DataFrame:
    """A row for every output of the record `then` or `now`, with COLUMNS.

    result: `equal`, `differs`, `holds times` (not compared), `not written` (only recorded) or `new`
    (only written now). original: whether the file in the run directory `out` is still that of its
    record. New files are compared with the record and not with the old files, so that a file that
    was changed afterwards is not mistaken for one that comes out different.
    """
    import pandas as pd

    before = {o["path"]: o for o in then["outputs"]}
    after = {o["path"]: o for o in now["outputs"]}
    rows = []
    for path in dict.fromkeys([*before, *after]):
        one, two = before.get(path), after.get(path)
        row = {"step": step, "path": path, "result": _result(one, two), "original": ""}
        row |= {"sha256_recorded": one and one["sha256"], "sha256_now": two and two["sha256"]}
        if one:
            file = out / path
            found = sha256(file) if file.is_file() else None
            state = AS_RECORDED if found == one["sha256"] else CHANGED if found else GONE
            row |= {"original": state, "sha256_original": found}
        rows.append(row)
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _result(one: Mapping[str, Any] | None, two: Mapping[str, Any] | None) -> str:
    if one is None:
        return NEW
    if two is None:
        return MISSING
    if two.get("times"):
        return TIMES
    return EQUAL if one["sha256"] == two["sha256"] else DIFFERS
