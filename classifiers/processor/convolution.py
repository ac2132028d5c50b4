"""Convolution of maps as networks call it: lax's, with detours on a processor, where XLA loses time
around the convolution and not in it.

- A depthwise convolution is a sum of shifted products. XLA's gradient of its kernel works out every
  pair of channels.
- Over a map that is smaller than the kernel it is one product over gathered patches. XLA takes
  image and kernel for each other there, which is ten times slower.
- The gradient of the kernel wants image and cotangent with the stamps innermost, and that of the
  image wants the kernel with its channels exchanged. Left to itself XLA computes everything that
  led to the image once more, in that order and element by element: a tenth of a step of ResNet-18.
  Here the finished array is transposed instead. A kernel of one pixel with strides is first given
  only the pixels that it meets.
- Kernels of 3x3 pixels and many channels go to winograd.py, which multiplies less.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial, reduce
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.custom_derivatives import SymbolicZero
from jaxtyping import Array, Float

from classifiers.processor import winograd
from lensjax.apart import apart, plain

WIDE, MANY = 256, 256
"""Channels of image and result, and pixels of the batch, from which Winograd's way is the quicker
one (docs/training.md)."""

Pads = Sequence[tuple[int, int]]


def convolution(
    x: Float[Array, "b h w i"],
    kernel: Float[Array, "k l i o"],
    strides: Any,
    padding: Pads | str,
    **rest: Any,
) -> Float[Array, "b u v o"]:
    """lax.conv_general_dilated for flax's layers, without dilation.

    strides, padding: of height and width. rest: what flax gives besides.
    """
    groups = rest.get("feature_group_count", 1)
    depthwise = groups == x.shape[-1] == kernel.shape[-1]
    steps = (strides, strides) if isinstance(strides, int) else tuple(strides)
    if isinstance(padding, str):
        padding = lax.padtype_to_pads(x.shape[1:3], kernel.shape[:2], steps, padding)
    direct = lambda x, kernel: lax.conv_general_dilated(x, kernel, strides, padding, **rest)
    if plain() or kernel.shape[:2] == steps == (1, 1) or (groups > 1 and not depthwise):
        return direct(x, kernel)
    detour = lambda x, kernel: _detour(x, kernel, steps, padding, depthwise)
    return lax.platform_dependent(x, kernel, cpu=detour, default=direct)


def _detour(x: Array, kernel: Array, steps: Any, padding: Pads, depthwise: bool) -> Array:
    if depthwise:
        shifts = _shifts(x, kernel.shape[:2], steps, padding)
        weights = kernel.reshape(-1, kernel.shape[-1])
        return reduce(jnp.add, [part * weight for part, weight in zip(shifts, weights)])
    if kernel.shape[:2] == (1, 1):
        return _turned(_shifts(x, (1, 1), steps, padding)[0], kernel, (1, 1), ((0, 0), (0, 0)))
    if min(x.shape[1:3]) < kernel.shape[0]:
        patches = jnp.concatenate(_shifts(x, kernel.shape[:2], steps, padding), axis=-1)
        return jnp.dot(patches, kernel.reshape(-1, kernel.shape[-1]))
    zeros = tuple((first, last) for first, last in padding)
    if (
        (*kernel.shape[:2], *steps) == (3, 3, 1, 1)
        and min(kernel.shape[2:]) >= WIDE
        and x.size >= MANY * x.shape[-1]
    ):
        return winograd.convolution(x, kernel, zeros)
    return _turned(x, kernel, steps, zeros)


def _shifts(
    x: Array, size: tuple[int, ...], strides: tuple[int, ...], padding: Pads
) -> list[Array]:
    """What each element of a kernel meets, in the kernel's order."""
    wide = jnp.pad(x, [(0, 0), *padding, (0, 0)])
    height, width = (
        (whole - k) // step * step + 1 for whole, k, step in zip(wide.shape[1:3], size, strides)
    )
    return [
        wide[:, i : i + height : strides[0], j : j + width : strides[1]]
        for i in range(size[0])
        for j in range(size[1])
    ]


@partial(jax.custom_jvp, nondiff_argnums=(2, 3))
def _turned(
    x: Array, kernel: Array, strides: tuple[int, int], padding: tuple[tuple[int, int], ...]
) -> Array:
    return lax.conv_general_dilated(
        x, kernel, strides, padding, dimension_numbers=("NHWC", "HWIO", "NHWC")
    )


@partial(_turned.defjvp, symbolic_zeros=True)
def _slope(
    strides: tuple[int, int], padding: tuple[tuple[int, int], ...], at: Any, along: Any
) -> tuple[Array, Array]:
    (x, kernel), (dx, dkernel) = at, along
    y = _turned(x, kernel, strides, padding)
    slope: Any = None
    if type(dx) is not SymbolicZero:
        slope = lax.conv_general_dilated(
            dx,
            _order(kernel, (0, 1, 3, 2)),
            strides,
            padding,
            dimension_numbers=("NHWC", "HWOI", "NHWC"),
        )
    if type(dkernel) is not SymbolicZero:
        part = lax.conv_general_dilated(
            _order(x, (3, 1, 2, 0)),
            dkernel,
            strides,
            padding,
            dimension_numbers=("CHWN", "HWIO", "HWNC"),
        )
        part = _order(part, (2, 0, 1, 3))
        slope = part if slope is None else slope + part
    return y, jnp.zeros_like(y) if slope is None else slope


def _order(x: Array, axes: tuple[int, ...]) -> Array:
    """Transposed once x is there, in memory."""
    return apart(lambda x: jnp.transpose(x, axes), x)
