"""What every architecture is: stamps in, one logit out, with features and maps in between."""

from __future__ import annotations

import jax
from flax import nnx
from jaxtyping import Array, Float, PRNGKeyArray


class Classifier(nnx.Module):
    """A network that finds lenses: `logits = head(features(images))`, where `features` is the
    spatial mean of the last of `maps`.

    An architecture defines `maps` and `head`. Stamps are (B, H, W, C), preprocessed, bands last.
    `model.train()` and `model.eval()` choose whether batch normalisation uses the batch or its
    running statistics; dropout and stochastic depth act only when a key is given.
    """

    head_name: str
    """first part of the names of the parameters that make the logit"""

    def maps(
        self, images: Float[Array, "b h w c"], key: PRNGKeyArray | None = None
    ) -> dict[str, Float[Array, "b x y w"]]:
        """Feature maps after the stem (`stage0`) and after every block (`stage1_00`, ...). Sorted
        by name, as jit sorts them, they are in the network's order."""
        raise NotImplementedError

    def features(
        self, images: Float[Array, "b h w c"], key: PRNGKeyArray | None = None
    ) -> Float[Array, "b f"]:
        """The penultimate features (B, F): what the head sees."""
        return list(self.maps(images, key).values())[-1].mean(axis=(1, 2))

    def head(
        self, features: Float[Array, "b f"], key: PRNGKeyArray | None = None
    ) -> Float[Array, "b 1"]:
        """Logits (B, 1) of features."""
        raise NotImplementedError

    def __call__(
        self, images: Float[Array, "b h w c"], key: PRNGKeyArray | None = None
    ) -> Float[Array, " b"]:
        """Logits (B,), float32."""
        below, above = (None, None) if key is None else jax.random.split(key)
        return self.head(self.features(images, below), above)[:, 0].astype("float32")


def count(model: nnx.Module) -> int:
    """Number of trainable parameters."""
    return sum(leaf.size for leaf in jax.tree.leaves(nnx.state(model, nnx.Param)))
