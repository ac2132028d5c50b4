"""Bricks and footprint of the simulated survey: the Legacy Surveys' names and numbers."""

import csv
from dataclasses import replace

import numpy as np
import pytest

from data.brickgrid import brick_containing, sweep_name
from data.simulate.bricks import TILES, corners, footprint, outside, quotas, wcs
from data.splits import healpix_128, split
from data.survey import Survey, load
from lensjax.errors import InputError

DR10: Survey = load("ls_dr10")


def test_a_brick_has_the_name_number_and_limits_of_a_real_coadd_header():
    brick = brick_containing(95.9, 80.45)
    assert (brick.name, brick.brickid) == ("0959p805", 657438)
    assert np.allclose(
        [brick.ra, brick.dec, brick.ra1, brick.ra2],
        [95.9504132231405, 80.5, 95.206611570248, 96.6942148760331],
    )
    assert (brick.dec1, brick.dec2) == (80.375, 80.625)


@pytest.mark.parametrize(
    ("ra", "dec", "name"),
    [
        (0.061098, -5.95079, "0001m060"),
        (0.261567, -37.324272, "0001m372"),
        (0.694317, 27.08937, "0006p270"),
        (359.855713, -3.049319, "3598m030"),
    ],
)
def test_real_objects_fall_into_their_bricks(ra, dec, name):
    assert brick_containing(ra, dec).name == name


def test_every_brick_and_sweep_file_exists_in_dr10(survey_data):
    with open(survey_data / "tractor/dr10_lrg/brick_lrg_counts.csv") as handle:
        real = {row["brickname"] for row in csv.DictReader(handle)}
    urls = (survey_data / "tractor/dr10_lrg/dr10_south_sweep_urls.txt").read_text()
    bricks = footprint(DR10, 48, 1200, np.random.default_rng(3))
    # The table lists bricks with luminous red galaxies, which are nearly all of them.
    assert sum(b.name in real for b in bricks) > 40
    names = {sweep_name(b.ra, b.dec) for b in (*bricks, *outside(DR10))}
    assert all(name in urls for name in names)
    assert all(sweep_name(ra + 1, dec + 1) in urls for ra, dec in TILES)


@pytest.mark.parametrize("seed", [0, 2026])
def test_bricks_have_a_cell_each_and_the_shares_of_the_splits(seed):
    bricks = footprint(DR10, 48, 1200, np.random.default_rng(seed))
    cells = [np.unique(healpix_128(*corners(DR10, b, 1200))) for b in bricks]
    assert all(len(c) == 1 for c in cells)
    cells = np.concatenate(cells)
    assert len(np.unique(cells)) == 48
    assert all(-18 < b.dec < 32 for b in bricks)
    names, counts = np.unique(split(cells), return_counts=True)
    assert (
        dict(zip(names.tolist(), counts.tolist()))
        == quotas(48)
        == {"train": 34, "val": 7, "test": 7}
    )


def test_too_many_bricks_and_bricks_larger_than_a_brick_are_refused():
    with pytest.raises(InputError, match="do not fit"):
        footprint(DR10, 300, 3600, np.random.default_rng(0))
    with pytest.raises(InputError, match="brick_pixels 4000"):
        footprint(DR10, 1, 4000, np.random.default_rng(0))


@pytest.mark.parametrize("limits", [(-8.0, 60.0), (-75.0, 15.0), (-90.0, 90.0), (40.0, 47.0)])
def test_bricks_keep_to_the_survey_s_declinations(limits):
    rng = np.random.default_rng(5)
    survey = replace(DR10, catalogue=replace(DR10.catalogue, dec=limits))
    assert all(limits[0] < b.dec < limits[1] for b in footprint(survey, 8, 400, rng))
    assert len(outside(survey)) == (0 if limits[1] == 90 else 2)
    assert not any(limits[0] < b.dec < limits[1] for b in outside(survey))


def test_world_coordinates_are_the_surveys():
    brick = brick_containing(150.1, 2.2)
    w = wcs(DR10, brick, 300)
    ra, dec = w.all_pix2world([149.5], [149.5], 0)
    assert np.allclose([ra[0], dec[0]], [brick.ra, brick.dec])
    east, _ = w.all_pix2world([148.5], [149.5], 0)
    assert (east[0] - brick.ra) * np.cos(np.radians(brick.dec)) * 3600 == pytest.approx(
        0.262, rel=1e-4
    )
    x, y = w.all_world2pix(*w.all_pix2world([3.0, 290.0], [7.5, 12.25], 0), 0)
    assert np.allclose([x, y], [[3.0, 290.0], [7.5, 12.25]], atol=1e-6)
