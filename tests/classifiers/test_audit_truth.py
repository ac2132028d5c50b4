"""What an audit says, against worlds in which it is known: detectors given by formulas (see
`benchmarks.known_world`), and one that measures the light of an arc whose magnification is known.

Coverage by 1,000 audits of six such worlds is `benchmarks.covered`; here it is run small, and
whole as a stress test.
"""

import json

import numpy as np
import pandas as pd
import pytest
from auditable import PIXELS, run_directory
from scipy.integrate import quad
from scipy.stats import binom, norm

from benchmarks import covered as coverage
from benchmarks import tables
from benchmarks.known_world import MAGNITUDES, STEEP, TYPES, Truth, World, audit, score, sky
from classifiers.audit import command, completeness, hosteffects, paired
from classifiers.audit.thresholds import given
from classifiers.intervals import jeffreys, weighted
from data.cutouts import write_npz

pytestmark = pytest.mark.usefixtures("hardly_optimised")

WORLD = World()
TRUTH = Truth(WORLD)


@pytest.fixture(scope="module")
def many():
    """So many galaxies and injections that sampling errors are small, with and without a
    proposal."""
    rng = np.random.default_rng(11)
    hosts = sky(WORLD, 40_000, rng, cells=4000)
    rows = [audit(WORLD, hosts, TRUTH.axes, 2, 10**6, rng, proposal) for proposal in (False, True)]
    return hosts, *rows


def near(found: float, error: float, truth: float) -> bool:
    return abs(found - truth) < 4 * error


def test_the_worlds_formulas_are_those_of_its_draws(many):
    hosts, rows, proposed = many
    for table in (rows, proposed):
        weight, host = table["weight"].to_numpy(), table["galaxy_id"].to_numpy()
        for at in (-1.0, 0.0, 1.5):
            share = weighted((table["logit"] > at).to_numpy(), weight, host)
            assert near(share.value, np.sqrt(share.variance), TRUTH.completeness(at))
    found = rows["score"].to_numpy()
    assert near(found.mean(), 0.4 / np.sqrt(40_000), TRUTH.soft())
    for rate in (0.05, 0.01):
        passed = (hosts.logit > TRUTH.threshold(rate)).mean()
        assert near(passed, 1.5 * np.sqrt(rate / 40_000), rate)
    assert proposed["source_mag"].mean() == pytest.approx(24.5 + STEEP * 1.5 / 3, abs=0.01)


def test_derivatives_of_the_truth_are_those_of_moved_draws(many):
    """The same injections with everything moved a little: common random numbers."""
    _, rows, _ = many
    base = rows["logit"].to_numpy()
    exact = {"soft": TRUTH.slopes(TRUTH.soft)}
    exact["hard"] = TRUTH.slopes(lambda region, move: TRUTH.completeness(0.0, region, move))
    radius, mag = rows["theta_e"].to_numpy(), rows["source_mag"].to_numpy()
    share = (mag - MAGNITUDES[0]) / (MAGNITUDES[1] - MAGNITUDES[0])
    step = 0.05
    moves = {
        "theta_e": lambda s: WORLD.arcs(radius + s) - WORLD.arcs(radius),
        "psf": lambda s: np.full(len(rows), WORLD.wide * s),
        "mag_low": lambda s: WORLD.faint * s * (1 - share),
        "mag_high": lambda s: WORLD.faint * s * share,
    }
    for name, move in moves.items():
        up, down = base + move(step), base + move(-step)
        for kind, of in (("soft", score), ("hard", lambda logit: 1.0 * (logit > 0))):
            each = (of(up) - of(down)) / (2 * step)
            assert near(each.mean(), each.std() / np.sqrt(len(each)) + 2e-4, exact[kind][name])


def test_host_effects_are_recovered_by_kind_of_host(many):
    _, rows, _ = many
    bins = np.searchsorted(TRUTH.axes.drawn[0].edges, rows["theta_e"].to_numpy())
    same = coverage._same(rows["galaxy_id"].to_numpy(), bins)
    table = hosteffects.table(rows, 0.5, 200).set_index("value")
    assert list(table.index) == ["all", *TYPES]
    for kinds, name in (((0, 1), "all"), ((0,), "REX"), ((1,), "SER")):
        line, region = table.loc[name], coverage.replace(TRUTH.everywhere, types=kinds)
        value, variance = (
            TRUTH.completeness(0.0, region),
            TRUTH.between_hosts(0.0, region, same),
        )
        assert near(line["completeness"], (line["hi95_hosts"] - line["lo95_hosts"]) / 4, value)
        assert near(line["variance"], (line["variance_hi95"] - line["variance_lo95"]) / 4, variance)
        assert line["correlation"] == pytest.approx(variance / (value * (1 - value)), rel=0.05)
    assert table.loc["SER", "variance"] > 3 * table.loc["REX", "variance"]
    (said,) = hosteffects.in_words(table.reset_index())
    assert "REX" in said and "correlation of" in said


def test_variance_among_hosts_by_hand_and_refused_where_pairs_are_few():
    """Two injections into each of 40 hosts: both found in 10, neither in 30. All of the variance is
    the hosts'."""
    host, found = np.repeat(np.arange(40), 2), np.repeat(np.arange(40) < 10, 2)
    known = hosteffects.among_hosts(found, np.ones(80), host)
    assert known.variance == pytest.approx(10 * 30 / 40 / 39) and known.correlation > 0.95
    assert known.low < 0.75 * 0.25 < known.high
    halves = hosteffects.among_hosts(np.repeat(np.arange(40) < 20, 2), np.ones(80), host)
    assert (halves.low, halves.high) == (0.0, 0.25)  # the scatter of the estimate is not seen
    few = hosteffects.among_hosts(found[:30], np.ones(30), host[:30])
    assert np.isnan(few.variance) and "15 hosts with two injections" in few.status
    rare = hosteffects.among_hosts(np.arange(80) % 7 == 0, np.ones(80), host)
    assert np.isnan(rare.variance) and "hosts with two finds or more, 8 needed" in rare.status


def test_variance_among_hosts_is_that_of_loops_over_pairs_and_hosts():
    """Hosts with one to six injections of uneven weight, each host counting as its weight."""
    rng = np.random.default_rng(9)
    host = np.repeat(np.arange(60), rng.integers(1, 7, 60))
    weight = rng.uniform(0.5, 2.0, len(host))
    found = rng.random(len(host)) < rng.beta(1, 1, 60)[host]

    def estimate(left: np.ndarray) -> float:
        c = np.average(found[left], weights=weight[left])
        products, share = [], []
        for h in np.unique(host[left]):
            own = np.flatnonzero(host == h)
            pairs = [(i, j) for i in own for j in own if i != j]
            if pairs:
                w = [weight[i] * weight[j] for i, j in pairs]
                away = [(found[i] - c) * (found[j] - c) for i, j in pairs]
                products.append(np.average(away, weights=w))
                share.append(weight[own].sum())
        return float(np.average(products, weights=share))

    every = estimate(np.ones(len(host), bool))
    without = np.array([estimate(host != h) for h in range(60)])
    known = hosteffects.among_hosts(found, weight, host)
    assert known.variance == pytest.approx(60 * every - 59 * without.mean())
    error = np.sqrt(59 / 60 * ((without - without.mean()) ** 2).sum())
    assert known.high - known.low == pytest.approx(4 * error, rel=0.2)


def test_changes_have_the_p_of_mcnemar_where_injections_are_alone():
    """Of two looks that differ by noise alone, one in twenty is significant at 5 % or fewer."""
    rng, small = np.random.default_rng(4), 0
    for _ in range(400):
        logit = rng.normal(size=200)
        looks = [logit + 0.3 * rng.normal(size=200) > 0 for _ in range(2)]
        small += paired.compared(*looks, np.ones(200), np.arange(200)).p < 0.05
    assert 0.01 < small / 400 <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 400)


@pytest.fixture(scope="module")
def audits():
    """Many small audits of the usual world, with two injections a host and cell."""
    scenario = coverage.Scenario(hosts=120, negatives=1000)
    known = coverage.Known.of(scenario)
    return [coverage.one(scenario, known, seed) for seed in range(60)]


def test_intervals_of_small_audits_hold_the_truth(audits):
    """Every interval at least as often as 95 % allows by chance; all of them together closely."""
    lines = {k: v for k, v in coverage.tallied(audits).items() if v["inside"] > 0.9}
    expected = ("p0.5", "fpr0.05", "soft deriv", "hard deriv", "variance among", "REX", "SER")
    expected += ("change", "observable", "threshold for", "cell ")
    for part in expected:
        assert any(part in name for name in lines), part
    for name, line in lines.items():
        n = int(line["audits"])
        assert line["held"] >= binom.ppf(1e-4, n, 0.95) / n, (name, line)
    held, n = np.array([[line["held"], line["audits"]] for line in lines.values()]).T
    assert n.sum() > 1500 and 0.935 <= (held * n).sum() / n.sum() <= 0.975
    assert not coverage.outside({"small": {k: v for k, v in lines.items() if k == "observable"}})
    wrong = {"held": 0.8, "inside": 1.0, "audits": 1000}
    assert coverage.outside({"small": {"too narrow": wrong}}) == ["small, too narrow: 80.0 %"]


def test_what_leaves_out_hosts_or_the_threshold_holds_it_less_often(audits):
    """The test above would see it if either were forgotten."""
    lines = coverage.tallied(audits)
    for rate in ("fpr0.05", "fpr0.01"):
        name = f"completeness at {rate}"
        exact, both = lines[f"{name}, threshold taken as exact"], lines[name]
        assert exact["held"] <= 0.9 and exact["held"] < both["held"]
        assert exact["width"] < both["width"]
    rng, world, held = np.random.default_rng(0), World(sigma=0.5, spread=(1.5, 2.5)), np.zeros(2)
    truth = Truth(world)
    for _ in range(60):
        rows = audit(world, sky(world, 100, rng), truth.axes, 4, 10**6, rng)
        table = completeness.marginals(rows, given([0.5]), truth.axes, 1)
        line = table[table["axis"] == "all"].iloc[0]
        value = truth.completeness(0.0)
        held += [line[f"lo95{s}"] <= value <= line[f"hi95{s}"] for s in ("", "_hosts")]
    assert held[0] / 60 < 0.8 < 0.88 < held[1] / 60


def test_the_variance_of_few_hosts_is_known_less_well_than_their_number_says():
    """Trials of a host that all do the same: two of 40 hosts find everything."""
    host = np.repeat(np.arange(40), 10)
    together = weighted(host < 2, np.ones(400), host)
    alone = weighted(np.arange(400) % 20 == 0, np.ones(400), host)
    assert together.value == alone.value == 0.05
    assert together.freedom < 4 and alone.freedom == 39
    low, high = together.interval()
    assert low < 0.01 and high > 0.25
    plain = jeffreys(20, 400, 0.95)
    assert alone.interval()[1] == pytest.approx(plain[1], abs=0.01)


def test_the_document_has_the_coverages_that_were_measured():
    start, end = tables.COVERAGE
    text = (tables.ROOT / "docs" / "intervals.md").read_text()
    assert text.split(start, 1)[1].split(end, 1)[0] == tables.coverage()


@pytest.mark.stress
def test_a_thousand_audits_of_every_world_hold_the_truth_in_93_to_97(tmp_path):
    found = coverage.main(coverage.Question(out=tmp_path / "coverage.json"))
    assert found["audits"] == 1000 and not found["outside"], found["outside"]
    for name, lines in found["scenarios"].items():
        assert 0.93 <= lines["completeness at p0.5"]["held"] <= 0.975, name


CUT = 23.5
"""Magnitude of the flux above which the detector finds an arc."""
NEAREST = 0.3
"""Smallest offset of the source in Einstein radii."""
PRIOR = """
lens:
  SIE:
    theta_e: {{uniform: [1.0, 2.0]}}
    q: {{fixed: 1.0}}
    phi: {{fixed: 0.0}}
    x: {{fixed: 0.0}}
    y: {{fixed: 0.0}}
source:
  Sersic:
    steep: false
    r_mag: {{uniform: [23.0, 26.0]}}
    beta: {{area: [{nearest}, 1.0]}}
    beta_phi: {{uniform: [0.0, 6.283185307179586]}}
    r_eff: {{fixed: 0.05}}
    n: {{fixed: 1.0}}
    q: {{fixed: 1.0}}
    phi: {{fixed: 0.0}}
"""
FINDER = """
import numpy as np

def score(stamps):
    light = stamps[..., 1].sum(axis=(1, 2))
    return 1 / (1 + np.exp(np.clip(-100 * (light / {cut!r} - 1), -50, 50)))
"""


@pytest.fixture(scope="module")
def light_audited(tmp_path_factory):
    """An audit of a detector of light: hosts are empty and nearly without noise, lenses are
    isothermal spheres, sources are small."""
    folder = tmp_path_factory.mktemp("light")
    out = run_directory(
        folder / "run", 60, False, **{f"psfdepth_{b}": 1e9 for b in "grz"}, type="REX"
    )
    empty = np.random.default_rng(0).normal(0, 1e-6, (PIXELS.size, PIXELS.size, 3))
    for row in pd.read_parquet(out / "manifest.parquet").to_dict("records"):
        about = {k: row[k] for k in ("galaxy_id", "ra", "dec")}
        write_npz(out / row["cutout_path"], empty.astype(np.float32), about)
    (folder / "prior.yaml").write_text(PRIOR.format(nearest=NEAREST))
    (folder / "light.py").write_text(FINDER.format(cut=10 ** (-0.4 * (CUT - 22.5))))
    flags = (
        "--injections 150 --theta-e 1.0 1.5 2.0 --per-host 4 --batch 50 --sufficient 4 "
        "--sensitivity-sample 0 --treatment-sample 0 --counterfactuals 0 --realism-sample 0 "
        "--psf-edges 0.5 3.0 --depth-edges 20 35 --trained-on none"
    ).split()
    flags += ["--prior", str(folder / "prior.yaml")]
    flags += ["--finder", f"{folder / 'light.py'}:score preprocess=none"]
    assert command(["--out", str(out), *flags]) == 0
    return out / "audit"


def test_a_detector_of_light_finds_what_magnification_says(light_audited):
    """An isothermal sphere magnifies a point at b < 1 Einstein radii by 2 / b (Narayan & Bartelmann
    1996, section 3.1), so an arc is found where b < 2 F / F_cut."""
    rows = pd.read_parquet(light_audited / "injections.parquet")
    predicted = 2 * 10 ** (-0.4 * (rows["r_mag"] - CUT)) / rows["beta"]
    clear = np.abs(np.log(predicted)) > 0.03
    assert len(rows) == 450 and clear.mean() > 0.9
    np.testing.assert_array_equal((rows["score"] > 0.5)[clear], (predicted > 1)[clear])
    inside = lambda m: (min(2 * 10 ** (-0.4 * (m - CUT)), 1.0) ** 2 - NEAREST**2) / (1 - NEAREST**2)
    truth = quad(lambda m: max(inside(m), 0.0) / 3, 23, 26, points=[CUT + 0.75], limit=200)[0]
    table = pd.read_csv(light_audited / "marginals.csv").query("threshold == 0.5")
    line = table[table["axis"] == "all"].iloc[0]
    assert 0.2 < truth < 0.8 and line["lo95_hosts"] < truth < line["hi95_hosts"]
    # It does not depend on the Einstein radius, and hosts play no part.
    for own in table[table["axis"] == "theta_e"].to_dict("records"):
        spread = np.sqrt(truth * (1 - truth) / own["n"])
        assert abs(own["completeness"] - truth) < norm.isf(1e-4) * spread
    effects = pd.read_csv(light_audited / "host_effects.csv").iloc[0]
    assert effects["variance_lo95"] == pytest.approx(0.0, abs=0.02)
    said = json.loads((light_audited / "summary.json").read_text())["headline"]
    assert said["statistical"]["low"] < truth < said["statistical"]["high"]
