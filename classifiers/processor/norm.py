"""Batch normalisation (Ioffe & Szegedy 2015, arXiv 1502.03167) as torch does it: its running
variance is the unbiased one, where nnx.BatchNorm takes the biased variance of the batch.

It is computed as one product and one sum with numbers of the channel. nnx.BatchNorm subtracts the
mean first and keeps the difference for the backward pass, which is one more map of activations to
write and to read.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from lensjax.apart import plain


class BatchNorm(nnx.BatchNorm):
    """scale (x - mean) / sqrt(var + epsilon) + bias over the last axis, statistics in float32.

    In training mean and var are the batch's, and the running ones move towards them by
    1 - momentum (torch's momentum is the weight of the batch).
    """

    def __call__(  # type: ignore[override]  # it takes no mask
        self, x: Float[Array, "... c"], use_running_average: bool | None = None
    ) -> Float[Array, "... c"]:
        """Normalised x, of the same shape."""
        wide = x.astype(jnp.promote_types(x.dtype, jnp.float32))
        if self.use_running_average if use_running_average is None else use_running_average:
            mean, var = self.mean[...], self.var[...]
        else:
            axes, number = tuple(range(x.ndim - 1)), x.size // x.shape[-1]
            mean = wide.mean(axes)
            var = jnp.maximum((wide * wide).mean(axes) - mean * mean, 0)
            unbiased = var * (number / max(number - 1, 1))
            for running, batch in ((self.mean, mean), (self.var, unbiased)):
                running[...] = jax.lax.stop_gradient(
                    self.momentum * running[...] + (1 - self.momentum) * batch
                )
        slope = self.scale[...] * jax.lax.rsqrt(var + self.epsilon)  # type: ignore[index]
        if plain():
            shifted = (wide - mean) * slope + self.bias[...]  # type: ignore[index]
            return shifted.astype(self.dtype or x.dtype)
        shift = self.bias[...] - mean * slope  # type: ignore[index]
        return (wide * slope + shift).astype(self.dtype or x.dtype)
