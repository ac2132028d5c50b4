"""ResNet-18 (He et al. 2016, arXiv 1512.03385), layer for layer torchvision's, with names that
match those of its state dict.

    stem      conv 7x7 / 2, 3 -> 64, no bias; BN; ReLU; max pool 3x3 / 2      9,408 +     128
    layer1    2 blocks, 64                                                           147,968
    layer2    2 blocks, 128, first / 2 with a 1x1 projection                         525,568
    layer3    2 blocks, 256                                                        2,099,712
    layer4    2 blocks, 512                                                        8,393,728
    fc        512 -> 1                                                                   513
                                                                        total     11,177,025

A block is conv 3x3, BN, ReLU, conv 3x3, BN, + input, ReLU. Padding is symmetric, as torch pads, and
not TensorFlow's SAME.
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
from classifiers.processor.pooling import max_pool
from data.config import settings


@settings
class ResNetConfig:
    """Widths and blocks of the four stages; the defaults are ResNet-18."""

    widths: tuple[int, int, int, int] = (64, 128, 256, 512)
    blocks: tuple[int, int, int, int] = (2, 2, 2, 2)
    stem_kernel: Annotated[int, Field(ge=1, le=15)] = 7
    stem_stride: Annotated[int, Field(ge=1, le=4)] = 2
    stem_pool: bool = True
    """max pool 3x3 / 2 after the stem"""
    bands: Annotated[int, Field(ge=1)] = 3
    """channels of a stamp; training sets it to the number of the survey's bands"""


def _conv(
    inputs: int, outputs: int, kernel: int, stride: int, rngs: nnx.Rngs, dtype: jnp.dtype | None
) -> nnx.Conv:
    """Convolution without bias, padded symmetrically, with torchvision's initialisation (He's, over
    the fan out)."""
    return conv_layer(
        inputs,
        outputs,
        kernel,
        stride,
        nnx.initializers.variance_scaling(2.0, "fan_out", "normal"),
        rngs,
        dtype,
    )


def _norm(width: int, rngs: nnx.Rngs, dtype: jnp.dtype | None) -> BatchNorm:
    """torch's momentum 0.1 is the weight of the new batch, nnx's 0.9 that of the old average."""
    return BatchNorm(width, momentum=0.9, epsilon=1e-5, dtype=dtype, rngs=rngs)


class BasicBlock(nnx.Module):
    """relu(x' + bn2(conv2(relu(bn1(conv1 x))))), x' a 1x1 projection where the shape changes."""

    def __init__(
        self, inputs: int, outputs: int, stride: int, rngs: nnx.Rngs, dtype: jnp.dtype | None
    ):
        self.conv1 = _conv(inputs, outputs, 3, stride, rngs, dtype)
        self.bn1 = _norm(outputs, rngs, dtype)
        self.conv2 = _conv(outputs, outputs, 3, 1, rngs, dtype)
        self.bn2 = _norm(outputs, rngs, dtype)
        changes = stride != 1 or inputs != outputs
        self.downsample = (
            nnx.List([_conv(inputs, outputs, 1, stride, rngs, dtype), _norm(outputs, rngs, dtype)])
            if changes
            else None
        )

    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps (B, H, W, C) after the block."""
        y = nnx.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        if self.downsample is not None:
            project, norm = self.downsample
            x = norm(project(x))
        return nnx.relu(x + y)


class ResNet(Classifier):
    """See the module's docstring. dtype: of the computation; parameters and statistics stay
    float32."""

    config_class = ResNetConfig
    head_name = "fc"

    def __init__(self, config: ResNetConfig, rngs: nnx.Rngs, dtype: jnp.dtype | None = None):
        self.pool = config.stem_pool
        self.conv1 = _conv(
            config.bands, config.widths[0], config.stem_kernel, config.stem_stride, rngs, dtype
        )
        self.bn1 = _norm(config.widths[0], rngs, dtype)
        inputs = config.widths[0]
        for stage, (width, blocks) in enumerate(zip(config.widths, config.blocks), start=1):
            layer = []
            for block in range(blocks):
                layer.append(
                    BasicBlock(inputs, width, 2 if stage > 1 and block == 0 else 1, rngs, dtype)
                )
                inputs = width
            setattr(self, f"layer{stage}", nnx.List(layer))
        bound = inputs**-0.5
        uniform = lambda key, shape, dtype=jnp.float32: jax.random.uniform(
            key, shape, dtype, -bound, bound
        )
        self.fc = nnx.Linear(
            inputs, 1, kernel_init=uniform, bias_init=uniform, dtype=dtype, rngs=rngs
        )

    def maps(self, images: jax.Array, key: jax.Array | None = None) -> dict[str, jax.Array]:
        """Maps of every stage by name, from images (B, H, W, bands)."""
        x = nnx.relu(self.bn1(self.conv1(images)))
        if self.pool:
            x = max_pool(x)
        found = {"stage0": x}
        for stage in range(1, 5):
            for place, block in enumerate(getattr(self, f"layer{stage}")):
                x = found[f"stage{stage}_{place:02d}"] = block(x)
        return found

    def head(self, features: jax.Array, key: jax.Array | None = None) -> jax.Array:
        """Logits of pooled features (B, C)."""
        return self.fc(features)
