"""Maps of the sky against the means of the galaxies themselves, and positions off the map."""

import healsparse
import numpy as np
import pytest
from hpgeom import angle_to_pixel

from data import skymap
from data.files import sha256
from data.photometry import depth_m5
from data.survey import default, load
from lensjax.errors import InputError

NSIDE = 64


def catalogue(n: int = 4000, seed: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    table = {"ra": rng.uniform(355, 365, n) % 360, "dec": rng.uniform(-4, 4, n)}
    table |= {f"psfsize_{b}": rng.uniform(1.0, 1.6, n) for b in "grz"}
    table |= {f"psfdepth_{b}": rng.uniform(100, 2000, n) for b in "grz"}
    table["ebv"] = rng.uniform(0, 0.2, n)
    table["psfsize_r"][::7] = np.nan
    table["psfdepth_r"][::5] = 0.0
    return table


@pytest.fixture(scope="module")
def table():
    return catalogue()


@pytest.fixture(scope="module")
def folder(table, tmp_path_factory):
    folder = tmp_path_factory.mktemp("maps")
    thirds = [{k: v[i::3] for k, v in table.items()} for i in range(3)]
    parts = [skymap.sums(part, default(), NSIDE) for part in thirds]
    skymap.write(folder, parts, default(), NSIDE)
    return folder


def test_a_pixel_is_the_mean_of_its_known_galaxies(table, folder):
    maps = skymap.SkyMaps.load(folder)
    pixel = angle_to_pixel(NSIDE, table["ra"], table["dec"])
    wanted = {
        "psf_fwhm": table["psfsize_r"],
        "depth_m5": depth_m5(np.where(table["psfdepth_r"] > 0, table["psfdepth_r"], np.nan)),
        "psf_fwhm_z": table["psfsize_z"],
        "ebv": table["ebv"],
    }
    for name, values in wanted.items():
        found = maps[name].at(table["ra"], table["dec"])
        for one in np.unique(pixel)[::5]:
            mean = np.nanmean(values[pixel == one])
            np.testing.assert_allclose(found[pixel == one], mean, rtol=1e-6)
    number = maps["galaxies"].at(table["ra"], table["dec"])
    np.testing.assert_array_equal(number, np.bincount(pixel)[pixel])


def test_off_the_footprint_nothing_is_said(folder):
    maps = skymap.SkyMaps.load(folder)
    for name in maps:
        assert np.isnan(maps[name].at([10.0, 180.0], [0.0, 89.0])).all()
    grid = maps["psf_fwhm"].at(np.array([[0.0], [1.0]]), np.array([0.0, 1.0, 50.0]))
    assert grid.shape == (2, 3) and np.isnan(grid).tolist() == [[False, False, True]] * 2


def test_files_say_what_they_are_and_are_the_same_again(table, folder, tmp_path):
    skymap.write(tmp_path, [skymap.sums(table, default(), NSIDE)], default(), NSIDE)
    names = sorted(p.name for p in folder.glob("*"))
    assert names == sorted(p.name for p in tmp_path.glob("*")) and "psf_fwhm_r.hsp" in names
    assert sha256(tmp_path / "galaxies.hsp") == sha256(folder / "galaxies.hsp")
    read = healsparse.HealSparseMap.read(str(folder / "depth_m5_r.hsp"))
    assert read.nside_sparse == NSIDE and read.metadata["UNIT"] == "mag"
    assert read.metadata["AXIS"] == "depth_m5" and read.metadata["SURVEY"] == "ls_dr10"
    other = skymap.SkyMaps.load({"seeing": folder / "psf_fwhm_g.hsp"})
    assert list(other) == ["seeing"] and np.isfinite(other["seeing"].at(0.5, 0.5))


def test_what_a_catalogue_does_not_have_gets_no_map(tmp_path):
    survey = load("lsst")
    few = {"ra": np.array([1.0, 1.1]), "dec": np.array([2.0, 2.0]), "psfsize_i": [0.7, 0.8]}
    skymap.write(tmp_path, [skymap.sums(few, survey, 32)], survey, 32)
    assert [p.name for p in sorted(tmp_path.glob("*"))] == [
        "footprint.moc.fits",
        "galaxies.hsp",
        "psf_fwhm_i.hsp",
    ]
    assert skymap.SkyMaps.load(tmp_path)["psf_fwhm"].at(1.05, 2.0) == pytest.approx(0.75)


@pytest.mark.parametrize(
    "ra, dec, words",
    [
        (np.nan, 0.0, "not finite"),
        ([1.0, 2.0], [0.0, 91.0], "dec is 91"),
        ([1, 2], [1, 2, 3], "ra and dec: shape mismatch"),
        ("x", 1.0, "ra and dec"),
    ],
)
def test_what_is_no_position_is_refused(folder, ra, dec, words):
    with pytest.raises(InputError, match=words):
        skymap.SkyMaps.load(folder)["psf_fwhm"].at(ra, dec)


def test_folders_and_files_without_maps_are_refused(tmp_path):
    with pytest.raises(InputError, match="no maps of the sky"):
        skymap.SkyMaps.load(tmp_path)
    with pytest.raises(InputError, match="no such map"):
        skymap.SkyMaps.load({"psf_fwhm": tmp_path / "x.hsp"})
    (tmp_path / "x.hsp").write_text("<html>")
    with pytest.raises(InputError, match="x.hsp: cannot be read as a healsparse map"):
        skymap.SkyMaps.load({"psf_fwhm": tmp_path / "x.hsp"})["psf_fwhm"].at(0, 0)
