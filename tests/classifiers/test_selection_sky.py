"""Queries by position: PSF and depth come from the maps of the run."""

import numpy as np
import pytest
import selection_worlds as worlds

from classifiers.selection import SelectionFunction, tablefile
from data import skymap
from data.survey import default
from lensjax.errors import InputError


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run directory with a table and maps of two degrees: the seeing is worse in the east."""
    out = tmp_path_factory.mktemp("sky") / "run"
    rows = worlds.injections(worlds.smooth, np.random.default_rng(0))
    tablefile.write(worlds.table(rows), {}, out / "audit" / "completeness.parquet")
    ra, dec = (v.ravel() for v in np.meshgrid(np.linspace(9, 11, 60), np.linspace(-1, 1, 60)))
    east = ra > 10
    conditions = {"psfsize_r": np.where(east, 1.4, 1.0), "psfdepth_r": np.full(len(ra), 500.0)}
    part = skymap.sums({"ra": ra, "dec": dec, **conditions}, default(), 128)
    skymap.write(out / "maps", [part], default(), 128)
    return out


def test_a_position_has_the_completeness_of_its_conditions(run):
    ask = SelectionFunction.load(run)
    depth = float(ask.maps["depth_m5"].at(9.2, 0.0))
    found = ask.query(ra=[9.2, 10.8, 30.0], dec=0.0, theta_e=1.5, source_mag=23.5)
    wanted = ask.query(psf=[1.0, 1.4], depth=depth, theta_e=1.5, source_mag=23.5)
    np.testing.assert_allclose(found.value[:2], wanted.value, rtol=1e-5)
    assert found.flag[:2].tolist() == wanted.flag.tolist() and found.value[0] > found.value[1]
    assert found.flag[2] == "outside" and np.isnan(found.value[2])
    assert (found.lower[2], found.upper[2]) == (0.0, 1.0)


def test_what_is_said_goes_before_the_map_and_shapes_broadcast(run):
    ask = SelectionFunction.load(run)
    found = ask.query(ra=10.8, dec=[0.0, 50.0], psf=1.0, theta_e=np.array([[1.0], [2.0], [9.0]]))
    assert found.flag.shape == (3, 2) and (found.flag[:, 1] == "outside").all()
    plain = ask.query(psf=1.0, depth=ask.maps["depth_m5"].at(10.8, 0.0), theta_e=[1.0, 2.0])
    np.testing.assert_array_equal(found.value[:2, 0], plain.value)


def test_maps_of_others_stand_in(run, tmp_path):
    path = run / "audit" / "completeness.parquet"
    files = {
        "psf_fwhm": run / "maps" / "psf_fwhm_r.hsp",
        "depth_m5": run / "maps" / "depth_m5_r.hsp",
    }
    asked = [SelectionFunction.load(path), SelectionFunction.load(path, maps=files)]
    answers = [a.query(ra=9.3, dec=0.2, theta_e=1.2).value for a in asked]
    assert answers[0] == answers[1]
    swapped = SelectionFunction.load(path, maps=dict(zip(files, reversed(files.values()))))
    with pytest.raises(InputError, match="in mag, and axis psf_fwhm in arcsec"):
        swapped.query(ra=9.3, dec=0.2, theta_e=1.2)


@pytest.mark.parametrize(
    "values, words",
    [
        ({"ra": 10.0, "theta_e": 1.0}, "give both"),
        ({"ra": 10.0, "dec": 0.0}, "no value for theta_e"),
        ({"ra": 10.0, "dec": 95.0, "theta_e": 1.0}, "dec is 95"),
        ({"ra": 10.0, "dec": 0.0, "theta_e": 1.0, "psf": 1.0, "depth": 23.5}, "no map of an axis"),
        ({"ra": [10.0, 1.0], "dec": 0.0, "theta_e": [1.0, 2.0, 3.0]}, "do not broadcast"),
    ],
)
def test_a_position_that_cannot_be_used_is_one_line(run, values, words):
    with pytest.raises(InputError, match=words):
        SelectionFunction.load(run).query(**values)


def test_without_maps_a_position_is_refused(run, tmp_path):
    (tmp_path / "c.parquet").write_bytes((run / "audit" / "completeness.parquet").read_bytes())
    with pytest.raises(InputError, match=r"no maps of the sky.*load\(\.\.\., maps=\.\.\.\)"):
        SelectionFunction.load(tmp_path / "c.parquet").query(ra=1.0, dec=0.0, theta_e=1.0)
