"""Agreement with lenstronomy over 500 random draws: benchmarks/conformance.py, every figure held to
a limit."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

PRESETS = ("raw_notes", "arclike")


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    out = tmp_path_factory.mktemp("conformance") / "found.json"
    options = ["--images", "40", "--accuracy", "1e-6", "--out", str(out)]
    subprocess.run(
        [sys.executable, "-m", "benchmarks.conformance", *options],
        check=True,
        timeout=1200,
        cwd=Path(__file__).resolve().parents[2],
    )
    return json.loads(out.read_text())


@pytest.mark.parametrize(
    "lens, deflection, potential, jacobian, magnification",
    [
        ("SIE, q = 1", 3e-6, 1e-6, 2e-4, 3e-4),
        ("SIE, 0.5 ≤ q < 1", 1e-5, 1e-6, 5e-4, 5e-4),
        ("SIE, 0.2 ≤ q < 0.5", 5e-5, 2e-5, 2e-3, 2e-3),
        ("SIE, 0.1 ≤ q < 0.2", 1e-4, 2e-5, 1e-2, 1e-2),
        ("EPL, 0.5 ≤ q < 1", 3e-5, 5e-6, 1e-3, 1e-3),
        ("EPL, 0.1 ≤ q < 0.5", 1e-4, 2e-5, 1e-2, 1e-2),
        ("SIE + SIE + shear", 1e-5, 1e-6, 5e-4, 5e-4),
        ("DPIE, 0.5 ≤ q < 1", 1e-8, 1e-8, 5e-4, 2e-3),
        ("DPIE, 0.1 ≤ q < 0.5", 1e-8, 1e-8, 5e-4, 2e-3),
        ("convergence sheet", 1e-8, 1e-8, 1e-8, 1e-8),
        ("DPIEs in three planes", 1e-8, None, 1e-5, 1e-4),
    ],
)
def test_rays(found, lens, deflection, potential, jacobian, magnification):
    numbers = found["rays"][lens]
    assert found["draws"] >= 500
    for value, limit in zip(
        numbers.values(), (deflection, potential, jacobian, magnification), strict=True
    ):
        assert value is None if limit is None else value < limit, numbers


def test_sersic_profiles(found):
    profile, ours, theirs = found["light"].values()
    assert profile < 1e-7
    assert ours < 3e-4 < theirs


@pytest.mark.parametrize("preset", PRESETS)
def test_lenstronomys_own_image_is_the_4x4_rule(found, preset):
    assert found["4x4"][preset]["worst"] < 1e-3  # of the peak


@pytest.mark.parametrize("preset", PRESETS)
def test_converged_light_is_what_render_gives(found, preset):
    flux, pixel = (found["converged"][k][preset] for k in ("flux", "pixel"))
    assert flux["draws"] == 250 and flux["99 %"] < 1e-3 and flux["worst"] < 5e-3
    assert pixel["draws"] == 20 and pixel["median"] < 3e-4 and pixel["worst"] < 2e-3
