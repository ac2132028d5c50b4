"""Figures with intervals in the outputs of a step: by how much each moved, and whether it is still
within its interval.

A figure is an object of a JSON file, or a line of a CSV file, that has `lo95` and `hi95`; its value
is the first of VALUES that it has. Figures of two files belong together by their place, that is by
the keys above them or by the line.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import pandas as pd

VALUES = (
    *("completeness", "change", "share", "difference", "log_odds", "fpr", "fraction_lenses"),
    *("mean", "value"),
)
"""What the value of a figure is called, in this order: lines of a table by axis have a `value` that
is the bin's."""
LOW, HIGH = "lo95", "hi95"
COUNTED = ("n", "k", "hosts", "threshold", "snr_p10", "snr_p50", "snr_p90")
"""Columns before a value that do not say what it is of."""
COLUMNS = ("step", "file", "figure", "recorded", LOW, HIGH, "now", "moved", "widths", "within")


class Figure(NamedTuple):
    """A value with its interval of 95 %, and what it is of. NaN where there is no number."""

    name: str
    value: float
    low: float
    high: float


def read(path: Path) -> dict[str, Figure]:
    """The figures of a JSON or CSV file by their place; none of a file of another kind."""
    if path.suffix == ".json":
        return dict(_of_json(json.loads(path.read_text()), ""))
    return dict(_of_table(path)) if path.suffix == ".csv" else {}


def compared(step: str, file: str, then: Path, now: Path) -> pd.DataFrame:
    """A row for every figure of the recorded file `then`, with COLUMNS.

    moved: now minus recorded; widths: that in half widths of the recorded interval. within: whether
    the figure now lies in the recorded interval, or is no number as before. For a figure without an
    interval `within` is missing, unless one of the two values is no number.
    """
    import pandas as pd

    before, after = read(then), read(now)
    nothing = Figure("", math.nan, math.nan, math.nan)
    rows = []
    for place, one in before.items():
        two = after.get(place, nothing)
        moved, half = two.value - one.value, (one.high - one.low) / 2
        values = (one.value, one.low, one.high, two.value, moved)
        widths = moved / half if half > 0 else (0.0 if moved == 0 else math.nan)
        row = (step, file, one.name, *values, widths, _within(one, two.value))
        rows.append(dict(zip(COLUMNS, row)))
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype({"within": object})


def _within(one: Figure, now: float) -> bool | None:
    if math.isnan(one.value) or math.isnan(now):
        return math.isnan(one.value) and math.isnan(now)
    if one.value == now:
        return True
    return None if math.isnan(one.low) or math.isnan(one.high) else one.low <= now <= one.high


def _of_json(found: Any, place: str) -> Iterator[tuple[str, Figure]]:
    if isinstance(found, dict):
        name = next((n for n in VALUES if n in found), None)
        if name and {LOW, HIGH} <= found.keys():
            yield place, Figure(place, *(_number(found[n]) for n in (name, LOW, HIGH)))
        for key, value in found.items():
            yield from _of_json(value, f"{place}.{key}" if place else key)
    elif isinstance(found, list):
        for i, value in enumerate(found):
            text = value.values() if isinstance(value, dict) else ()
            called = next((v for v in text if isinstance(v, str)), "")
            yield from _of_json(value, f"{place}[{i}{called and f' {called}'}]")


def _of_table(path: Path) -> Iterator[tuple[str, Figure]]:
    import pandas as pd

    try:
        table = pd.read_csv(path)
    except pd.errors.EmptyDataError:
        return
    columns = list(table.columns)
    name = next((n for n in VALUES if n in columns), None)
    if name is None or not {LOW, HIGH} <= {*columns}:
        return
    said = [c for c in columns[: columns.index(name)] if c not in COUNTED]
    for i, row in enumerate(table.to_dict("records")):
        of = ", ".join(f"{c} {row[c]}" for c in said)
        yield f"line {i + 2}", Figure(of, *(_number(row[n]) for n in (name, LOW, HIGH)))


def _number(value: Any) -> float:
    return float(value) if isinstance(value, int | float) else math.nan
