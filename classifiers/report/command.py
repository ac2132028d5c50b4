"""The verb `report`: report/index.html and report/tables/ of a run directory."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from pydantic import Field

from data.config import invocation, settings
from data.record import Step, read
from lensjax.errors import InputError

STEPS = ("simulate", "survey", "train", "evaluate", "audit")


@settings
class ReportSettings:
    """How much the report shows."""

    title: str = ""
    """Title of the page; empty: one that says what was run."""
    stamps: Annotated[int, Field(ge=0, le=64)] = 8
    """Stamps shown of each kind."""
    rows: Annotated[int, Field(ge=1, le=1000)] = 30
    """Longest table on the page; the files beside it have all rows."""


def command(argv: Sequence[str]) -> int:
    """One self-contained HTML page about the run, and every table of it as CSV and Parquet."""
    call = invocation("report", ReportSettings, list(argv), description=__doc__ or "")
    out: Path = call.out
    done = tuple(name for name in STEPS if read(out, name) is not None)
    if "survey" not in done:
        raise InputError(
            f"{out}: nothing to report on, step 'survey' has not finished; run `lensjax run --out {out}`"
        )
    absent = [
        out / "records" / f"{name}.json" for name in STEPS if name not in done
    ]  # once one is there, the report is out of date
    step = Step(out, "report", call.settings, after=done, owns=("report",), external=absent)
    if step.current() and not call.force:
        print("report: up to date")
        return 0
    if call.force:
        step.restart()
    with step:
        from classifiers.report import collect, page, sections

        run = collect.collect(out)
        files = page.write(
            out / "report",
            sections.title(run, call.settings.title),
            sections.sections(run, call.settings),
            call.settings.rows,
        )
        step.finish(files, megabytes=round((out / "report" / "index.html").stat().st_size / 1e6, 2))
    print(f"report: {out / 'report' / 'index.html'}")
    return 0


command.settings = ReportSettings  # type: ignore[attr-defined]
