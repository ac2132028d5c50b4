"""docs/populations.md: its code runs, and what it says of the inference is so."""

import re
from pathlib import Path

import numpy as np
import pytest

from benchmarks.populations import blocks

PAGE = Path(__file__).resolve().parents[2] / "docs" / "populations.md"


@pytest.fixture(scope="module")
def run():
    names: dict = {}
    exec(blocks(), names)
    return names


def test_with_the_selection_function_the_truth_is_inside_without_it_not(run):
    low, high = np.quantile(run["samples"][True], [0.025, 0.975])
    assert low < run["SCALE"] < high < 2 * run["SCALE"]
    assert np.quantile(run["samples"][False], 0.025) > 1.5 * run["SCALE"]


def test_the_samples_are_those_of_the_likelihood_on_a_grid(run):
    """The posterior in one dimension by quadrature, with the finder's formula for mu."""
    scale = np.geomspace(0.1, 10.0, 2001)
    theta_e = np.linspace(run["LOW"], run["HIGH"], 4001)
    norm = scale * (np.exp(-run["LOW"] / scale) - np.exp(-run["HIGH"] / scale))
    p = np.exp(-theta_e / scale[:, None]) / norm[:, None]
    mu = np.trapezoid(p / (1 + np.exp(-4 * (theta_e - 1.5))), theta_e, axis=1)
    observed = np.asarray(run["observed"], np.float64)
    ln_l = -observed.sum() / scale - len(observed) * np.log(norm)
    for selection in (True, False):
        ln = ln_l - selection * len(observed) * np.log(mu)
        posterior = np.exp(ln - ln.max())  # a prior uniform in ln(scale), as is the grid
        mean = (posterior * scale).sum() / posterior.sum()
        deviation = np.sqrt((posterior * (scale - mean) ** 2).sum() / posterior.sum())
        assert abs(run["samples"][selection].mean() - mean) < 0.35 * deviation
        assert run["samples"][selection].std() == pytest.approx(deviation, rel=0.25)


def test_the_reweighted_completeness_is_that_of_the_finder(run):
    theta_e, scale = np.linspace(run["LOW"], run["HIGH"], 4001), run["SCALE"]
    p = np.exp(-theta_e / scale)
    true = np.average(1 / (1 + np.exp(-4 * (theta_e - 1.5))), weights=p)
    assert run["found"].low < true < run["found"].high and run["found"].n_eff > 500


def test_links_and_numbers_of_the_page_hold():
    from classifiers.audit import matching, population

    text = PAGE.read_text()
    for target in re.findall(r"\]\((?!http)([^)#]+)\)", text):
        assert (PAGE.parent / target).exists(), target
    assert f"below {population.MINIMUM} or below {population.PER_OBSERVED} times" in text
    assert f"the {matching.NEAREST} injections" in text
    assert f"{100 * population.OUTSIDE:g} % of the population outside" in text
