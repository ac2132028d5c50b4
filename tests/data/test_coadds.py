"""Slicing bricks: positions against astropy, edges, missing bands, damaged files; cubes with and
without named bands."""

from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS

from data.coadds import (
    image_path,
    pixel_positions,
    pixel_scale,
    read_brick,
    read_cube,
    read_image,
    slice_out,
)
from lensjax.errors import InputError

NAME = "1500p100"


def brick_header(size: int) -> fits.Header:
    values = {
        "CTYPE1": "RA---TAN",
        "CTYPE2": "DEC--TAN",
        "CRVAL1": 150.05,
        "CRVAL2": 10.0,
        "CRPIX1": (size + 1) / 2,
        "CRPIX2": (size + 1) / 2,
    }
    values |= {
        "CD1_1": -0.262 / 3600,
        "CD1_2": 0.0,
        "CD2_1": 0.0,
        "CD2_2": 0.262 / 3600,
        "DATE": "2020-01-02",
        "DRVERSIO": 10000,
    }
    return fits.Header(values)


def brick_pixels(size: int, band: str, seed: int = 0) -> np.ndarray:
    return np.random.default_rng((seed, ord(band))).normal(0.02, 0.01, (size, size)).astype("f4")


def write_brick(
    root: Path,
    size: int = 220,
    name: str = NAME,
    bands: str = "grz",
    plain: bool = True,
    seed: int = 0,
) -> None:
    """A brick in the survey's layout. plain: uncompressed pixels in the compressed file's place, so
    that values can be compared exactly."""
    for band in bands:
        path = root / "coadd" / name[:3] / name / f"legacysurvey-{name}-image-{band}.fits.fz"
        path.parent.mkdir(parents=True, exist_ok=True)
        make = (
            fits.ImageHDU
            if plain
            else lambda d, h: fits.CompImageHDU(d, h, compression_type="RICE_1", quantize_method=2)
        )
        fits.HDUList(
            [fits.PrimaryHDU(), make(brick_pixels(size, band, seed), brick_header(size))]
        ).writeto(path, checksum=True)


def test_a_slice_is_the_image_about_the_nearest_pixel(tmp_path):
    write_brick(tmp_path)
    brick = read_brick(tmp_path, NAME)
    assert (
        brick.missing == ()
        and brick.source == f"coadd/150/{NAME}"
        and brick.images.shape == (220, 220, 3)
    )
    wcs = WCS(brick_header(220))
    for x, y in ((110.0, 97.0), (110.4, 97.6), (60.3, 150.49)):
        position = wcs.pixel_to_world(x, y)
        column, row = (v[0] for v in pixel_positions(brick, [position.ra.deg], [position.dec.deg]))
        assert (column, row) == (pytest.approx(x, abs=1e-6), pytest.approx(y, abs=1e-6))
        cut = slice_out(brick.images, column, row)
        i, j = round(y), round(x)
        np.testing.assert_array_equal(cut.image[50, 50], brick.images[i, j])
        np.testing.assert_array_equal(cut.image, brick.images[i - 50 : i + 51, j - 50 : j + 51])
        assert cut.inside and cut.offset == (
            pytest.approx(x - j, abs=1e-6),
            pytest.approx(y - i, abs=1e-6),
        )
    assert brick.images[3, 4, 2] == brick_pixels(220, "z")[3, 4]


@pytest.mark.parametrize("size", [5, 6, 100, 101])
def test_an_object_is_within_half_a_pixel_of_the_centre_of_any_cutout(size):
    """Centre of mass of a round blob, against the centre (size - 1) / 2 that the renderer uses."""
    rows, columns = np.mgrid[:240, :240]
    index = np.stack([columns, rows], -1).astype("f4")
    for x, y in np.random.default_rng(size).uniform(100, 140, (20, 2)):
        cut = slice_out(index, x, y, size)
        # The first pixel says where the cutout was taken from.
        place = np.array([x, y]) - cut.image[0, 0]
        assert np.abs(place - (size - 1) / 2).max() <= 0.5 + 1e-6
        np.testing.assert_allclose(cut.offset, place - (size - 1) / 2, atol=1e-5)
    assert slice_out(index, 10.2, 8.9, 6).image[3, 2].tolist() == [10.0, 9.0]


def test_beyond_the_edge_is_nan_and_an_object_off_the_image_is_told():
    images = np.ones((50, 60, 3), "f4")
    cut = slice_out(images, 2.0, 48.0, 21)
    assert (
        cut.inside
        and np.isnan(cut.image[:, :8]).all()
        and np.isnan(cut.image[12:]).all()
        and (cut.image[:12, 8:] == 1).all()
    )
    for x, y in ((-0.6, 5), (59.6, 5), (1e9, 1e9), (np.nan, 3)):
        off = slice_out(images, x, y, 21)
        assert not off.inside
    assert slice_out(images, -0.4, 5, 21).inside


def test_a_pixel_of_exactly_zero_has_no_data(tmp_path):
    write_brick(tmp_path)
    path = image_path(tmp_path, NAME, "g")
    with fits.open(path, mode="update") as hdus:
        hdus[1].data[5, 6] = 0
    found = read_brick(tmp_path, NAME).images
    assert np.isnan(found[5, 6, 0]) and np.isnan(found).sum() == 1


def test_a_missing_band_is_listed_and_no_band_is_refused(tmp_path):
    write_brick(tmp_path, bands="gz")
    brick = read_brick(tmp_path, NAME)
    assert (
        brick.missing == ("r",)
        and np.isnan(brick.images[..., 1]).all()
        and np.isfinite(brick.images[..., ::2]).all()
    )
    with pytest.raises(InputError, match="no image of brick 0001m002"):
        read_brick(tmp_path, "0001m002")


def test_bands_that_do_not_fit_together_are_refused(tmp_path):
    write_brick(tmp_path)
    with fits.open(image_path(tmp_path, NAME, "z"), mode="update") as hdus:
        hdus[1].header["CRPIX1"] = 1.0
    with pytest.raises(InputError, match=r"image-z\.fits\.fz: shape or WCS differs from band g"):
        read_brick(tmp_path, NAME)


@pytest.mark.parametrize("harm", ["flip", "cut", "page", "empty", "table"])
def test_a_damaged_file_is_named(tmp_path, harm):
    write_brick(tmp_path, plain=False)
    path = image_path(tmp_path, NAME, "r")
    content = bytearray(path.read_bytes())
    if harm == "flip":
        content[len(content) - 20_000] ^= 4
    elif harm == "cut":
        content = content[: len(content) // 2]
    elif harm in ("page", "empty"):
        content = b"<html><body>502 Bad Gateway</body></html>" if harm == "page" else b""
    path.write_bytes(content)
    if harm == "table":
        fits.BinTableHDU.from_columns([fits.Column("a", "E", array=[1.0])]).writeto(
            path, overwrite=True
        )
    with pytest.raises(InputError, match=r"image-r\.fits\.fz") as refused:
        read_brick(tmp_path, NAME)
    assert "\n" not in str(refused.value)


def test_an_image_larger_than_a_brick_is_refused_before_it_is_read(tmp_path):
    header = fits.Header(
        {"SIMPLE": True, "BITPIX": -32, "NAXIS": 2, "NAXIS1": 1_000_000, "NAXIS2": 1_000_000}
    )
    (tmp_path / "big.fits").write_bytes(header.tostring().encode() + bytes(2880))
    with pytest.raises(InputError, match=r"big\.fits"):
        read_image(tmp_path / "big.fits")


def test_a_cube_is_ordered_by_its_header(tmp_path):
    planes = np.arange(1, 4 * 25 + 1, dtype="f4").reshape(4, 5, 5)
    for cards in ({"BANDS": "zrgi"}, {"BAND0": "z", "BAND1": "r", "BAND2": "g", "BAND3": "i"}):
        fits.PrimaryHDU(
            planes, fits.Header({**cards, "CD1_1": -0.262 / 3600, "CD2_2": 0.262 / 3600})
        ).writeto(tmp_path / "a.fits", overwrite=True)
        image, header = read_cube(tmp_path / "a.fits")
        np.testing.assert_array_equal(image, np.stack([planes[2], planes[1], planes[0]], -1))
        assert pixel_scale(header) == pytest.approx(0.262)
    for cards, message in (
        ({}, "no band names"),
        ({"BANDS": "zrg"}, "bands 'zrg'"),
        ({"BANDS": "griY"}, "without z"),
    ):
        fits.PrimaryHDU(planes, fits.Header(cards)).writeto(tmp_path / "a.fits", overwrite=True)
        with pytest.raises(InputError, match=message):
            read_cube(tmp_path / "a.fits")


def test_a_real_brick_without_r_is_sliced(survey_data):
    folder = survey_data / "images" / "ls_dr6_coadd_0959p805"
    brick = read_brick(folder, "0959p805")
    assert brick.missing == ("r",) and brick.images.shape == (3600, 3600, 3)
    x, y = pixel_positions(brick, [95.9504132231405], [80.5])
    assert (x[0], y[0]) == (pytest.approx(1799.5, abs=1e-6), pytest.approx(1799.5, abs=1e-6))
    assert np.isfinite(brick.images[..., 0]).mean() == pytest.approx(0.1188, abs=1e-4)
    assert np.isnan(slice_out(brick.images, x[0], y[0]).image[..., 1]).all()
