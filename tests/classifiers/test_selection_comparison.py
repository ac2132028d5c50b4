"""Two selection functions side by side: differences and their intervals where the truth of both is
a formula, cells without a counterpart, and the published table against itself and an audit."""

import re
import tomllib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import selection_worlds as worlds

from classifiers.intervals import jeffreys
from classifiers.selection import SelectionFunction
from classifiers.selection.compare_verb import command
from classifiers.selection.comparison import compare, difference
from classifiers.selection.summing import combined
from lensjax.errors import InputError

ROOT = Path(__file__).resolve().parents[2]
MAGNITUDES = 23 + 3 * (np.arange(60) + 0.5) / 60


def weaker(theta_e, psf_fwhm, depth_m5, source_mag):
    return 0.7 * worlds.smooth(theta_e, psf_fwhm, depth_m5, source_mag)


def asked(world, seed, name="one", **options):
    rows = worlds.injections(world, np.random.default_rng(seed), **options)
    return SelectionFunction.of(worlds.table(rows), about={"axes": KINDS}, name=name)


KINDS = [{"name": a.name, "kind": a.kind} for a in (*worlds.GRID.axes, *worlds.GRID.measured)]
CELLS = worlds.cells()
PLACES = [CELLS[c].to_numpy() for c in ("theta_e", "psf_fwhm", "depth_m5")]


def truth(world) -> np.ndarray:
    """Completeness at the centres of the cells."""
    return world(*(v[:, None] for v in PLACES), MAGNITUDES).mean(1)


def test_differences_and_their_intervals_hold_in_two_known_worlds():
    wanted = pd.Series(truth(weaker) - truth(worlds.smooth))
    inside, along, all_ = [], [], []
    for seed in range(12):
        found = compare(asked(worlds.smooth, seed), asked(weaker, 100 + seed))
        cells = found.cells.merge(CELLS.assign(true=wanted), on=["theta_e", "psf_fwhm", "depth_m5"])
        assert len(cells) == len(found.cells) == 30 == found.counterparts
        inside.append((cells["lower"] <= cells["true"]) & (cells["true"] <= cells["upper"]))
        for row in found.along.to_dict("records"):
            own = slice(None) if row["axis"] == "all" else CELLS[row["axis"]] == float(row["value"])
            mean = wanted[own].mean()
            assert row["cells"] == len(wanted[own])
            (all_ if row["axis"] == "all" else along).append(row["lower"] <= mean <= row["upper"])
        assert found.along["upper"][0] < 0  # that the second finds less is seen
    assert np.mean(inside) > 0.95 and np.mean(along) > 0.95 and np.mean(all_) > 0.9


def test_an_interval_of_a_difference_is_that_of_newcombe():
    """Newcombe (1998), table II, method 10: 56/70 - 48/80 from the score intervals of either."""
    from scipy.stats import norm

    from classifiers.selection import Answer

    def score(k, n):
        z, p = norm.ppf(0.975), k / n
        middle, half = p + z**2 / (2 * n), z * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
        return Answer(p, *((middle + s * half) / (1 + z**2 / n) for s in (-1, 1)), "supported")

    d, ends = difference(score(48, 80), score(56, 70))
    assert (d, *ends) == pytest.approx((0.2, 0.0524, 0.3339), abs=5e-5)


def test_cells_without_a_counterpart_are_said_to_have_none():
    first, second = asked(worlds.smooth, 0), asked(worlds.smooth, 1)
    lines = second.table
    gone = (lines["theta_e"] == 2.5) & (lines["psf_fwhm"] == 1.0)
    short = (lines["theta_e"] == 0.5) & (lines["psf_fwhm"] == 1.4)
    lines = lines.assign(status=np.where(short, "insufficient", lines["status"]))[~gone]
    lines = lines.assign(depth_m5=lines["depth_m5"] + 0.6)
    lines[["depth_lo", "depth_hi"]] += 0.6
    found = compare(first, SelectionFunction.of(lines, about=second.about))
    cells = found.cells.set_index(["theta_e", "psf_fwhm", "depth_m5"])
    assert cells.loc[(1.0, 1.2, 23.3), "known"] == "first"
    assert cells.loc[(1.0, 1.2, 23.3), "flag_second"] == "outside"
    assert cells.loc[(2.5, 1.0, 23.9), "flag_second"] == "insufficient"
    assert cells.loc[(0.5, 1.4, 23.9), "known"] == "first"
    beyond = cells[~cells["of_first"]]
    assert len(beyond) == 14 and set(beyond.index.get_level_values(2)) == {24.5}
    assert beyond.loc[(2.0, 1.2, 24.5), "known"] == "second"
    assert found.counterparts == (cells["known"] == "both").sum() == 13
    assert cells["difference"].notna().sum() == 14  # the insufficient one has a value as well
    text = str(found)
    assert "13 of 30 cells of the first have a counterpart; 14 cells of the second" in text
    assert "depth_m5 23.3: no cell that both know" in text


def test_a_sum_over_cells_is_that_of_its_injections_and_no_narrower_than_they_warrant():
    ask = asked(worlds.smooth, 3, per_host=4)
    lines = ask.lines(ask.needed)
    one = ask.summed("theta_e")
    assert [axis.name for axis in one.needed] == ["theta_e"]
    along = one.lines(one.needed).set_index("theta_e")
    sums = lines.groupby("theta_e")[["n", "k"]].sum()
    assert (along[["n", "k"]] == sums).all().all()
    np.testing.assert_allclose(along["completeness"], sums["k"] / sums["n"])
    # Six conditions with 50 hosts each: at most as good as all of their hosts.
    assert along["hosts"].tolist() == [300] * 5
    assert (along["n_eff"] <= lines.groupby("theta_e")["n_eff"].sum() + 1e-9).all()
    total = ask.summed().query()
    assert float(total.value) == pytest.approx(lines["k"].sum() / lines["n"].sum())
    alone = jeffreys(lines["k"].sum(), lines["n"].sum(), 0.95)
    assert total.upper - total.lower > alone[1] - alone[0] and total.flag == "supported"
    at = one.query(theta_e=1.5, source_mag=23.5)
    wanted = ask.table.query("theta_e == 1.5 and source_mag_bin == '23-24'")
    assert float(at.value) == pytest.approx(wanted["k"].sum() / wanted["n"].sum())
    with pytest.raises(InputError, match="no axis 'z' in one; there are theta_e, psf_fwhm"):
        ask.summed("z")


def test_what_an_uncertain_threshold_adds_is_the_same_way_in_all_cells():
    """A threshold whose error moves the completeness of every cell by 0.1: it moves their sums and
    their means by as much, however many observing conditions there are."""
    sure = asked(worlds.smooth, 3, per_host=4)
    value, low, high = (sure.table[c] for c in ("completeness", "lo95_hosts", "hi95_hosts"))
    ends = value - np.hypot(value - low, 0.1), value + np.hypot(high - value, 0.1)
    unsure = replace(sure, table=sure.table.assign(lo95_total=ends[0], hi95_total=ends[1]))
    known = sure.with_known_threshold()
    one, other = (f.summed().query() for f in (known, unsure))
    assert one.value == other.value
    assert other.value - other.lower == pytest.approx(np.hypot(one.value - one.lower, 0.1))
    assert other.upper - other.value == pytest.approx(np.hypot(one.upper - one.value, 0.1))
    along = unsure.summed("theta_e").table.query("source_mag_bin == 'all'")
    by_hosts = along["completeness"] - along["lo95_hosts"]
    np.testing.assert_allclose(
        along["completeness"] - along["lo95_total"], np.hypot(by_hosts, 0.1), rtol=1e-6
    )
    mean = {name: compare(f, f).along.iloc[0] for name, f in (("one", known), ("other", unsure))}
    below = {name: row["completeness_first"] - row["lower_first"] for name, row in mean.items()}
    assert below["other"] == pytest.approx(np.hypot(below["one"], 0.1), rel=0.05)


def test_errors_of_one_condition_add_and_of_several_add_in_squares():
    error, weight = np.array([1.0, 2.0, 3.0]), np.array([0.5, 0.25, 0.25])
    assert combined(error, weight, np.array([0, 0, 0])) == pytest.approx(1.75)
    assert combined(error, weight, np.array([0, 0, 1])) == pytest.approx(np.hypot(1.0, 0.75))


def test_axes_that_only_one_has_are_summed_over():
    first, second = asked(worlds.smooth, 0), asked(worlds.smooth, 1).summed("theta_e", "psf_fwhm")
    found = compare(first, second)
    assert [axis.name for axis in found.axes] == ["theta_e", "psf_fwhm"] and len(found.cells) == 15
    with pytest.raises(InputError, match="none in common"):
        compare(first.summed("depth_m5"), second)


@pytest.fixture(scope="module")
def published(survey_data):
    return survey_data / "reference" / "ls_dr10_selection_function"


def test_the_published_sums(published):
    path = published / "grid_no_poisson_selection_function.csv"
    ask = SelectionFunction.load(path, 0.3)
    total = ask.summed().query()
    assert float(total.value) == 5697 / 110_000
    assert total.lower < 0.0505 < 0.0531 < total.upper  # hosts are not known, so it is wider
    along = ask.summed("theta_e").query(theta_e=[0.5, 1.5, 2.5, 3.0])
    assert np.round(100 * along.value, 2).tolist() == [0.22, 5.59, 8.33, 7.15]


def test_the_command_on_the_published_tables(published, tmp_path, capsys):
    """Photon noise gains at small radii and loses at large ones."""
    paths = [str(published / f"grid_{n}_selection_function.csv") for n in ("no_poisson", "poisson")]
    words = ["--threshold", "0.3", "--names", "without", "with", "--out", str(tmp_path)]
    assert command([*paths, *words]) == 0
    printed = capsys.readouterr().out
    assert "first: without; second: with; common axes: theta_e, psf_fwhm, depth_m5" in printed
    assert "220 of 385 cells of the first have a counterpart; 0 cells of the second" in printed
    assert re.search(r"all: 5\.2 % \(.*\), 3\.8 % \(.*\), difference -1\.4 \(", printed)
    along = pd.read_csv(tmp_path / "along.csv").set_index(["axis", "value"])
    assert along.loc[("theta_e", "1.0"), "lower"] > 0 > along.loc[("theta_e", "2.5"), "upper"]
    cells = pd.read_csv(tmp_path / "comparison.csv")
    assert len(cells) == 385 and (cells["known"] == "none").sum() == 165
    for ending in ("pdf", "png"):
        assert (tmp_path / f"comparison.{ending}").stat().st_size > 5000


def test_it_is_registered_and_refuses_in_one_line(published):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    verbs = project["entry-points"]["lensjax.verbs"]
    assert verbs[command.name] == "classifiers.selection.compare_verb:command"
    path = str(published / "grid_poisson_selection_function.csv")
    with pytest.raises(InputError, match="no threshold 0.4; there are p0.3"):
        command([path, path, "--second-threshold", "0.4"])
