"""The site of docs/ builds without a warning, and has a page for every module."""

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def needed() -> None:
    """Skips where the extra `docs` is not installed."""
    for name in ("furo", "myst_nb", "sphinx"):
        if importlib.util.find_spec(name) is None:
            pytest.skip(f"the extra docs is not installed: no {name}")


@pytest.mark.stress  # three minutes
def test_the_site_builds_without_a_warning(tmp_path):
    needed()
    for name in ("docs", "lensjax", "data", "classifiers", "spark"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("_build"))
    shutil.copy(ROOT / "CONTRIBUTING.md", tmp_path)
    words = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "docs", "site"]
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    page = (tmp_path / "site" / "reference" / "lensjax.mass.sie.html").read_text()
    assert "SIE" in page and "math" in page
