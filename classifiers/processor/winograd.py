"""Winograd's minimal filtering F(4x4, 3x3) (Lavin & Gray 2016, arXiv 1509.09308): a 3x3 convolution
as 36 products of matrices.

A quarter of the multiplications is left. Tiles of 6x6 pixels that overlap by two, and the kernels,
are turned into values of polynomials at six points, multiplied there, and turned back into 4x4
pixels. In float32 the rounding errors are five times those of a direct sum; with the usual points
(0, 1, -1, 2, -2) they would be ten times.
"""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float

from lensjax.apart import apart

OUT, TILE = 4, 6
POINTS = (0, 3 / 4, -3 / 4, 3 / 2, -3 / 2)
"""and infinity"""


def _matrices() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The matrices of Toom and Cook that turn a tile (36 x 36), a kernel (36 x 9) and the products
    (16 x 36), each for both axes at once."""
    points = np.array(POINTS)
    others = [np.delete(points, i) for i in range(len(points))]
    tile = np.array([[*np.poly(roots)[::-1], 0] for roots in others] + [np.poly(points)[::-1]])
    kernel = np.array(
        [point ** np.arange(3) / np.prod(point - roots) for point, roots in zip(points, others)]
        + [[0, 0, 1]]
    )
    result = np.array([[*points**i, 0] for i in range(OUT)])
    result[-1, -1] = 1
    return np.kron(tile, tile), np.kron(kernel, kernel), np.kron(result, result)


def convolution(
    x: Float[Array, "b h w i"],
    kernel: Float[Array, "3 3 i o"],
    padding: tuple[tuple[int, int], ...],
) -> Float[Array, "b u v o"]:
    """The convolution of stride 1 with these zeros around (height, width), in float32 or finer."""
    dtype = jnp.promote_types(x.dtype, jnp.float32)
    of_tile, of_kernel, of_products = (jnp.asarray(m, dtype) for m in _matrices())
    (b, _, _, inputs), outputs = x.shape, kernel.shape[-1]
    height, width = (side + sum(pads) - 2 for side, pads in zip(x.shape[1:3], padding))
    down, across = -(-height // OUT), -(-width // OUT)
    tiles = apart(
        lambda x: _tiles(_tiles(x, 1, padding[0]), 3, padding[1]).transpose(2, 4, 0, 1, 3, 5),
        x.astype(dtype),
    )
    values = (of_tile @ tiles.reshape(TILE**2, -1)).reshape(TILE**2, -1, inputs)
    weights = (of_kernel @ kernel.astype(dtype).reshape(9, -1)).reshape(TILE**2, inputs, outputs)
    y = (of_products @ jnp.matmul(values, weights).reshape(TILE**2, -1)).reshape(
        OUT, OUT, b, down, across, outputs
    )
    return (
        y.transpose(2, 3, 0, 4, 1, 5)
        .reshape(b, OUT * down, OUT * across, outputs)[:, :height, :width]
        .astype(x.dtype)
    )


def _tiles(x: Array, axis: int, pads: tuple[int, int]) -> Array:
    """The axis as (tiles, 6), with zeros around. It is put together from parts whose gradient is a
    slice each; the gradient of a gather would be a sum over all pixels of a tile."""
    number = -(-(x.shape[axis] + sum(pads) - 2) // OUT)
    around = [(0, 0)] * x.ndim
    around[axis] = (pads[0], (number + 1) * OUT - pads[0] - x.shape[axis])
    parts = jnp.pad(x, around).reshape(*x.shape[:axis], number + 1, OUT, *x.shape[axis + 1 :])
    first, following = (
        lax.slice_in_dim(parts, start, start + number, axis=axis) for start in (0, 1)
    )
    return jnp.concatenate(
        [first, lax.slice_in_dim(following, 0, TILE - OUT, axis=axis + 1)], axis + 1
    )
