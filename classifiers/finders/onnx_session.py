"""An ONNX file as a function from arrays to scores, by onnxruntime, with what it says of itself."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from lensjax.errors import InputError

OURS = "lensjax"
"""Key of the metadata under which `classifiers.onnxfile` says what a file is."""


@dataclass(frozen=True)
class Session:
    """run: arrays in the file's own layout to its answers. shape: of its input, (b, ., ., .), where
    None stands for any number. described: what a file that we wrote says of itself."""

    run: Callable[[Any], Any]
    shape: tuple[int | None, ...]
    described: dict[str, Any] = field(default_factory=dict)


def session(path: Path, tensor: str = "") -> Session:
    """The ONNX file as a function. tensor: name of the output, where there are several.

    Raises InputError when onnxruntime is not installed, and when the file is missing, is not ONNX,
    or does not take one image tensor.
    """
    try:
        import onnxruntime
    except ImportError:
        raise InputError(
            f"finder {path}: reading ONNX needs onnxruntime; pip install 'lensjax[onnx]'"
        ) from None
    if not path.is_file():
        raise InputError(f"finder {path}: no such file")
    preferred = ("CUDAExecutionProvider", "CPUExecutionProvider")
    providers = [p for p in preferred if p in onnxruntime.get_available_providers()]
    try:
        opened = onnxruntime.InferenceSession(str(path), providers=providers)
    except Exception as error:  # onnxruntime has no common class of errors
        said = " ".join(str(error).split())[:160]
        raise InputError(f"finder {path}: not a readable ONNX file ({said})") from None
    inputs, outputs = opened.get_inputs(), [o.name for o in opened.get_outputs()]
    if len(inputs) != 1 or len(inputs[0].shape) != 4:
        shapes = ", ".join(f"{i.name} {i.shape}" for i in inputs)
        raise InputError(f"finder {path}: takes {shapes}, not one batch of images with 4 axes")
    described = _described(opened.get_modelmeta().custom_metadata_map, path)
    tensor = tensor or ("logits" if described else "")
    if tensor and tensor not in outputs:
        raise InputError(f"finder {path}: has no output {tensor!r}; it has {', '.join(outputs)}")
    if not tensor and len(outputs) > 1:
        raise InputError(
            f"finder {path}: has the outputs {', '.join(outputs)}; say which one: tensor=NAME"
        )
    wanted, name = tensor or outputs[0], inputs[0].name
    dtype = np.float16 if inputs[0].type == "tensor(float16)" else np.float32
    shape = tuple(n if isinstance(n, int) and n > 0 else None for n in inputs[0].shape)
    one = lambda part: opened.run([wanted], {name: np.asarray(part, dtype)})[0]
    return Session(_in_batches(one, shape[0]), shape, described)


def self_contained(path: Path) -> None:
    """Raises InputError when an ONNX file keeps numbers in a file outside its own folder."""
    try:
        import onnx
        from onnx.external_data_helper import _get_all_tensors
    except ImportError:
        raise InputError(
            f"finder {path}: reading ONNX needs onnx; pip install 'lensjax[onnx]'"
        ) from None
    try:
        model = onnx.load(str(path), load_external_data=False)
    except Exception as error:  # protobuf has its own errors
        raise InputError(f"finder {path}: not a readable ONNX file ({error})") from None
    home = path.parent.resolve()
    for tensor in _get_all_tensors(model):
        for entry in tensor.external_data:
            if entry.key != "location":
                continue
            if not (home / entry.value).resolve().is_relative_to(home):
                raise InputError(
                    f"finder {path}: keeps {tensor.name} in {entry.value}, outside its own folder; "
                    "put the file beside it"
                )


def _in_batches(one: Callable[[Any], Any], size: int | None) -> Callable[[Any], Any]:
    """`one` for any number of images where the file takes exactly `size` of them at a time."""
    if size is None:
        return one

    def run(images: Any) -> Any:
        parts = []
        for start in range(0, len(images), size):
            part = np.asarray(images[start : start + size])
            short = size - len(part)
            full = np.concatenate([part, np.repeat(part[:1], short, 0)]) if short else part
            parts.append(np.asarray(one(full))[: len(part)])
        return np.concatenate(parts)

    return run


def _described(metadata: dict[str, str], path: Path) -> dict[str, Any]:
    if OURS not in metadata:
        return {}
    try:
        return dict(json.loads(metadata[OURS]))
    except (json.JSONDecodeError, TypeError, ValueError):
        raise InputError(f"finder {path}: its metadata {OURS!r} is damaged; export again") from None
