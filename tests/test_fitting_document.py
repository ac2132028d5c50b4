"""docs/fitting.md: its code runs, and finds the truth within its errors."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks import fit

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "fitting.md"
SHORT = {
    "source = lj.Sersic(jnp.array([5.0]), r_eff=0.25, n=1.2, ":
    "source = lj.GaussianLight(jnp.array([5.0]), sigma=0.2, ",
    "jnp.array([0.4])), 1e-3": 'jnp.array([0.4])), "4x4"',
    "PixelGrid(31, 0.15)": "PixelGrid(21, 0.2)",
    "num_warmup=100, num_samples=500": "num_warmup=5, num_samples=50",
}  # fmt: skip
"""What makes the page's code quick: a simpler source and rule, fewer pixels and draws."""
REPORT = """
import json
names = ("z_true", "z_best", "start", "covariance", "samples", "theta_e")
print(json.dumps({name: globals()[name].tolist() for name in names}))
"""


def run(changes, flags):
    code = "\n".join(re.findall(r"```\{code-cell\} python\n(.*?)```", PAGE.read_text(), re.S))
    for old, new in changes.items():
        assert code.count(old) == 1, old
        code = code.replace(old, new)
    environment = os.environ | {"XLA_FLAGS": flags, "PYTHONPATH": str(ROOT), "MPLBACKEND": "Agg"}
    done = subprocess.run(
        [sys.executable, "-c", code + REPORT], capture_output=True, text=True, env=environment
    )
    assert done.returncode == 0, done.stderr
    return {k: np.array(v) for k, v in json.loads(done.stdout.splitlines()[-1]).items()}


@pytest.mark.parametrize(
    ("changes", "flags"),
    [
        pytest.param(SHORT, "--xla_backend_optimization_level=1", id="short"),
        pytest.param({}, "", id="as it stands", marks=pytest.mark.stress),
    ],
)
def test_the_code_finds_the_truth_within_its_errors(changes, flags):
    found = run(changes, flags)
    precision = np.linalg.inv(found["covariance"])
    off = found["z_best"] - found["z_true"]
    # chi^2 of as many degrees of freedom: within 3.5 standard deviations of its mean
    assert off @ precision @ off < off.size + 3.5 * np.sqrt(2 * off.size)
    before = found["start"] - found["z_true"]
    assert before @ precision @ before > 1e4
    # the chain: the same place, the same errors, and the truth
    samples, errors = found["samples"], np.sqrt(np.diag(found["covariance"]))
    shift = (samples.mean(0) - found["z_best"]) / errors
    assert np.abs(shift).max() < 0.7 and np.abs(np.log(samples.std(0) / errors)).max() < 0.5
    assert abs(found["theta_e"].mean() - 1.2) < 3.5 * found["theta_e"].std()


def test_the_table_and_the_links_of_the_page_are_those_of_the_results():
    text, found = PAGE.read_text(), json.loads(fit.RESULTS.read_text())
    assert text.split(fit.START)[1].split(fit.END)[0] == fit.table(found)
    assert f"Of {found['mocks']} mocks" in text
    for target in re.findall(r"\]\((?!http)([^)#]+)\)", text):
        assert (PAGE.parent / target).exists(), target
    assert set(fit.LABELS.values()) < set(fit.coverage(found))
    assert len(found["pulls"][0]) == len(found["names"])


def test_intervals_hold_the_truth_as_often_as_they_say():
    """As the results have it: within three standard errors, those of a binomial at least."""
    found = json.loads(fit.RESULTS.read_text())
    assert found["mocks"] >= 100 and found["not_fitted"] <= 0.02 * found["mocks"]
    rows = fit.coverage(found)
    for label in ("all parameters", "all together, one ellipsoid"):
        for level, (share, error) in zip(fit.LEVELS, rows[label]):
            error = max(error, np.sqrt(level * (1 - level) / found["mocks"]))
            assert abs(share - level) < 3 * error, (label, level)


@pytest.mark.stress
def test_the_benchmark_fits_mocks():
    found = fit.measured(3, seed=1)
    assert found["not_fitted"] == 0 and max(found["joint"]) < 50
