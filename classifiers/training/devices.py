"""One step on all local devices: the batch is spread over them, everything else is copied to each.
With one device nothing happens.

XLA splits the compiled step along the batch and adds what crosses it (gradients, batch statistics),
so the result is that of one device.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from lensjax.errors import InputError


def mesh(batch: int, devices: Sequence[jax.Device] | None = None) -> Mesh | None:
    """Devices (all local ones unless given) in a row, None for a single one. Raises InputError when
    they cannot share a batch evenly."""
    devices = devices or jax.local_devices()
    if len(devices) == 1:
        return None
    if batch % len(devices):
        raise InputError(
            f"batch {batch} cannot be shared by {len(devices)} devices; "
            "choose a multiple, or hide devices (CUDA_VISIBLE_DEVICES)"
        )
    return Mesh(np.array(devices), ("batch",))


def copied(tree: Any, where: Mesh | None) -> Any:
    """Arrays on every device."""
    return tree if where is None else jax.device_put(tree, NamedSharding(where, PartitionSpec()))


def promised(shape: tuple[int, ...], dtype: Any, where: Mesh | None) -> jax.ShapeDtypeStruct:
    """What `copied` makes of an array, without the array."""
    return jax.ShapeDtypeStruct(
        shape, dtype, sharding=None if where is None else NamedSharding(where, PartitionSpec())
    )


def spread(array: np.ndarray, where: Mesh | None, axis: int = 1) -> Any:
    """An array split along one axis over the devices."""
    return (
        array
        if where is None
        else jax.device_put(array, NamedSharding(where, PartitionSpec(*[None] * axis, "batch")))
    )
