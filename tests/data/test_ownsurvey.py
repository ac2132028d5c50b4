"""Definitions from little knowledge, and what files say of themselves."""

import numpy as np
import pytest
from astropy.io import fits

from data.filefacts import facts
from data.ownsurvey import extinction, own_survey, with_bands
from data.survey import load, names, write
from lensjax.errors import InputError


@pytest.mark.parametrize("name", names())
def test_extinction_is_near_that_of_shipped_surveys(name):
    survey = load(name)
    own = [extinction(wave) for wave in survey.wavelength]
    np.testing.assert_allclose(own, survey.extinction, rtol=0.12)


def test_extinction_in_the_infrared_is_that_of_schlafly_and_finkbeiner():
    """Their table 6 at R_V = 3.1: 2MASS J, H and Ks."""
    own = [extinction(wave) for wave in (1235.0, 1662.0, 2159.0)]
    np.testing.assert_allclose(own, [0.723, 0.460, 0.310], rtol=0.12)


def test_a_definition_is_made_of_bands_scale_and_zero_point(tmp_path):
    made = own_survey(("i", "r", "g"), 0.2, 27.0, 64)
    write(tmp_path / "s.yaml", made)
    assert load(tmp_path / "s.yaml") == made
    assert (made.reference, made.stamp, made.zero_point) == ("r", 64, 27.0)
    assert made.fwhm_ratio[1] == 1 and made.fwhm_ratio[0] < 1 < made.fwhm_ratio[2]
    assert made.rgb.bands == ("i", "r", "g")
    assert own_survey(("g", "z"), 0.2, 27.0, 64).reference == "z"
    assert own_survey(("VIS",), 0.1, 23.9, 150).wavelength == load("euclid_vis").wavelength
    far = own_survey(("F115W", "F150W"), 0.03, 28.9, 200, wavelengths=(1150.0, 1500.0))
    assert far.radii.central < load("euclid_vis").radii.central and far.extinction[1] < 0.6
    for words, said in (
        ((("F115W",), 0.03, 28.9, 200), "that of band F115W is not known"),
        ((("g", "g"), 0.03, 28.9, 200), "each once"),
    ):
        with pytest.raises((InputError, ValueError), match=said):
            own_survey(*words)
    with pytest.raises(InputError, match="1 values for 2 bands"):
        own_survey(("g", "r"), 0.2, 27.0, 64, wavelengths=(480.0,))
    with pytest.raises(InputError, match="'z' is none of the bands g, r"):
        own_survey(("g", "r"), 0.2, 27.0, 64, reference="z")


def test_some_bands_of_a_survey_keep_what_is_theirs():
    lsst = load("lsst")
    some = with_bands(lsst, ("r", "g"))
    assert some.bands == ("r", "g") and some.reference == "g" and some.rgb.bands == ("r", "g", "g")
    assert some.wavelength == (lsst.wavelength[2], lsst.wavelength[1]) and some.colour == ("g", "r")
    assert some.fwhm_ratio[1] == 1 and with_bands(lsst, lsst.bands) == lsst
    with pytest.raises(InputError, match="lsst has no band 'k'"):
        with_bands(lsst, ("g", "k"))


def test_files_say_what_they_say_and_no_more(tmp_path):
    image = np.ones((40, 40, 3), "f4")
    np.savez(tmp_path / "plain.npz", image=image)
    np.savez(tmp_path / "named.npz", g=image[..., 0], r=image[..., 1])
    np.savez(tmp_path / "two.npz", image=image, weight=image)
    cards = fits.Header({"CDELT1": -0.2 / 3600, "CDELT2": 0.2 / 3600, "MAGZERO": 27.0})
    cards["FILTER"] = "HSC-I2"
    fits.PrimaryHDU(image[..., 0], cards).writeto(tmp_path / "one.fits")
    plain = facts([tmp_path / "plain.npz"])
    assert (plain.side, plain.channels, plain.bands) == (40, 3, ())
    assert np.isnan(plain.pixel_scale) and np.isnan(plain.zero_point)
    assert facts([tmp_path / "named.npz"]).bands == ("g", "r")
    assert facts([tmp_path / "two.npz"]).arrays == ("image", "weight")
    np.savez(tmp_path / "plane.npz", image=image[..., 0], weight=image[..., 0])
    assert facts([tmp_path / "plane.npz"]).arrays == ("image", "weight")
    assert facts([tmp_path / "plane.npz"], bands=("image", "weight")).channels == 2
    assert facts([tmp_path / "two.npz"], "image").channels == 3
    one = facts([tmp_path / "one.fits"])
    assert (one.side, one.channels, one.bands, one.zero_point) == (40, 1, ("i",), 27.0)
    assert one.pixel_scale == pytest.approx(0.2)
    pair = facts([tmp_path / "one.fits"] * 2, bands=("g", "i"))
    assert pair.bands == ("g", "i") and pair.channels == 2
    with pytest.raises(InputError, match="no array 'picture'"):
        facts([tmp_path / "two.npz"], "picture")
