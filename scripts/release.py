"""Makes a release: checks the version, writes the changelog, builds a wheel and a source
distribution, and tries each of them in a new environment.

    python scripts/release.py --dry-run     # prints the steps and runs none
    python scripts/release.py               # needs the extra `release`, and the package index

The script changes CHANGELOG.md and changelog.d/ and writes dist/. It publishes nothing: its last
lines say what is left to do by hand.
"""

from __future__ import annotations

import argparse
import re
import shlex
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SEMANTIC = r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)((a|b|rc)\d+)?"
"""What a version may be: three numbers, and a, b or rc with a number before a release."""
KINDS = ("wheel", "sdist")
TINY = ("--bricks", "1", "--brick-pixels", "160", "--galaxies", "20", "--lenses", "1")
"""Of the survey that each installation simulates: seconds."""


@dataclass(frozen=True)
class Step:
    """name: as printed. command: words. here: whether it runs in the project's folder; else in an
    empty one, where the project's folder cannot be imported by accident."""

    name: str
    command: tuple[str, ...]
    here: bool = True


def version(root: Path = ROOT) -> str:
    """The version of this release, as pyproject.toml and CITATION.cff say it.

    Raises ValueError when the two differ, when it is no semantic version, when CHANGELOG.md has it
    already, and when changelog.d/ has nothing to say about it.
    """
    found = str(tomllib.loads((root / "pyproject.toml").read_text())["project"]["version"])
    cited = re.search(r"^version: (\S+)$", (root / "CITATION.cff").read_text(), re.M)
    if cited is None or cited[1] != found:
        raise ValueError(
            f"pyproject.toml has version {found}, CITATION.cff has {cited and cited[1]}: make them "
            "equal"
        )
    if not re.fullmatch(SEMANTIC, found):
        raise ValueError(f"pyproject.toml: version {found} is not like 1.2.3 or 1.2.3rc1")
    if re.search(rf"^## {re.escape(found)}\b", (root / "CHANGELOG.md").read_text(), re.M):
        raise ValueError(f"CHANGELOG.md has {found} already: raise the version")
    if not fragments(root):
        raise ValueError("changelog.d has no fragment: say what changed")
    return found


def fragments(root: Path = ROOT) -> list[Path]:
    """The fragments of the changelog."""
    return sorted(p for p in (root / "changelog.d").iterdir() if p.name != "README.md")


def plan(of: str, built: Mapping[str, Path], venvs: Path) -> list[Step]:
    """Every step of the release of a version, in order.

    built: the file of each of KINDS. venvs: folder of the environments.
    """
    python = sys.executable
    steps = [
        Step("the working tree has no changes", ("git", "diff", "--quiet", "HEAD")),
        Step("changelog", (python, "-m", "towncrier", "build", "--yes", "--version", of)),
        Step("build", (python, "-m", "build", "--outdir", str(ROOT / "dist"), str(ROOT))),
    ]
    for kind in KINDS:
        place = venvs / kind
        own, pins = str(place / "bin" / "python"), str(ROOT / "constraints.txt")
        pip = (own, "-m", "pip", "install", "--quiet", "--constraint", pins)
        command = str(place / "bin" / "lensjax")
        made = str(venvs / f"made-{kind}")
        steps += [
            Step(f"{kind}: new environment", (python, "-m", "venv", str(place))),
            Step(f"{kind}: installation", (*pip, f"lensjax[all] @ {built[kind].as_uri()}")),
            Step(f"{kind}: help", (command, "--help"), here=False),
            Step(f"{kind}: version", (own, "-c", _is(of)), here=False),
            Step(f"{kind}: smoke", (command, "simulate", "--out", made, *TINY), here=False),
        ]
    return steps


def _is(version: str) -> str:
    return f"import lensjax; assert lensjax.__version__ == {version!r}, lensjax.__version__"


def files(of: str) -> dict[str, Path]:
    """The files of dist/ that a build of this version makes."""
    names = f"lensjax-{of}-py3-none-any.whl", f"lensjax-{of}.tar.gz"
    return dict(zip(KINDS, (ROOT / "dist" / name for name in names)))


def release(steps: Sequence[Step], empty: Path) -> None:
    """Runs the steps. Raises CalledProcessError for the first one that fails."""
    for number, step in enumerate(steps, 1):
        print(f"[{number}/{len(steps)}] {step.name}", flush=True)
        subprocess.run(step.command, cwd=ROOT if step.here else empty, check=True)


def rest(of: str) -> str:
    """What is left to do by hand."""
    return (
        f"Everything holds. Now: git add --all; git commit -m 'Version {of}'; git tag v{of}; "
        "push both; publish the two files of dist/."
    )


def main(argv: Sequence[str] | None = None) -> int:
    """0 when everything holds; 1 when a step failed; 2 for a version that cannot be released."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--dry-run", action="store_true", help="print the steps and run none")
    asked = parser.parse_args(argv)
    try:
        of = version()
    except ValueError as error:
        print(f"release: {error}", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory() as folder:
        steps = plan(of, files(of), Path(folder))
        if asked.dry_run:
            for step in steps:
                print(f"{step.name}: {shlex.join(step.command)}")
            return 0
        empty = Path(folder) / "empty"
        empty.mkdir()
        try:
            release(steps, empty)
        except subprocess.CalledProcessError as error:
            print(f"release: this failed: {shlex.join(error.cmd)}", file=sys.stderr)
            return 1
    print(rest(of))
    return 0


if __name__ == "__main__":
    sys.exit(main())
