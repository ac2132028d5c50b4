"""Counterfactuals of a finder for which the needed change is known in closed form."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from auditable import PIXELS
from test_audit_injection import RING, batch

import lensjax as lj
from classifiers.audit import answers, causes, counterfactual, gradients, sensitivity
from classifiers.audit.case import Case
from classifiers.audit.hosts import Hosts
from classifiers.audit.injection import Experiment, audit_prior, resolved, unchanged

pytestmark = pytest.mark.usefixtures("hardly_optimised")

N = 6
SLOPE = 3.0


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class FluxFinder:
    """Its logit is SLOPE times the logarithm of the arc's r flux over a wanted one. Hosts are
    empty, so that the stamp is the arc."""

    wanted: jax.Array
    name = "flux"
    differentiable = True

    def logits(self, stamps):
        return SLOPE * jnp.log(jnp.sum(stamps[..., 1], axis=(1, 2)) / self.wanted)


@dataclasses.dataclass(frozen=True)
class Opaque:
    """The same finder without slopes."""

    inner: FluxFinder
    name = "opaque"
    differentiable = False

    def logits(self, stamps):
        return np.asarray(self.inner.logits(jnp.asarray(stamps)))


@pytest.fixture(scope="module")
def case():
    one = batch(N)
    one = dataclasses.replace(one, host=jnp.zeros_like(one.host))
    prior = audit_prior("arclike", (20.0, 26.0))
    own = Experiment(prior, PIXELS, 1, RING)
    empty = np.array([])
    hosts = Hosts(*([empty] * 9))
    made = Case(own, one, FluxFinder(jnp.float32(1.0)), hosts, np.arange(N), N).resolved()
    arcs = np.asarray(made.observed()["arc"], np.float64)[..., 1].sum((1, 2))
    # Arcs that lack from 0.3 to 1.3 mag, and one that lacks more than the prior's brightest gives.
    return dataclasses.replace(made, finder=FluxFinder(jnp.float32(arcs.max() * 10**0.12))), arcs


def widths(case: Case) -> np.ndarray:
    return np.asarray(case.batch.target_fwhm)[:, 1]


def searched(case: Case):
    about = {"injection_id": [str(i) for i in range(N)]}
    return counterfactual.search(case, 0.5, widths(case), about)


@pytest.fixture(scope="module")
def table(case):
    return searched(case[0])


def test_the_needed_magnitude_is_that_of_the_flux_that_lacks(case, table):
    made, arcs = case
    exact = -2.5 * np.log10(float(made.finder.wanted) / arcs)
    magnitude = np.asarray(made.resolved().batch.drawn["r_mag"])
    possible = magnitude + exact >= 20.0
    own = table[table["search"] == "magnitude"].reset_index(drop=True)
    assert possible.any() and (own["found"].to_numpy() == possible).all()
    found = own["found"].to_numpy()
    change = own["change"].to_numpy()[found]
    # Rendered and found, so never too little; and within a hundredth of a magnitude.
    assert (change <= exact[found] + 1e-5).all()
    np.testing.assert_allclose(change, exact[found], atol=0.02)
    np.testing.assert_allclose(own["needed"][found], magnitude[found] + change, rtol=1e-5)
    assert own["change"][~found].isna().all()


def test_no_change_leaves_what_occurs(case, table):
    made = case[0].resolved()
    limit = counterfactual.limits(made, widths(made))
    for place, name in enumerate(counterfactual.NAMES):
        lines = table[(table["parameter"] == name) & table["found"]]
        number = lines["injection_id"].astype(int).to_numpy()
        change = lines["change"].to_numpy()
        assert (change >= limit.low[number, place] - 1e-5).all()
        assert (change <= limit.high[number, place] + 1e-5).all()


def test_together_is_never_harder_than_alone(table):
    norms = table.drop_duplicates(["search", "injection_id"]).set_index(["search", "injection_id"])
    joint = norms.loc["joint"]
    alone = norms.loc["magnitude"]
    for i in alone.index[alone["found"]]:
        assert joint.loc[i, "found"] and joint.loc[i, "norm"] <= 1.02 * alone.loc[i, "norm"]


def test_a_finder_without_slopes_gives_the_same_magnitudes(case, table):
    made = case[0]
    blind = searched(dataclasses.replace(made, finder=Opaque(made.finder)))
    assert "joint" not in set(blind["search"])
    own, other = (t[t["search"] == "magnitude"].reset_index(drop=True) for t in (table, blind))
    assert (own["found"] == other["found"]).all() and own["found"].any()
    np.testing.assert_allclose(own["change"], other["change"], atol=0.05)


def test_the_smallest_change_stays_within_its_limits():
    g = np.array([[3.0, 1.0, 0.0, 0.0], [3.0, 1.0, 0.0, 0.0], [3.0, 1.0, 0.0, 0.0]])
    rise = np.array([2.0, 4.0, 100.0])
    high = np.tile([1.0, 5.0, 1.0, 1.0], (3, 1))
    z = counterfactual.smallest(g, rise, -high, high)
    np.testing.assert_allclose(z[0], 2 * g[0] / 10, atol=1e-12)  # free: g rise / |g|^2
    np.testing.assert_allclose(z[1], [1.0, 1.0, 0.0, 0.0], atol=1e-12)  # the first is held at 1
    np.testing.assert_allclose(z[2], [1.0, 5.0, 0.0, 0.0], atol=1e-12)  # out of reach


def test_the_words_say_how_many_and_how_much(table):
    found = counterfactual.summary(table)
    number = int(table[table["search"] == "magnitude"]["found"].sum())
    assert found["magnitude"]["can_be_found"] == number and found["magnitude"]["arcs"] == N
    words = counterfactual.in_words(found)
    assert f"Of {N} missed arcs" in words and "mag brighter" in words


def test_slopes_of_every_parameter_are_those_of_finite_differences(case):
    """One backward pass against the finder's own formula: the logit falls by SLOPE ln(10)/2.5 per
    magnitude, and colours that leave r alone leave the logit alone."""
    made = case[0].resolved()
    found = gradients.slopes(made.finder, made.experiment, made.batch, unchanged())
    per_magnitude = -SLOPE * np.log(10) / 2.5
    np.testing.assert_allclose(found.nudge.magnitude, per_magnitude, rtol=1e-3)
    np.testing.assert_allclose(found.drawn["r_mag"], per_magnitude, rtol=1e-3)
    np.testing.assert_allclose(found.drawn["g_r"], 0.0, atol=1e-4)
    np.testing.assert_allclose(found.log_dimming.sum(1), SLOPE, rtol=1e-3)


def test_the_gradient_of_a_priors_number_is_the_slope_times_how_the_draw_answers(case):
    """Per unit of the faint end, a magnitude uniform in [a, b] answers with u, of its bright end
    with 1 - u."""
    made = case[0]
    held = {"theta_e": made.batch.drawn["theta_e"]}
    sample = [(N, dataclasses.replace(made.batch, drawn=held))]
    known = sensitivity.all_slopes(made.finder, made.experiment, sample)
    table = sensitivity.of_the_prior(made.experiment, sample, known).set_index(
        ["parameter", "number"]
    )
    u = (np.asarray(resolved(made.experiment, made.batch).drawn["r_mag"]) - 20.0) / 6.0
    steep = answers.steepness(np.asarray(known[0].logit, np.float64))
    slope = -SLOPE * np.log(10) / 2.5 * steep
    np.testing.assert_allclose(
        table.loc[("r_mag", "high"), "gradient"], (0.6 * slope * u).mean(), rtol=2e-3
    )
    np.testing.assert_allclose(
        table.loc[("r_mag", "low"), "gradient"], (0.6 * slope * (1 - u)).mean(), rtol=2e-3
    )
    assert "theta_e" not in table.index.get_level_values(0)  # the plan holds it


def test_the_slope_of_a_share_is_that_of_a_normal_distribution():
    """Logits N(-1, 2) that all move at rate 0.3: d/dx P(logit > 0) = 0.3 times the density at 0."""
    logit = np.random.default_rng(1).normal(-1.0, 2.0, 20000)
    value, error, _ = answers.hard(logit, np.full(len(logit), 0.3), 0.0)
    exact = 0.3 * np.exp(-0.125) / (2 * np.sqrt(2 * np.pi))
    assert abs(value - exact) < 4 * error + 0.01 * exact and error < 0.05 * exact


def test_every_missed_arc_has_the_first_cause_that_holds():
    import pandas as pd

    rows = pd.DataFrame(
        {
            "galaxy_id": list("abcdef"),
            "snr": [5.0, 50.0, 50.0, 50.0, 50.0, 5.0],
            "theta_e": [1.0, 1.1, 1.5, 2.5, 2.5, 1.0],
            "host_psf_fwhm": 0.9,
            "psf_fwhm_r": 1.2,  # of the stamp, to which a better host was degraded
            "score": [0.1, 0.1, 0.1, 0.1, 0.1, 0.9],
            "score_before": [0.0, 0.0, 0.0, 0.2, 0.0, 0.0],
            "logit": -2.0,
        }
    )
    empty = np.array([])
    hosts = Hosts(rows["galaxy_id"].to_numpy(), *([empty] * 8), {"shape_r": np.full(6, 2.0)})
    found = causes.cause_of(rows, 0.5, 10.0, hosts)
    wanted = [
        "too faint",
        "unresolved",
        "inside the host's light",
        "the arc lowers the score",
        "raised, not enough",
        "",
    ]
    assert found.tolist() == wanted
    table = causes.atlas(rows, found)
    assert table["n"].sum() == 5 and table["share"].sum() == pytest.approx(1.0)
    assert "below the gate" not in set(table["cause"])
    picks = causes.picks(rows, found, {"found": [1]})
    assert 1 not in [i for places in picks.values() for i in places]
    assert set(picks) == {f"missed, {name}" for name in wanted if name not in ("", "unresolved")}


def test_a_kernel_has_no_width_to_change(case):
    made = case[0].resolved()
    kernel = lj.PixelKernel(jnp.ones((N, 3, 3, 3)) / 9)
    through = dataclasses.replace(made, batch=dataclasses.replace(made.batch, psf=kernel))
    limit = counterfactual.limits(through, widths(made))
    assert not limit.low[:, 3].any() and not limit.high[:, 3].any()
    assert limit.low[:, 0].all()
