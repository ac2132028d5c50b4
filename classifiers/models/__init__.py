"""Architectures by name: `create("resnet18", {}, nnx.Rngs(0))`."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
from flax import nnx

from classifiers.models.classifier import Classifier, count
from classifiers.models.efficientnet import EfficientNetV2S
from classifiers.models.resnet import ResNet
from classifiers.models.shielded import ShieldedResNet
from data.config import validated
from lensjax.errors import InputError

ARCHITECTURES: dict[str, Any] = {
    "resnet18": ResNet,
    "efficientnet_v2_s": EfficientNetV2S,
    "shielded_resnet": ShieldedResNet,
}

__all__ = ["ARCHITECTURES", "Classifier", "complete", "count", "create"]


def _architecture(name: str) -> Any:
    if not isinstance(name, str) or name not in ARCHITECTURES:
        raise InputError(f"model {name!r} is not one of {', '.join(ARCHITECTURES)}")
    return ARCHITECTURES[name]


def _configuration(name: str, config: Mapping[str, Any]) -> Any:
    if not isinstance(config, Mapping):
        raise InputError(
            f"model {name}: its configuration is {config!r}, not a mapping of fields to values"
        )
    return validated(_architecture(name).config_class, dict(config), f"model {name}")


def complete(name: str, config: Mapping[str, Any]) -> dict[str, Any]:
    """The architecture's whole configuration, defaults filled in. Raises InputError on an unknown
    name, key or value."""
    return dataclasses.asdict(_configuration(name, config))


def create(
    name: str, config: Mapping[str, Any], rngs: nnx.Rngs, dtype: jnp.dtype | None = None
) -> Classifier:
    """A freshly initialised classifier.

    name: of an architecture. config: fields of its configuration that differ from the defaults.
    rngs: of the initialisation. dtype: of the computation, float32 unless given. Raises InputError
    on an unknown name, key or value.
    """
    return _architecture(name)(_configuration(name, config), rngs, dtype)
