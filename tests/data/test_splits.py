"""Splits follow the sky, are the same everywhere, and a leak is refused by name."""

import hashlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data import splits
from lensjax.errors import InputError


def test_healpix_is_nested_nside_128():
    healpy = pytest.importorskip("healpy")
    rng = np.random.default_rng(0)
    cells = rng.integers(0, 12 * 128**2, 200)
    ra, dec = healpy.pix2ang(128, cells, nest=True, lonlat=True)
    assert (splits.healpix_128(ra, dec) == cells).all()
    assert splits.healpix_128(ra, dec).dtype == np.int64
    assert (splits.healpix_128(ra + 360.0, dec) == cells).all()


def test_split_is_the_documented_hash_rule():
    cells = np.arange(5000)
    expected = []
    for cell in cells:
        u = int(hashlib.sha256(f"{cell}_42".encode()).hexdigest()[:8], 16) / 2**32
        expected.append("train" if u < 0.70 else "val" if u < 0.85 else "test")
    got = splits.split(cells)
    assert got.tolist() == expected
    fractions = [np.mean(got == name) for name in splits.NAMES]
    np.testing.assert_allclose(fractions, [0.70, 0.15, 0.15], atol=0.02)
    merged = splits.split(cells, scheme="70/30")
    assert (merged == np.where(got == "test", "val", got)).all()
    assert (splits.split(cells, seed=43) != got).any()


@given(st.lists(st.integers(0, 196607), max_size=30))
def test_split_of_a_cell_does_not_depend_on_its_company(cells):
    alone = [str(splits.split(np.array([c]))[0]) for c in cells]
    assert splits.split(np.array(cells, np.int64)).tolist() == alone


def test_order_key_is_the_first_eight_bytes():
    key = splits.order_key(["0001m002_17", "x"], seed=7)
    assert key.dtype == np.uint64
    assert int(key[0]) == int(hashlib.sha256(b"0001m002_17_7").hexdigest()[:16], 16)
    assert splits.order_key([]).shape == (0,)


def manifest(n=1000):
    cells = np.arange(n) // 2
    ids = np.array([f"b_{i}" for i in range(n)])
    return {
        "galaxy_id": ids,
        "cutout_path": ids,
        "healpix_128": cells,
        "split": splits.split(cells),
        "label": (np.arange(n) % 11 == 0).astype(int),
    }


def test_verify_counts():
    figures = splits.verify(manifest(20_000))
    assert figures["rows"] == 20_000 and figures["cells"] == 10_000 and figures["fractions_ok"]
    assert sum(figures["counts"].values()) == 20_000


@pytest.mark.parametrize(
    ("column", "value"), [("galaxy_id", "b_0"), ("cutout_path", "b_0"), ("healpix_128", 0)]
)
def test_verify_refuses_a_leak_by_name(column, value):
    table = manifest()
    table[column] = table[column].copy()
    other = int(np.flatnonzero(table["split"] != table["split"][0])[0])
    table[column][other] = value
    with pytest.raises(InputError, match=f"{column} {value} is in splits"):
        splits.verify(table)


def test_verify_refuses_an_object_with_two_labels_and_an_unknown_split():
    table = manifest()
    table["galaxy_id"] = table["galaxy_id"].copy()
    table["galaxy_id"][1] = "b_0"
    with pytest.raises(InputError, match="b_0 has labels"):
        splits.verify(table)
    with pytest.raises(InputError, match="'holdout'"):
        splits.verify(manifest() | {"split": np.full(1000, "holdout")})


@pytest.mark.parametrize("position", [(np.nan, 0.0), (10.0, 91.0), (np.inf, 1.0)])
def test_not_a_position_is_refused(position):
    with pytest.raises(InputError, match="row 1"):
        splits.healpix_128(np.array([1.0, position[0]]), np.array([1.0, position[1]]))
