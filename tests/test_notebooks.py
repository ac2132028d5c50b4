"""docs/notebooks and the code of docs/coming-from.md run, and what they say holds."""

import re
from pathlib import Path

import numpy as np
import pytest

DOCS = Path(__file__).resolve().parents[1] / "docs"


def run(page: str, fence: str) -> dict:
    """Names that the code blocks of a page leave."""
    import matplotlib

    matplotlib.use("Agg")
    names: dict = {"__name__": "notebook"}
    for code in re.findall(rf"```{fence}\n(.*?)```", (DOCS / page).read_text(), re.S):
        exec(compile(code, page, "exec"), names)
    return names


@pytest.fixture
def noteless(monkeypatch):
    import matplotlib.pyplot as plt

    monkeypatch.setattr(plt, "show", lambda: plt.close("all"))


def test_the_derivative_of_an_image_is_that_of_finite_differences(noteless):
    names = run("notebooks/render.md", r"\{code-cell\} python")
    assert names["arc"].shape == (41, 41) and names["disagreement"] < 0.02


def test_a_mass_of_ones_own_is_rendered():
    names = run("notebooks/profile.md", r"\{code-cell\} python")
    np.testing.assert_allclose(names["by_hand"], names["by_potential"], rtol=1e-5)
    assert abs(names["brightest"] - 1.2) < 0.15


def test_what_others_write_is_written_so_here():
    names = run("coming-from.md", "python")
    assert names["arc"].shape == (41, 41, 1) and np.isfinite(names["slope"])
    assert names["stamp"].shape == (41, 41, 1)
    assert names["score"](np.zeros((2, 41, 41, 3))).shape == (2,)
