"""Augmentation: the documented seeds, exact agreement with numpy's flips and turns, no dependence
on batching."""

import jax
import numpy as np
import pytest

from data.augment import apply, codes, seeds, turned


@pytest.mark.parametrize("size", [7, 8])
def test_device_equals_numpy_for_every_code(size):
    images = np.random.default_rng(0).normal(size=(16, size, size, 3)).astype("f4")
    expected = np.stack([turned(image, code) for code, image in enumerate(images)])
    np.testing.assert_array_equal(np.asarray(jax.jit(apply)(images, np.arange(16))), expected)
    np.testing.assert_array_equal(np.asarray(jax.vmap(apply)(images, np.arange(16))), expected)


def test_fixed_draws_follow_the_documented_seed():
    index = np.array([0, 1, 17, 316_099])
    for dataset_seed in (0, 42, 2**40 + 7):
        expected = []
        for i in index.tolist():
            rng = np.random.default_rng((dataset_seed * 1000003 + i) & 0x7FFFFFFF)
            h, v = int(rng.random() < 0.5), int(rng.random() < 0.5)
            expected.append(h + 2 * v + 4 * int(rng.integers(0, 4)))
        for epoch in (0, 5):
            assert codes(index, dataset_seed, epoch, "fixed").tolist() == expected


def test_seeds_are_31_bit_and_differ_between_epochs():
    index = np.arange(1000)
    first, second = seeds(index, 42, 0), seeds(index, 42, 1)
    assert first.min() >= 0 and first.max() < 2**31 and not np.intersect1d(first, second).size
    assert (codes(index, 42, 0) != codes(index, 42, 1)).mean() > 0.8


def test_draws_depend_on_the_sample_and_not_on_the_batch():
    whole = codes(np.arange(100), 3, 2)
    np.testing.assert_array_equal(codes(np.array([70, 4]), 3, 2), whole[[70, 4]])


def test_every_code_is_equally_likely():
    counts = np.bincount(codes(np.arange(4000), 1, 0), minlength=16)
    assert counts.shape == (16,) and abs(counts - 250).max() < 5 * np.sqrt(250)
