"""Fluxes in nanomaggies (AB zero point 22.5), magnitudes, and the depth of an image.

m = 22.5 - 2.5 log10 f        m5 = 22.5 - 2.5 log10(5 / sqrt(psfdepth))
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import jax.numpy as jnp
from jaxtyping import Array, Float

from lensjax.arrays import Real
from lensjax.units import ZERO_POINT as ZERO_POINT

if TYPE_CHECKING:
    from lensjax.grid import PixelGrid
    from lensjax.psf import PSF

LN10 = 2.302585092994046


def nanomaggies(magnitude: Real) -> Float[Array, "..."]:
    """Flux (nanomaggies) of an AB magnitude, any shape."""
    return jnp.exp((ZERO_POINT - jnp.asarray(magnitude)) * (LN10 / 2.5))


def magnitudes(flux: Real) -> Float[Array, "..."]:
    """AB magnitude of a flux (nanomaggies), any shape. A flux <= 0 has no magnitude: NaN in the value, zero in the gradient."""
    flux = jnp.asarray(flux)
    positive = flux > 0
    return jnp.where(
        positive, ZERO_POINT - (2.5 / LN10) * jnp.log(jnp.where(positive, flux, 1.0)), jnp.nan
    )


def depth_m5(psfdepth: Real) -> Float[Array, "..."]:
    """5-sigma point-source depth (AB mag) from the inverse variance `psfdepth` (nanomaggies^-2), any shape."""
    return magnitudes(5.0 / jnp.sqrt(jnp.asarray(psfdepth)))


def psfdepth_from_m5(m5: Real) -> Float[Array, "..."]:
    """Inverse variance of a point source (nanomaggies^-2) at the 5-sigma depth m5 (AB mag), any shape."""
    return 25.0 / nanomaggies(m5) ** 2


def flux_loss(psf: PSF, grid: PixelGrid) -> Float[Array, " B"]:
    """Share (B,) of a point source's flux that the PSF scatters out of the stamp, the source at its centre; one nearer to an edge loses more.

    A Gaussian of the survey's seeing loses nothing of a 101-pixel stamp (1e-7 is rounding), the wings of a Moffat 1e-4 to 1e-2; a pixel kernel loses what
    of it the stamp does not hold, nothing if it fits. Light beyond a kernel's own edge was never in it and is not counted.
    """
    return 1 - jnp.sum(psf.stamp(grid), axis=(0, 1))
