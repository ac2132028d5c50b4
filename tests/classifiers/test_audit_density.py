"""The density of the draws against samples, closed forms and what weights have to give."""

import jax
import numpy as np
import pytest
from scipy import stats

import lensjax as lj
from classifiers.audit.axes import Axis, Cell, Grid
from classifiers.audit.density import distributions, ln_density, proposed
from lensjax.errors import InputError

KEY = jax.random.key(3)
PRIOR = lj.priors("arclike").for_bands(("g", "r", "z"))
THETA_E = Axis("theta_e", "Einstein radius", "arcsec", "drawn", "theta_e", points=(1.0, 2.0, 4.0))


def test_points_are_the_middles_of_bins_that_touch():
    assert THETA_E.edges == (0.5, 1.5, 3.0, 5.0)
    assert [c.value for c in THETA_E.cells] == [1.0, 2.0, 4.0]
    assert THETA_E.place([0.4, 0.5, 1.49, 1.5, 5.0, 5.1]).tolist() == [-1, 0, 0, 1, 2, -1]
    held = Axis("theta_e", "", "", "drawn", "theta_e", points=(1.5,))
    assert held.cells == (Cell(1.5),) and held.cells[0].value_of(np.zeros(2), "theta_e") == 1.5


def test_values_within_a_bin_are_uniform_and_follow_from_the_key_alone():
    keys = np.random.default_rng(0).integers(0, 2**32, (2000, 2), np.uint32)
    values = np.array([THETA_E.cells[1].value_of(key, "theta_e") for key in keys])
    assert values.min() > 1.5 and values.max() < 3.0 and (np.float32(values) == values).all()
    assert stats.kstest((values - 1.5) / 1.5, "uniform").pvalue > 1e-3
    assert THETA_E.cells[1].value_of(keys[7], "theta_e") == values[7]
    assert THETA_E.cells[1].value_of(keys[7], "slope") != values[7]


def test_the_density_is_the_product_of_closed_forms():
    columns = {k: np.asarray(v) for k, v in PRIOR.draw(KEY, 4000).items()}
    columns["theta_e"] = np.repeat([0.7, 1.6, 4.0, 2.9], 1000)
    law = distributions(PRIOR, Grid((THETA_E,), ()))
    found = ln_density(law, columns)
    by_hand = np.log(1 / 3 / np.array([1.0, 1.5, 2.0, 1.5])).repeat(1000)
    by_hand += sum(np.log(1 / w) for w in (0.5, np.pi, 2 * np.pi, 0.35, 1.5, 0.7, np.pi, 3.0))
    for name, mean, sigma in (
        ("lens_x", 0.0, 0.05),
        ("lens_y", 0.0, 0.05),
        ("gamma1", 0.0, 0.05),
        ("gamma2", 0.0, 0.05),
        ("g_r", 1.15, 0.3),
        ("r_z", 0.85, 0.2),
    ):
        by_hand += stats.norm.logpdf(columns[name].astype(float), mean, sigma)
    by_hand += np.log(2 * columns["beta"].astype(float) / (0.4**2 - 0.1**2))
    np.testing.assert_allclose(found, by_hand, rtol=1e-10, atol=1e-6)
    assert set(law) == {k for k, d in PRIOR.parameters.items() if d.kind != "fixed"}


def test_weights_make_draws_of_a_proposal_a_sample_of_the_prior():
    wide = proposed(PRIOR, {"n": {"uniform": [0.4, 4.0]}, "g_r": {"normal": [0.6, 0.6]}})
    columns = {k: np.asarray(v) for k, v in wide.draw(KEY, 200_000).items()}
    nothing = Grid((), ())
    ln_p, ln_p_draw = (ln_density(distributions(p, nothing), columns) for p in (PRIOR, wide))
    weight = np.exp(ln_p - ln_p_draw)
    assert weight.mean() == pytest.approx(1.0, abs=0.02)
    assert np.average(columns["n"], weights=weight) == pytest.approx(1.25, abs=0.01)
    assert np.average(columns["g_r"], weights=weight) == pytest.approx(1.15, abs=0.01)
    assert (weight[columns["n"] > 2.0] == 0).all()


@pytest.mark.parametrize(
    "proposal, words",
    [
        ({"mass": {"uniform": [0, 1]}}, "audit.proposal.mass: .*no parameter 'mass'"),
        ({"n": {"uniform": [0.1, 4]}}, "audit.proposal.n: 0.1 should be between 0.4 and 8"),
        ({"n": {"gauss": [1, 2]}}, "audit.proposal.n: give one of uniform"),
        ({"n": [1, 2]}, "audit.proposal.n: give one of"),
    ],
)
def test_a_proposal_that_cannot_be_is_refused_by_name(proposal, words):
    with pytest.raises(InputError, match=words):
        proposed(PRIOR, proposal)
