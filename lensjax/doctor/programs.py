"""Programs of the system that lensjax or its tests call, and what is left out without them."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

from lensjax.doctor.finding import Finding

PROGRAMS = {
    ("git",): "run records do not name the commit of the code, and some tests are skipped",
    ("make",): "`make demo` and `make test` do not work; the command `lensjax` does",
    ("chromium", "google-chrome"): "the tests of the page for graders in a browser are skipped",
    ("chromedriver",): "the tests of the page for graders in a browser are skipped",
    ("unshare",): "the test of a full disk is skipped",
    ("mount",): "the test of a full disk is skipped",
}
"""Programs, any of those in a row will do, and what is left out without them."""


def findings() -> Iterator[Finding]:
    """About the programs that are there, and about each that is not."""
    found = {names: next(filter(None, map(shutil.which, names)), "") for names in PROGRAMS}
    there = [path for path in found.values() if path]
    if there:
        values = {names[0]: path for names, path in found.items()}
        yield Finding("ok", f"Programs that are used: {', '.join(there)}.", values=values)
    for names, path in found.items():
        if not path:
            text = f"There is no {' or '.join(names)} on the PATH: {PROGRAMS[names]}."
            cure = f"Install {names[0]} with the system's package manager if you want that."
            yield Finding("note", text, cure, {"program": names[0]})
