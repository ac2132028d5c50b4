"""Images of real galaxies made into sources: cleaned, of one size, in a library file.

    galaxies = [cleaned(image) for image in cosmos]
    write_library("galaxies.npz", galaxies)         # what a prior's `library` names

A library is an NPZ file with `images` (n, H, W) float32, each galaxy in the middle of an empty sky.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float

from data.files import replacing
from lensjax.errors import InputError


def cleaned(image: Float[np.ndarray, "H W"], threshold: float = 1.5) -> Float[np.ndarray, "H W"]:
    """A galaxy stamp made into a source.

    Its border's median is subtracted. Pixels that are not part of the central object (connected
    above `threshold` robust sigmas of the border, after smoothing by 3 x 3) are set to zero, and so
    are negative ones. Raises InputError for an image that is not a finite 2-D array or has nothing
    above the threshold.
    """
    from scipy import ndimage

    image = np.asarray(image, float)
    if image.ndim != 2 or min(image.shape) < 8 or not np.isfinite(image).all():
        raise InputError(
            f"galaxy image of shape {image.shape}: give a finite 2-D array of at least 8 x 8 pixels"
        )
    border = np.concatenate([image[0], image[-1], image[:, 0], image[:, -1]])
    image = image - np.median(border)
    sigma = 1.4826 * np.median(np.abs(border - np.median(border)))
    bright = ndimage.uniform_filter(image, 3, mode="wrap") > threshold * sigma
    objects, _ = ndimage.label(bright)
    middle = tuple(slice(n // 2 - n // 8, n // 2 + n // 8 + 1) for n in image.shape)
    central = np.setdiff1d(objects[middle], [0])
    if not central.size:
        raise InputError("galaxy image: nothing near its centre stands out of the noise")
    return np.where(np.isin(objects, central), np.maximum(image, 0.0), 0.0)


def write_library(path: str | Path, galaxies: Sequence[Float[np.ndarray, "H W"]]) -> None:
    """Writes images of any sizes as one library, each in the middle of the largest."""
    if not galaxies:
        raise InputError(f"{path}: no galaxies to write")
    height, width = (max(g.shape[axis] for g in galaxies) for axis in (0, 1))
    images = np.zeros((len(galaxies), height, width), np.float32)
    for image, galaxy in zip(images, galaxies):
        top, left = (height - galaxy.shape[0]) // 2, (width - galaxy.shape[1]) // 2
        image[top : top + galaxy.shape[0], left : left + galaxy.shape[1]] = galaxy
    with replacing(path) as temporary, open(temporary, "wb") as handle:
        np.savez_compressed(handle, allow_pickle=False, images=images)
