"""The registry of priors: laws, keys, gradients to the assumptions, refusals."""

from importlib.resources import files

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import yaml
from scipy import stats

import lensjax as lj
from lensjax.prior import lens_like_host, prior_from, scene

KEY = jax.random.key(7)


@pytest.fixture(scope="module")
def notes():
    return lj.priors("raw_notes")


def test_offset_law_is_uniform_in_area(notes):
    s = notes.sample(KEY, 4000, theta_e=1.5)
    r = np.hypot(s.source.x - s.lens.x, s.source.y - s.lens.y) / 1.5
    law = lambda t: np.clip((t**2 - 0.01) / 0.99, 0, 1)  # noqa: E731
    assert stats.kstest(r, law).pvalue > 0.01
    assert stats.kstest(r, stats.uniform(0.1, 0.9).cdf).pvalue < 1e-6


@pytest.mark.parametrize("name", ["raw_notes", "arclike"])
def test_marginals_follow_the_table(name):
    prior = lj.priors(name)
    p = prior.draw(KEY, 4000)
    low, high = {"raw_notes": (0.05, 0.25), "arclike": (0.15, 0.5)}[name]
    assert stats.kstest(p["r_eff"], stats.uniform(low, high - low).cdf).pvalue > 0.01
    mean, sigma = {"raw_notes": (0.2, 0.25), "arclike": (1.15, 0.3)}[name]
    assert stats.kstest(p["g_r"], stats.norm(mean, sigma).cdf).pvalue > 0.01
    assert np.isfinite(prior.log_prob(p)).all()


def test_colours_set_the_fluxes(notes):
    p = notes.draw(KEY, 100)
    m = lj.magnitudes(scene(p).source.flux)
    np.testing.assert_allclose(m[:, 1], p["r_mag"], rtol=1e-5)
    np.testing.assert_allclose(m[:, 0] - m[:, 1], p["g_r"], atol=1e-4)
    np.testing.assert_allclose(m[:, 1] - m[:, 2], p["r_z"], atol=1e-4)


def test_clumps_share_the_flux_and_never_exceed_it(notes):
    s = notes.sample(KEY, 2000)
    share = s.clumps.fraction.sum(-1)
    assert abs((share > 0).mean() - 0.6) < 0.04
    assert share[share > 0].min() >= 0.15 - 1e-6 and share.max() <= 0.45 + 1e-6
    assert lj.priors("arclike").sample(KEY, 3).clumps is None


def test_fixing_one_parameter_leaves_the_others(notes):
    free, fixed = notes.draw(KEY, 50), notes.draw(KEY, 50, theta_e=2.0)
    np.testing.assert_array_equal(free["r_eff"], fixed["r_eff"])
    assert (fixed["theta_e"] == 2.0).all()
    with pytest.raises(lj.InputError, match="thetaE"):
        notes.draw(KEY, 5, thetaE=1.0)


def test_gradients_reach_the_assumptions(notes):
    def mean_size(prior):
        return prior.sample(KEY, 1000).source.r_eff.mean()

    g = jax.grad(mean_size)(notes).parameters["r_eff"].numbers
    np.testing.assert_allclose(g, (0.5, 0.5), atol=0.03)


def test_log_prob_is_the_density_of_the_draws(notes):
    d = notes.parameters["beta"]
    x = jnp.linspace(0.1, 1.0, 2001)
    np.testing.assert_allclose(jnp.trapezoid(jnp.exp(d.log_prob(x)), x), 1.0, rtol=1e-3)
    p = notes.draw(KEY, 4)
    assert notes.log_prob(p | {"r_eff": jnp.full(4, 0.3)})[0] == -jnp.inf


def test_lens_follows_its_host():
    p = lens_like_host(KEY, jnp.full(500, 0.98), jnp.full(500, 1.0))
    assert p["lens_q"].max() <= 1.0 and p["lens_q"].min() >= 0.5
    assert (p["lens_q"] == 1.0).any()


@pytest.mark.parametrize(
    "change, message",
    [
        ({"r_eff": {"uniform": [0.3, 0.1]}}, "r_eff"),
        ({"r_eff": {"gauss": [0.3, 0.1]}}, "r_eff"),
        ({"n": {"uniform": [1.0]}}, "'n'"),
        ({"g_r": {"normal": [0.1, 0.0]}}, "g_r"),
        ({"colour": {"fixed": 1.0}}, "colour"),
    ],
)
def test_a_wrong_registry_is_refused_by_name(change, message):
    entries = yaml.safe_load(files("lensjax").joinpath("priors.yaml").read_text())["raw_notes"] | change
    with pytest.raises(lj.InputError, match=message):
        prior_from("mine", entries)
    with pytest.raises(lj.InputError, match="raw_notes"):
        lj.priors("nonesuch")
