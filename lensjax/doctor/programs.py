"""Programs of the system that lensjax or its tests call, and what is left out without them."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator

from lensjax.doctor.finding import Finding

BROWSER, DISK = (
    "the tests of the page for graders are skipped",
    "the test of a full disk is skipped",
)
PROGRAMS = {
    ("git",): ("git", "run records do not name the commit, and tests/test_literals.py is skipped"),
    ("make",): ("make", "`make demo` and `make test` do not work; the command `lensjax` does"),
    ("chromium", "google-chrome"): ("chromium", BROWSER),
    ("chromedriver",): ("chromium-driver", BROWSER),
    ("unshare",): ("util-linux", DISK),
    ("mount",): ("mount", DISK),
}
"""Programs, of which any in a key will do; Debian's package with the first of the key, and what is
left out where there is none of them."""


def path_of(names: Iterable[str]) -> str:
    """The path of the first of these programs that is on the PATH; empty when none is."""
    return next(filter(None, map(shutil.which, names)), "")


def findings() -> Iterator[Finding]:
    """About the programs that are there, and about each that is not."""
    found = {names: path_of(names) for names in PROGRAMS}
    there = [path for path in found.values() if path]
    if there:
        values = {names[0]: path for names, path in found.items()}
        yield Finding("ok", f"Programs that are used: {', '.join(there)}.", values=values)
    for names, path in found.items():
        if not path:
            package, effect = PROGRAMS[names]
            text = f"There is no {' or '.join(names)} on the PATH: {effect}."
            cure = f"If that matters, install it (on Debian and Ubuntu: the package {package})."
            yield Finding("note", text, cure, {"program": names[0]})
