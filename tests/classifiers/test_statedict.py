"""State dicts of other people: containers, prefixes, names of timm; refusals are short."""

import argparse
import pickle
import zipfile
from collections import OrderedDict

import numpy as np
import pytest
from flax import nnx
from safetensors.numpy import save_file

from classifiers import models, pretrained, statedict, torchfile, weights
from data.preprocess import Preprocess
from lensjax.errors import InputError

CONFIG = {"widths": [8, 8, 8, 8], "blocks": [1, 1, 1, 1]}


@pytest.fixture(scope="module")
def model():
    return models.create("resnet18", CONFIG, nnx.Rngs(1))


@pytest.fixture(scope="module")
def good(model):
    """A state dict with torch's names and counters."""
    own = weights.flatten(model).items()
    found = {pretrained.torch_name(n): pretrained.to_torch(a).copy() for n, a in own}
    counters = [n.replace("running_var", "num_batches_tracked") for n in found if "_var" in n]
    return found | {name: np.array(7) for name in counters}


def prefixed(tensors, prefix):
    return {prefix + name: array for name, array in tensors.items()}


def check(found, model):
    own = weights.flatten(model)
    assert all(np.array_equal(found.arrays[name], own[name]) for name in own)
    assert found.new_head == []


@pytest.mark.parametrize(
    "prefix",
    [
        *("", "module.", "_orig_mod.", "model.", "module._orig_mod.", "model.module._orig_mod."),
        *("module.model._orig_mod.", "net.backbone.", "finder.resnet.model."),
    ],
)
def test_prefixes_are_stripped(model, good, prefix):
    check(pretrained.converted(prefixed(good, prefix), model, "file"), model)


def test_parts_that_wrappers_put_inside_names_are_left_out(model, good):
    inside = {n.replace("layer1.0", "layer1._orig_mod.0.module"): a for n, a in good.items()}
    check(pretrained.converted(inside | {"n_averaged": np.array(3)}, model, "file"), model)


@pytest.mark.parametrize(
    "keys",
    [
        *(("state_dict",), ("model_state_dict",), ("model",), ("state_dict_ema",), ("ema",)),
        *(("ema", "module"), ("checkpoint", "model", "state_dict"), ("model_ema",)),
    ],
)
def test_containers_are_opened(model, good, keys):
    found = prefixed(good, "module.")
    for key in reversed(keys):
        found = {"epoch": 3, "optimizer": {"state": {}}, "best": np.array(0.9), key: found}
    converted = pretrained.converted(found, model, "file")
    check(converted, model)
    words = [f"container {key}" for key in keys]
    # The same word may wrap the names, which "module" does here.
    assert list(converted.read_as) in ([*words, "prefix module"], words)


def test_averaged_weights_are_preferred_and_it_is_said(model, good):
    raw = {name: array + 1 for name, array in good.items()}
    found = pretrained.converted({"state_dict": raw, "state_dict_ema": good}, model, "file")
    check(found, model)
    assert found.read_as == ("container state_dict_ema",)
    empty = pretrained.converted({"state_dict": good, "state_dict_ema": None}, model, "file")
    check(empty, model)


def test_a_name_that_comes_twice_is_refused(model, good):
    both = good | prefixed({"conv1.weight": good["conv1.weight"]}, "module.")
    with pytest.raises(
        InputError, match=r"both conv1.weight and module.conv1.weight are conv1.wei"
    ):
        pretrained.converted(both, model, "file")


def test_refusals_are_short_and_say_what_was_recognised(model, good):
    found = {"state_dict": prefixed(good, "module.model.") | {"loss.weight": np.ones(2)}}
    with pytest.raises(InputError, match="read as: container state_dict, prefix module.model"):
        pretrained.converted(found, model, "w.pth")
    other = models.create("resnet18", {"widths": [8, 8, 8, 8]}, nnx.Rngs(0))
    with pytest.raises(InputError) as refused:
        pretrained.converted({"model": good}, other, "w.pth")
    assert len(str(refused.value)) < 300 and "and 37 more" in str(refused.value)
    for wrong in ({}, {"state_dict": {}}, 3, [good], {"a": {"b": 1}}, {"epoch": 3}):
        with pytest.raises(InputError, match="w.pth: (holds no state dict|.* is not a tensor)"):
            pretrained.converted(wrong, model, "w.pth")


@pytest.mark.parametrize("prefix", ["", "_orig_mod.", "model.module."])
def test_safetensors_have_prefixes_too(model, good, tmp_path, prefix):
    path = tmp_path / "weights of mine.safetensors"
    save_file(prefixed(good, prefix), path)
    found = pretrained.imported(path, "resnet18", CONFIG, Preprocess(crop=64))
    assert found.info["read_as"] == ([f"prefix {p}"] if (p := prefix.strip(".")) else [])


def timm_names():
    """torchvision's name -> timm's of EfficientNetV2-S, written from timm's naming independently of
    the code: every block numbers its layers in the order in which it calls them."""
    layers = {
        0: [("conv", 0, 0), ("bn1", 0, 1)],
        1: [("conv_exp", 0, 0), ("bn1", 0, 1), ("conv_pwl", 1, 0), ("bn2", 1, 1)],
        3: [
            *(("conv_pw", 0, 0), ("bn1", 0, 1), ("conv_dw", 1, 0), ("bn2", 1, 1)),
            *(("conv_pwl", 3, 0), ("bn3", 3, 1)),
        ],
    }
    found = {"features.0.0": "conv_stem", "features.0.1": "bn1", "features.7.0": "conv_head"}
    found |= {"features.7.1": "bn2", "classifier.1": "classifier"}
    for stage, blocks in enumerate((2, 4, 4, 6, 9, 15)):
        kind = max(k for k in layers if k <= stage)
        for block in range(blocks):
            ours, theirs = f"features.{stage + 1}.{block}.block", f"blocks.{stage}.{block}"
            found |= {f"{ours}.{i}.{j}": f"{theirs}.{name}" for name, i, j in layers[kind]}
            if kind == 3:
                found[f"{ours}.2.fc1"] = f"{theirs}.se.conv_reduce"
                found[f"{ours}.2.fc2"] = f"{theirs}.se.conv_expand"
    return found


def test_timms_efficientnet_has_other_names_for_the_same_layers():
    model = nnx.eval_shape(lambda: models.create("efficientnet_v2_s", {}, nnx.Rngs(0)))
    leaves = nnx.to_flat_state(nnx.state(model, nnx.Any(nnx.Param, nnx.BatchStat)))
    wanted = [pretrained.torch_name(".".join(map(str, path))) for path, _ in leaves]
    table = timm_names()
    given = {}
    for number, name in enumerate(wanted):
        layer, leaf = name.rsplit(".", 1)
        given[f"model.{table[layer]}.{leaf}"] = np.array(number)
    found = statedict.recognised({"state_dict": given}, wanted, "file")
    assert found.tensors == {name: np.array(number) for number, name in enumerate(wanted)}
    assert found.read_as[-2:] == ("prefix model", "timm's names of EfficientNetV2-S")
    assert statedict._from_timm("blocks.9.0.conv.weight") == "blocks.9.0.conv.weight"


@pytest.mark.stress
def test_timms_efficientnet_computes_something_else_and_has_to_be_named():
    model = models.create("efficientnet_v2_s", {}, nnx.Rngs(0))
    with pytest.raises(InputError, match=r"say --architecture '\{variant: timm\}' for efficientn"):
        pretrained.converted({"conv_stem.weight": np.ones(1)}, model, "w.pth")
    images = np.random.default_rng(0).normal(size=(1, 20, 20, 3)).astype("f4")
    stems = {}
    for variant in ("torchvision", "timm", "timm_tf"):
        made = models.create("efficientnet_v2_s", {"variant": variant}, nnx.Rngs(0))
        conv, norm = made.features_[0]
        assert norm.epsilon == (1e-5 if variant == "timm" else 1e-3)
        stems[variant] = np.asarray(conv(images)), np.asarray(conv.kernel[...])
    found, kernel = stems["timm_tf"]
    # TensorFlow halves 20 pixels with one column of zeros after them and none before.
    patch = np.pad(images[0], ((0, 1), (0, 1), (0, 0)))[:3, :3]
    assert np.allclose(found[0, 0, 0], np.einsum("ijk,ijkl->l", patch, kernel), atol=1e-5)
    assert found.shape == stems["timm"][0].shape and not np.allclose(found, stems["timm"][0])
    assert np.array_equal(stems["timm"][0], stems["torchvision"][0])


def test_what_scripts_save_beside_weights_is_left_alone(tmp_path):
    path = tmp_path / "checkpoint.pth"
    content = {"args": argparse.Namespace(lr=0.1), "path": tmp_path, "state_dict": OrderedDict()}
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps(content, 2))
    found = torchfile.read(path)
    assert found["args"] == {} and found["path"] == {} and found["state_dict"] == {}
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps({"x": pickle.Unpickler}, 2))
    with pytest.raises(InputError, match="pickle.Unpickler, which is not a tensor"):
        torchfile.read(path)
