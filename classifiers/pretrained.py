"""Weights in from torchvision or timm, weights out for others: the same numbers under torch's names
and in torch's layout.

torch                       here
Conv weight (out, in, h, w) kernel (h, w, in, out)
Linear weight (out, in)     kernel (in, out)
BN weight, running_mean     scale, mean
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from flax import nnx

from classifiers import card, frozen, models, statedict, torchfile, weights
from data.config import validated
from data.files import replacing, write_json
from data.preprocess import Preprocess
from lensjax.errors import InputError

IGNORED = "num_batches_tracked"
"""torch's counter of batches beside every running variance; only a cumulative average needs it"""
TENSORS, CONFIG = "model.safetensors", "config.json"
KEEP = "preprocess.keep"
"""Entry of the metadata of tensors that were trained on a part of the stamps."""
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


def read(path: Path) -> Any:
    """What a .pth, .pt, .safetensors or .npz file holds: arrays by name, in a .pth perhaps within
    other dictionaries. Raises InputError when it is none of them or damaged."""
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


@dataclass(frozen=True)
class Converted:
    """arrays: every array of the model, by its own names. new_head: names of the head's tensors
    where the model keeps its own. read_as: in words, how the file was read."""

    arrays: dict[str, np.ndarray]
    new_head: list[str]
    read_as: tuple[str, ...]


def converted(tensors: Mapping[str, Any], model: models.Classifier, where: str) -> Converted:
    """A model's arrays from a state dict of torchvision or timm, as `statedict` recognises it.

    A head of another number of classes is left out, and the model keeps its own. Raises InputError
    that names other tensors that are missing, unknown or of another shape, and says how the file
    was read.
    """
    own = weights.flatten(model)
    wanted = {torch_name(name): to_torch(array) for name, array in own.items()}
    found = statedict.recognised(tensors, wanted, where)
    if statedict.TIMM in found.read_as and getattr(model, "variant", "") == "torchvision":
        raise InputError(
            f"{where}: has {statedict.TIMM}, which computes something else than torchvision's; say "
            "--architecture '{variant: timm}' for efficientnetv2_s, '{variant: timm_tf}' for "
            "tf_efficientnetv2_s"
        )
    counters = {
        name.removesuffix("running_var") + IGNORED
        for name in wanted
        if name.endswith("running_var")
    }
    given = {name: array for name, array in found.tensors.items() if name not in counters}
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
        how = f" (read as: {', '.join(found.read_as)})" if found.read_as else ""
        raise InputError(f"{where}: not the weights of this model{how}: {problems}")
    if not weights.finite({n: np.asarray(a, np.float32) for n, a in given.items()}):
        raise InputError(f"{where}: holds NaN or infinite numbers; restore it from where it came")
    arrays = {name: from_torch(np.asarray(given[torch_name(name)], np.float32)) for name in own}
    return Converted(arrays, replaced, found.read_as)


def imported(
    path: Path, model: str, config: Mapping[str, Any], preprocess: Preprocess, seed: int = 0
) -> frozen.Frozen:
    """A frozen classifier with the weights of a state dict of torchvision or timm.

    seed: of the head, where the file's has another number of classes. Raises InputError as
    `converted` does, and for tensors that were trained on a part of the stamps, which the file
    alone cannot apply.
    """
    made = models.create(model, config, nnx.Rngs(seed))
    found = converted(read(path), made, str(path))
    _same_ring(Path(path), preprocess)
    weights.restore(made, found.arrays, str(path))
    info = {
        "model": model,
        "config": models.complete(model, config),
        "imported_from": Path(path).name,
        "new_head": found.new_head,
        "read_as": list(found.read_as),
    }
    return frozen.freeze(made, preprocess, info)


def _same_ring(path: Path, preprocess: Preprocess) -> None:
    if path.suffix != ".safetensors":
        return
    from safetensors import safe_open

    with safe_open(path, framework="numpy") as file:
        said = (file.metadata() or {}).get(KEEP)
    if said and list(preprocess.keep or ()) != json.loads(said):
        raise InputError(
            f"{path}: was trained on the ring {said} (pixels) of stamps, which tensors alone do "
            f"not apply; give the folder with its {CONFIG} instead of the file"
        )


def returned(folder: Path) -> frozen.Frozen:
    """The classifier that `exported` wrote into a folder. Raises InputError when a file is missing
    or is not its own."""
    path = Path(folder) / CONFIG
    try:
        found = json.loads(path.read_text())
        name, config, info = found["architecture"], found["config"], dict(found["trained"])
        preprocess = validated(Preprocess, found["preprocess"], str(path))
    except FileNotFoundError:
        raise InputError(
            f"{path}: no such file; give a folder of `lensjax weights export`, or a weights file "
            "with --model and --crop"
        ) from None
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"{path}: not the configuration of an exported classifier ({type(error).__name__}: "
            f"{error}); export it again"
        ) from None
    again = imported(Path(folder) / TENSORS, name, config, preprocess)
    return frozen.freeze(again.model, preprocess, info | again.info)


def exported(source: frozen.Frozen, folder: Path) -> list[Path]:
    """Writes model.safetensors (torch's names and layout), config.json and README.md, as a
    repository of Hugging Face has them; returns their paths."""
    from safetensors.numpy import save_file

    folder = Path(folder)
    arrays = {
        torch_name(name): np.ascontiguousarray(to_torch(array))
        for name, array in weights.flatten(source.model).items()
    }
    paths = [folder / name for name in (TENSORS, CONFIG, card.FILE)]
    keep = source.preprocess.keep
    ring = {KEEP: json.dumps(keep)} if keep else {}
    with replacing(paths[0]) as temporary:
        save_file(arrays, temporary, metadata={"format": "pt"} | ring)
    info = source.info
    preprocess = source.preprocess.said
    write_json(
        paths[1],
        {
            "architecture": info["model"],
            "config": info["config"],
            "preprocess": preprocess,
            "bands": info.get("survey", {}).get("bands", source.bands),
            "trained": info,
        },
    )
    card.write(folder, card.of_network(source, card.TORCH))
    return paths
