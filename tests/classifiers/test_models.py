"""Architectures: exact sizes, shapes at even and odd sides, names, refusals."""

import jax
import jax.numpy as jnp
import pytest
from flax import nnx

from classifiers.models import ARCHITECTURES, complete, count, create
from lensjax.errors import InputError

PARAMETERS = {"resnet18": 11_177_025, "shielded_resnet": 194_433}


@pytest.mark.parametrize("name", PARAMETERS)
def test_the_defaults_have_exactly_the_published_number_of_parameters(name):
    assert count(create(name, {}, nnx.Rngs(0))) == PARAMETERS[name]


@pytest.mark.parametrize("name", ARCHITECTURES)
@pytest.mark.parametrize("side", [64, 101])
def test_logits_features_and_maps_agree_in_shape(name, side):
    model = nnx.eval_shape(lambda: create(name, {}, nnx.Rngs(0)))
    graph, state = nnx.split(model)
    run = lambda method: jax.eval_shape(lambda s, x: getattr(nnx.merge(graph, s), method)(x), state, jnp.zeros((2, side, side, 3)))  # noqa: E731
    maps = run("maps")
    assert run("__call__").shape == (2,)
    assert run("features").shape == (2, list(maps.values())[-1].shape[-1])
    assert next(iter(maps)) == "stage0" and all(m.shape[0] == 2 for m in maps.values())


def test_bfloat16_computes_in_half_precision_and_keeps_float32_parameters():
    model = create("shielded_resnet", {"stem_width": 8, "middles": [8], "widths": [8], "blocks": [1]}, nnx.Rngs(0), jnp.bfloat16)
    model.eval()
    assert {leaf.dtype for leaf in jax.tree.leaves(nnx.state(model))} == {jnp.dtype("float32")}
    images = jnp.ones((1, 16, 16, 3))
    assert model.maps(images)["stage1"].dtype == jnp.bfloat16 and model(images).dtype == jnp.float32


def test_unknown_names_and_keys_are_refused():
    with pytest.raises(InputError, match="resnet19.*resnet18"):
        create("resnet19", {}, nnx.Rngs(0))
    with pytest.raises(InputError, match="unknown key 'width'"):
        create("resnet18", {"width": 3}, nnx.Rngs(0))
    with pytest.raises(InputError, match="one value for each stage"):
        complete("shielded_resnet", {"widths": [8]})
