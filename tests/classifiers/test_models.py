"""Architectures: exact sizes, shapes at even and odd sides, names, refusals."""

import jax
import jax.numpy as jnp
import pytest
from flax import nnx

from classifiers.models import ARCHITECTURES, complete, count, create
from lensjax.errors import InputError

PARAMETERS = {"resnet18": 11_177_025, "efficientnet_v2_s": 20_178_769, "shielded_resnet": 194_433}


@pytest.fixture(scope="module", params=ARCHITECTURES)
def shapes(request):
    """Name and abstract model: shapes without numbers, quick to make."""
    return request.param, nnx.eval_shape(lambda: create(request.param, {}, nnx.Rngs(0)))


def test_the_defaults_have_exactly_the_published_number_of_parameters(shapes):
    name, model = shapes
    assert count(model) == PARAMETERS[name]


def test_the_published_variant_of_efficientnet_has_its_number():
    wide = nnx.eval_shape(lambda: create("efficientnet_v2_s", {"stem_bias": True, "hidden": 285}, nnx.Rngs(0)))
    assert count(wide) == 20_542_883


def test_logits_features_and_maps_agree_in_shape_at_even_and_odd_sides(shapes):
    _, model = shapes
    model.eval()
    graph, state = nnx.split(model)

    def everything(state, images):
        model = nnx.merge(graph, state, copy=True)
        maps = model.maps(images)
        return model(images), model.features(images), maps

    for side in (64, 101):
        logits, features, maps = jax.eval_shape(everything, state, jax.ShapeDtypeStruct((2, side, side, 3), jnp.float32))
        assert logits.shape == (2,) and features.shape == (2, list(maps.values())[-1].shape[-1])
        assert next(iter(maps)) == "stage0" and all(m.shape[0] == 2 for m in maps.values())


def test_dropout_and_stochastic_depth_act_only_with_a_key():
    from classifiers.models.efficientnet import Block

    block = Block(False, 4, 1, 8, 8, 0.5, nnx.Rngs(0), None)
    block.eval()
    x = jnp.ones((64, 4, 4, 8))
    quiet, dropped = block(x, None) - x, block(x, jax.random.key(0)) - x
    kept = jnp.abs(dropped).max(axis=(1, 2, 3)) > 0
    assert 10 < kept.sum() < 54
    assert jnp.allclose(dropped[kept], 2 * quiet[kept], atol=1e-5)


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
