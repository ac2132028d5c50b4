"""Preprocessing against numpy, a locked checksum, its invariance and its gradients."""

import hashlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from data.preprocess import PRESETS, Preprocess, annulus_pixels, flat, preset, raw_robust
from lensjax.errors import InputError

SMALL = Preprocess(crop=32)
compiled = jax.jit(raw_robust, static_argnums=1)


def stamps(n: int, size: int = 101, seed: int = 0) -> np.ndarray:
    """A galaxy, noise and a few NaN, by numpy's stable bit generator and exact arithmetic only."""
    integers = np.random.Generator(np.random.PCG64(seed)).integers(0, 2**20, (n, size, size, 3))
    noise = integers.astype(np.float32) * np.float32(2**-24)
    y, x = np.mgrid[:size, :size] - size // 2
    galaxy = np.float32(8) / (np.float32(4) + (x * x + y * y).astype(np.float32))
    image = noise + galaxy[None, :, :, None]
    image[:, :3, 5, 1] = np.nan
    return image


def reference(images: np.ndarray, p: Preprocess) -> np.ndarray:
    """Spec formula in numpy, division written as multiplication by the reciprocal."""
    start = (images.shape[1] - p.crop) // 2
    x = np.nan_to_num(images[:, start : start + p.crop, start : start + p.crop], nan=0.0)
    y0, x0 = np.mgrid[: p.crop, : p.crop] - (p.crop - 1) / 2
    r = np.sqrt(x0**2 + y0**2)
    ring = x[:, (r >= p.annulus[0] * (p.crop // 2)) & (r < p.annulus[1] * (p.crop // 2))]
    m = np.median(ring, 1)
    mad = np.median(np.abs(ring - m[:, None]), 1)
    y = (x - m[:, None, None]) * (np.float32(1) / (mad + np.float32(1e-8)))[:, None, None]
    return np.clip(np.nan_to_num(y, nan=0.0), -p.clip, p.clip)


@pytest.mark.parametrize("name", PRESETS)
def test_equals_numpy_bit_for_bit_compiled_or_not(name):
    p, images = PRESETS[name], stamps(3)
    expected = reference(images, p.of(101))
    for f in (raw_robust, compiled) if name == "raw_robust" else (compiled,):
        np.testing.assert_array_equal(np.asarray(f(images, p)), expected)


def test_checksum_is_locked():
    digest = hashlib.sha256(
        np.asarray(compiled(stamps(2), PRESETS["raw_robust"])).tobytes()
    ).hexdigest()
    assert digest == "4e6e55c705b92a96278da0b3da17a9e99e9390e64264ad906b1d3758c9e85c85"


def test_the_quotient_is_the_formula_to_the_last_bit_but_one():
    images, p = stamps(1), PRESETS["raw_robust"]
    out = np.asarray(compiled(images, p))[0]
    ring = np.nan_to_num(images[0]).reshape(-1, 3)[annulus_pixels(p, 101)]
    m = np.median(ring, 0)
    exact = np.clip(
        (np.nan_to_num(images[0]) - m) / (np.median(np.abs(ring - m), 0) + 1e-8), -10, 10
    )
    np.testing.assert_allclose(out, exact, rtol=3e-7)


def test_leading_axes_and_vmap_give_the_same_bits():
    images = stamps(4, 33)
    batch = np.asarray(compiled(images, SMALL))
    np.testing.assert_array_equal(
        np.asarray(compiled(images.reshape(2, 2, 33, 33, 3), SMALL)).reshape(batch.shape), batch
    )
    np.testing.assert_array_equal(
        np.asarray(jax.jit(jax.vmap(lambda x: raw_robust(x, SMALL)))(images)), batch
    )
    np.testing.assert_array_equal(np.asarray(compiled(images[0], SMALL)), batch[0])


def test_radii_of_the_annulus():
    for size, inner, outer in ((101, 32.5, 45.0), (64, 20.8, 28.8)):
        y, x = np.unravel_index(annulus_pixels(Preprocess(crop=size)), (size, size))
        r = np.hypot(y - (size - 1) / 2, x - (size - 1) / 2)
        assert inner <= r.min() < inner + 0.2 and outer - 0.2 < r.max() < outer
    y, x = np.unravel_index(annulus_pixels(preset("legacy_annulus")), (64, 64))
    r = np.hypot(y - 31.5, x - 31.5)
    assert 20 <= r.min() < 20.1 and 31.9 < r.max() < 32


def test_middle_pixel_of_an_odd_stamp_is_pixel_32_of_the_even_crop():
    image = np.random.default_rng(0).normal(0, 1e-3, (101, 101, 3)).astype("f4")
    image[50, 50] = 5.0
    for crop, where in ((101, 50), (64, 32), (65, 32)):
        out = np.asarray(compiled(image, Preprocess(crop=crop)))
        assert (out[where, where] == 10.0).all()


@pytest.mark.parametrize(("a", "b"), [(3.7, 0.0), (0.02, 0.5), (250.0, -4.0)])
def test_does_not_change_under_scaling_and_shift(a, b):
    image = np.random.default_rng(1).normal(0, 1, (32, 32, 3)).astype("f4")
    np.testing.assert_allclose(
        compiled(np.float32(a) * image + np.float32(b), SMALL), compiled(image, SMALL), atol=2e-4
    )


def test_gradient_agrees_with_a_finite_difference():
    rng = np.random.default_rng(3)
    image, way, weight = (rng.normal(0, 1, (32, 32, 3)).astype("f4") for _ in range(3))
    value = jax.jit(lambda t: jnp.sum(weight * raw_robust(image + t * way, SMALL)))
    step = 1e-6  # small against the spacing of the order statistics, hence float64
    slope = jax.jit(jax.grad(value))(0.0)
    np.testing.assert_allclose(slope, jax.jvp(value, (0.0,), (1.0,))[1], rtol=1e-4)
    image, way = image.astype("f8"), way.astype("f8")
    truth = [np.sum(weight * reference((image + t * way)[None], SMALL)[0]) for t in (step, -step)]
    np.testing.assert_allclose(slope, (truth[0] - truth[1]) / (2 * step), rtol=1e-3)


def test_blank_stamps_are_zero_flagged_and_have_finite_gradients():
    slope = jax.jit(jax.grad(lambda x: jnp.sum((raw_robust(x, SMALL) + 0.5) ** 2)))
    for fill, peak in ((0.0, 10.0), (np.nan, 10.0), (3.5, -10.0)):
        image = np.full((32, 32, 3), fill, "f4")
        assert (np.asarray(compiled(image, SMALL)) == 0).all() and np.isfinite(slope(image)).all()
        image[16, 16] = 1.0
        assert (np.asarray(compiled(image, SMALL))[16, 16] == peak).all() and np.isfinite(
            slope(image)
        ).all()
    assert np.asarray(flat(np.zeros((2, 32, 32, 3), "f4"), SMALL)).tolist() == [True, True]
    assert np.asarray(flat(stamps(1, 33), SMALL)).tolist() == [False]


def test_refuses_a_stamp_smaller_than_the_crop_and_unknown_names():
    with pytest.raises(InputError, match="91 x 91"):
        raw_robust(np.zeros((91, 91, 3), "f4"), Preprocess(crop=101))
    with pytest.raises(InputError, match="legacy_annulus"):
        preset("robust")
    with pytest.raises(InputError, match="widen"):
        annulus_pixels(Preprocess(annulus=(0.9, 0.65)), 101)
    with pytest.raises(ValueError, match="at least 16 pixels"):
        Preprocess(crop=15)


@pytest.mark.parametrize(("size", "bands"), [(33, 1), (101, 3), (64, 6)])
def test_without_a_crop_it_is_the_whole_stamp_with_any_number_of_bands(size, bands):
    images = np.random.default_rng(size).normal(0, 1, (2, size, size, bands)).astype("f4")
    whole, p = np.asarray(compiled(images, Preprocess())), Preprocess(crop=size)
    assert whole.shape == images.shape and Preprocess().of(size) == p and p.of(7) == p
    np.testing.assert_array_equal(whole, compiled(images, p))
    np.testing.assert_array_equal(whole, reference(images, p))


def test_a_card_gives_the_same_bits_and_gradients_without_a_loop(as_on_a_card):
    images = stamps(2, 33)

    def everything(x):
        slope = jax.vmap(jax.grad(lambda y: jnp.sum(raw_robust(y, SMALL) ** 2)))
        return raw_robust(x, SMALL), jax.vmap(lambda y: raw_robust(y, SMALL))(x), slope(x)

    def lowered():
        return jax.jit(lambda x: everything(x)).lower(images)

    here = lowered()
    with as_on_a_card():
        card = lowered()
    assert "while" in here.as_text() and "while" not in card.as_text()
    (whole, each, slope), (expected, _, expected_slope) = (
        form.compile()(images) for form in (card, here)
    )
    np.testing.assert_array_equal(whole, expected)
    np.testing.assert_array_equal(each, expected)
    scale = np.abs(expected_slope).max()
    np.testing.assert_allclose(slope, expected_slope, rtol=1e-5, atol=1e-5 * scale)
