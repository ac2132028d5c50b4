"""Where a finder looks: the gradient of its logit with respect to the pixels of a stamp.

A pixel's weight is the size of pixel times gradient (Shrikumar et al. 2017, arXiv 1704.02685), over
the bands in quadrature, smoothed, and divided by its largest value. It says what the score would
answer to, not why.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from classifiers import processor
from classifiers.finders import Finder
from lensjax.errors import InputError

SMOOTHING = 1.5
"""sigma of the Gaussian, pixels"""


class Saliency:
    """Weights of the pixels of a stamp for one finder."""

    def __init__(self, finder: Finder) -> None:
        """Raises InputError for a finder without derivatives."""
        if not finder.differentiable:
            raise InputError(
                f"finder {finder.name}: has no derivatives, so that there is no saliency; use the "
                "folder of a training"
            )
        self._product = partial(processor.jit(_product), finder)

    def __call__(self, stamp: Float[np.ndarray, "h w b"]) -> Float[np.ndarray, "h w"]:
        """From 0 to 1, (H, W); 0 everywhere where the finder answers to nothing. stamp:
        nanomaggies, NaN where there is no data."""
        from scipy.ndimage import gaussian_filter

        product = np.nan_to_num(np.asarray(self._product(stamp[None])[0], np.float64))
        weight = gaussian_filter(np.sqrt((product**2).sum(-1)), SMOOTHING)
        top = weight.max()
        return weight / top if top > 0 else np.zeros_like(weight)


def _product(finder: Any, stamps: Float[Array, "n h w b"]) -> Float[Array, "n h w b"]:
    logits = lambda pixels: jnp.sum(finder.logits(pixels))
    return jax.grad(logits)(stamps) * jnp.nan_to_num(stamps)
