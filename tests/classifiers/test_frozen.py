"""A frozen classifier: the same after a round trip, differentiable, refused when damaged."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from classifiers import frozen
from data.preprocess import raw_robust
from lensjax.errors import InputError


@pytest.fixture(scope="module")
def finder():
    return frozen.untrained()


@pytest.fixture(scope="module")
def stamps():
    return np.random.default_rng(0).normal(size=(3, 101, 101, 3)).astype(np.float32)


def test_logits_are_the_model_after_preprocessing(finder, stamps):
    assert np.allclose(
        finder.logits(stamps), finder.model(raw_robust(stamps, finder.preprocess)), atol=1e-6
    )
    assert finder.logits(stamps).shape == (3,) and finder.features(stamps).shape == (3, 8)


def test_a_round_trip_changes_nothing(finder, stamps, tmp_path):
    frozen.save(tmp_path, finder)
    again = frozen.load(tmp_path)
    assert np.array_equal(again.logits(stamps), finder.logits(stamps))
    assert again.info["model"] == "shielded_resnet" and again.preprocess == finder.preprocess


def test_it_is_an_argument_of_jitted_functions_and_has_gradients(finder, stamps):
    score = jax.jit(lambda f, x: f.logits(x).sum())
    value, gradient = jax.value_and_grad(score, argnums=1)(finder, jnp.asarray(stamps))
    assert np.isfinite(value) and np.isfinite(gradient).all() and np.abs(gradient).max() > 0


@pytest.mark.parametrize("damage", ["missing", "json", "weights", "swapped", "key", "truncated"])
def test_damaged_files_are_refused_in_one_line(finder, tmp_path, damage):
    frozen.save(tmp_path, finder)
    description, numbers = tmp_path / frozen.DESCRIPTION, tmp_path / frozen.NUMBERS
    if damage == "missing":
        description.unlink()
    elif damage == "json":
        description.write_text("{")
    elif damage == "weights":
        numbers.unlink()
    elif damage == "swapped":
        frozen.save(tmp_path / "other", frozen.untrained(seed=1))
        numbers.write_bytes((tmp_path / "other" / frozen.NUMBERS).read_bytes())
    elif damage == "key":
        description.write_text(
            json.dumps({**json.loads(description.read_text()), "config": {"widht": 3}})
        )
    else:
        numbers.write_bytes(numbers.read_bytes()[:-100])
    with pytest.raises(InputError) as refused:
        frozen.load(tmp_path)
    assert "\n" not in str(refused.value)
