"""Settings, conditions and inputs that differ between two runs."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from classifiers.report.changes.pair import SIDES, Pair
from classifiers.reproducing.conditions import differences

if TYPE_CHECKING:
    import pandas as pd

ABSENT = "—"
COLUMNS = ("where", "setting", *SIDES)
LONGEST = 120
"""Characters of a value in a table."""


def table(pair: Pair) -> pd.DataFrame:
    """A row for everything that differs, with COLUMNS: settings by step, the conditions under which
    the steps were made, and the SHA-256 of what they wrote for other steps. A step that only one
    run has is one row."""
    import pandas as pd

    one, two = (side.run.records for side in pair)
    rows: list[tuple[str, ...]] = []
    for step in dict.fromkeys([*one, *two]):
        if step not in one or step not in two:
            rows.append((step, "the step itself", *(_there(step in r) for r in (one, two))))
            continue
        found = different(one[step]["config"], two[step]["config"])
        rows += [(step, name, *values) for name, *values in found]
    rows += _conditions(one, two)
    rows += _inputs(one, two)
    return pd.DataFrame(rows, columns=list(COLUMNS))


def different(one: Any, two: Any) -> list[tuple[str, str, str]]:
    """The parts of two nested values that differ: their name, and what they are in each."""
    first, second = dict(_flat(one)), dict(_flat(two))
    return [
        (name, _text(first.get(name, _NOTHING)), _text(second.get(name, _NOTHING)))
        for name in {**first, **second}
        if first.get(name, _NOTHING) != second.get(name, _NOTHING)
    ]


_NOTHING = object()


def _flat(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping) and value:
        for key, part in value.items():
            yield from _flat(part, f"{name}.{key}" if name else str(key))
    else:
        yield name, list(value) if isinstance(value, tuple) else value


def _text(value: Any) -> str:
    if value is _NOTHING:
        return ABSENT
    text = value if isinstance(value, str) else json.dumps(value, default=str)
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"


def _there(there: bool) -> str:
    return "done" if there else ABSENT


def _conditions(one: Mapping[str, Any], two: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """What differs between the conditions of steps, once for all steps of which it is so."""
    steps: dict[tuple[str, ...], list[str]] = {}
    for step in one.keys() & two.keys():
        for line in differences(one[step], two[step]):
            steps.setdefault(line, []).append(step)
    order = list(one)
    return [(", ".join(sorted(s, key=order.index)), *line) for line, s in sorted(steps.items())]


def _inputs(one: Mapping[str, Any], two: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    for step, path in (("survey", "manifest.parquet"), ("train", "classifier.safetensors")):
        found = [_hash(records.get(step, {}), path) for records in (one, two)]
        if all(found) and found[0] != found[1]:
            yield step, f"{path} (SHA-256)", *(text[:16] for text in found)


def _hash(record: Mapping[str, Any], name: str) -> str:
    outputs = record.get("outputs", [])
    return next((o["sha256"] for o in outputs if Path(o["path"]).name == name), "")
