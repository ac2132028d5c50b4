"""What the steps of a survey refused, and why: a table for each step, and quarantine.csv of all."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from pathlib import Path

from data.files import replacing
from data.names import as_text
from data.stores import Place
from spark.inputs import STEPS, Refusal

Refused = Iterable[Refusal]


def whole(refused: Iterable[tuple[str, str]]) -> list[tuple[str, object, str]]:
    """Refusals of whole files, without a row."""
    return [(path, "", reason) for path, reason in refused]


def write(out: Path, root: Place, stage: str, refused: Refused) -> int:
    """Writes counts/quarantine-<stage>.csv, with paths relative to the survey or the run; returns
    its number of rows."""
    rows = [
        [
            as_text(v)
            for v in (stage, path, row, reason.replace(f"{root}/", "").replace(f"{out}/", ""))
        ]
        for path, row, reason in refused
    ]
    with (
        replacing(out / "counts" / f"quarantine-{stage}.csv") as temporary,
        open(temporary, "w", newline="") as handle,
    ):
        csv.writer(handle, lineterminator="\n").writerows(rows)
    return len(rows)


def gather(out: Path) -> None:
    """quarantine.csv: what every step refused, in the order of the steps."""
    with replacing(out / "quarantine.csv") as temporary, open(temporary, "w", newline="") as handle:
        handle.write("stage,path,row,reason\n")
        for stage in STEPS:
            path = out / "counts" / f"quarantine-{stage}.csv"
            handle.write(path.read_text() if path.is_file() else "")
