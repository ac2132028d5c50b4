"""Simulations of surveys other than the default: bands, depths, names and units are those of the
definition."""

from dataclasses import replace

import numpy as np
import pytest
from own_survey import DR10, OWN

from data import coadds
from data.brickgrid import brick_containing
from data.simulate import SimulateSettings, command, conditions, measured, mock, pixels, simulate
from data.simulate.bands import in_bands
from data.simulate.measured import dtype
from data.survey import load, names, write
from lensjax.errors import InputError

SMALL = SimulateSettings(seed=7, bricks=1, brick_pixels=240, galaxies=12, lenses=0)


def test_the_drawn_bands_are_the_default_survey_s_and_others_lie_between_them():
    drawn = np.array([[21.0, 20.0, 19.2], [99.0, 99.0, 99.0]])
    assert np.array_equal(in_bands(DR10, drawn), drawn)
    griz = in_bands(load("ls_dr10_griz"), drawn)
    assert np.array_equal(griz[:, [0, 1, 3]], drawn)
    share = np.log(780 / 640) / np.log(920 / 640)
    assert griz[0, 2] == pytest.approx(20.0 - 0.8 * share)
    u = in_bands(load("lsst"), drawn)[0, 0]
    assert u == pytest.approx(21.0 + np.log(480 / 367) / np.log(640 / 480))
    assert np.allclose(in_bands(load("lsst"), drawn)[1], 99.0)


def test_a_survey_of_one_s_own_is_written_as_it_is_defined(tmp_path, monkeypatch):
    """Names, bands, pixel scale, unit, extinction and depth of files: all are the definition's."""
    from astropy.io import fits

    write(tmp_path / "mine.yaml", OWN)
    root = tmp_path / "survey"
    monkeypatch.setattr(pixels, "sides", lambda survey: (65,))  # one compilation
    settings = replace(SMALL, survey=str(tmp_path / "mine.yaml"))
    simulate(root, settings)
    assert load(root / "definition.yaml") == OWN
    (folder,) = (root / "images").iterdir()
    brick = folder.name
    assert {p.name for p in folder.iterdir()} == {
        f"{band}-{brick}{kind}.fits.fz" for band in OWN.bands for kind in ("", "-ivar")
    }
    image, header = fits.getdata(folder / f"R1-{brick}.fits.fz", 1, header=True)
    assert (header["SURVEY"], header["FILTER"], header["MAGZERO"]) == (OWN.name, "R1", 25.0)
    assert header["BRICKNAM"] == brick and image.shape == (240, 240)
    assert header["CD2_2"] * 3600 == pytest.approx(0.3)
    ivar = fits.getdata(folder / f"R1-{brick}-ivar.fits.fz", 1)
    noise = 1.4826 * np.nanmedian(np.abs(np.diff(image))) / np.sqrt(2)
    assert noise * np.sqrt(np.median(ivar[ivar > 0])) == pytest.approx(1, abs=0.12)

    read = coadds.read_brick(root, brick, OWN)
    assert np.allclose(read.images[..., 1], image * 10 ** (-0.4 * 2.5), equal_nan=True, rtol=1e-5)
    rows = np.concatenate([fits.getdata(p, 1) for p in sorted((root / "sweep").iterdir())])
    assert {"f_B", "f_R1", "MORPH", "NOBS_R1"} < {*rows.dtype.names}
    assert np.allclose(-2.5 * np.log10(rows["MW_TRANSMISSION_B"]), 3.6 * rows["EBV"], atol=1e-4)
    text = {name: rows[name].astype(str) for name in ("BRICKNAME", "MORPH")}
    bright = rows[(text["BRICKNAME"] == brick) & (rows["f_R1"] > 18) & (text["MORPH"] != "PSF")]
    depth = 23.9 - 2.5 * np.log10(5 / np.sqrt(np.median(bright["PSFDEPTH_R1"])))
    assert len(bright) > 3 and 23.5 < depth < 26
    x, y = coadds.pixel_positions(read, bright["RA"], bright["DEC"])
    for px, py, flux in zip(x, y, bright["f_R1"] * 10 ** (-0.4 * 1.4)):
        stamp = coadds.slice_out(read.images, px, py, 25).image[..., 1]
        assert np.isnan(stamp).any() or stamp.sum() > 0.5 * flux


@pytest.mark.parametrize("name", [n for n in names() if n != "ls_dr10"])
def test_every_shipped_survey_has_sharp_objects_of_its_own_depth(name):
    """One brick without lenses, its galaxies left out of the image: stars, noise and columns."""
    survey = load(name)
    brick = brick_containing(150.1, 2.2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pixels, "draw_components", lambda *args: None)
        ratio = lambda survey, psfsize: np.full(len(psfsize), 0.5)
        patch.setattr(measured, "galaxy_depth_ratio", ratio)
        made = mock.mock_brick(survey, brick, round(survey.pixels(60)), 8, 0, 3)
    assert made.coadd.image.shape[-1] == len(survey.bands)
    assert made.rows.dtype == dtype(survey)
    assert [*survey.per_band("mag")] == [c for c in made.truth if c.startswith("mag_")]
    assert np.all(made.rows["maskbits"] == made.rows["maskbits"].astype(int) & _known(survey))
    usual = conditions.typical(survey)
    seen = made.rows[f"psfsize_{survey.reference}"]
    assert np.allclose(seen, usual.psfsize[survey.place], rtol=0.4)
    noise = np.nanstd(made.coadd.image[made.coadd.image < np.nanpercentile(made.coadd.image, 60)])
    assert 0.05 < noise / made.coadd.sigma.max() < 3


def _known(survey):
    return sum(1 << bit for bit in survey.catalogue.mask_bits.values())


def test_a_survey_that_is_not_defined_is_refused_before_anything_is_written(tmp_path):
    with pytest.raises(InputError, match="hst.*neither a file nor one of"):
        command(["--out", str(tmp_path), "--survey", "hst"])
    with pytest.raises(InputError, match="brick_pixels 165: smaller than a stamp"):
        stamps = replace(OWN, stamp=170)
        write(tmp_path / "mine.yaml", stamps)
        command(
            [
                "--out",
                str(tmp_path),
                "--survey",
                str(tmp_path / "mine.yaml"),
                "--brick-pixels",
                "165",
            ]
        )
    assert not (tmp_path / "survey").exists()


def test_a_definition_that_changes_makes_another_survey(tmp_path):
    path = tmp_path / "mine.yaml"
    write(path, OWN)
    settings = replace(SMALL, survey=str(path))
    before = command.step(settings, tmp_path).key()
    write(path, replace(OWN, title="another title"))
    assert command.step(settings, tmp_path).key() != before
