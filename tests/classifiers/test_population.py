"""Re-weighting an injection set to a population, in a world where the truth is an integral."""

from itertools import product
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
import yaml

import lensjax as lj
from classifiers.audit.injectionset import InjectionSet
from classifiers.audit.population import reweight
from classifiers.audit.resampling import detection, ln_sum
from lensjax.prior import Distribution, prior_from

THETA, MAG = (0.5, 3.0), (23.0, 26.0)
PROPOSAL = {"theta_e": {"bins": [0.5, 1.0, 3.0]}, "r_mag": {"uniform": [23.0, 26.0]}}
HOST_EFFECT = 1.0

RAW = """
lens:
  SIE: {theta_e: {uniform: [0.5, 3.0]}, q: {fixed: 1.0}, phi: {fixed: 0.0}, x: {fixed: 0.0},
    y: {normal: [0.0, 0.05]}}
source:
  Sersic: {r_mag: {uniform: [23.0, 26.0]}, beta: {area: [0.1, 1.0]}, beta_phi: {uniform: [0, 6.28]},
    r_eff: {uniform: [0.05, 0.25]}, n: {fixed: 1.0}, q: {fixed: 0.7}, phi: {fixed: 0.0}}
"""


def detected(theta_e, r_mag, host):
    """The detector: a logistic function with an effect of the host, normal of unit variance."""
    return 1 / (1 + np.exp(-(2.5 * (theta_e - 1.6) - 1.5 * (r_mag - 24.5) + HOST_EFFECT * host)))


def drawn(seed, n=2500, per_host=5, **about):
    """An injection set: several injections a host, half of them in each bin of theta_e."""
    rng = np.random.default_rng(seed)
    low, high = np.array([[0.5, 1.0], [1.0, 3.0]])[np.arange(n) % 2].T
    theta_e, r_mag = rng.uniform(low, high), rng.uniform(*MAG, n)
    host = np.arange(n) // per_host
    p = detected(theta_e, r_mag, rng.normal(size=n // per_host + 1)[host])
    table = pd.DataFrame(
        {
            "theta_e": theta_e,
            "r_mag": r_mag,
            "galaxy_id": host,
            "ln_p_draw": np.log(0.5 / (high - low)) - np.log(3.0),
            "score": np.where(rng.random(n) < p, 0.9, 0.1),
        }
    )
    known = {
        "total_generated": n,
        "density_over": ["theta_e", "r_mag"],
        "proposal": PROPOSAL,
        "thresholds": {"p > 0.5": 0.5},
    }
    return InjectionSet(table, known | about)


def exponential(value, scale, low, high, of=jnp):
    """Log density of exp(-value / scale) from low to high; a negative scale rises."""
    norm = scale * (of.exp(-low / scale) - of.exp(-high / scale))
    return -value / scale - of.log(norm)


def population(scale, rise):
    """A log density: theta_e falls exponentially, source counts change by `rise` a magnitude."""
    return lambda p: (
        exponential(p["theta_e"], scale, *THETA) + exponential(p["r_mag"] - 23, -1 / rise, 0.0, 3.0)
    )


def truth(scale, rise, nodes=60):
    """The completeness of such a population, by Gauss's quadrature in all three variables."""
    x, wx = np.polynomial.legendre.leggauss(nodes)
    h, wh = np.polynomial.hermite_e.hermegauss(31)
    theta_e, r_mag = (low + (high - low) * (x + 1) / 2 for low, high in (THETA, MAG))
    a = np.exp(exponential(theta_e, scale, *THETA, of=np)) * wx * (THETA[1] - THETA[0]) / 2
    b = np.exp(exponential(r_mag - 23, -1 / rise, 0.0, 3.0, of=np)) * wx * 1.5
    p = detected(theta_e[:, None, None], r_mag[None, :, None], h[None, None, :])
    return float(np.einsum("i,j,k,ijk", a, b, wh / wh.sum(), p))


def randomly(seed):
    rng = np.random.default_rng((seed, 1))
    return rng.uniform(0.25, 3.0), float(rng.choice([-1, 1])) * rng.uniform(0.05, 1.0)


def test_the_intervals_of_100_random_populations_hold():
    """Each against a fresh injection set, so that the trials are independent; several sets for each
    population, so that right intervals meet 93 to 97 of 100: a standard error of 600 trials is
    0.9."""
    sets, said, held, mu = 6, 0, [], []
    for number in range(100):
        scale, rise = randomly(number)
        true, ln_p = truth(scale, rise), population(scale, rise)
        for repeat in range(sets):
            found = reweight(drawn((number, repeat), 1500), ln_p)
            held.append(found.low <= true <= found.high)
            mu.append((found.mu - true) * np.sqrt(found.n_eff_hosts) / found.mu)
            said += 1
    assert said == 600 and 0.93 <= np.mean(held) <= 0.97
    # Farr's own estimate, which divides by all draws, has the mean and the spread that it claims.
    assert abs(np.mean(mu)) < 0.15 and 0.9 < np.std(mu) < 1.1


def test_ignoring_the_hosts_would_be_overconfident():
    """The reason for the interval by host: with 25 injections in each, the independent one is too
    narrow, and ours holds."""
    scale, rise = 1.0, 0.3
    true, held, naive = truth(scale, rise), 0, 0
    for seed in range(200):
        found = reweight(drawn(seed, 2000, per_host=25), population(scale, rise))
        held += found.low <= true <= found.high
        naive += abs(found.mu - true) <= 1.96 * np.sqrt(found.variance)
        assert found.n_eff_hosts < found.n_eff
    assert 180 <= held <= 198 and naive < held - 10


def test_a_prior_a_density_and_a_table_of_the_same_population_agree(tmp_path):
    """theta_e uniform from 1 to 2.5, source magnitudes as area-weighted radii are distributed."""
    entries = yaml.safe_load(RAW)
    prior = prior_from("mine", entries).replaced(
        theta_e=Distribution((1.0, 2.5), "uniform"), r_mag=Distribution((23.0, 26.0), "area")
    )
    injections = drawn(3, 20_000, prior=entries, proposal=PROPOSAL)

    def density(p):
        inside = (p["theta_e"] >= 1.0) & (p["theta_e"] <= 2.5)
        ln_mag = jnp.log(2 * p["r_mag"] / (26.0**2 - 23.0**2))
        return jnp.where(inside, -jnp.log(1.5), -jnp.inf) + ln_mag

    rng = np.random.default_rng(0)
    lenses = pd.DataFrame(
        {
            "Einstein radius": rng.uniform(1.0, 2.5, 20_000),
            "mag": np.sqrt(rng.uniform(23.0**2, 26.0**2, 20_000)),
        }
    )
    columns = {"theta_e": "Einstein radius", "r_mag": "mag"}
    a, b = reweight(injections, prior), reweight(injections, density)
    assert a.completeness == pytest.approx(b.completeness, rel=1e-12)
    assert (a.mu, a.variance, a.n_eff) == pytest.approx((b.mu, b.variance, b.n_eff), rel=1e-12)
    assert a.coverage == 1.0 and b.coverage == pytest.approx(1.0, abs=1e-3)
    for ending in ("csv", "parquet"):
        getattr(lenses, f"to_{ending}")(path := tmp_path / f"lenses.{ending}", index=False)
        c = reweight(injections, str(path), columns=columns)
        assert c.completeness == pytest.approx(a.completeness, abs=0.015)
        assert c.n_eff > 1000 and not c.normalised and c.as_drawn == ()


def test_weights_of_lenses_count():
    rng = np.random.default_rng(0)
    theta_e = rng.uniform(*THETA, 20_000)
    lenses = pd.DataFrame({"theta_e": theta_e, "rate": np.exp(-theta_e / 0.7)})
    found = reweight(drawn(1, 10_000), lenses, weight="rate")
    wanted = reweight(drawn(1, 10_000), lambda p: exponential(p["theta_e"], 0.7, *THETA))
    assert found.completeness == pytest.approx(wanted.completeness, abs=0.01)
    assert found.as_drawn == wanted.as_drawn == ("r_mag",)
    assert abs(reweight(drawn(1, 10_000), lenses).completeness - found.completeness) > 0.1


def test_what_a_population_does_not_speak_of_stays_as_drawn():
    injections = drawn(0)
    silent = reweight(injections, lambda p: exponential(p["theta_e"], 0.8, *THETA))
    spoken = reweight(
        injections, lambda p: exponential(p["theta_e"], 0.8, *THETA) - jnp.log(3.0) + 0 * p["r_mag"]
    )
    assert silent.as_drawn == ("r_mag",) and spoken.as_drawn == ()
    assert silent.mu == pytest.approx(spoken.mu, rel=1e-12)
    assert "as drawn: r_mag" in str(silent)
    everything = reweight(injections, lambda p: jnp.zeros(()))
    assert everything.as_drawn == ("theta_e", "r_mag")
    assert everything.completeness == pytest.approx((injections.score() > 0.5).mean())


def test_a_density_without_its_norm_is_self_normalised():
    injections = drawn(0)
    a = reweight(injections, lambda p: -p["theta_e"] / 0.8 + 300.0, normalised=False)
    b = reweight(injections, lambda p: exponential(p["theta_e"], 0.8, *THETA))
    assert (a.completeness, a.low, a.high) == pytest.approx((b.completeness, b.low, b.high))
    assert not a.normalised and np.isnan(a.coverage) and "self-normalised" in str(a)
    assert a.n_eff == pytest.approx(b.n_eff, rel=1e-9) and a.mu == pytest.approx(a.completeness)


def test_draws_that_could_not_be_injected_count_as_draws():
    a = reweight(drawn(0), population(1.0, 0.3))
    b = reweight(drawn(0, total_generated=5000), population(1.0, 0.3))
    assert b.mu == pytest.approx(a.mu / 2) and b.completeness == a.completeness


def test_a_small_part_outside_widens_the_interval():
    """Of a normal, 0.058 % lies below what was drawn, and 0.135 % above."""
    entries = yaml.safe_load(RAW)
    prior = prior_from("mine", entries).replaced(theta_e=Distribution((1.8, 0.4), "normal"))
    found = reweight(drawn(0, prior=entries), prior, outside=0.01)
    assert found.coverage == pytest.approx(1 - 0.00058 - 0.00135, abs=2e-5)
    exact = reweight(
        drawn(0, prior=entries),
        lambda p: jax.scipy.stats.norm.logpdf(p["theta_e"], 1.8, 0.4),
        normalised=False,
    )
    assert found.completeness == pytest.approx(exact.completeness, rel=1e-9)
    assert found.high == pytest.approx(exact.high * found.coverage + 1 - found.coverage)
    assert found.low == pytest.approx(exact.low * found.coverage)


def test_expected_detections_are_those_of_simulated_surveys():
    """The interval for the count holds the counts of 300 surveys of 1,000 lenses at 95 %, each with
    an estimate from its own injections and its own number of lenses."""
    rng, true, held = np.random.default_rng(5), truth(1.0, 0.3), 0
    for seed in range(300):
        expected = reweight(drawn(seed, 1000), population(1.0, 0.3)).expected(1000, 30)
        count = rng.poisson(true * rng.normal(1000, 30))
        held += expected.low <= count <= expected.high
    assert 0.92 <= held / 300 <= 0.98
    assert expected.deviation**2 == pytest.approx(expected.mean + expected.standard_error**2)
    nothing = reweight(drawn(0), population(1.0, 0.3)).expected(0)
    assert (nothing.mean, nothing.low, nothing.high) == (0, 0, 0)
    with pytest.raises(lj.InputError, match="-1 .* should be 0 or larger"):
        reweight(drawn(0), population(1.0, 0.3)).expected(-1)


# The sums: against the published formula, the reference implementation, and finite differences.


def published(injections, ln_p, threshold=0.5):
    """mu, variance and n_eff as Farr (2019) writes them, plainly."""
    table = injections.table
    found = table[table["score"] > threshold]
    with jax.enable_x64():
        given = ln_p({k: jnp.asarray(found[k].to_numpy()) for k in injections.density_over})
        w = np.exp(np.asarray(given)) / np.exp(found["ln_p_draw"].to_numpy())
    n = injections.total
    mu = w.sum() / n
    variance = (w**2).sum() / n**2 - mu**2 / n
    return mu, variance, mu**2 / variance


@pytest.mark.parametrize("scale, rise", [(0.3, 0.9), (1.0, 0.3), (3.0, -0.5)])
def test_the_sums_are_the_published_ones(scale, rise):
    injections, ln_p = drawn(2), population(scale, rise)
    wanted = published(injections, ln_p)
    found = reweight(injections, ln_p)
    assert (found.mu, found.variance, found.n_eff) == pytest.approx(wanted, rel=1e-12)
    ln_mu, variance, n_eff = detection(injections, "p > 0.5").ln_mu(ln_p)
    assert (np.exp(ln_mu), variance, n_eff) == pytest.approx(wanted, rel=2e-4)  # single precision


def test_they_agree_with_the_reference_implementation(tmp_path):
    """gwpopulation's ResamplingVT reads a file of ours. It is no dependency of the tests: bilby,
    which it needs, has no wheels for aarch64. The published formula above is always compared."""
    vt = pytest.importorskip("gwpopulation.vt", reason="gwpopulation is not installed")
    import h5py

    drawn(2).save(tmp_path / "injections.h5")
    with h5py.File(tmp_path / "injections.h5") as file:
        events, total = file["events"][()], file.attrs["total_generated"]
    events = events[events["score"] > 0.5]
    data = {name: events[name] for name in ("theta_e", "r_mag")}
    data |= {"ln_prior": events["lnpdraw_theta_e_r_mag"], "total_generated": total}

    def model(dataset, scale, rise):
        theta_e, r_mag = dataset["theta_e"], dataset["r_mag"]
        ln_p = exponential(theta_e, scale, *THETA, of=np)
        return np.exp(ln_p + exponential(r_mag - 23, -1 / rise, 0.0, 3.0, of=np))

    reference = vt.ResamplingVT(model, data, n_events=10)
    for scale, rise in [(0.3, 0.9), (1.0, 0.3), (3.0, -0.5)]:
        mu, variance = reference.detection_efficiency({"scale": scale, "rise": rise})
        found = reweight(InjectionSet.load(tmp_path / "injections.h5"), population(scale, rise))
        assert (found.mu, found.variance) == pytest.approx((mu, variance), rel=1e-10)


@pytest.mark.parametrize("compiled", [False, True])
def test_the_gradient_is_that_of_finite_differences(compiled):
    """Of all three sums with respect to both hyper-parameters."""
    found = detection(drawn(2), 0.5)
    sums = lambda a: jnp.stack(found.ln_mu(population(a[0], a[1])))
    sums = jax.jit(sums) if compiled else sums
    with jax.enable_x64():
        at = jnp.array([0.8, 0.3])
        gradient = jax.jacrev(sums)(at)
        for i, step in enumerate(1e-5 * np.eye(2)):
            difference = (sums(at + step) - sums(at - step)) / 2e-5
            np.testing.assert_allclose(gradient[:, i], difference, rtol=1e-6)
    assert np.abs(gradient).min() > 0


def test_weights_of_zero_and_of_any_size_keep_value_and_gradient_finite():
    for ln_w in ([-np.inf, -np.inf], [-np.inf, 0.0], [-2e4, -2e4 - 1], [80.0, -80.0], [0.0]):
        given = jnp.array(ln_w, jnp.float32)
        sums, gradient = ln_sum(given, 10.0), jax.grad(lambda w: ln_sum(w, 10.0).ln_mu)(given)
        assert not np.isnan(jnp.stack(sums)).any() and np.isfinite(gradient).all()
    assert np.exp(ln_sum(jnp.zeros(4), 10.0).ln_mu) == pytest.approx(0.4)
    assert ln_sum(jnp.zeros(0), 10.0) == (-np.inf, 0, 0)
    assert ln_sum(jnp.zeros(10), 10.0)[1:] == (0, np.inf)


# Refusals.


def refuse(message, population, injections=None, **options):
    with pytest.raises(lj.InputError, match=message) as refusal:
        reweight(drawn(0) if injections is None else injections, population, **options)
    assert "\n" not in str(refusal.value)


def test_too_few_injections_are_refused_with_what_to_draw():
    narrow = lambda p: jax.scipy.stats.norm.logpdf(p["theta_e"], 2.2, 0.01)
    message = r"n_eff is [\d.]+(?: by host)?, it should be 40 or more; draw more injections with "
    refuse(message + "theta_e from 2.1[89]\\d? to 2.2[01]?\\d?$", narrow)
    faint = lambda p: jnp.where(p["r_mag"] > 25.98, -jnp.log(0.02), -jnp.inf)
    refuse("should be 40 or more; draw more injections with r_mag from 25.98 to 26$", faint)
    wide = population(1.0, 0.3)
    n_eff = reweight(drawn(0), wide).n_eff_hosts
    assert reweight(drawn(0), wide, observed=int(n_eff / 4))
    refuse(r"for \d+ observed lenses; draw more", wide, observed=int(n_eff / 4) + 1)
    assert reweight(drawn(0), narrow, minimum=0).n_eff < 40
    one = drawn(0)
    one.table["galaxy_id"] = "the same"
    refuse("n_eff is 0.0 by host", wide, one)


@pytest.mark.parametrize("low, high, part", [(0.3, 3.0, 7.41), (0.5, 4.0, 28.6), (3.5, 5.0, 100)])
def test_a_prior_outside_of_what_was_drawn_is_refused(low, high, part):
    entries = yaml.safe_load(RAW)
    wide = prior_from("mine", entries).replaced(theta_e=Distribution((low, high), "uniform"))
    refuse(f"{part} % of the population lies outside.* theta_e", wide, drawn(0, prior=entries))


def test_a_density_outside_of_what_was_drawn_is_refused():
    beyond = lambda p: exponential(p["theta_e"], 0.8, 0.5, np.inf)
    refuse("only 95.6. % of the population lies inside", beyond)
    nowhere = lambda p: jnp.full_like(p["theta_e"], -jnp.inf)
    refuse("only 0 % of the population lies inside", nowhere)
    refuse("has no density at any injection", nowhere, normalised=False)
    for bad in (jnp.nan, jnp.inf):
        refuse("not a number or infinite at row", lambda p, bad=bad: p["theta_e"] * bad)
    refuse("has the integral 2.5 .*so it is not normalised", lambda p: 0.0 * p["theta_e"])
    refuse("asks for 'slope'; the draws are over theta_e, r_mag", lambda p: p["slope"])
    refuse("has shape \\(2500, 2\\) for 2500", lambda p: jnp.stack([p["theta_e"]] * 2, 1))
    # Without a proposal the injections themselves are what it is integrated over.
    bare = drawn(0, proposal={})
    refuse("says nothing about 'r_mag'.*give a density that uses 'r_mag'", beyond, bare)
    refuse("only", lambda p: beyond(p) - jnp.log(3.0) + 0 * p["r_mag"] - 0.2, bare)


def test_other_components_or_parametrisations_are_refused():
    entries = yaml.safe_load(RAW)
    injections = drawn(0, prior=entries)
    refuse("'raw_notes' has SIE and Shear as lens, the injections .* SIE:", "raw_notes", injections)
    moved = yaml.safe_load(RAW)
    source = moved["source"]["Sersic"]
    source |= {"x": source.pop("beta"), "y": source.pop("beta_phi")}
    refuse("another parametrisation than .* differs in beta, beta_phi, s", moved, injections)
    sized = prior_from("mine", entries).replaced(r_eff=Distribution((0.05, 0.2), "uniform"))
    refuse("distributes 'r_eff' otherwise than it was drawn", sized, injections)
    fixed = prior_from("mine", entries).replaced(theta_e=Distribution((1.0,), "fixed"))
    refuse("fixes 'theta_e', which was drawn from a distribution", fixed, injections)
    clumpy = drawn(0, density_over=["theta_e", "r_mag"], prior="raw_notes")
    other = yaml.safe_load((Path(lj.__file__).parent / "prior" / "presets.yaml").read_text())
    other["raw_notes"]["source"]["ClumpySersic"]["clumps"]["probability"] = 0.1
    refuse("has other clumps or images", other["raw_notes"], clumpy)
    assert reweight(clumpy, "raw_notes").as_drawn == ()
    refuse("unknown prior 'nothing'; the presets are", "nothing")
    refuse("a population of type int: give a prior", 3)


def test_tables_that_cannot_be_used_are_refused(tmp_path):
    good = pd.DataFrame({"theta_e": np.linspace(0.6, 2.9, 100), "r_mag": 24.0, "w": 1.0})
    assert reweight(drawn(0), good[["theta_e"]])
    beyond = good.assign(theta_e=np.linspace(0.6, 3.1, 100))
    refuse("4 % of the population lies outside .*theta_e \\(4 %\\)", beyond)
    refuse(
        "row 2 of the table of lenses: theta_e is nan",
        good.assign(theta_e=[1, 1, np.nan, *[1] * 97]),
    )
    refuse("'theta_e' of the table of lenses holds no numbers", good.assign(theta_e="a"))
    refuse("no column 'tE'; it has theta_e, r_mag, w", good, columns={"theta_e": "tE"})
    refuse("not over 'slope'", good, columns={"slope": "w"})
    refuse("100 rows and 0 of the parameters theta_e, r_mag", good[["w"]])
    refuse("no column 'rate' to weight by", good, weight="rate")
    refuse("'w' of the table of lenses should be 0 or larger", good.assign(w=-1.0), weight="w")
    refuse("no such table of lenses", str(tmp_path / "none.csv"))
    (tmp_path / "bad.parquet").write_text("no table")
    refuse("cannot be read as a table of lenses", tmp_path / "bad.parquet")
    refuse("columns and weight are for a table", population(1.0, 0.3), weight="w")
    few = InjectionSet(drawn(0).table[:20], drawn(0).about)
    refuse("lie on average 0.[12]\\d of all draws away", good[["theta_e"]], few)


def test_parameters_rounded_to_single_precision_are_no_contradiction():
    """A draw just below a bin's edge and one just below the end round onto them."""
    injections = drawn(0)
    table = injections.table
    table.loc[0, "theta_e"] = np.nextafter(1.0, 0.0)
    table.loc[1, "theta_e"] = 2.9999999
    table.loc[0, "r_mag"] = 25.9999999
    before = reweight(injections, population(1.0, 0.3))
    rounded = table.astype({"theta_e": np.float32, "r_mag": np.float32, "ln_p_draw": np.float32})
    assert rounded["theta_e"][0] == 1.0 and rounded["r_mag"][0] == 26.0
    found = reweight(InjectionSet(rounded, injections.about), population(1.0, 0.3))
    assert found.mu == pytest.approx(before.mu, rel=1e-5)
    rounded.loc[7, "r_mag"] = np.float32(26.0001)
    message = "row 7 of the injection set: r_mag is 26.0001, but it was drawn from 23 to 26"
    refuse(message, population(1.0, 0.3), InjectionSet(rounded, injections.about))


def test_sets_that_cannot_be_used_are_refused():
    ln_p = population(1.0, 0.3)
    for column, value, message in [
        ("theta_e", np.nan, "row 3 of the injection set: theta_e is nan"),
        ("ln_p_draw", -np.inf, "row 3 of the injection set: ln_p_draw is -inf"),
        ("ln_p_draw", -9.0, "row 3: ln_p_draw is -9, but .* by the proposal"),
        ("score", np.nan, "row 3 of the injection set has no score"),
    ]:
        injections = drawn(0)
        injections.table.loc[3, column] = value
        refuse(message, ln_p, injections)
    refuse("no threshold 'p > 0.9' in this set; there are p > 0.5", ln_p, threshold="p > 0.9")
    refuse("threshold is nan", ln_p, threshold=np.nan)
    refuse("no scores of finder 'other'", ln_p, finder="other")
    refuse("has no rows", ln_p, InjectionSet(drawn(0).table[:0], drawn(0).about))
    bad = [3, {"uniform": [3, 1]}, {"fixed": 1}, {"bins": [1]}, {"normal": [0, 0]}, {"area": "a"}]
    for entry, other in product(bad, [PROPOSAL["r_mag"]]):
        refuse("proposal of 'theta_e'", ln_p, drawn(0, proposal={"theta_e": entry, "r_mag": other}))
    refuse("should map parameters to distributions", ln_p, drawn(0, proposal=[1]))
