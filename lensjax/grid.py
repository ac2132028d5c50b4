"""The pixel grid of a stamp.

x grows with the column and y with the row, in arcsec; (0, 0) is the centre of the stamp: the middle
pixel when the size is odd, the corner shared by the four middle pixels when it is even.
"""

from dataclasses import dataclass

import jax
import numpy as np
from jaxtyping import Float

from lensjax.errors import InputError


@jax.tree_util.register_static
@dataclass(frozen=True)
class PixelGrid:
    """A square stamp of `size` x `size` pixels, `scale` arcsec each. Static: it is part of a
    compiled function's shape."""

    size: int
    scale: float = 0.262

    def __post_init__(self):
        if isinstance(self.size, bool) or int(self.size) != self.size or not 1 <= self.size <= 4096:
            raise InputError(
                f"PixelGrid size = {self.size}: give a whole number of pixels from 1 to 4096"
            )
        if not 0 < float(self.scale) < 100:
            raise InputError(
                f"PixelGrid scale = {self.scale}: give the pixel size in arcsec, larger than 0"
            )

    @property
    def pixel_area(self) -> float:
        """Solid angle of a pixel, arcsec^2."""
        return self.scale**2

    def axis(self) -> Float[np.ndarray, " size"]:
        """Coordinates (arcsec) of the pixel centres along one axis."""
        return (np.arange(self.size) - (self.size - 1) / 2) * self.scale

    def mesh(self) -> tuple[Float[np.ndarray, "size size"], Float[np.ndarray, "size size"]]:
        """x and y (arcsec) of every pixel centre."""
        x, y = np.meshgrid(self.axis(), self.axis())
        return x, y

    def radius(self) -> Float[np.ndarray, "size size"]:
        """Distance of every pixel centre from the centre of the stamp, in pixels."""
        x, y = self.mesh()
        return np.hypot(x, y) / self.scale
