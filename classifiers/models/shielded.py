"""The shielded ResNet of the Legacy Surveys lens searches, after Lanusse et al. 2018 (CMU DeepLens)
and Huang et al. 2021.

    stem      conv 7x7, 3 -> 64, no bias; BN; ELU                                    9,408 + 128
    stage 1   3 bottlenecks, shield                                                        38,560
    stage 2-5 3 bottlenecks, the first / 2 with a projection shortcut, shield          4 x 36,576
    head      global mean, 32 -> 1                                                             33
                                                                            total         194,433

A bottleneck is pre-activated: BN, ELU, conv 1x1, BN, ELU, conv 3x3, BN, ELU, conv 1x1 (this one
with bias), + shortcut. The first block of the network has no BN and ELU of its own, because the
stem has just done it. A shield is a 1x1 convolution with bias after a stage. The exact network of
the published searches is not released: this one agrees with every published statement and with the
published number of parameters, and is not proven to be the same. Stem stride 2, fewer blocks and
smaller widths make it a fast finder.
"""

from __future__ import annotations

from typing import Annotated

import jax
import jax.numpy as jnp
from flax import nnx
from pydantic import Field

from classifiers.models.classifier import Classifier
from classifiers.models.layers import conv_layer
from classifiers.processor.norm import BatchNorm
from data.config import settings


@settings
class ShieldedConfig:
    """The defaults are the published network's."""

    stem_width: Annotated[int, Field(ge=1)] = 64
    stem_kernel: Annotated[int, Field(ge=1, le=15)] = 7
    stem_stride: Annotated[int, Field(ge=1, le=4)] = 1
    middles: tuple[int, ...] = (32, 32, 32, 32, 32)
    """width of the 3x3 convolutions of each stage"""
    widths: tuple[int, ...] = (32, 32, 32, 32, 32)
    """width of the output of each stage"""
    blocks: tuple[int, ...] = (3, 3, 3, 3, 3)
    bands: Annotated[int, Field(ge=1)] = 3
    """channels of a stamp; training sets it to the number of the survey's bands"""

    def __post_init__(self) -> None:
        if not len(self.middles) == len(self.widths) == len(self.blocks) > 0:
            raise ValueError("middles, widths and blocks need one value for each stage")


def _conv(
    inputs: int,
    outputs: int,
    kernel: int,
    stride: int,
    bias: bool,
    rngs: nnx.Rngs,
    dtype: jnp.dtype | None,
) -> nnx.Conv:
    return conv_layer(
        inputs, outputs, kernel, stride, nnx.initializers.he_normal(), rngs, dtype, bias
    )


def _norm(width: int, rngs: nnx.Rngs, dtype: jnp.dtype | None) -> BatchNorm:
    return BatchNorm(width, momentum=0.9, epsilon=1e-5, dtype=dtype, rngs=rngs)


class Bottleneck(nnx.Module):
    """See the module's docstring."""

    def __init__(
        self,
        inputs: int,
        middle: int,
        outputs: int,
        stride: int,
        first: bool,
        rngs: nnx.Rngs,
        dtype: jnp.dtype | None,
    ):
        self.norm1 = None if first else _norm(inputs, rngs, dtype)
        self.conv1 = _conv(inputs, middle, 1, 1, False, rngs, dtype)
        self.norm2 = _norm(middle, rngs, dtype)
        self.conv2 = _conv(middle, middle, 3, stride, False, rngs, dtype)
        self.norm3 = _norm(middle, rngs, dtype)
        self.conv3 = _conv(middle, outputs, 1, 1, True, rngs, dtype)
        self.shortcut = (
            _conv(inputs, outputs, 1, stride, True, rngs, dtype)
            if stride != 1 or inputs != outputs
            else None
        )

    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps (B, H, W, C) after the block."""
        before = x if self.norm1 is None else nnx.elu(self.norm1(x))
        y = nnx.elu(self.norm2(self.conv1(before)))
        y = nnx.elu(self.norm3(self.conv2(y)))
        return self.conv3(y) + (x if self.shortcut is None else self.shortcut(before))


class ShieldedResNet(Classifier):
    """See the module's docstring. dtype: of the computation; parameters and statistics stay
    float32."""

    config_class = ShieldedConfig
    head_name = "dense"

    def __init__(self, config: ShieldedConfig, rngs: nnx.Rngs, dtype: jnp.dtype | None = None):
        self.stem = _conv(
            config.bands,
            config.stem_width,
            config.stem_kernel,
            config.stem_stride,
            False,
            rngs,
            dtype,
        )
        self.stem_norm = _norm(config.stem_width, rngs, dtype)
        inputs, stages, shields = config.stem_width, [], []
        for stage, (middle, width, blocks) in enumerate(
            zip(config.middles, config.widths, config.blocks)
        ):
            layer = []
            for block in range(blocks):
                layer.append(
                    Bottleneck(
                        inputs,
                        middle,
                        width,
                        2 if stage > 0 and block == 0 else 1,
                        stage == block == 0,
                        rngs,
                        dtype,
                    )
                )
                inputs = width
            stages.append(nnx.List(layer))
            shields.append(_conv(width, width, 1, 1, True, rngs, dtype))
        self.stages, self.shields = nnx.List(stages), nnx.List(shields)
        self.dense = nnx.Linear(inputs, 1, dtype=dtype, rngs=rngs)

    def maps(self, images: jax.Array, key: jax.Array | None = None) -> dict[str, jax.Array]:
        """Maps of every stage by name, from images (B, H, W, bands)."""
        x = nnx.elu(self.stem_norm(self.stem(images)))
        found = {"stage0": x}
        for number, (stage, shield) in enumerate(zip(self.stages, self.shields), start=1):
            for place, block in enumerate(stage):
                x = found[f"stage{number}_{place:02d}"] = block(x)
            x = found[f"stage{number}_shield"] = shield(x)
        return found

    def head(self, features: jax.Array, key: jax.Array | None = None) -> jax.Array:
        """Logits of pooled features (B, C)."""
        return self.dense(features)
