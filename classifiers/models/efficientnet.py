"""EfficientNetV2-S (Tan & Le 2021, arXiv 2104.00298), layer for layer torchvision's, with names
that match those of its state dict.

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

A fused MBConv is conv 3x3 to the expanded width, BN, SiLU, conv 1x1, BN; with expansion 1 it is
only the first of these, at the output width. An MBConv is conv 1x1, depthwise 3x3, squeeze and
excitation, conv 1x1. Where shapes allow, the input is added, and while training the block is
dropped for whole samples with a probability that grows from 0 to 0.2 with depth.

Padding is symmetric, as torch pads. TensorFlow's differs from it where an even side is halved, so
the weights of one network are not those of the other; `variant` has both.

`stem_bias` and `hidden` 285 give 20,542,883 parameters, the number that is published for one lens
finder: its layers are a guess that fits the number.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Any, Literal

import jax
import jax.numpy as jnp
from flax import nnx
from pydantic import Field

from classifiers.models.classifier import Classifier
from classifiers.models.layers import conv_layer
from classifiers.processor.norm import BatchNorm
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
    variant: Literal["torchvision", "timm", "timm_tf"] = "torchvision"
    """whose network it is: timm's efficientnetv2_s has another epsilon in its normalisation, and
    its tf_efficientnetv2_s pads as TensorFlow does"""
    bands: Annotated[int, Field(ge=1)] = 3
    """channels of a stamp; training sets it to the number of the survey's bands"""


class Layers:
    """Makes the layers of a network. rngs: of their first numbers. dtype: of the computation."""

    def __init__(self, variant: str, rngs: nnx.Rngs, dtype: jnp.dtype | None):
        self.rngs, self.dtype = rngs, dtype
        self.same = variant == "timm_tf"
        self.epsilon = 1e-5 if variant == "timm" else 1e-3

    def conv_norm(
        self,
        inputs: int,
        outputs: int,
        kernel: int,
        stride: int,
        groups: int = 1,
        bias: bool = False,
    ) -> nnx.List:
        """A convolution and its batch normalisation."""
        # He initialisation over the fan out, which torch takes for each group; nnx counts the
        # outputs of all groups.
        init = nnx.initializers.variance_scaling(2.0 * groups, "fan_out", "normal")
        conv = conv_layer(
            *(inputs, outputs, kernel, stride, init, self.rngs, self.dtype, bias, groups, self.same)
        )
        norm = BatchNorm(
            outputs, momentum=0.9, epsilon=self.epsilon, dtype=self.dtype, rngs=self.rngs
        )
        return nnx.List([conv, norm])

    def squeeze(self, width: int, squeezed: int) -> SqueezeExcitation:
        """A squeeze-and-excitation of `width` channels through `squeezed`."""
        return SqueezeExcitation(width, squeezed, self.rngs, self.dtype)


class SqueezeExcitation(nnx.Module):
    """x times sigmoid(fc2(silu(fc1(mean of x over the pixels))))."""

    def __init__(self, width: int, squeezed: int, rngs: nnx.Rngs, dtype: jnp.dtype | None):
        init = nnx.initializers.variance_scaling(2.0, "fan_out", "normal")
        self.fc1 = nnx.Conv(width, squeezed, (1, 1), kernel_init=init, dtype=dtype, rngs=rngs)
        self.fc2 = nnx.Conv(squeezed, width, (1, 1), kernel_init=init, dtype=dtype, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps (B, H, W, C), each channel times its weight."""
        return x * nnx.sigmoid(self.fc2(nnx.silu(self.fc1(x.mean(axis=(1, 2), keepdims=True)))))


class Block(nnx.Module):
    """MBConv or fused MBConv. The last of its convolutions has no activation, unless it is the
    only one."""

    def __init__(
        self,
        layers: Layers,
        fused: bool,
        expansion: int,
        stride: int,
        inputs: int,
        outputs: int,
        drop: float,
    ):
        wide, of = inputs * expansion, layers.conv_norm
        if fused and expansion == 1:
            parts: list[Any] = [of(inputs, outputs, 3, stride)]
        elif fused:
            parts = [of(inputs, wide, 3, stride), of(wide, outputs, 1, 1)]
        else:
            parts = [
                of(inputs, wide, 1, 1),
                of(wide, wide, 3, stride, groups=wide),
                layers.squeeze(wide, max(1, inputs // 4)),
                of(wide, outputs, 1, 1),
            ]
        self.block = nnx.List(parts)
        self.drop, self.adds = drop, stride == 1 and inputs == outputs

    def __call__(self, x: jax.Array, key: jax.Array | None) -> jax.Array:
        """Maps (B, H, W, C) after the block; a key drops the block of some images."""
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


class EfficientNetV2S(Classifier):
    """See the module's docstring. dtype: of the computation; parameters and statistics stay
    float32."""

    config_class = EfficientNetConfig
    head_name = "classifier"

    def __init__(self, config: EfficientNetConfig, rngs: nnx.Rngs, dtype: jnp.dtype | None = None):
        self.variant = config.variant
        layers = Layers(config.variant, rngs, dtype)
        parts: list[nnx.List] = [layers.conv_norm(config.bands, STEM, 3, 2, bias=config.stem_bias)]
        inputs, done, total = STEM, 0, sum(stage[-1] for stage in STAGES)
        for fused, expansion, stride, width, blocks in STAGES:
            stage = []
            for block in range(blocks):
                drop, step = config.stochastic_depth * done / total, stride if block == 0 else 1
                stage.append(Block(layers, fused, expansion, step, inputs, width, drop))
                inputs, done = width, done + 1
            parts.append(nnx.List(stage))
        parts.append(layers.conv_norm(inputs, LAST, 1, 1))
        self.features_ = nnx.List(parts)
        widths = [LAST, config.hidden, 1] if config.hidden else [LAST, 1]
        dense = [
            nnx.Linear(a, b, kernel_init=_uniform(b), dtype=dtype, rngs=rngs)
            for a, b in pairwise(widths)
        ]
        self.classifier = nnx.List([nnx.Dropout(config.dropout), *dense])

    def maps(self, images: jax.Array, key: jax.Array | None = None) -> dict[str, jax.Array]:
        """Maps of every stage by name, from images (B, H, W, bands)."""
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
        """Logits of pooled features (B, C); a key switches dropout on."""
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
