"""Every cut removes what it says, at its exact bound; every confuser rule holds where it says."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.selection import (
    CATEGORIES,
    Selection,
    magnitude,
    nobs_bin,
    select,
    type_bin,
)
from data.sky import SkyTree, galactic_latitude
from data.survey import default
from lensjax.errors import InputError

GOOD = {
    "type": "SER", "maskbits": 0, "nobs_g": 4, "nobs_r": 4, "nobs_z": 4,
    "ra": 150.0, "dec": 2.0, "flux_g": 10.0, "flux_r": 20.0, "flux_z": 30.0,
    "shape_r": 1.0, "shape_e1": 0.1, "shape_e2": 0.0, "sersic": 2.0,
}  # fmt: skip


def table(*changes: dict) -> dict:
    """Rows far from each other, each GOOD but for its changes."""
    rows = [GOOD | {"ra": 150.0 + 0.1 * i} | change for i, change in enumerate(changes)]
    columns = {
        key: np.array([row[key] for row in rows]) for key in {k for row in rows for k in row}
    }
    return columns | {"galaxy_id": np.array([f"b_{i}" for i in range(len(rows))])}


def counted(*changes: dict, **options) -> dict:
    return select(table(*changes), Selection(**options), None)[1]


Z20 = 10 ** ((22.5 - 20.0) / 2.5)


@pytest.mark.parametrize(
    ("cut", "removed", "kept"),
    [
        ("not_finite_position", {"dec": np.nan}, {}),
        ("declination", {"dec": -18.0}, {"dec": -17.999}),
        ("declination", {"dec": 32.0}, {"dec": 31.999}),
        ("type", {"type": "EXP"}, {"type": "REX"}),
        ("type", {"type": "PSF"}, {"type": "DEV"}),
        *[
            ("maskbits", {"maskbits": 1 << bit}, {"maskbits": 1 << 2})
            for bit in (1, 5, 6, 7, 11, 12, 13)
        ],
        ("maskbits", {"maskbits": (1 << 13) + 1}, {"maskbits": 1}),
        ("nobs", {"nobs_g": 2}, {"nobs_g": 3}),
        ("nobs_r", {"nobs_r": 2}, {"nobs_r": 3}),
        ("nobs_z", {"nobs_z": 0}, {"nobs_z": 3}),
        ("flux_z_not_positive", {"flux_z": 0.0}, {"flux_z": 1e3}),
        ("flux_z_not_positive", {"flux_z": -5.0}, {}),
        ("flux_z_not_positive", {"flux_z": np.nan}, {}),
        ("flux_z_not_positive", {"flux_z": np.inf}, {}),
        ("z_mag", {"flux_z": Z20 * (1 - 1e-9)}, {"flux_z": Z20 * (1 + 1e-9)}),
    ],
)
def test_each_cut_has_its_counter_and_its_strict_bound(cut, removed, kept):
    counters = counted(removed, kept)
    assert counters[cut] == 1 and counters["kept"] == 1
    others = {
        name: n
        for name, n in counters.items()
        if name not in ("rows", "kept", "N1", "N2", cut, "nobs", *CATEGORIES)
        and not name.startswith("nobs_")
    }
    assert not any(others.values())


def test_cuts_count_in_order_and_add_up():
    bad = [
        {"dec": np.nan, "type": "PSF"},
        {"dec": 40.0, "type": "PSF"},
        {"type": "PSF", "nobs_g": 0},
        {"maskbits": 2, "flux_z": -1.0},
    ]
    bad.append({"nobs_g": 0, "nobs_z": 1})
    counters = counted(*bad, {}, {"type": "DEV"})
    assert [
        counters[c]
        for c in (
            "not_finite_position",
            "declination",
            "type",
            "maskbits",
            "nobs_g",
            "nobs_r",
            "nobs_z",
            "nobs",
        )
    ] == [1, 1, 1, 1, 1, 0, 1, 1]
    cuts = (
        "not_primary",
        "not_finite_position",
        "declination",
        "type",
        "maskbits",
        "nobs",
        "flux_z_not_positive",
        "z_mag",
        "near_lens",
    )
    assert counters["rows"] == sum(counters[c] for c in cuts) + counters["kept"]
    assert counters["kept"] == counters["N1"] + counters["N2"] == 2


def test_eleven_arcsec_around_every_listed_lens():
    offsets = np.array([0.0, 10.999, 11.001, 3600.0]) / 3600.0
    columns = table(*[{"ra": 0.0, "dec": 5.0 + d} for d in offsets])
    lenses = SkyTree(np.array([0.0, 200.0]), np.array([5.0, -60.0]))
    kept, counters = select(columns, Selection(), lenses)
    assert counters["near_lens"] == 2 and kept["galaxy_id"].tolist() == ["b_2", "b_3"]
    across = table({"ra": 359.999, "dec": 0.0}, {"ra": 359.99, "dec": 0.0})
    assert (
        select(across, Selection(), SkyTree(np.array([0.001]), np.array([0.0])))[1]["near_lens"]
        == 1
    )


def test_exp_only_as_a_named_separate_pool():
    kept, counters = select(
        table({}, {"type": "EXP", "flux_r": 90.0, "shape_r": 5.0}),
        Selection(separate_types=("EXP",)),
        None,
    )
    assert kept["pool"].tolist() == ["N1", "EXP"] and counters["EXP"] == 1
    assert kept["confuser_category"].tolist() == ["", ""]


def test_options_are_off_by_default_and_need_their_column():
    assert counted({"ebv": 5.0})["kept"] == 1
    assert counted({"ebv": 0.3}, {"ebv": 0.1}, ebv_max=0.3)["ebv"] == 1
    with pytest.raises(InputError, match="needs EBV"):
        counted({}, ebv_max=0.3)
    assert counted({"ra": 266.4, "dec": -17.0}, abs_b_min=20.0)["galactic_latitude"] == 1


def test_missing_columns_are_named():
    columns = {k: v for k, v in table({}).items() if k not in ("maskbits", "nobs_r", "galaxy_id")}
    with pytest.raises(
        InputError,
        match=r"sweep.fits: the negative pool needs BRICKNAME, OBJID, MASKBITS, NOBS_R, which",
    ):
        select(columns, Selection(), None, "sweep.fits")


def test_a_cut_on_mask_bits_that_was_asked_for_needs_their_column():
    """Also of a survey that has no bits of its own."""
    survey = replace(default(), catalogue=replace(default().catalogue, mask_bits={}))
    columns = {k: v for k, v in table({}).items() if k != "maskbits"}
    assert select(columns, Selection(), None, "c.fits", survey)[1]["kept"] == 1
    with pytest.raises(InputError, match="the negative pool needs MASKBITS, which"):
        select(columns, Selection(maskbits=(1,)), None, "c.fits", survey)


@pytest.mark.parametrize(
    ("row", "category"),
    [
        ({"type": "DEV", "flux_r": 5.0}, "ring_proxy"),
        ({"type": "DEV", "flux_r": 4.99}, ""),
        ({"sersic": 4.0, "flux_r": 5.0}, "ring_proxy"),
        ({"sersic": 3.99}, ""),
        ({"type": "REX", "sersic": 6.0}, ""),
        ({"shape_e1": 0.3, "shape_e2": 0.4, "shape_r": 0.6}, "edge_on_proxy"),
        ({"shape_e1": 0.3, "shape_e2": 0.4, "shape_r": 0.59}, ""),
        ({"shape_e1": 0.3, "shape_e2": 0.39, "shape_r": 0.6}, ""),
        ({"flux_g": 14.0}, "blue_clumpy"),
        ({"flux_g": 13.8}, ""),
        ({"flux_g": 6.3, "flux_r": 6.3}, ""),  # r = 20.502
        ({"flux_g": -1.0}, ""),
        ({"shape_r": 2.0, "flux_r": 3.0, "flux_g": 0.1}, "large_galaxy"),
        ({"shape_r": 1.99}, ""),
        ({"type": "DEV", "shape_e1": 0.9, "flux_g": 20.0, "shape_r": 3.0}, "ring_proxy"),
        ({"shape_e1": 0.9, "flux_g": 20.0, "shape_r": 3.0}, "edge_on_proxy"),
        ({"flux_g": 20.0, "shape_r": 3.0}, "blue_clumpy"),
    ],
)
def test_confuser_rules_first_that_holds(row, category):
    kept, _ = select(table(row), Selection(), None)
    assert kept["confuser_category"].tolist() == [category]
    assert kept["pool"].tolist() == ["N2" if category else "N1"]


@pytest.mark.parametrize(
    ("distance", "flux", "kind", "found"),
    [
        (3.01, 20.0, "PSF", 1),
        (5.99, 10.0, "REX", 2),
        (2.99, 20.0, "REX", 0),
        (6.01, 20.0, "REX", 0),
        (4.0, 9.9, "REX", 0),
    ],
)
def test_merger_neighbour_is_comparable_and_at_three_to_six_arcsec(distance, flux, kind, found):
    columns = table(
        {"ra": 150.0, "flux_g": 1.0},
        {
            "ra": 150.0,
            "dec": 2.0 + distance / 3600,
            "flux_r": flux,
            "flux_g": 1.0,
            "type": kind,
            "sersic": 1.0,
        },
    )
    assert select(columns, Selection(), None)[1]["merger_neighbour"] == found
    assert select(columns, Selection(merger=False), None)[1]["merger_neighbour"] == 0


def test_bins():
    assert nobs_bin(np.array([0, 1, 2, 3, 5, 6, 10, 11, 99])).tolist() == [
        "other",
        "1-2",
        "1-2",
        "3-5",
        "3-5",
        "6-10",
        "6-10",
        "11+",
        "11+",
    ]
    assert type_bin(np.array(["SER", "DEV", "REX", "EXP", "PSF"])).tolist() == [
        "SER",
        "DEV",
        "REX",
        "other",
        "other",
    ]
    assert np.isnan(magnitude(np.array([0.0, -1.0, np.nan]))).all() and magnitude(
        np.array([1.0, 100.0])
    ).tolist() == [22.5, 17.5]


def test_galactic_latitude_agrees_with_astropy():
    from astropy.coordinates import SkyCoord

    rng = np.random.default_rng(1)
    ra, dec = rng.uniform(0, 360, 200), rng.uniform(-90, 90, 200)
    np.testing.assert_allclose(
        galactic_latitude(ra, dec), SkyCoord(ra, dec, unit="deg").galactic.b.deg, atol=2e-5
    )


@settings(max_examples=30, deadline=None)
@given(st.permutations(list(range(6))))
def test_selection_does_not_depend_on_the_order_of_rows(order):
    rows = [{}, {"type": "DEV"}, {"dec": 50.0}, {"flux_z": 1.0}, {"shape_r": 3.0}, {"nobs_g": 1}]
    columns = table(*rows)
    shuffled = {k: v[list(order)] for k, v in columns.items()}
    a, counted_a = select(columns, Selection(), None)
    b, counted_b = select(shuffled, Selection(), None)
    assert counted_a == counted_b
    assert dict(zip(a["galaxy_id"], a["confuser_category"])) == dict(
        zip(b["galaxy_id"], b["confuser_category"])
    )
