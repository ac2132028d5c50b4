"""EfficientNetV2-S (Tan & Le 2021, arXiv 2104.00298), layer for layer torchvision's, with names that match its state dict.

    stage   block               expansion  kernel  stride  width  blocks   parameters
    0       conv, BN, SiLU                 3x3     2          24       1          696
    1       fused MBConv        1          3x3     1          24       2       10,464
    2       fused MBConv        4          3x3     2          48       4      303,552
    3       fused MBConv        4          3x3     2          64       4      589,184
    4       MBConv + SE         4          3x3     2         128       6      917,680
    5       MBConv + SE         6          3x3     1         160       9    3,463,840
    6       MBConv + SE         6          3x3     2         256      15   14,561,832
    7       conv, BN, SiLU                 1x1     1       1,280       1      330,240
    head    mean, dropout 0.2, 1280 -> 1                                        1,281
                                                                   total   20,178,769

A fused MBConv is conv 3x3 to the expanded width, BN, SiLU, conv 1x1, BN (with expansion 1 only the first, at the output width); an MBConv is conv 1x1,
depthwise 3x3, squeeze and excitation, conv 1x1. Where shapes allow, the input is added, and while training the
block is dropped for whole samples with a probability that grows from 0 to 0.2 with depth. Padding is symmetric as torch pads:
TensorFlow's SAME differs from it where an even side is halved, so weights of one are not those of the other.

`stem_bias` and `hidden` 285 give 20,542,883 parameters, the number published for one lens finder: its layers are a guess that fits the number.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Any

import jax
import jax.numpy as jnp
from flax import nnx
from pydantic import Field

from classifiers.models.convolution import conv_layer
from classifiers.models.finder import Finder
from classifiers.models.norm import BatchNorm
from data.config import settings

# fused, expansion, stride, width, blocks
STAGES = (
    (True, 1, 1, 24, 2),
    (True, 4, 2, 48, 4),
    (True, 4, 2, 64, 4),
    (False, 4, 2, 128, 6),
    (False, 6, 1, 160, 9),
    (False, 6, 2, 256, 15),
)
STEM, LAST = 24, 1280
Rate = Annotated[float, Field(ge=0, lt=1)]


@settings
class EfficientNetConfig:
    """The defaults are torchvision's efficientnet_v2_s with one logit."""

    dropout: Rate = 0.2
    """of the head's input"""
    stochastic_depth: Rate = 0.2
    """probability to drop the last block; that of the others grows linearly from 0"""
    stem_bias: bool = False
    hidden: Annotated[int, Field(ge=0)] = 0
    """width of a dense layer with SiLU before the logit; 0: none"""


def _conv_norm(
    inputs: int,
    outputs: int,
    kernel: int,
    stride: int,
    rngs: nnx.Rngs,
    dtype: jnp.dtype | None,
    groups: int = 1,
    bias: bool = False,
) -> nnx.List:
    # He initialisation over the fan out, which torch takes per group; nnx counts the outputs of all groups.
    init = nnx.initializers.variance_scaling(2.0 * groups, "fan_out", "normal")
    conv = conv_layer(inputs, outputs, kernel, stride, init, rngs, dtype, bias, groups)
    return nnx.List([conv, BatchNorm(outputs, momentum=0.9, epsilon=1e-3, dtype=dtype, rngs=rngs)])


class SqueezeExcitation(nnx.Module):
    """x times sigmoid(fc2(silu(fc1(mean of x over the pixels))))."""

    def __init__(self, width: int, squeezed: int, rngs: nnx.Rngs, dtype: jnp.dtype | None):
        init = nnx.initializers.variance_scaling(2.0, "fan_out", "normal")
        self.fc1 = nnx.Conv(width, squeezed, (1, 1), kernel_init=init, dtype=dtype, rngs=rngs)
        self.fc2 = nnx.Conv(squeezed, width, (1, 1), kernel_init=init, dtype=dtype, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        return x * nnx.sigmoid(self.fc2(nnx.silu(self.fc1(x.mean(axis=(1, 2), keepdims=True)))))


class Block(nnx.Module):
    """MBConv or fused MBConv; the last of its convolutions has no activation unless it is the only one."""

    def __init__(
        self,
        fused: bool,
        expansion: int,
        stride: int,
        inputs: int,
        outputs: int,
        drop: float,
        rngs: nnx.Rngs,
        dtype: jnp.dtype | None,
    ):
        wide = inputs * expansion
        if fused and expansion == 1:
            parts: list[Any] = [_conv_norm(inputs, outputs, 3, stride, rngs, dtype)]
        elif fused:
            parts = [
                _conv_norm(inputs, wide, 3, stride, rngs, dtype),
                _conv_norm(wide, outputs, 1, 1, rngs, dtype),
            ]
        else:
            depthwise = _conv_norm(wide, wide, 3, stride, rngs, dtype, groups=wide)
            squeeze = SqueezeExcitation(wide, max(1, inputs // 4), rngs, dtype)
            parts = [
                _conv_norm(inputs, wide, 1, 1, rngs, dtype),
                depthwise,
                squeeze,
                _conv_norm(wide, outputs, 1, 1, rngs, dtype),
            ]
        self.block = nnx.List(parts)
        self.drop, self.adds = drop, stride == 1 and inputs == outputs

    def __call__(self, x: jax.Array, key: jax.Array | None) -> jax.Array:
        y, last = x, len(self.block) - 1
        for number, part in enumerate(self.block):
            if isinstance(part, SqueezeExcitation):
                y = part(y)
            else:
                y = part[1](part[0](y))
                y = nnx.silu(y) if number < last or last == 0 else y
        if not self.adds:
            return y
        if key is not None and self.drop > 0:
            kept = jax.random.bernoulli(key, 1 - self.drop, (len(y), 1, 1, 1))
            y = y * (kept / (1 - self.drop)).astype(y.dtype)
        return x + y


class EfficientNetV2S(Finder):
    """See the module's docstring. dtype: of the computation (parameters and statistics stay float32)."""

    config_class = EfficientNetConfig
    head_name = "classifier"

    def __init__(self, config: EfficientNetConfig, rngs: nnx.Rngs, dtype: jnp.dtype | None = None):
        parts: list[nnx.List] = [_conv_norm(3, STEM, 3, 2, rngs, dtype, bias=config.stem_bias)]
        inputs, done, total = STEM, 0, sum(stage[-1] for stage in STAGES)
        for fused, expansion, stride, width, blocks in STAGES:
            layer = []
            for block in range(blocks):
                drop = config.stochastic_depth * done / total
                layer.append(
                    Block(
                        fused,
                        expansion,
                        stride if block == 0 else 1,
                        inputs,
                        width,
                        drop,
                        rngs,
                        dtype,
                    )
                )
                inputs, done = width, done + 1
            parts.append(nnx.List(layer))
        parts.append(_conv_norm(inputs, LAST, 1, 1, rngs, dtype))
        self.features_ = nnx.List(parts)
        widths = [LAST, config.hidden, 1] if config.hidden else [LAST, 1]
        dense = [
            nnx.Linear(a, b, kernel_init=_uniform(b), dtype=dtype, rngs=rngs)
            for a, b in pairwise(widths)
        ]
        self.classifier = nnx.List([nnx.Dropout(config.dropout), *dense])

    def maps(self, images: jax.Array, key: jax.Array | None = None) -> dict[str, jax.Array]:
        x, found, done = images, {}, 0
        for number, part in enumerate(self.features_):
            if isinstance(part[0], Block):
                for place, block in enumerate(part):
                    x = block(x, None if key is None else jax.random.fold_in(key, done))
                    found[f"stage{number}_{place:02d}"] = x
                    done += 1
            else:
                conv, norm = part
                x = found[f"stage{number}"] = nnx.silu(norm(conv(x)))
        return found

    def head(self, features: jax.Array, key: jax.Array | None = None) -> jax.Array:
        dropout, *dense = self.classifier
        x = dropout(features, deterministic=key is None, rngs=key)
        for layer in dense[:-1]:
            x = nnx.silu(layer(x))
        return dense[-1](x)


def _uniform(outputs: int) -> nnx.Initializer:
    bound = outputs**-0.5
    return lambda key, shape, dtype=jnp.float32: jax.random.uniform(
        key, shape, dtype, -bound, bound
    )
