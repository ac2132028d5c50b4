"""Quality rules at their edges, and features against the metadata of real cutouts."""

import jax
import numpy as np
import pytest

from data.coadds import read_cube
from data.columns import types
from data.cutouts import read_npz
from data.preprocess import Preprocess, annulus_pixels, raw_robust
from data.quality import BACKGROUND, DIGEST, _masks, columns, features, known, measured, rejected
from data.survey import load

LS = load("ls_dr10")
FEATURES = tuple(columns(LS))


def stamp(size: int = 101) -> np.ndarray:
    return np.random.default_rng(0).normal(0, 0.01, (size, size, 3)).astype("f4")


def test_a_good_stamp_is_accepted():
    assert rejected(stamp()) == ""
    assert rejected(stamp(64), 64) == ""


def test_another_shape_is_rejected():
    assert rejected(stamp(91)) == "shape 91x91x3, expected 101x101x3"


@pytest.mark.parametrize("fill", [np.nan, np.inf])
def test_a_missing_band_is_rejected_by_name(fill):
    image = stamp()
    image[..., 1] = fill
    assert rejected(image) == "no data in band r"
    assert (
        features(image)["has_r"] is False
        and features(image)["has_g"] is True
        and features(image)["nan_count_r"] == 101 * 101
    )


def test_central_nan_counts_from_two_percent_on():
    image = stamp()
    image[25:28, 25:75, :] = np.nan  # 3 of 50 rows of the central square: 6 %
    assert rejected(image) == "6.0 % of the central 50x50 pixels are NaN"
    image = stamp()
    image[25, 25:75] = np.nan  # exactly 2 %
    assert rejected(image) == "" and features(image)["central_nan_frac"] == 0.02
    image[26, 25, 0] = np.nan
    assert "2.0 %" in rejected(image)


def test_any_nan_near_the_centre_is_rejected():
    for y, x, bad in ((50, 57, True), (50, 58, False), (55, 55, True), (56, 56, False)):
        image = stamp()
        image[y, x, 2] = np.nan
        assert (rejected(image) == "NaN within 8 pixels of the centre") is bad


def test_nan_outside_the_centre_is_kept_and_counted():
    image = stamp()
    image[:20] = np.nan
    assert (
        rejected(image) == ""
        and features(image)["nan_count_z"] == 2020
        and features(image)["nan_frac"] == pytest.approx(20 / 101)
    )


def test_a_background_that_is_mostly_blank_is_rejected():
    image = stamp()
    y, x = np.mgrid[:101, :101] - 50
    image[(np.hypot(x, y) > 30), 2] = np.nan
    assert rejected(image) == "blank background in band z (MAD 0)"


@pytest.mark.parametrize("extra", [-2, -1, 0, 1, 2])
@pytest.mark.parametrize("order", ["alternating", "random"])
def test_a_background_is_blank_exactly_where_its_mad_is_zero(extra, order):
    """Whatever the order of the pixels, and with one more or less than half of them equal."""
    mask = _masks(101, 101, load("ls_dr10").radii, 0.262)["background"]
    n, rng = int(mask.sum()), np.random.default_rng(extra + 9)
    blank = np.zeros(n, bool)
    blank[rng.permutation(n)[: n // 2 + extra]] = True
    if order == "alternating":
        blank = np.arange(n) % 2 == 0
        blank[rng.choice(np.flatnonzero(blank == (extra < 0)), abs(extra), False)] ^= True
    image = stamp()
    image[..., 2][mask] = np.where(blank, np.float32(0.125), image[..., 2][mask])
    ring = image[mask][:, 2]
    mad = np.median(np.abs(ring - np.median(ring)))
    assert (rejected(image) == "blank background in band z (MAD 0)") == (mad == 0)


def test_features_of_a_disk_are_what_they_are_called():
    y, x = np.mgrid[:101, :101] - 50
    image = np.zeros((101, 101, 3), "f4")
    image[np.hypot(x, y) <= 8] = 3.0
    image[50, 50, 1] = 9.0
    found = features(image)
    assert (
        found["core_brightness_r"] == 3
        and found["core_max_r"] == 9
        and found["radial_gradient_r"] == 3
    )
    assert (
        found["annulus_brightness_r"]
        == found["annulus_std_r"]
        == found["outer_brightness_r"]
        == found["mad_r"]
        == 0
    )
    assert found["mean_r"] == pytest.approx(image[..., 1].mean())


def test_features_are_columns_of_the_manifest():
    found, known_types = features(stamp()), types(LS, "manifest")
    assert tuple(found) == FEATURES and set(FEATURES) <= set(known_types)
    kinds = {"int64": int, "float64": float, "bool": bool}
    assert all(type(value) is kinds[known_types[name]] for name, value in found.items())
    assert tuple(features(np.full((101, 101, 3), np.nan, "f4"))) == FEATURES


def test_real_cutouts_pass_and_their_features_agree_with_their_metadata(survey_data):
    preprocess = jax.jit(raw_robust)
    for path in sorted((survey_data / "images" / "ls_dr10_lens_cutouts").glob("*.npz")):
        image, meta = read_npz(path)
        assert rejected(image) == ""
        assert np.isfinite(preprocess(image)).all()
        found = features(image)
        for name in FEATURES:
            assert found[name] == pytest.approx(meta[name], rel=1e-6), name


def test_the_real_stamp_with_bad_pixels_is_rejected(survey_data):
    image, _ = read_cube(survey_data / "images" / "ls_dr3_dr5_grz_resampled" / "dr3_badpix.fits")
    assert "% of the central 50x50 pixels are NaN" in rejected(image, 424)
    whole, _ = read_cube(survey_data / "images" / "ls_dr3_dr5_grz_resampled" / "dr3_a.fits")
    assert rejected(whole, 424) == ""


@pytest.mark.parametrize("size", [64, 101])
def test_the_background_is_where_preprocessing_measures_it(size):
    p = Preprocess(crop=size)
    assert p.annulus == BACKGROUND
    background = _masks(size, size, LS.radii, LS.pixel_scale)["background"]
    np.testing.assert_array_equal(np.flatnonzero(background), annulus_pixels(p))


@pytest.mark.parametrize("size", [91, 101])
def test_the_legacy_surveys_keep_the_masks_that_were_given_in_pixels(size):
    y, x = np.mgrid[:size, :size] - size // 2
    r, half = np.hypot(y, x), size // 2
    central = np.zeros((size, size), bool)
    central[half - 25 : half + 25, half - 25 : half + 25] = True
    expected = {
        "core": r <= 8,
        "annulus": (r >= 20) & (r <= 40),
        "outer": r >= half - 25,
        "clear": r < 8,
        "background": (r >= 0.65 * half) & (r < 0.9 * half),
        "central": central,
    }
    found = _masks(size, size, LS.radii, LS.pixel_scale)
    assert set(found) == set(expected)
    for name, mask in expected.items():
        np.testing.assert_array_equal(found[name], mask, err_msg=name)


@pytest.mark.parametrize("name", ["hsc", "euclid_vis", "lsst", "ls_dr10_griz"])
def test_a_disk_of_the_core_radius_is_the_core_in_every_survey(name):
    survey = load(name)
    y, x = np.mgrid[: survey.stamp, : survey.stamp] - (survey.stamp - 1) / 2
    disk = np.hypot(x, y) * survey.pixel_scale <= survey.radii.core + 1e-9
    image = np.zeros((survey.stamp, survey.stamp, len(survey.bands)), "f4")
    image[disk, survey.place] = 3.0
    found = features(image, survey)
    assert tuple(found) == tuple(columns(survey))
    assert found[f"core_brightness_{survey.reference}"] == 3.0
    area = image.shape[0] ** 2
    assert found[f"mean_{survey.reference}"] == pytest.approx(3 * disk.sum() / area, rel=1e-5)
    assert found[f"annulus_brightness_{survey.reference}"] == 0.0
    # The same sky on pixels half as large gives the same brightness.
    finer = np.repeat(np.repeat(image, 2, 0), 2, 1)
    half = features(finer, survey, survey.pixel_scale / 2)
    assert half[f"core_brightness_{survey.reference}"] == 3.0


def test_another_number_of_bands_is_rejected():
    assert rejected(np.zeros((101, 101, 4), "f4")) == "shape 101x101x4, expected 101x101x3"


def test_pixels_are_measured_once_and_again_only_when_something_changed():
    image = stamp()
    meta = measured(image, LS, 0.262)
    told = meta | {"core_max_r": 123.0}  # a number that the pixels do not have
    assert known(image, told, LS, 0.262)["core_max_r"] == 123.0
    other = image.copy()
    other[0, 0, 0] += 1
    assert known(other, told, LS, 0.262)["core_max_r"] == meta["core_max_r"]
    assert known(image, told, LS, 0.263)["core_max_r"] != 123.0
    assert known(image, {**told, DIGEST: "x"}, LS, 0.262)["core_max_r"] == meta["core_max_r"]
    assert known(image, {}, LS, np.float64(0.262)) == meta
