"""A network's numbers as flat names -> arrays, in safetensors files and back.

Every tensor is accounted for, or the file is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from data.files import replacing
from lensjax.errors import InputError, some


def flatten(model: nnx.Module) -> dict[str, np.ndarray]:
    """Parameters and running statistics as numpy arrays by path, as `layer1.0.conv1.kernel`."""
    state = nnx.state(model, nnx.Any(nnx.Param, nnx.BatchStat))
    return {
        ".".join(map(str, path)): np.asarray(leaf[...]) for path, leaf in nnx.to_flat_state(state)
    }


def differences(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> str:
    """What keeps `found` from being `wanted`, in words: names that are missing or unknown, and
    shapes that differ, the first few of each and how many more; empty where they agree."""
    both = sorted(set(found) & set(wanted))
    shapes = {name: (tuple(found[name].shape), tuple(wanted[name].shape)) for name in both}
    other = [f"{name} has shape {a} instead of {b}" for name, (a, b) in shapes.items() if a != b]
    problems = []
    if missing := sorted(set(wanted) - set(found)):
        problems.append(f"missing {some(missing)}")
    if unknown := sorted(set(found) - set(wanted)):
        problems.append(f"unknown {some(unknown)}")
    if other:
        problems.append(some(other))
    return "; ".join(problems)


def restore(model: nnx.Module, arrays: Mapping[str, np.ndarray], where: str) -> None:
    """Puts arrays into a model, in place. The model may be a shape only (nnx.eval_shape), which
    spares drawing numbers that are replaced at once.

    Raises InputError that names tensors that are missing, unknown or of another shape.
    """
    leaves = {
        ".".join(map(str, path)): (path, leaf)
        for path, leaf in nnx.to_flat_state(nnx.state(model, nnx.Any(nnx.Param, nnx.BatchStat)))
    }
    if problems := differences(arrays, {name: leaf for name, (_, leaf) in leaves.items()}):
        raise InputError(f"{where}: does not fit the model: {problems}")
    nnx.update(
        model,
        nnx.from_flat_state(
            [
                (path, leaf.replace(jnp.asarray(arrays[name], leaf.dtype)))
                for name, (path, leaf) in leaves.items()
            ]
        ),
    )


def save(path: Path, model: nnx.Module, metadata: Mapping[str, str] | None = None) -> None:
    """Writes a safetensors file, whole or not at all."""
    from safetensors.numpy import save_file

    with replacing(path) as temporary:
        save_file(
            {k: np.ascontiguousarray(v) for k, v in flatten(model).items()},
            temporary,
            metadata=dict(metadata or {}),
        )


def read(path: Path) -> dict[str, np.ndarray]:
    """Arrays of a safetensors file. Raises InputError when it is missing or damaged."""
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        return load_file(path)
    except FileNotFoundError:
        raise InputError(
            f"{path}: no such weights file; train again or copy the whole folder"
        ) from None
    except (SafetensorError, ValueError, OSError) as error:
        raise InputError(
            f"{path}: not a readable safetensors file ({error}); restore it from where it came"
        ) from None


def finite(arrays: Mapping[str, np.ndarray]) -> bool:
    """Whether no array holds a NaN or an infinity."""
    return all(bool(jnp.isfinite(a).all()) for a in jax.tree.leaves(dict(arrays)))
