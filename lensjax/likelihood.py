r"""Gaussian likelihood of an image:

$$\ln L = -\frac12 \sum_i \left(\frac{(d_i - m_i)^2}{\sigma_i^2} + \ln 2\pi\sigma_i^2\right)$$

over the pixels i of all bands that count, with the constant, so that models of different noise can
be compared.

The renderer chooses where to look closely, and its derivatives do not include this choice. So ln L
has steps where the choice changes: at a signal-to-noise ratio of 100 in the brightest pixel some
1e-3, and on one line in twenty through parameter space 0.3 (docs/fitting.md has those of chi^2,
which are twice as large).
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from lensjax.arrays import Real
from lensjax.errors import InputError
from lensjax.grid import PixelGrid
from lensjax.psf import PSF
from lensjax.rendering import render
from lensjax.scene import Scene

LN_TWO_PI = float(np.log(2 * np.pi))


def log_likelihood(
    scene: Scene,
    image: Float[Array, "N N B"],
    sigma: Real,
    psf: PSF,
    grid: PixelGrid,
    tol: float | str = 1e-3,
) -> Float[Array, ""]:
    """ln L of an image (N, N, B), nanomaggies, for a scene: a scalar, with the constant.

    sigma: standard deviation of the noise (nanomaggies): one number, (B,), or (N, N, B). Pixels
    that are NaN in the image do not count, nor do those whose sigma is NaN or infinite. tol: as for
    `render`. Pure; differentiable in the scene, the PSF and sigma, and twice. Raises InputError for
    what `render` refuses, shapes that do not fit, and (outside of jit) a sigma that is not larger
    than 0.
    """
    return gaussian_log_likelihood(render(scene, grid, psf, tol), image, sigma)


def gaussian_log_likelihood(
    model: Float[Array, "N N B"], image: Float[Array, "N N B"], sigma: Real
) -> Float[Array, ""]:
    """The same for a model image of one's own, for example `render` plus `lensed_point`."""
    model, image, sigma = (jnp.asarray(v) for v in (model, image, sigma))
    _check(model, image, sigma)
    counts = ~jnp.isnan(image) & jnp.isfinite(sigma)
    # Masked values are replaced before they are used, or their NaN would get into the derivatives.
    residual = jnp.where(counts, image, 0.0) - jnp.where(counts, model, 0.0)
    width = jnp.where(counts, sigma, 1.0)
    terms = (residual / width) ** 2 + 2 * jnp.log(width) + LN_TWO_PI
    return -0.5 * jnp.sum(jnp.where(counts, terms, 0.0))


def _check(model: Array, image: Array, sigma: Array) -> None:
    if image.shape != model.shape:
        raise InputError(
            f"image has shape {image.shape}, it should be {model.shape}: the pixels and bands of "
            "the model"
        )
    allowed: list[Any] = [(), image.shape[-1:], (1,), image.shape]
    if sigma.shape not in allowed:
        raise InputError(
            f"sigma has shape {sigma.shape}: give one number, one a band {image.shape[-1:]}, or "
            f"one a pixel {image.shape}"
        )
    if not isinstance(sigma, jax.core.Tracer):
        bad = np.asarray(sigma)[np.asarray(sigma) <= 0]
        if bad.size:
            raise InputError(f"sigma = {bad.flat[0]:g}: it should be larger than 0")
    if not isinstance(image, jax.core.Tracer) and np.isinf(np.asarray(image)).any():
        raise InputError("image has infinite pixels: give NaN for pixels that do not count")
