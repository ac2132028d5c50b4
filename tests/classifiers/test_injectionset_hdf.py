"""Injection sets in HDF5: what is written is read, by others too, and bad files are refused."""

import json

import h5py
import numpy as np
import pandas as pd
import pytest

import lensjax as lj
from classifiers.audit.injectionset import InjectionSet

ABOUT = {
    "total_generated": 5,
    "density_over": ["theta_e", "r_mag"],
    "proposal": {"theta_e": {"uniform": [0.5, 3]}, "r_mag": {"uniform": [23, 26]}},
    "finders": {"own": {"sha256": "ab"}, "other": {}},
    "thresholds": {"p > 0.5": 0.5},
}


def made(rows=3):
    table = pd.DataFrame(
        {
            "injection_id": ["a", "b", "ü"],
            "galaxy_id": pd.Series([1, 2, 2**62], dtype=np.int64),
            "theta_e": [1.0, 1 / 3, 2.0],
            "r_mag": [24.0, 25.0, 25.5],
            "ln_p_draw": np.full(3, -np.log(7.5)),
            "score": np.array([0.2, np.nan, 0.9], np.float32),
            "saturated": [True, False, True],
        }
    )
    return InjectionSet(table[:rows], ABOUT)


@pytest.fixture
def path(tmp_path):
    made().save(tmp_path / "injections.h5")
    return tmp_path / "injections.h5"


@pytest.mark.parametrize("rows", [3, 0])
@pytest.mark.parametrize("ending", [".h5", ".hdf5", ".hdf"])
def test_what_is_written_is_read(tmp_path, ending, rows):
    made(rows).save(tmp_path / f"x{ending}")
    found = InjectionSet.load(str(tmp_path / f"x{ending}"))
    pd.testing.assert_frame_equal(found.table, made(rows).table, check_exact=True)
    assert found.about == ABOUT and found.total == 5


def test_it_is_laid_out_as_the_released_sensitivity_sets_are(path):
    """Read as their readers do, without this package."""
    with h5py.File(path) as file:
        assert file.attrs["total_generated"] == 5
        assert list(file.attrs["searches"]) == ["own", "other"]
        events = file["events"][()]
        assert list(file.attrs["density_over"]) == ["theta_e", "r_mag"]
    np.testing.assert_array_equal(events["lnpdraw_theta_e_r_mag"], -np.log(7.5))
    np.testing.assert_array_equal(events["theta_e"], [1.0, 1 / 3, 2.0])
    assert "ln_p_draw" not in events.dtype.names


def test_equal_sets_are_equal_bytes(path, tmp_path):
    made().save(tmp_path / "again.h5")
    assert (tmp_path / "again.h5").read_bytes() == path.read_bytes()


def test_a_column_that_hdf5_cannot_hold_is_refused_and_nothing_is_left(tmp_path):
    table = made().table.assign(flags=[["x"], [], None])
    with pytest.raises(lj.InputError, match="column 'flags' is neither numbers, truth values"):
        InjectionSet(table, ABOUT).save(tmp_path / "x.h5")
    assert list(tmp_path.iterdir()) == []


def replaced(file, name, **what):
    del file[name]
    return file.create_dataset(name, **what)


def other_total(file):
    file.attrs["total_generated"] = 4


def no_events(file):
    del file["events"]


def no_records(file):
    replaced(file, "events", data=np.zeros((3, 2)))


def matrices(file):
    replaced(file, "events", data=np.zeros(3, [("theta_e", "f8", (2,))]))


def references(file):
    data = np.array([file["about"].ref], [("theta_e", h5py.ref_dtype)])
    replaced(file, "events", data=data)


def elsewhere(file):
    del file["events"]
    file["events"] = h5py.ExternalLink("/etc/passwd", "events")


def raw_elsewhere(file):
    del file["events"]
    kind = np.dtype([("theta_e", "f8")])
    file.create_dataset("events", (3,), kind, external=[("/etc/passwd", 0, 24)])


def soft(file):
    file["kept"] = file["events"]
    del file["events"]
    file["events"] = h5py.SoftLink("/kept")


def enormous(file):
    kind = np.dtype([("theta_e", "f8")])
    replaced(file, "events", shape=(2**45,), dtype=kind, chunks=(1024,))


def no_json(file):
    replaced(file, "about", data="{", dtype=h5py.string_dtype())


def a_list(file):
    replaced(file, "about", data="[1]", dtype=h5py.string_dtype())


def fewer_draws(file):
    said = json.dumps({**ABOUT, "total_generated": 2})
    replaced(file, "about", data=said, dtype=h5py.string_dtype())
    file.attrs["total_generated"] = 2


@pytest.mark.parametrize(
    "harm, message",
    [
        (other_total, "total_generated is 4, and 5 in about"),
        (no_events, "events is missing or a link"),
        (no_records, "events is no list of records"),
        (matrices, "column theta_e is neither numbers nor text"),
        (references, "is no text"),
        (elsewhere, "events is missing or a link to somewhere else"),
        (raw_elsewhere, "events is no dataset of this file"),
        (soft, "events is missing or a link to somewhere else"),
        (enormous, "events claims 281474976710656 bytes, which the file cannot hold"),
        (no_json, "cannot be read as an injection set"),
        (a_list, "about is no mapping"),
        (fewer_draws, "3 rows, but only 2 draws"),
    ],
)
def test_hostile_files_are_refused_in_one_line(path, harm, message):
    with h5py.File(path, "r+") as file:
        harm(file)
    with pytest.raises(lj.InputError, match=message) as refusal:
        InjectionSet.load(path)
    assert str(path) in str(refusal.value) and "\n" not in str(refusal.value)


@pytest.mark.parametrize("keep", [0, 10, 1000, -1])
def test_damaged_files_are_refused(path, keep):
    whole = path.read_bytes()
    path.write_bytes(whole[:keep] if keep >= 0 else b"no HDF5" * 100)
    with pytest.raises(lj.InputError, match="cannot be read as an injection set"):
        InjectionSet.load(path)
