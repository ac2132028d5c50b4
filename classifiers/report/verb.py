"""The verb `report`: report/index.html and report/tables/ of a run directory."""

from __future__ import annotations

from pathlib import Path

from classifiers.report import collect, decisions, page, sections
from classifiers.report.settings import ReportSettings
from data.config import Invocation
from data.record import read
from data.verb import Done, Reads
from lensjax.errors import InputError


def reads(s: ReportSettings, out: Path) -> Reads:
    """The steps that have finished; the records of the others count as files that are absent, so
    that the report is out of date once one is there. Raises InputError when there is no survey."""
    done = tuple(name for name in collect.STEPS if read(out, name) is not None)
    if "survey" not in done:
        raise InputError(
            f"{out}: nothing to report on, step 'survey' has not finished; "
            f"run `lensjax run --out {out}`"
        )
    absent = [out / "records" / f"{name}.json" for name in collect.STEPS if name not in done]
    return Reads(done, [*absent, *decisions.files(out)])


def work(call: Invocation[ReportSettings]) -> Done:
    """The step `report`: the page and its tables."""
    folder = call.out / "report"
    run = collect.collect(call.out)
    made = sections.sections(run, call.settings)
    heading = sections.title(run, call.settings.title)
    files = page.write(folder, heading, made, call.settings.rows)
    index = folder / "index.html"
    times = page.timed(made)
    return Done(
        files,
        {"megabytes": round(index.stat().st_size / 1e6, 2)},
        [str(index)],
        timed=[path for path in files if path.name == index.name or path.stem in times],
    )
