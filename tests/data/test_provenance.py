"""What headers say is compared with what files are taken for; the real headers pass."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
from astropy.io import fits
from test_coadds import NAME, brick_header, brick_pixels, write_brick

from data.coadds import image_path, read_brick, read_cube, read_image
from data.provenance import band_of, check, kind_problem, note, release
from data.survey import load
from lensjax.errors import InputError

LS, HSC, LSST = load("ls_dr10"), load("hsc"), load("lsst")


@pytest.mark.parametrize(
    ("text", "band"),
    [
        *(("g", "g"), ("zd DECam k1038", "z"), ("r DECam SDSS c0002 6415.0 1480.0", "r")),
        *(("HSC-I2", "i"), ("HSC-G", "g"), ("SDSS r", "r"), ("bokr", "r"), ("z_sim_1.4", "z")),
        *(("i.MP9702", "i"), ("Y", "y"), ("VIS", "vis"), ("F814W", "f814w"), ("g.00000", "g")),
        *(("", ""), ("open", ""), ("N964", ""), ("clear", "")),
    ],
)
def test_the_names_of_filters_in_use_are_understood(text, band):
    assert band_of(text, LS) == band
    assert band_of("VIS", load("euclid_vis")) == "vis" and band_of("HSC-Y", HSC) == "y"


@pytest.mark.parametrize(
    ("cards", "said"),
    [
        ({"FILTER": "z"}, "FILTER 'z' in its header, expected band g"),
        ({"BAND": "i"}, "BAND 'i' in its header, expected band g"),
        ({"IMTYPE": "invvar"}, "IMTYPE 'invvar' in its header: this is not an image of fluxes"),
        ({"PRODTYPE": "wtmap"}, "PRODTYPE 'wtmap'"),
        ({"IMTYPE": "nexp", "PRODTYPE": "expmap"}, "IMTYPE 'nexp'"),
        ({"EXTNAME": "MASK"}, "EXTNAME 'MASK'"),
        ({"BUNIT": "1/nanomaggy^2"}, r"BUNIT '1/nanomaggy\^2'"),
        ({"BUNIT": "nanomaggy-2"}, "BUNIT 'nanomaggy-2'"),
        ({"BUNIT": "nJy**2"}, "not an image of fluxes"),
        ({"BUNIT": "nJy"}, "BUNIT 'nJy' in its header means zero point 31.4, expected 22.5"),
        ({"BUNIT": "MJy/sr"}, "BUNIT 'MJy/sr' in its header is not a flux per pixel"),
        ({"BUNIT": "mag"}, "is not a flux per pixel"),
        ({"MAGZERO": 30.0}, "MAGZERO 30 in its header means zero point 30, expected 22.5"),
        ({"MAGZP": "30.0"}, "MAGZP 30"),
        ({"ZEROPNT": 25}, "ZEROPNT 25"),
        ({"PHOTZP": 27.0}, "PHOTZP 27"),
        ({"FLUXMAG0": 10 ** (0.4 * 27)}, "FLUXMAG0 .* means zero point 27"),
        ({"MAGZERO": 22.5, "PHOTZP": 30.0}, "PHOTZP 30"),
        ({"BRICKNAM": "1501p100"}, "BRICKNAM '1501p100' in its header, expected brick 1500p100"),
        ({"BRICK": "0001m002"}, "BRICK '0001m002'"),
    ],
)
def test_a_contradiction_is_refused_by_card(cards, said):
    with pytest.raises(InputError, match=rf"^a\.fits: .*{said}") as error:
        check(cards, "a.fits", LS, band="g", brick=NAME)
    assert "\n" not in str(error.value)


def test_silence_is_noted_and_agreement_is_not():
    silent = check({}, "a", LS, band="g", brick=NAME)
    assert silent == ("kind of image", "zero point", "band", "brick")
    assert note(silent, "mirrored") == f"not in the header: {', '.join(silent)}; mirrored"
    said = {"IMTYPE": "image", "FILTER": "g", "MAGZERO": 22.5, "BRICKNAM": NAME}
    assert check(said, "a", LS, band="g", brick=NAME) == () and note(()) == ""
    assert check({"BUNIT": "nanomaggy", "IMAGETYP": "object"}, "a", LS) == ()
    assert check({"BUNIT": "nJy", "IMTYPE": "image"}, "a", LSST) == ()
    assert check({"FLUXMAG0": 6.3095734448019e10, "IMTYPE": "image"}, "a", HSC) == ()
    # Counts say nothing of the zero point, and an unknown filter nothing of the band.
    vague = {"BUNIT": "electrons", "FILTER": "clear", "MAGZERO": "unknown", "BRICK": 657438}
    assert check(vague, "a", LS, band="g", brick=NAME) == silent
    assert kind_problem({"EXTNAME": "SCI", "BUNIT": "erg/s/cm2/Hz"}) == ""


def update(path, hdu: int = 1, **cards) -> None:
    with fits.open(path, mode="update") as hdus:
        hdus[hdu].header.update(cards)


def test_swapped_bands_another_brick_and_maps_of_weights_are_refused(tmp_path):
    write_brick(tmp_path)
    paths = {band: image_path(tmp_path, NAME, band) for band in LS.bands}
    for band, path in paths.items():
        update(path, FILTER=band, BRICKNAM=NAME, IMTYPE="image", MAGZERO=22.5)
    assert read_brick(tmp_path, NAME).silent == ()
    shutil.move(paths["g"], tmp_path / "kept")
    shutil.copy(paths["z"], paths["g"])
    with pytest.raises(InputError, match=r"image-g\.fits\.fz: FILTER 'z' in its header, expected"):
        read_brick(tmp_path, NAME)
    shutil.copy(tmp_path / "kept", paths["g"])
    for cards, said in (
        ({"IMTYPE": "invvar"}, "IMTYPE 'invvar'"),
        ({"MAGZERO": 30.0}, "MAGZERO 30"),
        ({"BRICKNAM": "1501p100"}, "expected brick 1500p100"),
        ({"SIMULATD": True}, "simulated False by its header, True in band g"),
        ({"DRVERSIO": 9010}, "release 10 by its header, 9 in band g"),
    ):
        update(paths["g"], **cards)
        with pytest.raises(InputError, match=said):
            read_brick(tmp_path, NAME)
        shutil.copy(tmp_path / "kept", paths["g"])
    # The primary header holds for the whole file.
    update(paths["r"], 0, BAND="z")
    with fits.open(paths["r"], mode="update") as hdus:
        del hdus[1].header["FILTER"]
    with pytest.raises(InputError, match=r"image-r\.fits\.fz: BAND 'z'"):
        read_brick(tmp_path, NAME)


def test_another_pixel_scale_is_refused_and_one_of_two_forms_of_a_wcs_is_not(tmp_path):
    write_brick(tmp_path)
    path = image_path(tmp_path, NAME, "r")
    with fits.open(path, mode="update") as hdus:
        h = hdus[1].header
        h["CDELT1"], h["CDELT2"] = h.pop("CD1_1"), h.pop("CD2_2")
        del h["CD1_2"], h["CD2_1"]
    assert read_brick(tmp_path, NAME).missing == ()
    with fits.open(path, mode="update") as hdus:
        hdus[1].header["CROTA2"] = 3.0
    with pytest.raises(InputError, match="shape or WCS differs from band g"):
        read_brick(tmp_path, NAME)
    with pytest.raises(InputError, match=r"pixel scale 0\.262, expected 0\.168"):
        read_brick(tmp_path, NAME, replace(LS, pixel_scale=0.168))


def test_units_of_another_survey_are_converted(tmp_path):
    survey = replace(LS, zero_point=25.0)
    write_brick(tmp_path)
    found = read_brick(tmp_path, NAME, survey).images
    np.testing.assert_allclose(found[..., 2], brick_pixels(220, "z") * 0.1, rtol=1e-6)
    for band in LS.bands:
        update(image_path(tmp_path, NAME, band), BUNIT="nanomaggy")
    with pytest.raises(InputError, match="means zero point 22.5, expected 25"):
        read_brick(tmp_path, NAME, survey)


def test_of_several_images_the_one_of_fluxes_is_taken(tmp_path):
    pixels, header = brick_pixels(50, "g"), brick_header(50)
    weight = fits.ImageHDU(np.ones((50, 50), "f4"), header, name="VARIANCE")
    image = fits.ImageHDU(pixels, header, name="IMAGE")
    fits.HDUList([fits.PrimaryHDU(), weight, image]).writeto(tmp_path / "a.fits")
    np.testing.assert_array_equal(read_image(tmp_path / "a.fits")[0], pixels)
    fits.HDUList([fits.PrimaryHDU(), weight]).writeto(tmp_path / "b.fits")
    with pytest.raises(InputError, match=r"b\.fits: EXTNAME 'VARIANCE'"):
        read_image(tmp_path / "b.fits")
    other = brick_header(50)
    other["CRVAL1"] = 151.0
    second = fits.ImageHDU(pixels, other, name="IMAGE2")
    fits.HDUList([fits.PrimaryHDU(), image, second]).writeto(tmp_path / "c.fits")
    with pytest.raises(InputError, match="two images with different WCS"):
        read_image(tmp_path / "c.fits")


def test_cubes_are_asked_too(tmp_path):
    planes = np.ones((3, 40, 40), "f4")
    for cards, said in (
        ({"BANDS": "grz", "MAGZERO": 30.0}, "MAGZERO 30"),
        ({"BANDS": "grz", "IMAGETYP": "invvar"}, "IMAGETYP 'invvar'"),
        ({"BANDS": "grr"}, "band r names two planes"),
    ):
        fits.PrimaryHDU(planes, fits.Header(cards)).writeto(tmp_path / "a.fits", overwrite=True)
        with pytest.raises(InputError, match=said):
            read_cube(tmp_path / "a.fits")


def test_the_real_headers_say_what_their_files_are(survey_data):
    images = survey_data / "images"
    folder = images / "ls_dr6_coadd_0959p805"
    for band in "gz":
        path = folder / f"legacysurvey-0959p805-image-{band}.fits.fz"
        header = read_image(path)[1]
        assert check(header, path, LS, band=band, brick="0959p805") == () and release(header) == 6
        for wrong in (path.with_name(path.name.replace("image", k)) for k in ("invvar", "nexp")):
            with pytest.raises(InputError, match=r"IMTYPE '(invvar|nexp)'"):
                read_image(wrong)
        with pytest.raises(InputError, match="expected band r"):
            check(header, path, LS, band="r")
    for band in "griz":
        path = images / "des_field_griz" / f"DES_{band}.fits"
        header = dict(fits.getheader(path))  # its checksum is wrong, so `read_image` refuses it
        assert check(header, path, LS, band=band, zero_point=30.0) == ("kind of image",)
        with pytest.raises(InputError, match="MAGZERO 30"):
            check(header, path, LS, band=band)
