"""Weights in from torchvision, weights out for others: the same numbers under torch's names and in torch's layout.

torch                       here
Conv weight (out, in, h, w) kernel (h, w, in, out)
Linear weight (out, in)     kernel (in, out)
BN weight, running_mean     scale, mean
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from flax import nnx

from classifiers import frozen, models, torchfile, weights
from data.config import validated
from data.files import replacing, write_json
from data.preprocess import Preprocess
from lensjax.errors import InputError

IGNORED = "num_batches_tracked"
"""torch's counter of batches beside every running variance, which only a cumulative average needs"""
TENSORS, CONFIG = "model.safetensors", "config.json"
LEAVES = {
    "kernel": "weight",
    "scale": "weight",
    "bias": "bias",
    "mean": "running_mean",
    "var": "running_var",
}


def torch_name(name: str) -> str:
    """torch's name of a tensor: `features_.0.1.scale` -> `features.0.1.weight`."""
    *path, leaf = name.split(".")
    return ".".join([part.rstrip("_") for part in path] + [LEAVES[leaf]])


def to_torch(array: np.ndarray) -> np.ndarray:
    """A tensor in torch's layout: kernels of convolutions and dense layers transposed."""
    return array.transpose(3, 2, 0, 1) if array.ndim == 4 else array.T


def from_torch(array: np.ndarray) -> np.ndarray:
    """The inverse of `to_torch`."""
    return array.transpose(2, 3, 1, 0) if array.ndim == 4 else array.T


def read(path: Path) -> dict[str, np.ndarray]:
    """Arrays of a .pth, .pt, .safetensors or .npz file. Raises InputError when it is none of them or damaged."""
    path = Path(path)
    if path.suffix in (".pth", ".pt"):
        return torchfile.read(path)
    if path.suffix == ".safetensors":
        return weights.read(path)
    if path.suffix == ".npz":
        try:
            with np.load(path, allow_pickle=False) as archive:
                return {name: archive[name] for name in archive.files}
        except FileNotFoundError:
            raise InputError(f"{path}: no such file") from None
        except Exception as error:
            raise InputError(
                f"{path}: not a readable .npz of plain arrays ({type(error).__name__})"
            ) from None
    raise InputError(f"{path}: weights are read from .pth, .pt, .safetensors and .npz")


def converted(
    tensors: Mapping[str, np.ndarray], model: models.Finder, where: str
) -> tuple[dict[str, np.ndarray], list[str]]:
    """Every array of the model from a torch state dict, and the names of the head's when it was replaced.

    A head of another number of classes is left out: the model keeps its own. Raises InputError naming every other tensor that is missing, unknown or
    of another shape.
    """
    own = weights.flatten(model)
    wanted = {torch_name(name): to_torch(array) for name, array in own.items()}
    counters = {
        name.removesuffix("running_var") + IGNORED
        for name in wanted
        if name.endswith("running_var")
    }
    given = {name: array for name, array in tensors.items() if name not in counters}
    head = [name for name in wanted if name.split(".")[0] == model.head_name]
    replaced = sorted(
        n
        for n in head
        if n in given
        and given[n].shape != wanted[n].shape
        and given[n].shape[1:] == wanted[n].shape[1:]
    )
    if replaced:
        given = {n: a for n, a in given.items() if n not in head} | {n: wanted[n] for n in head}
    if problems := weights.differences(given, wanted):
        raise InputError(f"{where}: not the weights of this model: {problems}")
    if not weights.finite({n: np.asarray(a, np.float32) for n, a in given.items()}):
        raise InputError(f"{where}: holds NaN or infinite numbers; restore it from where it came")
    return {
        name: from_torch(np.asarray(given[torch_name(name)], np.float32)) for name in own
    }, replaced


def imported(
    path: Path, model: str, config: Mapping[str, Any], preprocess: Preprocess, seed: int = 0
) -> frozen.Frozen:
    """A frozen classifier with the weights of a torchvision state dict. seed: of the head when the file's has another number of classes."""
    made = models.create(model, config, nnx.Rngs(seed))
    arrays, replaced = converted(read(path), made, str(path))
    weights.restore(made, arrays, str(path))
    info = {
        "model": model,
        "config": models.complete(model, config),
        "imported_from": Path(path).name,
        "new_head": replaced,
    }
    return frozen.freeze(made, preprocess, info)


def returned(folder: Path) -> frozen.Frozen:
    """The classifier that `exported` wrote into a folder. Raises InputError when a file is missing or not its own."""
    path = Path(folder) / CONFIG
    try:
        found = json.loads(path.read_text())
        name, config, info = found["architecture"], found["config"], dict(found["trained"])
        preprocess = validated(Preprocess, found["preprocess"], str(path))
    except FileNotFoundError:
        raise InputError(
            f"{path}: no such file; give a folder of `lensjax weights export`, or a weights file with --model and --crop"
        ) from None
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"{path}: not the configuration of an exported classifier ({type(error).__name__}: {error}); export it again"
        ) from None
    again = imported(Path(folder) / TENSORS, name, config, preprocess)
    return frozen.freeze(again.model, preprocess, info | again.info)


def exported(source: frozen.Frozen, folder: Path) -> list[Path]:
    """Writes model.safetensors (torch's names and layout), config.json and README.md, the layout of a Hugging Face repository."""
    from safetensors.numpy import save_file

    folder = Path(folder)
    arrays = {
        torch_name(name): np.ascontiguousarray(to_torch(array))
        for name, array in weights.flatten(source.model).items()
    }
    paths = [folder / name for name in (TENSORS, CONFIG, "README.md")]
    with replacing(paths[0]) as temporary:
        save_file(arrays, temporary, metadata={"format": "pt"})
    info = source.info
    preprocess = {
        "crop": source.preprocess.crop,
        "annulus": source.preprocess.annulus,
        "clip": source.preprocess.clip,
    }
    write_json(
        paths[1],
        {
            "architecture": info["model"],
            "config": info["config"],
            "preprocess": preprocess,
            "bands": ["g", "r", "z"],
            "trained": info,
        },
    )
    with replacing(paths[2]) as temporary:
        temporary.write_text(card(info, preprocess))
    return paths


def card(info: Mapping[str, Any], preprocess: Mapping[str, Any]) -> str:
    """The model card: what goes in, what comes out, where it was trained, what it is not for."""
    auc = info.get("val_auc")
    return f"""---
license: mit
library_name: lensjax
tags: [astronomy, strong-lensing, image-classification]
---

# {info["model"]}: strong gravitational lenses in Legacy Surveys images

- **Input**: (B, 3, {preprocess["crop"]}, {preprocess["crop"]}) float32, bands g, r, z at 0.262 arcsec a pixel, after `raw_robust` ({json.dumps(preprocess)}):
  per band, minus the median and divided by the median absolute deviation of an annulus, clipped.
- **Output**: one logit; its sigmoid is the score.
- **Weights**: `model.safetensors`, names and layout of torch (torchvision's for resnet18 and efficientnet_v2_s).
- **Training**: manifest SHA-256 {info.get("manifest_sha256")}, seed {info.get("seed")}, epoch {info.get("epoch")},
  validation AUC {"none" if auc is None else f"{auc:.4f}"}.
- **Not for**: scores as probabilities on a sample with another share of lenses; images of other surveys or pixel scales. A classifier trained on a
  simulated survey says nothing about the real sky.
"""
