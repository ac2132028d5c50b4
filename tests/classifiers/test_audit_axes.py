"""Axes: which cell a value lies in, how edges follow from hosts, and axes by configuration only."""

import dataclasses
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from auditable import rows

from classifiers.audit import completeness, hosts, plan
from classifiers.audit.axes import Axis, equal_count_edges
from classifiers.audit.hosts import Hosts
from classifiers.audit.settings import AuditSettings
from classifiers.selection import SelectionFunction
from data.config import validated
from lensjax.errors import InputError


def table() -> Hosts:
    manifest = pd.DataFrame(rows(96))
    n = np.arange(len(manifest))
    manifest = manifest.assign(
        type=np.array(["SER", "DEV", "REX"])[n % 3],
        mag_r=16.0 + 0.03 * n,
        ebv=0.01 + 0.0007 * n,
        same=1.0,
        empty=np.nan,
    )
    return hosts.candidates(manifest, None)


def grid(found: Hosts, **axes):
    s = validated(AuditSettings, {"axis": axes, "theta_e": [1.0, 2.0]}, "test")
    return s.axes(found.fwhm, found.depth, found, ("theta_e", "slope", "r_eff"), found.survey)


def test_every_value_on_an_edge_lies_in_a_cell():
    axis = Axis("a", "a", "", "host", "a", edges=(1.0, 1.15, 1.3))
    values = [0.99, 1.0, 1.15, 1.2999, 1.3, 1.31, np.nan]
    assert axis.place(values).tolist() == [-1, 0, 1, 1, 1, -1, -1]
    assert axis.named([1.3, 9.0]).tolist() == ["1.15-1.3", "outside"]


@pytest.mark.parametrize("digits", [2, 4])
def test_equal_count_edges_hold_every_value_however_it_is_rounded(digits):
    rng = np.random.default_rng(0)
    for value in np.arange(50, 251) / 100:
        edges = equal_count_edges(np.full(24, value), 3, digits)
        assert edges[0] <= value < edges[-1]
        for spread in (rng.uniform(value, value + 0.3, 30), np.r_[value, value + 0.29] * 1.0):
            edges = equal_count_edges(spread, 3, digits)
            assert edges[0] <= spread.min() and spread.max() < edges[-1]
            assert all(b > a for a, b in pairwise(edges))


def test_all_hosts_of_one_fwhm_are_planned():
    found = table()
    for fwhm in (0.57, 1.15, 1.16, 2.01):
        same = dataclasses.replace(found, psf=np.full_like(found.psf, fwhm))
        axes = AuditSettings(theta_e=(1.0,)).axes(same.fwhm, same.depth)
        chunks = plan.chunks(same, axes, 1000, 1, False, 42)
        assert sorted(np.concatenate([c.host for c in chunks])) == list(range(len(found)))


def test_columns_of_the_manifest_and_parameters_of_the_prior_are_axes_by_configuration():
    found = table()
    axes = grid(
        found,
        host_mag={"column": "mag_r", "cells": 2},
        type={"column": "type"},
        ebv={"edges": [0.0, 0.04, 0.1]},
        slope=[1.8, 2.2],
        size={"column": "r_eff", "edges": [0.1, 0.3, 0.5]},
        psf_fwhm=None,
        depth_m5={"cells": 1},
    )
    assert [a.name for a in axes.drawn] == ["theta_e", "slope"]
    assert [a.name for a in axes.host] == ["depth_m5", "host_mag", "type", "ebv"]
    assert [a.name for a in axes.measured] == ["source_mag", "size", "arc_snr_bin"]
    assert axes.host[2].words == ("DEV", "REX", "SER") and axes.cells() == 2 * 2 * 1 * 2 * 3 * 2
    chunks = plan.chunks(found, axes, 5, 2, False, 1)
    for chunk in chunks:
        words = {str(w) for w in found.columns["type"][chunk.host]}
        assert words == {chunk.site.cell("type").value}
        assert set(chunk.drawn) == {"theta_e", "slope"}
    assert len({tuple(k) for c in chunks for k in c.key}) == sum(map(len, chunks))


def test_tables_and_the_selection_function_follow_the_axes():
    found = table()
    axes = grid(found, type={}, psf_fwhm=None, depth_m5=None)
    chunks = plan.chunks(found, axes, 30, 4, False, 1)
    injections = pd.concat(
        pd.DataFrame(
            {
                "galaxy_id": found.ids[c.host],
                "theta_e": c.drawn["theta_e"],
                "cell_type": c.site.cell("type").value,
                "source_mag": 23.5,
                "arc_snr": 9.0,
                "score": (c.drawn["theta_e"] > 1.5) * (c.site.cell("type").value == "REX"),
                "score_before": 0.0,
            }
        )
        for c in chunks
    )
    made = completeness.table(injections, plan.cells(found, axes, False), {"p0.5": 0.5}, axes, 10)
    ask = SelectionFunction.of(made)
    assert [axis.name for axis in ask.needed] == ["theta_e", "type"]
    found = ask.query(theta_e=[2.0, 1.5, 2.0, 2.6, 2.0], type=["REX", "REX", "SER", "REX", "PSF"])
    np.testing.assert_array_equal(found.value, [1.0, 0.5, 0.0, np.nan, np.nan])
    assert found.flag.tolist()[:3] == ["supported", "interpolated", "supported"]
    assert found.flag.tolist()[3:] == ["outside", "outside"]
    assert float(ask.query(theta_e=2.0, type="REX", source_mag=23.5).value) == 1.0
    along = completeness.marginals(injections, {"p0.5": 0.5}, axes, 10)
    by_type = along[along["axis"] == "type"].set_index("value")["completeness"]
    assert by_type.to_dict() == {"DEV": 0.0, "REX": 0.5, "SER": 0.0}


@pytest.mark.parametrize(
    "axis, words",
    [
        ({"z": {"column": "redshift", "cells": 2}}, ("audit.axis.z", "'redshift'", "z.column")),
        ({"same": {"cells": 2}}, ("audit.axis.same", "1 for every host", "another column")),
        ({"empty": {"cells": 2}}, ("audit.axis.empty", "empty for every host")),
        ({"type": {"edges": [0, 1]}}, ("audit.axis.type", "holds words")),
        ({"flexion": [0.1, 0.2]}, ("audit.axis.flexion", "no parameter 'flexion'", "slope")),
        ({"r_eff": {"cells": 3}}, ("audit.axis.r_eff", "give edges")),
    ],
)
def test_an_axis_that_cannot_be_is_one_line_with_key_and_cure(axis, words):
    with pytest.raises(InputError) as error:
        grid(table(), **axis)
    assert "\n" not in str(error.value) and all(word in str(error.value) for word in words)


def test_a_drawn_axis_that_the_prior_lacks_is_refused_with_the_way_out():
    s = AuditSettings()
    with pytest.raises(InputError, match=r"audit\.axis\.theta_e.*set audit\.axis\.theta_e to null"):
        s.axes(np.ones(3), np.full(3, 23.0), None, ("mass",))
