"""Layers that the architectures share."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
from flax import nnx

from classifiers.processor.convolution import convolution


def conv_layer(
    inputs: int,
    outputs: int,
    kernel: int,
    stride: int,
    init: Any,
    rngs: nnx.Rngs,
    dtype: jnp.dtype | None,
    bias: bool = False,
    groups: int = 1,
    same: bool = False,
) -> nnx.Conv:
    """flax's layer with a square kernel, computed by `convolution`.

    Zeros around are kernel // 2 on every side, as torch pads; with `same` they are TensorFlow's,
    which has one less before an even side that is halved.
    """
    return nnx.Conv(
        inputs,
        outputs,
        (kernel, kernel),
        stride,
        padding="SAME" if same else [(kernel // 2, kernel // 2)] * 2,
        feature_group_count=groups,
        use_bias=bias,
        kernel_init=init,
        dtype=dtype,
        conv_general_dilated=convolution,
        rngs=rngs,
    )
