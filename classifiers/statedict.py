"""State dicts as other people save them: in which container, under which prefix, by whose names.

A checkpoint of PyTorch is a dictionary of tensors, or a dictionary that holds one among other
things. The names of its tensors begin with what the model was wrapped in, and follow the library
that it came from. This module finds the tensors and gives them torchvision's names:

    {"epoch": 12, "state_dict_ema": {"module._orig_mod.conv_stem.weight": ...}}
    ->  {"features.0.0.weight": ...}, and in words how it was read

Nothing is thrown away but counters that evaluation does not need. What remains unknown is left for
the caller to refuse.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from lensjax.errors import InputError

CONTAINERS = (
    *("state_dict_ema", "model_ema", "ema_state_dict", "ema_model", "ema", "shadow"),
    *("state_dict", "model_state_dict", "model_state", "model", "module", "network", "net"),
    *("weights", "params", "checkpoint"),
)
"""Keys that hold the tensors, the preferred ones first: averaged weights are meant for scoring."""
WRAPPERS = ("module", "_orig_mod")
"""Parts of names that a wrapper adds: parallel training, compilation, averaging."""
COUNTERS = ("n_averaged",)
"""Tensors of wrappers that are not weights."""

TIMM = "timm's names of EfficientNetV2-S"
"""The words for it; below, these names and torchvision's."""
TIMM_TOP = {
    "conv_stem": "features.0.0",
    "bn1": "features.0.1",
    "conv_head": "features.7.0",
    "bn2": "features.7.1",
    "classifier": "classifier.1",
}
TIMM_PLAIN = {"conv": "0.0", "bn1": "0.1"}
TIMM_FUSED = {"conv_exp": "0.0", "bn1": "0.1", "conv_pwl": "1.0", "bn2": "1.1"}
TIMM_INVERTED = {
    "conv_pw": "0.0",
    "bn1": "0.1",
    "conv_dw": "1.0",
    "bn2": "1.1",
    "se.conv_reduce": "2.fc1",
    "se.conv_expand": "2.fc2",
    "conv_pwl": "3.0",
    "bn3": "3.1",
}
TIMM_STAGES = (TIMM_PLAIN, TIMM_FUSED, TIMM_FUSED, TIMM_INVERTED, TIMM_INVERTED, TIMM_INVERTED)
TIMM_BLOCK = re.compile(r"blocks\.(\d+)\.(\d+)\.(.+)\.(\w+)")


@dataclass(frozen=True)
class StateDict:
    """tensors: by torchvision's names. read_as: in words, what was recognised; may be empty."""

    tensors: dict[str, np.ndarray]
    read_as: tuple[str, ...]


def recognised(found: Any, wanted: Collection[str], where: str) -> StateDict:
    """The tensors of a checkpoint by the names that a model of ours has in torch.

    found: what a file holds, a mapping of names to tensors or of keys to such mappings. wanted:
    torchvision's names of the model's own tensors. Raises InputError when there is no state dict,
    when it holds something that is no tensor, and when two tensors would get one name.
    """
    tensors, containers = _unwrapped(found, where)
    first = {name.split(".")[0] for name in wanted}
    timm = {"blocks", *TIMM_TOP} if "features" in first else set()
    cleaned, prefix = _without_prefix(tensors, first | timm, where)
    read_as = [f"container {key}" for key in containers]
    read_as += [f"prefix {prefix}"] if prefix else []
    if timm and "conv_stem.weight" in cleaned:
        cleaned = {_from_timm(name): array for name, array in cleaned.items()}
        read_as.append(TIMM)
    return StateDict(cleaned, tuple(read_as))


def _unwrapped(found: Any, where: str) -> tuple[dict[str, np.ndarray], list[str]]:
    containers: list[str] = []
    while isinstance(found, Mapping):
        inner = [k for k in CONTAINERS if isinstance(found.get(k), Mapping) and found[k]]
        if not inner:
            break
        containers.append(inner[0])
        found = found[inner[0]]
    if not isinstance(found, Mapping) or not found:
        raise InputError(f"{where}: holds no state dict; save the model's state_dict()")
    wrong = [str(name) for name, value in found.items() if not isinstance(value, np.ndarray)]
    if wrong:
        more = f" and {len(wrong) - 1} more" if len(wrong) > 1 else ""
        inside = f" in {'.'.join(containers)}" if containers else ""
        raise InputError(
            f"{where}: {wrong[0]}{more}{inside} is not a tensor; save the model's state_dict()"
        )
    return {str(name): value for name, value in found.items()}, containers


def _without_prefix(
    tensors: Mapping[str, np.ndarray], first: Collection[str], where: str
) -> tuple[dict[str, np.ndarray], str]:
    """Tensors without what wrappers put before and into their names, and that prefix.

    first: how names of the model begin. A part that more than half of the names begin with, and
    the model's do not, is a wrapper's attribute, such as `model` in `model.conv1.weight`.
    """
    parts = {name: name.split(".") for name in tensors if name not in COUNTERS}
    dropped: list[str] = []
    while parts:
        begins = Counter(p[0] for p in parts.values() if len(p) > 1)
        commonest, number = begins.most_common(1)[0] if begins else ("", 0)
        if commonest in first or 2 * number <= len(parts):
            break
        dropped.append(commonest)
        parts = {n: p[1:] if len(p) > 1 and p[0] == commonest else p for n, p in parts.items()}
    inside = lambda p: ".".join(part for part in p if part not in WRAPPERS or part in first)
    names: dict[str, str] = {}
    for name, left in parts.items():
        short = inside(left)
        if short in names:
            raise InputError(
                f"{where}: both {names[short]} and {name} are {short}; keep one of them"
            )
        names[short] = name
    return {short: tensors[name] for short, name in names.items()}, ".".join(dropped)


def _from_timm(name: str) -> str:
    """torchvision's name of a tensor of timm's EfficientNetV2-S; other names stay as they are."""
    if block := TIMM_BLOCK.fullmatch(name):
        stage, place, layer, leaf = block.groups()
        if int(stage) < len(TIMM_STAGES) and layer in TIMM_STAGES[int(stage)]:
            inner = TIMM_STAGES[int(stage)][layer]
            return f"features.{int(stage) + 1}.{place}.block.{inner}.{leaf}"
    layer, _, leaf = name.rpartition(".")
    return f"{TIMM_TOP[layer]}.{leaf}" if layer in TIMM_TOP else name
