"""`lensjax report A B`: a page about what changed from one run to another."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import tyro

from lensjax.errors import InputError


@dataclass(frozen=True)
class Two:
    """What changed from the first run to the second, on one page with the data beside it: settings,
    completeness by axis, figures of merit and verdicts, with intervals; see
    docs/run-directory.md."""

    first: tyro.conf.Positional[Path]
    """run directory"""
    second: tyro.conf.Positional[Path]
    """the other; every difference is this one minus the first"""
    out: Path | None = None
    """folder for index.html and tables/; changes-FIRST-SECOND by default"""
    threshold: str = ""
    """name of the threshold that is drawn, as p0.5; near 0.5 by default"""
    title: str = ""
    """title of the page"""
    rows: int = 30
    """longest table on the page; the files beside it have all rows"""


def work(argv: list[str]) -> int | None:
    """Writes the page and says where; None where the arguments name no two runs, and are those of
    the report of one. Raises InputError as `pair.read` and `sections.sections` do."""
    if len(argv) < 2 or argv[0].startswith("-") or argv[1].startswith("-"):
        return None
    from classifiers.report import page
    from classifiers.report.changes import pair, sections

    asked = tyro.cli(Two, args=argv, prog="lensjax report", description=Two.__doc__)
    if asked.rows < 1:
        raise InputError(f"--rows {asked.rows}: expected 1 or more")
    both = pair.read(asked.first, asked.second)
    name = "-".join(called.replace("/", "-") for called in both.names)
    out = asked.out or Path(f"changes-{name}")
    made = sections.sections(both, asked.threshold)
    page.write(out, sections.title(both, asked.title), made, asked.rows)
    for line in sections.words(made):
        print(f"report: {line}")
    print(f"report: {out / 'index.html'}")
    return 0
