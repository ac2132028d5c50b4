"""Positions by every form of header that the FITS standard has, against the same sky."""

import warnings

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS

from data import wcs
from lensjax.errors import InputError

SCALE = 0.262 / 3600
BASE = {
    "CTYPE1": "RA---TAN",
    "CTYPE2": "DEC--TAN",
    "CRVAL1": 150.0,
    "CRVAL2": 2.0,
    "CRPIX1": 200.5,
    "CRPIX2": 200.5,
}
A = np.radians(30.0)
TURNED = SCALE * np.array([[-np.cos(A), np.sin(A)], [np.sin(A), np.cos(A)]])


def matrix(key: str, values: np.ndarray) -> dict[str, float]:
    return {f"{key}{i + 1}_{j + 1}": float(values[i, j]) for i in (0, 1) for j in (0, 1)}


CD = matrix("CD", np.diag([-SCALE, SCALE]))
CDELT = {"CDELT1": -SCALE, "CDELT2": SCALE}
UPRIGHT = {
    "CD": CD,
    "CDELT": CDELT,
    "PC and CDELT": CDELT | matrix("PC", np.eye(2)),
    "PC, CDELT 1": {"CDELT1": 1.0, "CDELT2": 1.0} | matrix("PC", np.diag([-SCALE, SCALE])),
    "PC alone": matrix("PC", np.diag([-SCALE, SCALE])),
    "CROTA2 of 0": CDELT | {"CROTA2": 0.0},
    "LONPOLE of 180": CD | {"LONPOLE": 180.0, "LATPOLE": 2.0},
    "arcsec": {k: v * 3600 for k, v in CDELT.items()}
    | {"CUNIT1": "arcsec", "CUNIT2": "arcsec"}
    | {"CRVAL1": 150.0 * 3600, "CRVAL2": 2.0 * 3600},
    "ICRS": CD | {"RADESYS": "ICRS", "EQUINOX": 2000.0},
    "EQUINOX": CD | {"EQUINOX": 2000.0},
}


@pytest.mark.parametrize("name", UPRIGHT)
def test_every_form_of_the_same_wcs_gives_the_same_places(name):
    header = BASE | UPRIGHT[name]
    # 50 pixels to the east and 30 to the north of the reference pixel, on a flat sky.
    east, north = 50 * SCALE / np.cos(np.radians(2.0)), 30 * SCALE
    x, y = wcs.pixel_positions(header, [150.0 + east], [2.0 + north])
    assert (x[0], y[0]) == (pytest.approx(199.5 - 50, abs=2e-2), pytest.approx(229.5, abs=2e-2))
    assert wcs.pixel_scale(header) == pytest.approx(0.262, rel=1e-9)
    assert wcs.orientation(header) == "" and wcs.same(BASE | CD, header, (400, 400))
    ra, dec = wcs.sky_positions(header, x, y)
    assert (ra[0], dec[0]) == (pytest.approx(150.0 + east), pytest.approx(2.0 + north))


@pytest.mark.parametrize(
    ("cards", "said"),
    [
        (CDELT | {"CROTA2": 30.0}, "north 30.0 degrees"),
        (matrix("CD", TURNED), "north -30.0 degrees"),
        (CDELT | matrix("PC", np.array([[1, 0], [0, 1.0]])) | {"LONPOLE": 170.0}, "degrees"),
        (matrix("CD", np.diag([SCALE, SCALE])), "mirrored"),
        (matrix("CD", SCALE * np.array([[0, 1], [1, 0.0]])), "north -90.0 degrees"),
    ],
)
def test_turned_and_mirrored_images_are_placed_and_say_so(cards, said):
    header = BASE | cards
    assert said in wcs.orientation(header)
    assert wcs.pixel_scale(header) == pytest.approx(0.262, rel=1e-6)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        truth = WCS(fits.Header(header))
    ra, dec = truth.all_pix2world(290.0, 120.0, 0)
    x, y = wcs.pixel_positions(header, [ra], [dec])
    assert (x[0], y[0]) == (pytest.approx(290, abs=1e-6), pytest.approx(120, abs=1e-6))
    assert not wcs.same(BASE | CD, header, (400, 400))


def test_declination_on_the_first_axis_is_understood():
    header = BASE | {"CTYPE1": "DEC--TAN", "CTYPE2": "RA---TAN", "CRVAL1": 2.0, "CRVAL2": 150.0}
    header |= {"CDELT1": SCALE, "CDELT2": SCALE}
    x, y = wcs.pixel_positions(header, [150.0], [2.0 + 30 * SCALE])
    assert (x[0], y[0]) == (pytest.approx(229.5), pytest.approx(199.5))
    assert wcs.pixel_scale(header) == pytest.approx(0.262, rel=1e-6)


def test_distortions_are_used_and_told():
    """A SIP term of 1e-5 per pixel^2 along x moves a point 100 pixels away by 0.1 pixel."""
    sip = BASE | CD | {"CTYPE1": "RA---TAN-SIP", "CTYPE2": "DEC--TAN-SIP"}
    sip |= {"A_ORDER": 2, "B_ORDER": 2, "A_2_0": 1e-5, "B_0_2": 0.0}
    ra, dec = wcs.sky_positions(BASE | CD, [199.5 + 100.1], [199.5])
    x, y = wcs.pixel_positions(sip, ra, dec)
    assert (x[0], y[0]) == (pytest.approx(299.5, abs=1e-3), pytest.approx(199.5, abs=1e-3))
    assert "distorted" in wcs.orientation(sip) and not wcs.same(BASE | CD, sip, (400, 400))
    # TPV with a linear term of 1.01 has pixels larger by 1 %.
    tpv = BASE | CD | {"CTYPE1": "RA---TPV", "CTYPE2": "DEC--TPV", "PV1_1": 1.01, "PV2_1": 1.01}
    assert wcs.pixel_scale(tpv) == pytest.approx(0.262 * 1.01, rel=1e-4)
    assert "distorted" in wcs.orientation(tpv)
    x, y = wcs.pixel_positions(tpv, *wcs.sky_positions(tpv, [290.0], [120.0]))
    assert (x[0], y[0]) == (pytest.approx(290, abs=1e-3), pytest.approx(120, abs=1e-3))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({}, "pixels have no size"),
        ({"CDELT1": SCALE}, "pixels have no size"),
        ({**CD, "CRVAL1": None}, "no CRVAL1"),
        ({**CD, "CRPIX2": None}, "no CRPIX2"),
        ({**CD, "CTYPE1": "GLON-TAN", "CTYPE2": "GLAT-TAN"}, "not right ascension"),
        ({**CD, "CTYPE2": "RA---TAN"}, "cannot be used|not right ascension"),
        ({**CD, "CTYPE1": "RA---TNX", "CTYPE2": "DEC--TNX"}, "distortion of IRAF"),
        ({**CD, "RADESYS": "FK4", "EQUINOX": 1950.0}, "expected ICRS or J2000"),
        ({**CD, "EQUINOX": 1950.0}, "expected ICRS or J2000"),
        ({"CDELT1": 0.0, "CDELT2": SCALE}, "singular|cannot be used"),
        (matrix("CD", np.full((2, 2), SCALE)), "singular|cannot be used"),
    ],
)
def test_headers_without_a_usable_wcs_are_refused_in_one_line(change, said):
    header = {k: v for k, v in (BASE | change).items() if v is not None}
    with pytest.raises(InputError, match=rf"^a\.fits: .*({said})") as error:
        wcs.wcs(header, "a.fits")
    assert "\n" not in str(error.value)


def test_pixels_that_are_not_square_are_refused():
    for cards in (
        {"CDELT1": -SCALE, "CDELT2": 1.1 * SCALE},
        matrix("CD", SCALE * np.array([[-1, 0.5], [0, 0.866]])),
    ):
        with pytest.raises(InputError, match="are not square"):
            wcs.pixel_scale(BASE | cards)
    assert np.isnan(wcs.pixel_scale(BASE))
    assert wcs.pixel_scale({"CD1_1": -SCALE, "CD2_2": SCALE}) == pytest.approx(0.262)
