"""The verb `doctor`: asks everything, prints what was found, and says whether all is well."""

from __future__ import annotations

import argparse
import json
import shutil
import textwrap
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import entry_points
from pathlib import Path

from lensjax.doctor import devices, machine, programs, software, storage
from lensjax.doctor.finding import Finding
from lensjax.errors import said

GROUP = "lensjax.doctor"
LINE = 96
"""Characters of a line where the terminal is wide, and where there is none."""
EPILOG = """A line is ok, a note (something is absent that only some need), slow, or BROKEN.
The exit status is 1 when a line is BROKEN, and 0 otherwise.

examples:
  lensjax doctor
  lensjax doctor --out /scratch/runs
  lensjax doctor --json > machine.json
"""


@dataclass(frozen=True)
class Examination:
    """The verb. It is none of `data.verb`, because it has to work where the packages that those
    need are missing."""

    name: str = "doctor"
    summary: str = "What this machine has and lacks, what is slow on it, and the cures."
    work: str = "lensjax.doctor.verb:main"
    after: tuple[str, ...] = ()
    settings: None = None
    reads: str = ""
    guard: str = ""
    instead: str = ""
    otherwise: str = ""

    def __call__(self, argv: Sequence[str]) -> int:
        """Runs the verb and returns its exit status."""
        return main(argv)


command = Examination()


def contributed() -> dict[str, Callable[[], Iterable[Finding]]]:
    """The questions of the other rooms, by their subject."""
    return {entry.name: entry.load() for entry in entry_points(group=GROUP)}


def examined(out: Path = Path("runs")) -> dict[str, list[Finding]]:
    """All findings by subject. out: where runs go. A question that fails is a finding as well."""
    questions: dict[str, Callable[[], Iterable[Finding]]] = {
        "software": software.findings,
        "devices": devices.findings,
        "machine": machine.findings,
        "disk": lambda: storage.findings(out),
        **contributed(),
        "programs": programs.findings,
    }
    return {subject: _asked(subject, question) for subject, question in questions.items()}


def _asked(subject: str, question: Callable[[], Iterable[Finding]]) -> list[Finding]:
    try:
        return list(question())
    except Exception as error:  # the other subjects are still worth knowing
        text = f"The {subject} could not be examined ({type(error).__name__}: {said(error)})."
        cure = "Report this as a defect, with the output of `lensjax doctor --json`."
        return [Finding("note", text, cure)]


def told(found: dict[str, list[Finding]], width: int = LINE) -> str:
    """The findings as text, a paragraph a subject, and what they come to."""
    lines = []
    for subject, several in found.items():
        lines.append(subject)
        for finding in several:
            mark = finding.level.upper() if finding.level == "broken" else finding.level
            text = f"{finding.text} {finding.cure}".strip()
            wrapped = textwrap.wrap(
                text, width, break_long_words=False, break_on_hyphens=False,
                initial_indent=f"  {mark:8}", subsequent_indent=" " * 10,
            )  # fmt: skip
            lines += wrapped
        lines.append("")
    count = {
        level: sum(f.level == level for several in found.values() for f in several)
        for level in ("broken", "slow", "note")
    }
    well = f"{count['broken']} broken" if count["broken"] else "Nothing that is needed is broken"
    lines.append(f"{well}; {count['slow']} slow, {count['note']} noted.")
    return "\n".join(lines)


def main(argv: Sequence[str]) -> int:
    """Examines, prints and returns 1 when something is broken that is needed, 0 otherwise."""
    parser = argparse.ArgumentParser(
        prog="lensjax doctor",
        description=command.summary,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--out", type=Path, default=Path("runs"), help="where runs shall go")
    parser.add_argument("--json", action="store_true", help="print findings for programs")
    call = parser.parse_args(list(argv))
    found = examined(call.out)
    whole = not any(f.level == "broken" for several in found.values() for f in several)
    if call.json:
        findings = {subject: [asdict(f) for f in several] for subject, several in found.items()}
        print(json.dumps({"whole": whole, "findings": findings}, indent=2))
    else:
        print(told(found, min(LINE, shutil.get_terminal_size((LINE, 24)).columns)))
    return 0 if whole else 1
