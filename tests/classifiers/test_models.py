"""Architectures: exact sizes, shapes at even and odd sides, names, refusals."""

import re
import sys

import jax
import jax.numpy as jnp
import pytest
from flax import nnx

from classifiers.models import ARCHITECTURES, complete, count, create
from classifiers.training import TrainSettings
from data import config
from lensjax.errors import InputError

PARAMETERS = {"resnet18": 11_177_025, "efficientnet_v2_s": 20_178_769, "shielded_resnet": 194_433}
PRESETS = {
    "default": 702_225,
    "baseline_v1": 11_177_025,
    "parity_resnet18": 11_177_025,
    "parity_efficientnet": 20_178_769,
    "parity_efficientnet_wide": 20_542_883,
    "shielded": 194_433,
}
MAPS = {"resnet18": 1 + 8, "efficientnet_v2_s": 2 + 40, "shielded_resnet": 1 + 5 * 4}


@pytest.fixture(scope="module", params=ARCHITECTURES)
def shapes(request):
    """Name and abstract model: shapes without numbers, quick to make."""
    return request.param, nnx.eval_shape(lambda: create(request.param, {}, nnx.Rngs(0)))


def test_the_defaults_have_exactly_the_published_number_of_parameters(shapes):
    name, model = shapes
    assert count(model) == PARAMETERS[name]


@pytest.mark.parametrize(("preset", "number"), PRESETS.items())
def test_the_presets_train_networks_of_the_published_sizes(preset, number):
    s = config.validated(TrainSettings, config.read(preset).get("train", {}), preset)
    assert count(nnx.eval_shape(lambda: create(s.model, s.architecture, nnx.Rngs(0)))) == number
    protocol = {"baseline_v1": (64, 0, 10), "default": (64, 0, 0)}.get(preset, (101, 10, 0))
    assert (s.preprocess.crop, s.keep_every, s.patience) == protocol


def test_the_layer_table_of_each_module_adds_up_to_its_number(shapes):
    name, model = shapes
    table = sys.modules[type(model).__module__].__doc__
    assert f"{PARAMETERS[name]:,}" in table
    groups: dict[str, int] = {}
    for path, leaf in nnx.to_flat_state(nnx.state(model, nnx.Param)):
        group = (
            ".".join(map(str, path[:2]))
            if path[0] in ("features_", "stages", "shields")
            else str(path[0])
        )
        groups[group] = groups.get(group, 0) + leaf.size
    if name == "resnet18":
        rows = [groups[f"layer{i}"] for i in range(1, 5)] + [groups["conv1"], groups["fc"]]
    elif name == "efficientnet_v2_s":
        rows = [groups[f"features_.{i}"] for i in range(8)] + [groups["classifier"]]
    else:
        rows = [
            groups["stages.0"] + groups["shields.0"],
            groups["stages.4"] + groups["shields.4"],
            groups["stem"],
            groups["dense"],
        ]
    for number in rows:
        assert re.search(rf"(?<![\d,]){number:,}(?![\d,])", table), number


def test_logits_features_and_maps_agree_in_shape_at_even_and_odd_sides(shapes):
    name, model = shapes
    model.eval()
    graph, state = nnx.split(model)

    def everything(state, images):
        model = nnx.merge(graph, state, copy=True)
        maps = model.maps(images)
        return model(images), model.features(images), maps

    for side in (64, 101):
        logits, features, maps = jax.eval_shape(
            everything, state, jax.ShapeDtypeStruct((2, side, side, 3), jnp.float32)
        )
        assert logits.shape == (2,) and features.shape == (2, list(maps.values())[-1].shape[-1])
        assert next(iter(maps)) == "stage0" and all(m.shape[0] == 2 for m in maps.values())
        assert len(maps) == MAPS[name] and list(maps) == sorted(maps)


def test_the_widths_of_the_shielded_network_are_settings():
    fields = {"stem_width": 16, "middles": [8, 12], "widths": [24, 40], "blocks": [1, 2]}
    model = nnx.eval_shape(lambda: create("shielded_resnet", fields, nnx.Rngs(0)))
    assert model.dense.kernel.shape == (40, 1) and model.stages[1][1].conv2.kernel.shape == (
        3,
        3,
        12,
        12,
    )
    first = (
        16 * 8 + 2 * 8 + 9 * 8 * 8 + 2 * 8 + 8 * 24 + 24 + 16 * 24 + 24
    )  # conv1, norm2, conv2, norm3, conv3 and the projection with bias
    assert (
        sum(leaf.size for leaf in jax.tree.leaves(nnx.state(model.stages[0], nnx.Param))) == first
    )


def test_dropout_and_stochastic_depth_act_only_with_a_key():
    from classifiers.models.efficientnet import Block, Layers

    block = Block(Layers("torchvision", nnx.Rngs(0), None), False, 4, 1, 8, 8, 0.5)
    block.eval()
    x = jnp.ones((64, 4, 4, 8))
    quiet, dropped = block(x, None) - x, block(x, jax.random.key(0)) - x
    kept = jnp.abs(dropped).max(axis=(1, 2, 3)) > 0
    assert 10 < kept.sum() < 54
    assert jnp.allclose(dropped[kept], 2 * quiet[kept], atol=1e-5)


def test_bfloat16_computes_in_half_precision_and_keeps_float32_parameters():
    model = create(
        "shielded_resnet",
        {"stem_width": 8, "middles": [8], "widths": [8], "blocks": [1]},
        nnx.Rngs(0),
        jnp.bfloat16,
    )
    model.eval()
    assert {leaf.dtype for leaf in jax.tree.leaves(nnx.state(model))} == {jnp.dtype("float32")}
    images = jnp.ones((1, 16, 16, 3))
    assert (
        model.maps(images)["stage1_shield"].dtype == jnp.bfloat16
        and model(images).dtype == jnp.float32
    )


def test_unknown_names_and_keys_are_refused():
    with pytest.raises(InputError, match="resnet19.*resnet18"):
        create("resnet19", {}, nnx.Rngs(0))
    with pytest.raises(InputError, match="unknown key 'width'"):
        create("resnet18", {"width": 3}, nnx.Rngs(0))
    with pytest.raises(InputError, match="one value for each stage"):
        complete("shielded_resnet", {"widths": [8]})
