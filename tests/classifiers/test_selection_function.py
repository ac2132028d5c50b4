"""Queries of a selection function: values against the table by hand, flags by their definitions,
and intervals that hold in a world whose completeness is a formula."""

import numpy as np
import pandas as pd
import pytest
import selection_worlds as worlds
from astropy import units

from classifiers.selection import FLAGS, SelectionFunction
from lensjax.errors import InputError

MAGNITUDES = 23 + 3 * (np.arange(60) + 0.5) / 60


@pytest.fixture(scope="module")
def table():
    return worlds.table(worlds.injections(worlds.smooth, np.random.default_rng(0)))


@pytest.fixture(scope="module")
def asked(table):
    return SelectionFunction.of(table)


def cell(table, theta_e, psf, depth, bin_="all", threshold="p0.5"):
    line = table.query(
        "theta_e == @theta_e and psf_fwhm == @psf and depth_m5 == @depth "
        "and source_mag_bin == @bin_ and threshold_name == @threshold"
    )
    assert len(line) == 1
    return line.iloc[0]


def test_at_the_centre_of_a_cell_the_answer_is_the_cell_s(table, asked):
    for theta_e, bin_, mag in ((1.0, "all", {}), (2.0, "24-25", {"source_mag": 24.5})):
        one = cell(table, theta_e, 1.2, 23.3, bin_)
        found = asked.query(theta_e=theta_e, psf=1.2, depth=23.3, **mag)
        assert found.value.shape == () and float(found.value) == one["completeness"]
        # The interval of the mean over the cell, widened a little for the value at its middle.
        assert float(found.lower) <= one["lo95_hosts"] < one["hi95_hosts"] <= float(found.upper)
        assert found.upper - found.lower < 1.5 * (one["hi95_hosts"] - one["lo95_hosts"])
    assert asked.query(theta_e=1.0, psf=1.2, depth=23.3).flag == "supported"


def test_between_centres_it_is_linear_and_no_narrower_than_the_neighbours(table, asked):
    ends = [cell(table, 1.0, 1.2, 23.3), cell(table, 1.5, 1.2, 23.3)]
    for share in (0.2, 0.5):
        found = asked.query(theta_e=1.0 + 0.5 * share, psf_fwhm=1.2, depth_m5=23.3)
        mean = lambda name, s=share: (1 - s) * ends[0][name] + s * ends[1][name]
        assert found.value == pytest.approx(mean("completeness"), abs=1e-12)
        assert found.flag == "interpolated"
        assert found.upper - found.lower >= mean("hi95_hosts") - mean("lo95_hosts")


def test_the_outer_half_of_the_last_cell_has_its_value_and_beyond_is_outside(table, asked):
    one = cell(table, 2.5, 1.2, 23.3)
    found = asked.query(theta_e=[2.5, 2.74, 2.76], psf=1.2, depth=23.3)
    assert found.value[:2].tolist() == [one["completeness"]] * 2
    assert found.flag.tolist() == ["supported", "supported", "outside"]
    width = found.upper - found.lower
    assert width[1] > width[0] and width[2] == 1.0 and np.isnan(found.value[2])


def test_small_and_empty_cells_are_flagged_wherever_they_count(table):
    here = (table["theta_e"] == 2.0) & (table["psf_fwhm"] == 1.2)
    small = SelectionFunction.of(table.assign(status=np.where(here, "insufficient", "sufficient")))
    points = {"theta_e": [2.0, 2.2, 1.51, 1.5, 2.5], "psf": 1.2, "depth": 23.3}
    found = small.query(**points)
    assert found.flag.tolist() == [*["insufficient"] * 3, "supported", "supported"]
    assert np.isfinite(found.value).all()  # what their own injections say
    empty = table.copy()
    empty.loc[here, ["n", "k", "hosts"]] = 0
    empty.loc[here, ["completeness", "status", "n_eff"]] = [np.nan, "insufficient", 0.0]
    for lines in (empty, table[~here]):
        found = SelectionFunction.of(lines).query(**points)
        assert found.flag.tolist() == [*["insufficient"] * 3, "supported", "supported"]
        assert np.isnan(found.value[:3]).all() and np.isfinite(found.value[3:]).all()
        assert found.lower[:3].tolist() == [0.0] * 3 and found.upper[:3].tolist() == [1.0] * 3


def test_its_intervals_hold_in_a_world_of_known_completeness():
    """Anywhere in the grid, magnitude summed over or asked for, with hosts of five injections."""
    covered: dict[str, list] = {"summed": [], "asked": [], "centres": []}
    widths, own = [], []
    for seed in range(12):
        rng = np.random.default_rng(100 + seed)
        made = worlds.table(worlds.injections(worlds.smooth, rng, per_host=5))
        ask = SelectionFunction.of(made)
        n = 300
        points = rng.uniform(0.25, 2.75, n), rng.uniform(0.9, 1.5, n), rng.uniform(23, 24.2, n)
        centres = ask.lines(ask.needed)[["theta_e", "psf_fwhm", "depth_m5"]].to_numpy().T
        for name, at in (("summed", points), ("centres", centres)):
            found = ask.query(theta_e=at[0], psf=at[1], depth=at[2])
            true = worlds.smooth(*(v[:, None] for v in at), MAGNITUDES).mean(1)
            covered[name].append((found.lower <= true) & (true <= found.upper))
            if name == "summed":
                widths.append(found.upper - found.lower)
        magnitude = rng.uniform(23, 26, n)
        found = ask.query(theta_e=points[0], psf=points[1], depth=points[2], source_mag=magnitude)
        true = worlds.smooth(*points, magnitude)
        covered["asked"].append((found.lower <= true) & (true <= found.upper))
        lines = ask.lines(ask.needed)
        own.append(lines["hi95_hosts"] - lines["lo95_hosts"])
    shares = {name: float(np.mean(v)) for name, v in covered.items()}
    assert min(shares.values()) > 0.95, shares
    assert np.mean(widths) < 2 * np.mean(own)  # and they say something


def test_the_level_is_that_of_the_interval(asked):
    point = {"theta_e": 1.5, "psf": 1.2, "depth": 23.3}
    ends = [asked.query(level=level, **point) for level in (0.68, 0.95, 0.99)]
    widths = [float(a.upper - a.lower) for a in ends]
    assert widths == sorted(widths) and widths[0] < 0.6 * widths[1]


def test_arrays_broadcast_and_quantities_are_converted(asked):
    grid = asked.query(theta_e=np.linspace(0.5, 2.5, 4)[:, None], psf=[1.0, 1.2, 1.4], depth=23.5)
    assert {a.shape for a in grid[:4]} == {(4, 3)} and set(grid.flag.ravel()) <= set(FLAGS)
    plain = asked.query(theta_e=1.2, psf=1.2, depth=23.5)
    for depth in (23.5 * units.mag, 23.5 * units.ABmag):
        with_units = asked.query(theta_e=0.02 * units.arcmin, psf=1200 * units.mas, depth=depth)
        assert float(with_units.value) == pytest.approx(float(plain.value), abs=1e-12)


def test_only_one_threshold_is_asked_and_others_are_named(table):
    low, high = (SelectionFunction.of(table, t) for t in ("p0.3", 0.5))
    assert (low.threshold, high.threshold_name) == (0.3, "p0.5")
    with pytest.raises(InputError, match=r"no threshold 0.9; there are p0.3 \(0.3\), p0.5 \(0.5\)"):
        SelectionFunction.of(table, 0.9)


@pytest.mark.parametrize(
    "values, words",
    [
        ({"theta_e": 1.0, "psf": 1.2}, "no value for depth_m5"),
        ({"theta_e": 1.0, "psf": 1.2, "depth": 23.3, "redshift": 1}, "no axis 'redshift'"),
        ({"theta_e": 1.0, "psf": 1.2, "psf_fwhm": 1.2, "depth": 23.3}, "the same axis"),
        ({"theta_e": [1.0, np.nan], "psf": 1.2, "depth": 23.3}, "theta_e is NaN, value 1"),
        ({"theta_e": "wide", "psf": 1.2, "depth": 23.3}, "theta_e: 'wide' is no number"),
        ({"theta_e": None, "psf": 1.2, "depth": 23.3}, "theta_e"),
        ({"theta_e": [1, 2], "psf": [1, 2, 3], "depth": 23.3}, "do not broadcast: theta_e"),
        ({"theta_e": 1.0 * units.kg, "psf": 1.2, "depth": 23.3}, "in arcsec, not in kg"),
        ({"theta_e": 1.0, "psf": 1.2, "depth": 3 * units.m}, "depth_m5 is in mag, not in m"),
        ({"theta_e": 1.0, "psf": 1.2, "depth": 23.3, "level": 95}, "level is 95"),
    ],
)
def test_a_query_that_cannot_be_answered_is_one_line(asked, values, words):
    with pytest.raises(InputError, match=words) as error:
        asked.query(**values)
    assert "\n" not in str(error.value)


def test_bins_that_were_not_split_together_are_refused(table):
    arcs = table.assign(arc_mag_bin=table["source_mag_bin"], source_mag_bin="all")
    both = pd.concat([table.assign(arc_mag_bin="all"), arcs]).drop_duplicates()
    ask = SelectionFunction.of(both)
    assert np.isfinite(ask.query(theta_e=1.0, psf=1.2, depth=23.3, arc_mag=24.5).value)
    with pytest.raises(InputError, match="not split along source_mag and arc_mag together"):
        ask.query(theta_e=1.0, psf=1.2, depth=23.3, source_mag=24.5, arc_mag=24.5)
