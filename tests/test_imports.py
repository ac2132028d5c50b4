"""The import rule: lensjax <- data <- classifiers; spark -> data; nothing imports spark, benchmarks
or tests."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
ALLOWED = {
    "lensjax": {"lensjax"},
    "data": {"lensjax", "data"},
    "classifiers": {"lensjax", "data", "classifiers"},
    "spark": {"lensjax", "data", "spark"},
    "benchmarks": {"lensjax", "data", "classifiers", "spark", "benchmarks"},
}
ROOMS = {*ALLOWED, "tests"}
HEAVY = (
    "pyspark",
    "tensorflow",
    "tensorflow_datasets",
    "matplotlib",
    "orbax",
    "astropy",
    "sklearn",
    "healpy",
    "flax",
)


def imported(path: Path, *, top_level_only: bool = False) -> set[str]:
    tree = ast.parse(path.read_text())
    nodes = tree.body if top_level_only else list(ast.walk(tree))
    names = {
        alias.name.split(".")[0]
        for node in nodes
        if isinstance(node, ast.Import)
        for alias in node.names
    }
    return names | {
        (node.module or "").split(".")[0]
        for node in nodes
        if isinstance(node, ast.ImportFrom) and node.level == 0
    }


def sources(room: str) -> list[Path]:
    return sorted((ROOT / room).rglob("*.py"))


@pytest.mark.parametrize("room", ALLOWED)
def test_a_room_imports_only_the_rooms_before_it(room):
    wrong = {
        str(p.relative_to(ROOT)): sorted((imported(p) & ROOMS) - ALLOWED[room])
        for p in sources(room)
    }
    assert {k: v for k, v in wrong.items() if v} == {}


def test_lensjax_needs_only_jax_and_numpy():
    standard = sys.stdlib_module_names
    found = (
        {name for p in sources("lensjax") for name in imported(p, top_level_only=True)}
        - standard
        - {"lensjax"}
    )
    assert found <= {"jax", "numpy", "jaxtyping"}


def test_nothing_needs_tensorflow():
    assert not [p for room in ALLOWED for p in sources(room) if "tensorflow" in imported(p)]


def test_importing_lensjax_loads_no_heavy_package():
    code = f"import sys, lensjax; print([m for m in {HEAVY!r} if m in sys.modules])"
    out = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert out.stdout.strip() == "[]"
