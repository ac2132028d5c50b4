"""Counts and intervals against scipy, hand counts and the published table."""

import numpy as np
import pandas as pd
import pytest

from classifiers.audit import completeness, realism
from classifiers.audit.axes import Axis, Grid
from classifiers.audit.settings import AuditSettings
from classifiers.intervals import jeffreys
from data.config import validated
from lensjax.errors import InputError

THETA_E = Axis("theta_e", "Einstein radius", "arcsec", "drawn", "theta_e", points=(1.0, 2.0))
PSF = Axis("psf_fwhm", "PSF FWHM", "arcsec", "host", "psf_fwhm", edges=(1.0, 1.2, 1.4))
DEPTH = Axis("depth_m5", "depth", "mag", "host", "depth_m5", edges=(23.0, 24.0))


def measured(name: str, column: str, *edges: float) -> Axis:
    return Axis(name, name, "", "measured", column, edges=edges)


def grid(*magnitudes: float) -> Grid:
    snr = measured("arc_snr_bin", "arc_snr", 0.0, 10.0, 100.0)
    return Grid((THETA_E,), (PSF, DEPTH), (measured("source_mag", "source_mag", *magnitudes), snr))


def cells() -> pd.DataFrame:
    found = [
        {"theta_e": theta_e, **site.columns()}
        for site in grid(23.0, 26.0).sites()
        for theta_e in THETA_E.points
    ]
    return pd.DataFrame(found)


def injections(n: int = 120) -> pd.DataFrame:
    rng = np.random.default_rng(3)
    return pd.DataFrame(
        {
            "galaxy_id": rng.choice(list("abcdefgh"), n),
            "theta_e": rng.choice([1.0, 2.0], n),
            "cell_psf_fwhm": rng.choice([1.1, 1.3], n),
            "cell_depth_m5": 23.5,
            "source_mag": rng.uniform(23, 26, n),
            "arc_snr": rng.uniform(0, 30, n),
            "snr": rng.uniform(0, 30, n),
            "score": rng.uniform(0, 1, n).round(2),
            "score_before": rng.uniform(0, 0.6, n),
        }
    )


def test_intervals_are_those_of_the_published_table(survey_data):
    path = (
        survey_data / "reference/ls_dr10_selection_function/grid_no_poisson_selection_function.csv"
    )
    if not path.is_file():
        pytest.skip("no published table")
    table = pd.read_csv(path).query("n_injections > 0")
    k, n = table["n_detected"].to_numpy(), table["n_injections"].to_numpy()
    for level, name in ((0.68, "ci68"), (0.95, "ci95")):
        low, high = jeffreys(k, n, level)
        # The published table keeps the quantile of the beta distribution at k = 0 and k = n, where
        # this project's convention is 0 and 1; everywhere else the two are the same.
        assert (low[k == 0] == 0).all() and (high[k == n] == 1).all()
        np.testing.assert_allclose(low[k > 0], table[f"{name}_lo"][k > 0], rtol=1e-6, atol=1e-12)
        np.testing.assert_allclose(high[k < n], table[f"{name}_hi"][k < n], rtol=1e-6)


def test_table_is_what_counting_by_hand_gives_and_small_cells_say_so():
    rows = injections()
    table = completeness.table(rows, cells(), {"p0.5": 0.5}, grid(23.0, 24.0, 25.0, 26.0), 25)
    assert len(table) == 4 * 4
    for line in table.to_dict("records"):
        low, high = (
            (0, 99)
            if line["source_mag_bin"] == "all"
            else map(float, line["source_mag_bin"].split("-"))
        )
        inside = [
            r
            for r in rows.to_dict("records")
            if (r["theta_e"], r["cell_psf_fwhm"]) == (line["theta_e"], line["psf_fwhm"])
            and low <= r["source_mag"] < high
        ]
        assert (line["n"], line["k"]) == (len(inside), sum(r["score"] > 0.5 for r in inside))
        assert line["k_before"] == sum(r["score_before"] > 0.5 for r in inside)
        assert line["hosts"] == len({r["galaxy_id"] for r in inside})
        assert line["snr_p50"] == pytest.approx(np.median([r["arc_snr"] for r in inside]))
        assert line["status"] == ("sufficient" if len(inside) >= 25 else "insufficient")
        assert line["completeness"] == pytest.approx(line["k"] / line["n"])
        assert line["lo95"] < line["lo68"] <= line["completeness"] <= line["hi68"] < line["hi95"]


def test_empty_cells_are_listed_without_a_value():
    rows = injections().query("theta_e == 1.0")
    table = completeness.table(rows, cells(), {"p0.5": 0.5}, grid(23.0, 26.0), 10)
    empty = table[table["theta_e"] == 2.0]
    assert (
        (empty["n"] == 0).all()
        and empty["completeness"].isna().all()
        and (empty["status"] == "insufficient").all()
    )


def test_marginals_add_up_and_resampling_hosts_widens_the_interval_of_clustered_hosts():
    rows = injections(400)
    rows["score"] = rows["galaxy_id"].isin(list("abcd")).astype(float)  # the host decides
    found = completeness.marginals(rows, {"p0.5": 0.5}, grid(23.0, 24.0, 26.0), 10)
    total = found[found["axis"] == "all"].iloc[0]
    for axis in ("theta_e", "psf_fwhm", "source_mag", "arc_snr_bin"):
        assert found[found["axis"] == axis]["k"].sum() == total["k"]
    assert total["hi95_hosts"] - total["lo95_hosts"] > 3 * (total["hi95"] - total["lo95"])


def test_two_stages_tell_invisible_from_missed():
    rows = pd.DataFrame({"snr": [20.0, 20.0, 20.0, 1.0, 1.0], "score": [0.9, 0.9, 0.1, 0.9, 0.1]})
    rows["galaxy_id"] = list("abcde")
    found = realism.two_stages(rows, 0.5, 10.0)
    assert (found["observable"]["k"], found["observable"]["n"]) == (3, 5)
    assert (found["recall_observable"]["k"], found["recall_observable"]["n"]) == (2, 3)
    assert (found["recall_unobservable"]["k"], found["recall_unobservable"]["n"]) == (1, 2)
    weighty = realism.two_stages(rows.assign(weight=[1.0, 1.0, 1.0, 3.0, 0.0]), 0.5, 10.0)
    assert weighty["observable"]["value"] == pytest.approx(0.5) and weighty["observable"]["n"] == 4
    assert (
        realism.saturation(np.array([0.95] * 19 + [0.5]))["flag"]
        and not realism.saturation(np.array([0.95, 0.5]))["flag"]
    )


def test_the_preset_of_the_specification_has_385_cells():
    axes = AuditSettings(grid="spec_grid").axes(np.array([1.2]), np.array([23.0]))
    assert axes.cells() == 385 and axes.drawn[0].points[:: len(axes.drawn[0]) - 1] == (0.5, 3.0)
    assert [s.centre("psf_fwhm") for s in axes.sites()][::5] == pytest.approx(
        [0.9, 1.05, 1.2, 1.35, 1.5, 1.65, 1.8]
    )
    assert [s.centre("depth_m5") for s in axes.sites()][:5] == pytest.approx(
        [22.5, 23.0, 23.5, 24.0, 24.5]
    )


@pytest.mark.parametrize(
    "values, word",
    [
        ({"theta_e": [2.0, 1.0]}, "theta_e"),
        ({"psf_edges": [1.0]}, "psf_edges"),
        ({"mode": "both"}, "mode"),
        ({"axis": {"psf_fwhm": {"edges": [1.2]}}}, "edges"),
        ({"axis": {"x": {"edges": [1, 2], "cells": 2}}}, "give one of them"),
        ({"moffat_beta": 0.5}, "moffat_beta"),
        ({"x": 1}, "x"),
    ],
)
def test_settings_out_of_range_are_refused_by_name(values, word):
    with pytest.raises(InputError, match=word):
        validated(AuditSettings, values, "test")
