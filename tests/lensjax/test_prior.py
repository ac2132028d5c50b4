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
KNOTS = {
    "probability": 0.6,
    "number": [1, 3],
    "fraction": [0.15, 0.45],
    "spread": 1.0,
    "size": [0.15, 0.35],
}


@pytest.fixture(scope="module")
def notes():
    return lj.priors("raw_notes")


def test_offset_law_is_uniform_in_area(notes):
    s = notes.sample(KEY, 4000, theta_e=1.5)
    r = np.hypot(s.source.x - s.lens.x, s.source.y - s.lens.y) / 1.5
    law = lambda t: np.clip((t**2 - 0.01) / 0.99, 0, 1)
    assert stats.kstest(r, law).pvalue > 0.01
    assert stats.kstest(r, stats.uniform(0.1, 0.9).cdf).pvalue < 1e-6


PI = np.pi
BOTH = {
    "theta_e": stats.uniform(0.5, 2.5),
    "lens_q": stats.uniform(0.5, 0.5),
    "lens_phi": stats.uniform(0, PI),
    "lens_x": stats.norm(0, 0.05),
    "lens_y": stats.norm(0, 0.05),
    "r_mag": stats.uniform(23, 3),
    "beta_phi": stats.uniform(0, 2 * PI),
    "source_q": stats.uniform(0.3, 0.7),
    "source_phi": stats.uniform(0, PI),
}
TABLE = {
    "raw_notes": {
        "gamma": stats.halfnorm(0, 0.05),
        "gamma_phi": stats.uniform(0, PI),
        "g_r": stats.norm(0.2, 0.25),
        "r_z": stats.norm(0.1, 0.25),
        "r_eff": stats.uniform(0.05, 0.2),
        "n": stats.uniform(0.7, 1.8),
        "beta": stats.powerlaw(2),  # of which only [0.1, 1] is drawn
    },
    "arclike": {
        "gamma1": stats.norm(0, 0.05),
        "gamma2": stats.norm(0, 0.05),
        "g_r": stats.norm(1.15, 0.30),
        "r_z": stats.norm(0.85, 0.20),
        "r_eff": stats.uniform(0.15, 0.35),
        "n": stats.uniform(0.5, 1.5),
        "beta": stats.powerlaw(2, scale=0.4),
    },
}
"""The published tables, in SciPy's words: uniform(low, width)."""


@pytest.mark.parametrize("name", TABLE)
def test_draws_and_log_prob_follow_the_table(name):
    prior = lj.priors(name)
    p = prior.draw(KEY, 4000)
    laws = BOTH | TABLE[name]
    assert set(p) == set(laws) == set(prior.parameters)
    expected = np.zeros(4000)
    for k, law in laws.items():
        below = law.cdf(0.1) if k == "beta" else 0.0
        assert (
            stats.kstest(
                p[k],
                lambda t, law=law, below=below: np.clip((law.cdf(t) - below) / (1 - below), 0, 1),
            ).pvalue
            > 1e-3
        ), k
        one = law.logpdf(np.asarray(p[k], float)) - np.log1p(-below)
        np.testing.assert_allclose(prior.parameters[k].log_prob(p[k]), one, atol=2e-3, err_msg=k)
        expected += one
    np.testing.assert_allclose(prior.log_prob(p), expected, atol=5e-3)
    assert (prior.clumps is None) == (name == "arclike")


def test_knots_follow_the_table(notes):
    assert notes.knots == (1, 3)
    assert notes.clumps == {
        "probability": (0.6,),
        "fraction": (0.15, 0.45),
        "spread": (1.0,),
        "size": (0.15, 0.35),
    }


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


def test_fixing_one_parameter_leaves_the_others(notes):
    free, fixed = notes.draw(KEY, 50), notes.draw(KEY, 50, theta_e=2.0)
    np.testing.assert_array_equal(free["r_eff"], fixed["r_eff"])
    assert (fixed["theta_e"] == 2.0).all()


def test_gradients_reach_the_assumptions(notes):
    """d(draw)/d(number) in closed form, with the noise behind a draw read off the draw itself."""
    draw = jax.jit(lambda prior: prior.draw(KEY, 500))
    p = {k: np.asarray(v, float) for k, v in draw(notes).items()}
    slopes = jax.jit(jax.grad(lambda prior: sum(v.sum() for v in prior.draw(KEY, 500).values())))(
        notes
    ).parameters
    u, z = (p["r_eff"] - 0.05) / 0.2, (p["g_r"] - 0.2) / 0.25
    w = (p["beta"] ** 2 - 0.01) / 0.99
    closed = {
        "r_eff": ((1 - u).sum(), u.sum()),
        "g_r": (500.0, z.sum()),
        "gamma": ((p["gamma"] / 0.05).sum(),),
        "beta": ((0.1 * (1 - w) / p["beta"]).sum(), (w / p["beta"]).sum()),
    }
    for k, expected in closed.items():
        np.testing.assert_allclose(slopes[k].numbers, expected, rtol=2e-3, atol=2e-3, err_msg=k)
    of_scene = jax.jit(jax.grad(lambda prior: prior.sample(KEY, 500).source.r_eff.mean()))(notes)
    np.testing.assert_allclose(
        of_scene.parameters["r_eff"].numbers, np.array(closed["r_eff"]) / 500, rtol=2e-3
    )


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
        ({"r_eff": {"uniform": [0.3, 0.1]}}, r"'r_eff': \[0.3, 0.1\] .*low < high"),
        ({"r_eff": {"uniform": [-0.1, 0.1]}}, "'r_eff': -0.1 .*larger than 0"),
        ({"r_eff": {"gauss": [0.3, 0.1]}}, "'r_eff': give one of uniform"),
        ({"n": {"uniform": [1.0]}}, r"'n': \[1.0\] should be 2 number"),
        ({"n": {"uniform": [0.2, 4.0]}}, "'n': 0.2 should be between 0.4 and 8"),
        ({"n": {"fixed": float("nan")}}, "'n': nan should be between"),
        ({"n": {"fixed": True}}, "'n': True should be 1 number"),
        (
            {"lens_q": {"uniform": [0.5, 1.2]}},
            "'lens_q': 1.2 should be larger than 0 and at most 1",
        ),
        ({"theta_e": {"fixed": -1.0}}, "'theta_e': -1.0 should be 0 or larger"),
        ({"beta": {"area": [-0.1, 0.5]}}, "'beta': .*0 or larger"),
        ({"g_r": {"normal": [0.1, 0.0]}}, "'g_r': sigma 0 .*larger than 0"),
        ({"colour": {"fixed": 1.0}}, r"unknown \['colour'\]"),
        ({"gamma1": {"fixed": 0.0}}, r"unknown \['gamma1'\]"),
        ({"clumps": {"probability": 0.5}}, "clumps"),
        (
            {"clumps": KNOTS | {"probability": 1.5}},
            "'clumps.probability': 1.5 should be between 0 and 1",
        ),
        (
            {"clumps": KNOTS | {"fraction": [0.5, 1.2]}},
            "'clumps.fraction': 1.2 should be between 0 and 1",
        ),
        ({"clumps": KNOTS | {"number": [3, 1]}}, "'clumps.number': .*low, high"),
        ({"clumps": KNOTS | {"number": [1.5, 3]}}, "'clumps.number': .*whole numbers"),
    ],
)
def test_a_wrong_registry_is_refused_by_name(change, message):
    entries = (
        yaml.safe_load(files("lensjax").joinpath("priors.yaml").read_text())["raw_notes"] | change
    )
    with pytest.raises(lj.InputError, match=message):
        prior_from("mine", entries)


def test_wrong_draws_are_refused(notes):
    with pytest.raises(lj.InputError, match="'nonesuch'; the presets are raw_notes, arclike"):
        lj.priors("nonesuch")
    for fixed, message in (
        ({"theta_e": -1.0}, "theta_e = -1: .*0 or larger"),
        ({"lens_q": jnp.array([0.5, 1.5])}, "lens_q = 1.5: .*at most 1"),
        ({"n": float("nan")}, "n = nan: .*between 0.4 and 8"),
        ({"theta_e": jnp.ones(3)}, r"theta_e has shape \(3,\): give one value or 2"),
        ({"thetaE": 1.0}, "no parameter 'thetaE'; it has"),
    ):
        with pytest.raises(lj.InputError, match=message):
            notes.sample(KEY, 2, **fixed)
    with pytest.raises(lj.InputError, match="n = 0"):
        notes.sample(KEY, 0)
