"""Convolution of maps as networks call it: lax's, with three detours on a processor, where XLA loses time around it and not in it.

- A depthwise one is a sum of shifted products: XLA's gradient of its kernel works out every pair of channels.
- A map smaller than its kernel is one product over gathered patches: XLA takes image and kernel for each other there, ten times slower.
- The gradient of the kernel wants image and cotangent with the stamps innermost, that of the image the kernel with its channels exchanged. Left to itself
  XLA works out again, in that order and element by element, all that led to the image: a tenth of a step of ResNet-18. Here a finished array is turned.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.custom_derivatives import SymbolicZero
from jax.experimental.xla_metadata import set_xla_metadata
from jaxtyping import Array, Float

Pads = Sequence[tuple[int, int]]


def convolution(x: Float[Array, "b h w i"], kernel: Float[Array, "k l i o"], strides: Any, padding: Pads, **rest: Any) -> Float[Array, "b u v o"]:
    """lax.conv_general_dilated for flax's layers, without dilation. strides, padding: of height and width · rest: what flax gives besides."""
    groups = rest.get("feature_group_count", 1)
    depthwise = groups == x.shape[-1] == kernel.shape[-1]
    if jax.default_backend() != "cpu" or kernel.shape[:2] == (1, 1) or (groups > 1 and not depthwise):
        return lax.conv_general_dilated(x, kernel, strides, padding, **rest)
    steps = (strides, strides) if isinstance(strides, int) else tuple(strides)
    if depthwise:
        return _shifted(x, kernel, steps, padding)
    if steps == (1, 1) and kernel.shape[0] == kernel.shape[1] and min(x.shape[1:3]) < kernel.shape[0]:
        return _product(x, kernel, padding)
    return _turned(x, kernel, steps, tuple((first, last) for first, last in padding))


def _shifted(x: Array, kernel: Array, strides: tuple[int, int], padding: Pads) -> Array:
    wide = jnp.pad(x, [(0, 0), *padding, (0, 0)])
    sides = [(whole - size) // step * step + 1 for whole, size, step in zip(wide.shape[1:3], kernel.shape[:2], strides)]
    parts = [
        wide[:, i : i + sides[0] : strides[0], j : j + sides[1] : strides[1]] * kernel[i, j, 0]
        for i in range(kernel.shape[0])
        for j in range(kernel.shape[1])
    ]
    return sum(parts[1:], parts[0])


def _product(x: Array, kernel: Array, padding: Pads) -> Array:
    size, (height, width) = kernel.shape[0], x.shape[1:3]
    wide = jnp.pad(x, [(0, 0), *padding, (0, 0)])
    rows = [lax.slice_in_dim(wide, i, i + height, axis=1) for i in range(size)]
    patches = jnp.concatenate([lax.slice_in_dim(row, j, j + width, axis=2) for row in rows for j in range(size)], axis=-1)
    return jnp.dot(patches.reshape(-1, patches.shape[-1]), kernel.reshape(-1, kernel.shape[-1])).reshape(*x.shape[:3], -1)


@partial(jax.custom_jvp, nondiff_argnums=(2, 3))
def _turned(x: Array, kernel: Array, strides: tuple[int, int], padding: tuple[tuple[int, int], ...]) -> Array:
    return lax.conv_general_dilated(x, kernel, strides, padding, dimension_numbers=("NHWC", "HWIO", "NHWC"))


@partial(_turned.defjvp, symbolic_zeros=True)
def _slope(strides: tuple[int, int], padding: tuple[tuple[int, int], ...], at: Any, along: Any) -> tuple[Array, Array]:
    (x, kernel), (dx, dkernel) = at, along
    y = _turned(x, kernel, strides, padding)
    slope: Any = None
    if type(dx) is not SymbolicZero:
        slope = lax.conv_general_dilated(dx, _order(kernel, (0, 1, 3, 2)), strides, padding, dimension_numbers=("NHWC", "HWOI", "NHWC"))
    if type(dkernel) is not SymbolicZero:
        part = lax.conv_general_dilated(_order(x, (3, 1, 2, 0)), dkernel, strides, padding, dimension_numbers=("CHWN", "HWIO", "HWNC"))
        part = _order(part, (2, 0, 1, 3))
        slope = part if slope is None else slope + part
    return y, jnp.zeros_like(y) if slope is None else slope


def _order(x: Array, axes: tuple[int, ...]) -> Array:
    """Transposed apart from everything else: of a call that XLA may not inline the argument is there, in memory."""
    with set_xla_metadata(inlineable="false"):
        return jax.jit(lambda x: jnp.transpose(x, axes))(x)
