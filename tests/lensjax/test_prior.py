"""The registry of priors: laws, keys, gradients to the assumptions, refusals."""

import sys
from importlib.resources import files

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import quick_compilation
import yaml
from scipy import stats

import lensjax as lj
from lensjax.prior import Distribution, lens_like_host, prior_from

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
    lens, source = s.lens[0], s.source[0]
    r = np.hypot(source.x - lens.x, source.y - lens.y) / 1.5
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
    assert (prior.extras[-1] is None) == (name == "arclike")


def test_knots_follow_the_table(notes):
    assert notes.extras[-1].knots == (1, 3)
    assert notes.extras[-1].numbers == {
        "probability": (0.6,),
        "fraction": (0.15, 0.45),
        "spread": (1.0,),
        "size": (0.15, 0.35),
    }


def test_colours_set_the_fluxes(notes):
    p = notes.draw(KEY, 100)
    m = lj.magnitudes(notes.scene(p).source[0].flux)
    np.testing.assert_allclose(m[:, 1], p["r_mag"], rtol=1e-5)
    np.testing.assert_allclose(m[:, 0] - m[:, 1], p["g_r"], atol=1e-4)
    np.testing.assert_allclose(m[:, 1] - m[:, 2], p["r_z"], atol=1e-4)


def test_clumps_share_the_flux_and_never_exceed_it(notes):
    s = notes.sample(KEY, 2000)
    share = s.source[0].clumps.fraction.sum(-1)
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
    of_scene = jax.jit(jax.grad(lambda prior: prior.sample(KEY, 500).source[0].r_eff.mean()))(notes)
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
    "place, change, message",
    [
        ("source", {"r_eff": {"uniform": [0.3, 0.1]}}, r"'r_eff': \[0.3, 0.1\] .*low < high"),
        ("source", {"r_eff": {"uniform": [-0.1, 0.1]}}, "'r_eff': -0.1 .*larger than 0"),
        ("source", {"r_eff": {"gauss": [0.3, 0.1]}}, "'r_eff': give one of uniform"),
        ("source", {"n": {"uniform": [1.0]}}, r"'n': \[1.0\] should be 2 number"),
        ("source", {"n": {"uniform": [0.2, 4.0]}}, "'n': 0.2 should be between 0.4 and 8"),
        ("source", {"n": {"fixed": float("nan")}}, "'n': nan should be between"),
        ("source", {7: {"fixed": 1.0}}, "source ClumpySersic: parameter 7 is no name"),
        ("source", {"n": {"fixed": 10**400}}, "'n': 1000.* beyond any number"),
        ("source", {"n": {"fixed": True}}, "'n': True should be 1 number"),
        ("lens", {"q": {"uniform": [0.5, 1.2]}}, "'q': 1.2 should be between 0.1 and 1"),
        ("lens", {"theta_e": {"fixed": -1.0}}, "'theta_e': -1.0 should be 0 or larger"),
        ("lens", {"slope": {"fixed": 2.0}}, r"lens SIE: missing \[\], unknown \['slope'\]"),
        ("shear", {"gamma1": {"fixed": 0.0}}, r"Shear: missing .*unknown \["),
        ("source", {"beta": {"area": [-0.1, 0.5]}}, "'beta': .*0 or larger"),
        ("source", {"x": {"fixed": 0.1}}, "give beta and beta_phi, or x and y"),
        ("source", {"g_r": {"normal": [0.1, 0.0]}}, "'g_r': sigma 0 .*larger than 0"),
        ("source", {"i_mag": {"fixed": 24.0}}, "give one magnitude"),
        ("source", {"colour": {"fixed": 1.0}}, r"unknown \['colour'\]"),
        ("source", {"clumps": {"probability": 0.5}}, "clumps"),
        (
            "source",
            {"clumps": KNOTS | {"probability": 1.5}},
            "'clumps.probability': 1.5 should be between 0 and 1",
        ),
        (
            "source",
            {"clumps": KNOTS | {"fraction": [0.5, 1.2]}},
            "'clumps.fraction': 1.2 should be between 0 and 1",
        ),
        ("source", {"clumps": KNOTS | {"number": [3, 1]}}, "'clumps.number': .*low, high"),
        ("source", {"clumps": KNOTS | {"number": [1.5, 3]}}, "'clumps.number': .*whole numbers"),
    ],
)
def test_a_wrong_registry_is_refused_by_name(place, change, message):
    entries = preset("raw_notes")
    where = {"lens": ("lens", "SIE"), "shear": ("lens", "Shear"), "source": ("source", CLUMPY)}
    role, component = where[place]
    entries[role][component] |= change
    with pytest.raises(lj.InputError, match=message):
        prior_from("mine", entries)


@pytest.mark.parametrize(
    "change, message",
    [
        (
            {"lens": {"SIS": {}}},
            "prior 'mine', lens: there is no Mass 'SIS'; there are ConvergenceSheet, DPIE, ",
        ),
        ({"lens": {"Sersic": {}}}, "there is no Mass 'Sersic'"),
        ({"source": {}}, "no source"),
        ({"shear": {}}, "unknown block 'shear'; there are lens, source, lens_light"),
        ({"source": {"GalaxyImage": {"r_mag": {"fixed": 24.0}}}}, "missing .*scale"),
        ({"lens": {"nowhere:Mine": {}}}, "component 'nowhere:Mine': .*give module:Class"),
    ],
)
def test_components_that_do_not_exist_are_refused_by_name(change, message):
    with pytest.raises(lj.InputError, match=message):
        prior_from("mine", preset("raw_notes") | change)


CLUMPY = "ClumpySersic"


def preset(name):
    return yaml.safe_load(files("lensjax").joinpath("prior/presets.yaml").read_text())[name]


def test_bands_that_are_not_named_lie_between_their_neighbours(notes):
    p = notes.draw(KEY, 50)
    g, r, z = (np.asarray(v) for v in (p["r_mag"] + p["g_r"], p["r_mag"], p["r_mag"] - p["r_z"]))
    wide = notes.for_bands(("u", "g", "i", "y"), (367.0, 480.0, 780.0, 990.0))
    m = np.asarray(lj.magnitudes(wide.scene(p).source[0].flux))
    share = np.log(780 / 640) / np.log(920 / 640)
    np.testing.assert_allclose(m[:, 1], g, atol=2e-5)
    np.testing.assert_allclose(m[:, 2], r + share * (z - r), atol=2e-5)
    slope = np.log(367 / 480) / np.log(640 / 480)
    np.testing.assert_allclose(m[:, 0], g + slope * (r - g), atol=2e-5)
    with pytest.raises(lj.InputError, match="band 'q1' has no wavelength"):
        notes.for_bands(("g", "q1"))


def test_a_prior_of_any_components_is_read_drawn_and_rendered(tmp_path):
    np.savez(tmp_path / "library.npz", images=np.random.default_rng(0).random((3, 12, 12)))
    flat = {"uniform": [0.0, 3.0]}
    light = {"r_mag": {"fixed": 20.0}, "g_r": {"fixed": 1.0}}
    shape = {"q": {"uniform": [0.5, 1.0]}, "phi": flat}
    entries = {
        "lens": {
            "EPL": {"theta_e": {"uniform": [0.8, 1.5]}, "slope": {"normal": [2.0, 0.1]}, **shape},
            "EllipticalNFW": {"theta_e": {"fixed": 0.1}, "r_s": {"fixed": 5.0}, **shape},
            "Multipole": {"m": 3, "a_m": {"normal": [0.0, 0.01]}, "phi_m": flat},
        },
        "source": {
            "GalaxyImage": {
                **light,
                "library": str(tmp_path / "library.npz"),
                "scale": {"fixed": 0.05},
                "phi": flat,
                "beta": {"area": [0.1, 0.5]},
                "beta_phi": flat,
            }
        },
        "lens_light": {"Sersic": {**light, "r_eff": {"fixed": 1.0}, "n": {"fixed": 4.0}, **shape}},
    }
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(entries))
    prior = lj.priors(str(tmp_path / "mine.yaml"))
    assert {"theta_e", "slope", "lens_q", "lens2_theta_e", "r_s", "lens2_q", "a_m"} <= set(
        prior.parameters
    )
    assert {"source_phi", "light_r_mag", "light_q", "light_r_eff"} <= set(prior.parameters)
    scenes = prior.sample(KEY, 2)
    assert scenes.lens[2].m == 3 and scenes.source[0].image.shape == (2, 12, 12)
    grid, psf = lj.PixelGrid(21, 0.3), lj.Gaussian(jnp.array([1.0, 1.0]))
    image = jax.vmap(lambda s: lj.render(s, grid, psf, 1e-2))
    images = jax.jit(image, compiler_options=quick_compilation.OPTIONS)(scenes)
    assert np.isfinite(images).all() and (np.asarray(images).sum((1, 2)) > 0).all()


def test_a_component_of_ones_own_module_is_found_in_the_working_directory(tmp_path, monkeypatch):
    (tmp_path / "my_lenses.py").write_text(
        "import jax, lensjax as lj\n"
        "from dataclasses import dataclass\n"
        "from lensjax.component import NOT_NEGATIVE, parameter\n"
        "@jax.tree_util.register_dataclass\n"
        "@dataclass(frozen=True)\n"
        "class Sheet(lj.Mass):\n"
        "    kappa: float = parameter(NOT_NEGATIVE)\n"
        "    def deflection(self, x, y):\n"
        "        return self.kappa * x, self.kappa * y\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", [p for p in sys.path if p not in ("", str(tmp_path))])
    entries = preset("raw_notes") | {"lens": {"my_lenses:Sheet": {"kappa": {"fixed": 0.25}}}}
    scenes = prior_from("mine", entries).sample(KEY, 2)
    np.testing.assert_allclose(scenes.lens[0].deflection(2.0, 4.0), [[0.5, 0.5], [1.0, 1.0]])


def test_an_index_from_elsewhere_may_be_steep(notes):
    (drawn,), (fixed,) = notes.sample(KEY, 2).source, notes.sample(KEY, 2, n=4.0).source
    assert not drawn.steep and fixed.steep and fixed.n.tolist() == [4.0, 4.0]
    wider = notes.replaced(n=Distribution((3.0, 6.0), "uniform")).sample(KEY, 2).source[0]
    assert wider.steep


@pytest.mark.parametrize(
    ("n", "steep"),
    [
        ({"uniform": [1.0, 2.5]}, False),
        ({"fixed": 2.5}, False),
        ({"uniform": [1.0, 2.6]}, True),
        ({"normal": [1.0, 0.01]}, True),
    ],
)
def test_a_prior_promises_that_no_index_is_steep_where_none_can_be(n, steep):
    for name, entries in (("Sersic", preset("arclike")), ("ClumpySersic", preset("raw_notes"))):
        entries["source"][name]["n"] = n
        (drawn,) = prior_from("mine", entries).sample(KEY, 2).source
        assert drawn.steep == steep
    entries["source"][name]["steep"] = True
    assert prior_from("mine", entries).sample(KEY, 2).source[0].steep


def test_a_promise_that_is_only_implied_gives_way_and_a_stated_one_does_not():
    entries = preset("arclike")
    implied = prior_from("mine", entries)
    assert implied.domain("n").high == 8.0
    assert implied.without_implied(["n"]).sample(KEY, 2).source[0].steep
    assert not implied.without_implied(["r_eff"]).sample(KEY, 2).source[0].steep
    entries["source"]["Sersic"]["steep"] = False
    stated = prior_from("mine", entries)
    assert stated.domain("n").high == 2.5
    assert not stated.without_implied(["n"]).sample(KEY, 2).source[0].steep


def test_wrong_draws_are_refused(notes):
    with pytest.raises(lj.InputError, match="'nonesuch'; the presets are raw_notes, arclike"):
        lj.priors("nonesuch")
    for fixed, message in (
        ({"theta_e": -1.0}, "theta_e = -1: .*0 or larger"),
        ({"lens_q": jnp.array([0.5, 1.5])}, "lens_q = 1.5: .*between 0.1 and 1"),
        ({"n": float("nan")}, "n = nan: .*between 0.4 and 8"),
        ({"theta_e": jnp.ones(3)}, r"theta_e has shape \(3,\): give one value or 2"),
        ({"thetaE": 1.0}, "no parameter 'thetaE'; it has"),
    ):
        with pytest.raises(lj.InputError, match=message):
            notes.sample(KEY, 2, **fixed)
    with pytest.raises(lj.InputError, match="n = 0"):
        notes.sample(KEY, 0)
