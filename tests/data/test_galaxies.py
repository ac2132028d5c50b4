"""Libraries of galaxy images: written here, drawn from by a prior."""

import jax
import numpy as np
import pytest

import lensjax as lj
from data.galaxies import write_library


def test_a_prior_draws_from_a_library_that_was_written_and_keeps_every_galaxys_light(tmp_path):
    small, wide = np.ones((8, 10)), np.full((12, 9), 2.0)
    write_library(tmp_path / "galaxies.npz", [small, wide])
    block = {"r_mag": {"fixed": 20.0}, "scale": {"fixed": 0.05}}
    library = {"GalaxyImage": {**block, "library": str(tmp_path / "galaxies.npz")}}
    prior = lj.prior_from("mine", {"source": library})
    images = np.asarray(prior.sample(jax.random.key(0), 32).source[0].image)
    assert images.shape == (32, 12, 10)
    assert set(images.sum((1, 2)).tolist()) == {80.0, 216.0}
    rows, columns = np.mgrid[:12, :10]
    for image in images:
        for axis, size in ((rows, 12), (columns, 10)):
            assert abs((image * axis).sum() / image.sum() - (size - 1) / 2) <= 0.5
    # Without a key nothing is drawn: the first image stands for all.
    plain = prior.scene(prior.draw(jax.random.key(0), 3)).source[0].image
    assert np.asarray(plain).sum((1, 2)).tolist() == [80.0] * 3


def test_a_library_that_cannot_be_is_refused(tmp_path):
    with pytest.raises(lj.InputError, match="no galaxies to write"):
        write_library(tmp_path / "none.npz", [])
    block = {"r_mag": {"fixed": 20.0}, "scale": {"fixed": 0.05}}
    with pytest.raises(lj.InputError, match="'library': is missing; GalaxyImage needs it"):
        lj.prior_from("mine", {"source": {"GalaxyImage": block}})
    np.savez(tmp_path / "dark.npz", images=np.zeros((2, 9, 9)))
    wrong = {"GalaxyImage": {**block, "library": str(tmp_path / "dark.npz")}}
    with pytest.raises(lj.InputError, match="image 0 is not finite or has no light"):
        lj.prior_from("mine", {"source": wrong})
