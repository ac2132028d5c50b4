"""What differs between surveys stands in their definitions and nowhere else."""

import re
import subprocess
from pathlib import Path

import programs
import pytest

ROOT = Path(__file__).resolve().parents[1]
LITERALS = {
    "a stamp's side": r"\b101\b",
    "a pixel scale": r"0\.262\b",
    "bands": r"\"grz\"|'grz'|\(\"g\", \"r\", \"z\"\)|\[\"g\", \"r\", \"z\"\]",
    "the r band's place": r"\[:, 1\]|\[\.\.\., 1\]",
}
ELSEWHERE = ("data/surveys", "data/presets", "data/reference")
"""Folders that may say such things: the definitions, presets, and published results."""
ALLOWED = {
    # A page of a journal, in a citation.
    "classifiers/intervals.py": r"Statistical Science 16, 101,",
    # The library's own default; everything in this project passes the survey's scale.
    "lensjax/grid.py": r"scale: float = 0\.262",
}


@pytest.mark.parametrize("what", LITERALS)
def test_no_module_names_what_only_a_survey_s_definition_knows(what):
    """`git grep` for the literals of the Legacy Surveys finds none outside their definitions."""
    if not (ROOT / ".git").exists():
        pytest.skip("not a checkout")
    (git,) = programs.needed("git")
    folders = ["lensjax", "data", "classifiers", "spark", *(f":!{name}" for name in ELSEWHERE)]
    found = subprocess.run(
        [git, "grep", "-nIP", LITERALS[what], "--", *folders],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert found.returncode in (0, 1), found.stderr
    lines = [line.split(":", 2) for line in found.stdout.splitlines()]
    named = [
        f"{path}:{number}: {text.strip()}"
        for path, number, text in lines
        if not (path in ALLOWED and re.search(ALLOWED[path], text))
    ]
    assert not named, "\n".join(named)


def test_the_search_finds_what_it_looks_for():
    """Each pattern is found in a line that has such a literal, and not in one that has none."""
    samples = {
        "a stamp's side": ("np.zeros((101, 101, 3))", "1010 x 10.1"),
        "a pixel scale": ("grid(64, 0.262)", "0.2625"),
        "bands": ('BANDS = ("g", "r", "z")', 'for band in survey.bands + ("r",)'),
        "the r band's place": ("flux[..., 1]", "flux[..., survey.place]"),
    }
    assert samples.keys() == LITERALS.keys()
    for what, (yes, no) in samples.items():
        assert re.search(LITERALS[what], yes) and not re.search(LITERALS[what], no), what
