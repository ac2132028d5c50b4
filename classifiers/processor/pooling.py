"""The maximum over 3x3 pixels at every second pixel, after the stem of a ResNet."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import nnx
from jax import lax
from jaxtyping import Array, Float

from lensjax.apart import plain


def max_pool(x: Float[Array, "b h w c"]) -> Float[Array, "b u v c"]:
    """Maximum over 3x3 pixels with stride 2, padded by one pixel.

    On a processor it is a maximum of slices: the gradient of XLA's reduce_window takes a fifth of a
    training step there. The values are the same. Where a window reaches its maximum twice, the
    gradient is shared, which nothing notices after a ReLU.
    """
    direct = lambda x: nnx.max_pool(x, (3, 3), (2, 2), ((1, 1), (1, 1)))
    return direct(x) if plain() else lax.platform_dependent(x, cpu=_of_slices, default=direct)


def _of_slices(x: jax.Array) -> jax.Array:
    for axis in (1, 2):
        size = x.shape[axis]
        out = (size - 1) // 2 + 1
        padding = [(0, 0)] * 4
        padding[axis] = (1, 2 * out - size)
        x = jnp.pad(x, padding, constant_values=-jnp.inf)
        pairs = jax.lax.slice_in_dim(x, 0, 2 * out, axis=axis).reshape(
            *x.shape[:axis], out, 2, *x.shape[axis + 1 :]
        )
        first, second = (jax.lax.index_in_dim(pairs, i, axis + 1, keepdims=False) for i in (0, 1))
        x = jnp.maximum(
            jnp.maximum(first, second), jax.lax.slice_in_dim(x, 2, 2 * out + 1, 2, axis=axis)
        )
    return x
