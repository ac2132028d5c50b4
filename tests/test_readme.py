"""What the README says can be done: its Python runs, its commands exist and mean what they are said
to mean."""

import re
import subprocess
import sys
from pathlib import Path

import programs
import pytest

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.S)


def commands() -> list[str]:
    return [
        line.strip()
        for block in blocks("sh")
        for line in block.splitlines()
        if line.strip() and not line.startswith("#")
    ]


def test_the_python_example_runs():
    (code,) = blocks("python")
    names: dict = {}
    exec(code, names)
    assert (
        names["stamps"].shape == (5, 101, 101, 3) and float(names["slope"]) < 0
    )  # a larger source of the same flux is fainter at its peak
    assert len(code.strip().splitlines()) < 30


@pytest.mark.parametrize("command", commands())
def test_every_command_is_one_that_works(command, tmp_path):
    """The long ones are run whole by tests/chain (the chain, the real data) and by whoever runs
    `make test`; here their words are checked."""
    words = command.split()
    if words[0] == "make":
        programs.needed("make")
        recipe = subprocess.run(
            ["make", "-n", *words[1:]], cwd=ROOT, capture_output=True, text=True, check=True
        ).stdout
        assert {"demo": "lensjax run --out runs/default", "test": "pytest"}[words[1]] in recipe
    elif words[0] == "lensjax" and "--help" in words:
        done = subprocess.run(
            [Path(sys.executable).with_name("lensjax"), *words[1:]],
            cwd=tmp_path,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0 and "usage" in done.stdout
    elif words == ["lensjax", "doctor"]:
        done = subprocess.run(
            [Path(sys.executable).with_name("lensjax"), "doctor"],
            cwd=tmp_path,
            capture_output=True,
            text=True,
        )
        assert done.returncode in (0, 1) and "JAX computes on" in done.stdout, done.stderr
    elif words[:2] == ["lensjax", "run"]:
        from classifiers.chain import resolve

        rest = words[2:]
        source = rest[0] if rest and not rest[0].startswith("-") else "default"
        overrides = [rest[i + 1] for i, w in enumerate(rest) if w == "--set"]
        assert resolve(source, overrides)
    else:
        assert words == ["source", ".venv/bin/activate"]


def test_every_link_and_folder_named_exists():
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        assert (ROOT / target).exists(), target
    for folder in re.findall(r"`((?:lensjax|data|classifiers|spark)/[\w./]*)`", README):
        assert (ROOT / folder).exists(), folder


def test_every_dependency_is_explained():
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    listed = [
        d
        for group in (project["dependencies"], *project["optional-dependencies"].values())
        for d in group
        if not d.startswith("lensjax")
    ]
    names = {re.match(r"[\w-]+", d).group() for d in listed}
    page = (ROOT / "docs" / "dependencies.md").read_text()
    assert {n for n in names if not re.search(rf"\b{re.escape(n)}\b", page)} == set()


def test_the_table_of_speeds_is_made_of_the_results():
    from benchmarks.tables import END, START, speed

    page = (ROOT / "docs" / "speed.md").read_text()
    assert page.split(START, 1)[1].split(END, 1)[0] == speed()


def test_the_table_of_lens_lists_is_made_of_the_results():
    from benchmarks.tables import CHANNELS, SEARCHES, channels

    page, made = (ROOT / "docs" / "channels.md").read_text(), channels()
    assert page.split(CHANNELS[0], 1)[1].split(CHANNELS[1], 1)[0] == made
    rows = [line for line in made.splitlines() if line.startswith("| ")][1:]
    assert len(rows) == len(SEARCHES) * (len(SEARCHES) - 1) // 2
    assert max(map(len, made.splitlines())) <= 100


def test_the_table_of_scans_is_made_of_the_results():
    from benchmarks.tables import SCANS, scans

    page, made = (ROOT / "docs" / "scanning.md").read_text(), scans()
    assert page.split(SCANS[0], 1)[1].split(SCANS[1], 1)[0] == made
    assert max(map(len, made.splitlines())) <= 100
    assert {"resnet18", "shielded_resnet"} <= {*re.findall(r"^\| (\w+) \|", made, re.M)}


def test_it_is_short_and_has_a_row_for_every_verb():
    from lensjax.cli import names

    assert len(README.splitlines()) <= 120
    rows = "\n".join(line for line in README.splitlines() if line.startswith("|"))
    assert {name for name in names() if f"`{name}`" not in rows} == set()
