"""Weights in and out: torchvision's logits to 1e-4, nothing pickled is run, nothing is left out."""

import io
import json
import pickle
import zipfile
from collections import OrderedDict
from pathlib import Path

import jax
import numpy as np
import pytest
import torchvision_reference
from flax import nnx

from classifiers import frozen, models, onnxfile, pretrained, torchfile, weights
from classifiers.exchange import command
from classifiers.models import create
from data.config import validated
from data.preprocess import Preprocess
from lensjax.errors import InputError

pytestmark = pytest.mark.usefixtures("as_on_every_platform")

SMALL = {"widths": [8, 8, 8, 16], "blocks": [1, 1, 1, 1]}


def state_dict(model) -> dict[str, np.ndarray]:
    """A torch state dict for a model's shapes, with torch's counters."""
    shapes = {
        pretrained.torch_name(n): pretrained.to_torch(a).shape
        for n, a in weights.flatten(model).items()
    }
    found = {name: torchvision_reference.weight(name, shape) for name, shape in shapes.items()}
    return found | {
        n.replace("running_var", "num_batches_tracked"): np.array(3)
        for n in found
        if n.endswith("running_var")
    }


@pytest.fixture(scope="module")
def small():
    return create("resnet18", SMALL, nnx.Rngs(0))


def drawn(name: str):
    """A model with the weights of torchvision_reference."""
    model = nnx.eval_shape(lambda: create(name, {}, nnx.Rngs(0)))
    leaves = nnx.to_flat_state(nnx.state(model, nnx.Any(nnx.Param, nnx.BatchStat)))
    own = {".".join(map(str, path)): np.zeros(leaf.shape, np.float32) for path, leaf in leaves}
    arrays = {
        n: pretrained.from_torch(
            torchvision_reference.weight(pretrained.torch_name(n), pretrained.to_torch(a).shape)
        )
        for n, a in own.items()
    }
    weights.restore(model, arrays, "drawn")
    return model


NAMES = ["resnet18", pytest.param("efficientnet_v2_s", marks=pytest.mark.stress)]


@pytest.mark.parametrize("name", NAMES)
def test_logits_are_torchvisions(name):
    """Compared with torchvision where torch is installed, with its recorded logits elsewhere."""
    model = drawn(name)
    try:
        import torch  # noqa: F401

        expected = torchvision_reference.logits()
    except ImportError:
        expected = json.loads((Path(__file__).parent / "torchvision_logits.json").read_text())
    model.eval()
    graph, state = nnx.split(model)
    run = jax.jit(lambda state, x: nnx.merge(graph, state)(x))
    for side in torchvision_reference.SIDES:
        found, wanted = (
            np.asarray(run(state, torchvision_reference.images(side))),
            np.array(expected[name][str(side)]),
        )
        assert np.abs(found - wanted).max() < 1e-4 * np.abs(wanted).max(), (
            name,
            side,
            found,
            wanted,
        )


@pytest.mark.parametrize("name", [*NAMES, "shielded_resnet"])
def test_onnx_gives_the_same_logits(name):
    """onnxruntime against torchvision's recorded logits, or against JAX where it has none."""
    onnxruntime = pytest.importorskip("onnxruntime")
    model = drawn(name)
    recorded = json.loads((Path(__file__).parent / "torchvision_logits.json").read_text())
    for side in torchvision_reference.SIDES:
        images, source = (
            torchvision_reference.images(side),
            frozen.freeze(model, Preprocess(crop=side), {"model": name}),
        )
        program = onnxfile.program(source)
        kinds = [node.op_type for node in program.graph.node]
        assert kinds.count("Conv") == sum(
            isinstance(layer, nnx.Conv) for _, layer in nnx.iter_modules(model)
        )
        session = onnxruntime.InferenceSession(program.SerializeToString())
        found, features = session.run(
            ["logits", "features"], {"images": images.transpose(0, 3, 1, 2)}
        )
        wanted = (
            np.array(recorded[name][str(side)])
            if name in recorded
            else np.asarray(jax.jit(lambda f, x: f.model(x))(source, images))
        )
        assert np.abs(found - wanted).max() < 1e-4 * np.abs(wanted).max(), (
            name,
            side,
            found,
            wanted,
        )
        if name == "shielded_resnet":
            np.testing.assert_allclose(
                features,
                jax.jit(lambda f, x: f.model.features(x))(source, images),
                rtol=1e-4,
                atol=1e-5,
            )
        one = session.run(["logits"], {"images": images[:1].transpose(0, 3, 1, 2)})[
            0
        ]  # the batch is open
        assert np.allclose(one, found[:1], rtol=1e-4)


def test_a_primitive_without_translation_to_onnx_is_named(small):
    class Odd(type(small)):
        def head(self, features, key=None):
            return jax.numpy.sort(super().head(features, key), axis=1)

    odd = Odd(validated(type(small).config_class, SMALL, "test"), nnx.Rngs(0))
    with pytest.raises(InputError, match="the model uses sort, which has no translation"):
        onnxfile.program(frozen.freeze(odd, Preprocess(crop=32), {"model": "odd"}))


def test_export_and_import_give_back_every_number(small, tmp_path):
    source = frozen.freeze(
        small,
        Preprocess(crop=32),
        {"model": "resnet18", "config": models.complete("resnet18", SMALL)},
    )
    pretrained.exported(source, tmp_path)
    again = pretrained.imported(
        tmp_path / "model.safetensors", "resnet18", SMALL, Preprocess(crop=32)
    )
    stamps = np.random.default_rng(0).normal(size=(2, 32, 32, 3)).astype("f4")
    assert np.array_equal(source.logits(stamps), again.logits(stamps))
    assert {"config.json", "README.md", "model.safetensors"} == {p.name for p in tmp_path.iterdir()}
    assert json.loads((tmp_path / "config.json").read_text())["architecture"] == "resnet18"


def test_a_head_of_a_thousand_classes_is_replaced_and_said_so(small):
    tensors = state_dict(small) | {
        "fc.weight": np.zeros((1000, 16), "f4"),
        "fc.bias": np.zeros(1000, "f4"),
    }
    found = pretrained.converted(tensors, small, "file")
    assert found.new_head == ["fc.bias", "fc.weight"] and np.array_equal(
        found.arrays["fc.kernel"], weights.flatten(small)["fc.kernel"]
    )
    assert np.array_equal(
        found.arrays["conv1.kernel"], tensors["conv1.weight"].transpose(2, 3, 1, 0)
    )


def test_every_tensor_is_accounted_for(small):
    tensors = state_dict(small)
    tensors["extra.weight"] = tensors.pop("layer1.0.conv1.weight")
    tensors["bn1.bias"] = np.zeros(9, "f4")
    tensors["extra.num_batches_tracked"] = np.array(3)
    with pytest.raises(InputError) as refused:
        pretrained.converted(tensors, small, "file.pth")
    for part in (
        "missing layer1.0.conv1.weight",
        "unknown extra.num_batches_tracked, extra.weight",
        "bn1.bias has shape (9,) instead of (8,)",
    ):
        assert part in str(refused.value)
    with pytest.raises(InputError, match="NaN"):
        pretrained.converted(
            state_dict(small) | {"bn1.bias": np.full(8, np.nan, "f4")}, small, "file.pth"
        )


def saved(
    path: Path, tensors: dict, *, compress: bool = False, evil: object = None, short: bool = False
) -> Path:
    """What torch.save writes: a pickle of protocol 2 with persistent ids, and stored members."""

    class Named:
        def __init__(self, module, name):
            self.module, self.name = module, name

    class Tensor:
        def __init__(self, key, array):
            self.key, self.array = key, array

    class Storage:
        def __init__(self, key, array):
            self.key, self.array = key, array

    class Pickler(pickle._Pickler):
        """Writes globals by name, though no module holds them."""

        def persistent_id(self, item):
            return (
                ("storage", Named("torch", "FloatStorage"), item.key, "cpu", item.array.size)
                if isinstance(item, Storage)
                else None
            )

        def save(self, item, save_persistent_id=True):
            if isinstance(item, Named):
                self.write(pickle.GLOBAL + f"{item.module}\n{item.name}\n".encode())
            elif isinstance(item, Tensor):
                strides = tuple(s // 4 for s in item.array.strides)
                self.save(Named("torch._utils", "_rebuild_tensor_v2"))
                self.save(
                    (
                        Storage(item.key, item.array),
                        0,
                        item.array.shape,
                        strides,
                        False,
                        OrderedDict(),
                    )
                )
                self.write(pickle.REDUCE)
            else:
                super().save(item, save_persistent_id)

    stream = io.BytesIO()
    content = OrderedDict(
        (name, Tensor(str(i), array)) for i, (name, array) in enumerate(tensors.items())
    )
    Pickler(stream, 2).dump({"state_dict": content, **({"x": evil} if evil else {})})
    with zipfile.ZipFile(
        path, "w", zipfile.ZIP_DEFLATED if compress else zipfile.ZIP_STORED
    ) as archive:
        archive.writestr("archive/data.pkl", stream.getvalue())
        for i, array in enumerate(tensors.values()):
            archive.writestr(f"archive/data/{i}", array.tobytes("A")[: -4 if short else None])
    return path


def test_a_pth_is_read_without_torch(tmp_path):
    tensors = {
        "module.a.weight": np.arange(6, dtype="f4").reshape(2, 3),
        "b": np.arange(6, dtype="f4").reshape(2, 3).T,
    }
    found = torchfile.read(saved(tmp_path / "x.pth", tensors))["state_dict"]
    assert found.keys() == tensors.keys()
    assert all(np.array_equal(found[name], tensors[name]) for name in tensors)


class Bomb:
    def __reduce__(self):
        return (exec, ("raise SystemExit('ran')",))


@pytest.mark.parametrize("how", ["evil", "short", "compress", "garbage", "truncated"])
def test_hostile_and_damaged_files_are_refused(tmp_path, how):
    path = tmp_path / "x.pth"
    tensors = {"a": np.ones(8, "f4")}
    if how == "evil":
        saved(path, tensors, evil=Bomb())
    elif how in ("short", "compress"):
        saved(path, tensors, **{how: True})
    elif how == "garbage":
        path.write_bytes(b"not a zip" * 100)
    else:
        saved(path, tensors)
        path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(InputError, match=r"x\.pth") as refused:
        torchfile.read(path)
    assert "\n" not in str(refused.value)


def test_npz_and_unknown_suffixes(small, tmp_path):
    np.savez(tmp_path / "w.npz", **state_dict(small))
    found = pretrained.converted(pretrained.read(tmp_path / "w.npz"), small, "w.npz")
    assert np.array_equal(found.arrays["bn1.var"], state_dict(small)["bn1.running_var"])
    with pytest.raises(InputError, match="weights are read from"):
        pretrained.read(tmp_path / "w.h5")


def test_the_verb_exports_and_imports_the_same_bytes(small, tmp_path):
    preprocess = Preprocess(crop=32, annulus=(0.5, 1.0))
    frozen.save(
        tmp_path / "a",
        frozen.freeze(
            small, preprocess, {"model": "resnet18", "config": models.complete("resnet18", SMALL)}
        ),
    )
    assert command(["export", str(tmp_path / "a"), "--to", str(tmp_path / "b"), "--onnx"]) == 0
    assert {p.name for p in (tmp_path / "b").iterdir()} == {
        "config.json",
        "README.md",
        "model.onnx",
        "model.safetensors",
    }
    fields = json.dumps(SMALL)
    assert (
        command(
            [
                "import",
                str(tmp_path / "b/model.safetensors"),
                "--to",
                str(tmp_path / "c"),
                "--architecture",
                fields,
                "--crop",
                "32",
            ]
        )
        == 0
    )
    assert (tmp_path / "a" / frozen.NUMBERS).read_bytes() == (
        tmp_path / "c" / frozen.NUMBERS
    ).read_bytes()
    assert (
        command(["import", str(tmp_path / "b"), "--to", str(tmp_path / "d")]) == 0
    )  # a folder needs no flags
    assert (tmp_path / "a" / frozen.NUMBERS).read_bytes() == (
        tmp_path / "d" / frozen.NUMBERS
    ).read_bytes()
    assert frozen.load(tmp_path / "d").preprocess == preprocess
    for content in (
        "{}",
        "[",
        '{"architecture": "resnet18", "config": 3, "preprocess": {}, "trained": {}}',
    ):
        (tmp_path / "b/config.json").write_text(content)
        with pytest.raises(InputError, match=r"config\.json|resnet18"):
            command(["import", str(tmp_path / "b"), "--to", str(tmp_path / "e")])
    with pytest.raises(InputError, match="expected a mapping"):
        command(["import", "x.npz", "--to", str(tmp_path), "--architecture", "[1]"])
