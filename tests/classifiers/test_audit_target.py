"""Hosts weighted to a population of galaxies, in a world where its completeness is known."""

import numpy as np
import pandas as pd
import pytest
from auditable import rows

from classifiers.audit import hosts, target
from classifiers.audit.host_settings import AxisSettings, TargetSettings
from classifiers.audit.injectionset import InjectionSet
from classifiers.audit.population import reweight
from classifiers.audit.resampling import detection
from classifiers.intervals import weighted
from data.config import validated
from data.survey import default
from lensjax.errors import InputError

TYPES, MAGS = ("DEV", "SER"), (17.5, 18.5, 19.5)
FOUND = {"DEV": (0.05, 0.35, 0.6), "SER": (0.02, 0.1, 0.25)}
"""Share of arcs found by type of host and magnitude: bright hosts hide them."""
SAMPLED = {"DEV": (0.3, 0.2, 0.1), "SER": (0.2, 0.1, 0.1)}
SEARCHED = {"DEV": (0.02, 0.08, 0.2), "SER": (0.05, 0.15, 0.5)}
TRUTH = sum(p * s for t in TYPES for p, s in zip(FOUND[t], SEARCHED[t]))
CELLS = {"type": AxisSettings(), "mag_r": AxisSettings(edges=(17.0, 18.0, 19.0, 20.0))}


def galaxies(share: dict, n: int, rng) -> pd.DataFrame:
    """Galaxies of a population, in columns of a catalogue."""
    flat = np.concatenate([share[t] for t in TYPES])
    which = rng.choice(len(flat), n, p=flat / flat.sum())
    mag = np.array(MAGS * 2)[which] + rng.uniform(-0.4, 0.4, n)
    kind = np.array(TYPES, object)[which // 3]
    return pd.DataFrame({"type": kind, "flux_r": 10 ** (0.4 * (22.5 - mag))})


def hosts_of(table: pd.DataFrame) -> hosts.Hosts:
    base = pd.DataFrame(rows(len(table))).assign(label=0)
    return hosts.candidates(base.assign(**{c: table[c].to_numpy() for c in table}), None)


def injected(found: hosts.Hosts, times: np.ndarray) -> pd.DataFrame:
    """Injections into hosts, with the conditions of their stamps."""
    place = np.repeat(np.arange(len(found)), times)
    columns = {"galaxy_id": found.ids[place]}
    for i, band in enumerate("grz"):
        columns[f"psf_fwhm_{band}"] = found.psf[place, i]
        columns[f"psfdepth_{band}"] = found.psfdepth[place, i]
    return pd.DataFrame(columns)


def scores(found: hosts.Hosts, known: pd.DataFrame, rng) -> np.ndarray:
    """Which injections are found: by cell, with an effect that arcs of one host share."""
    mag = 22.5 - 2.5 * np.log10(np.asarray(found.columns["flux_r"], float))
    p = np.array([FOUND[t][int(m - 17)] for t, m in zip(found.columns["type"], mag)])
    p = np.where(rng.random(len(p)) < 0.5, 0.5 * p, 1.5 * p)
    place = pd.Index(found.ids).get_indexer(known["galaxy_id"])
    return rng.random(len(known)) < p[place]


def test_the_completeness_of_the_searched_galaxies_is_recovered_that_of_the_sample_is_another(
    tmp_path,
):
    rng = np.random.default_rng(1)
    galaxies(SEARCHED, 20_000, rng).to_parquet(tmp_path / "searched.parquet")
    s = TargetSettings(table=str(tmp_path / "searched.parquet"), axis=CELLS)
    population = target.population(tmp_path, s, default())
    assert population.share.sum() == pytest.approx(1) and population.outside == 0
    holds, plain, values = [], [], []
    for _ in range(200):
        found = hosts_of(galaxies(SAMPLED, 150, rng))
        known = injected(found, rng.integers(2, 7, len(found)))
        seen = scores(found, known, rng)
        w = target.of_injections(population, s, known, found, degraded=False)
        assert w.covered == pytest.approx(1) and w.host_weight.mean() == pytest.approx(1)
        own = weighted(seen, w.host_weight, known["galaxy_id"].to_numpy())
        low, high = own.interval()
        holds.append(low <= TRUTH <= high)
        values.append(own.value)
        low, high = weighted(seen, np.ones(len(seen)), known["galaxy_id"].to_numpy()).interval()
        plain.append(low <= TRUTH <= high)
        assert w.n_eff_hosts < w.hosts == len(found)
    assert np.mean(holds) >= 0.93, np.mean(holds)
    assert np.mean(plain) <= 0.1, np.mean(plain)
    assert np.mean(values) == pytest.approx(TRUTH, abs=3 * np.std(values) / np.sqrt(200) + 1e-3)


def test_every_host_of_a_cell_counts_the_same_however_many_injections_it_has():
    cell = np.array([0, 0, 0, 0, 1, 1, -1])
    host = np.array([0, 0, 0, 1, 2, 3, 4])
    w = target.host_weights(cell, host, None, np.array([0.25, 0.75]))
    np.testing.assert_allclose(w / w.sum(), [1 / 24] * 3 + [1 / 8] + [3 / 8] * 2 + [0])
    assert w.mean() == pytest.approx(1)
    # Degraded: a host stands for several conditions, and none of these counts for more.
    cell, site = np.zeros(5, int), np.array([0, 0, 0, 1, 1])
    host = np.array([0, 0, 1, 0, 2])
    w = target.host_weights(cell, host, site, np.ones(1)) / 5
    np.testing.assert_allclose(w, [1 / 8, 1 / 8, 1 / 4, 1 / 4, 1 / 4])
    assert not target.host_weights(np.array([-1, -1]), np.array([0, 1]), None, np.ones(1)).any()


def test_a_population_without_hosts_is_refused_by_cell_or_left_out_and_said(tmp_path):
    rng = np.random.default_rng(2)
    searched = galaxies(SEARCHED, 5000, rng)
    searched.loc[:499, "type"] = None
    searched.rename(columns={"type": "morph"}).to_csv(tmp_path / "searched.csv", index=False)
    s = TargetSettings(table=str(tmp_path / "searched.csv"), axis=CELLS, columns={"type": "morph"})
    population = target.population(tmp_path, s, default())
    assert population.outside == pytest.approx(0.1)
    found = hosts_of(galaxies({**SAMPLED, "SER": (0.3, 0.3, 0.0)}, 60, rng))
    known = injected(found, np.full(60, 3))
    missing = population.share[5]
    with pytest.raises(
        InputError, match=r"has no host: 4\d\.\d % at type SER, mag_r 19-20; 10.0 %"
    ):
        target.of_injections(population, s, known, found, degraded=False)
    allowed = validated(TargetSettings, {**vars(s), "uncovered": 0.7}, "target")
    w = target.of_injections(population, allowed, known, found, degraded=False)
    assert w.covered == pytest.approx(0.9 - missing)
    seen = scores(found, known, rng)
    table = known.assign(score=np.where(seen, 1.0, 0.0), prior_weight=1.0, weight=w.host_weight)
    about = target.figures(w, table, 0.5)
    low, high = about["weighted"]["lo95"], about["weighted"]["hi95"]
    assert about["whole"]["lo95"] == pytest.approx(low * w.covered)
    assert about["whole"]["hi95"] == pytest.approx(high * w.covered + 1 - w.covered)
    words = target.finding(about)
    assert "of the population has no host" in words and "searched.csv (5,000 galaxies)" in words
    rare = {**about, "n_eff_hosts": 3.2}
    assert "worth 3.2 equal ones" in target.unsaid(rare)[0] and target.unsaid(about) == []
    assert "audit.target" in target.unsaid(None)[0]


@pytest.mark.parametrize(
    "given, words",
    [
        ({"axis": {}}, "name at least one property"),
        ({"axis": {"morph": {}}}, "no column 'morph'; it has"),
        ({"axis": {"type": {"cells": 2}}}, "has words there"),
        ({"axis": {"mag_r": {"words": ["a"]}}}, "has numbers there"),
        ({"axis": {"name": {}}}, "different words; list some"),
        ({"axis": {"type": {}}, "weight": "mag_r"}, None),
        ({"axis": {"type": {}}, "weight": "minus"}, "should be 0 or larger"),
        ({"table": "pool"}, "has no pool"),
        ({"table": "none.csv"}, "cannot be read"),
    ],
)
def test_a_table_that_makes_no_population_is_refused_by_its_key(given, words, tmp_path):
    frame = galaxies(SEARCHED, 40, np.random.default_rng(0)).assign(
        name=[f"g{i}" for i in range(40)], minus=-1.0
    )
    frame.to_csv(tmp_path / "t.csv", index=False)
    base = {"table": str(tmp_path / "t.csv"), "axis": {"type": {}}}
    s = validated(TargetSettings, base | given, "target")
    if words is None:
        share = target.population(tmp_path, s, default()).share
        assert share.sum() == pytest.approx(1)
        return
    with pytest.raises(InputError, match="audit.target") as error:
        target.population(tmp_path, s, default())
    assert words in str(error.value)


def test_a_set_with_weighted_hosts_keeps_them_when_it_is_reweighted():
    """Two kinds of hosts, of which one finds all and the other nothing: the completeness of any
    population of lenses is the share of the first."""
    rng = np.random.default_rng(3)
    n, share = 4000, 0.2
    host = np.arange(n) // 4
    first = host % 2 == 0
    table = pd.DataFrame(
        {
            "theta_e": rng.uniform(0.5, 3.0, n),
            "galaxy_id": host,
            "ln_p_draw": -np.log(2.5),
            "host_weight": np.where(first, 2 * share, 2 * (1 - share)),
            "score": first.astype(float),
        }
    )
    about = {
        "total_generated": n,
        "density_over": ["theta_e"],
        "proposal": {"theta_e": {"uniform": [0.5, 3.0]}},
    }
    lenses = pd.DataFrame({"theta_e": rng.uniform(1.0, 2.0, 500)})
    for injections, wanted in (
        (InjectionSet(table, about), share),
        (InjectionSet(table.drop(columns="host_weight"), about), 0.5),
    ):
        flat = lambda p: -np.log(2.5) + 0 * p["theta_e"]
        assert reweight(injections, flat, 0.5).completeness == pytest.approx(wanted, abs=0.01)
        assert reweight(injections, lenses, 0.5).completeness == pytest.approx(wanted, abs=0.02)
        mu = np.exp(float(detection(injections, 0.5).ln_mu(flat).ln_mu))
        assert mu == pytest.approx(wanted, abs=0.01)
