"""The example in docs/rendering.md runs as it stands."""

import re
from pathlib import Path

import numpy as np


def test_the_documented_example_runs():
    text = (Path(__file__).resolve().parents[2] / "docs" / "rendering.md").read_text()
    code = re.search(r"```python\n(.*?)```", text, re.DOTALL).group(1)
    assert len([line for line in code.splitlines() if line.strip()]) < 30
    scope: dict = {}
    exec(compile(code, "rendering.md", "exec"), scope)
    assert scope["arcs"].shape == (32, 101, 101, 3)
    assert np.isfinite(scope["by_scene"].source.r_eff) and np.isfinite(scope["by_psf"].fwhm).all()
