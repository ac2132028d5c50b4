"""Fluxes in nanomaggies (AB zero point 22.5), magnitudes, and the depth of an image.

m = 22.5 - 2.5 log10 f        m5 = 22.5 - 2.5 log10(5 / sqrt(psfdepth))
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from lensjax.arrays import Real
from lensjax.errors import InputError
from lensjax.units import ZERO_POINT as ZERO_POINT

if TYPE_CHECKING:
    from lensjax.grid import PixelGrid
    from lensjax.psf import PSF

LN10 = 2.302585092994046


def nanomaggies(magnitude: Real) -> Float[Array, "..."]:
    """Flux (nanomaggies) of an AB magnitude, any shape."""
    return jnp.exp((ZERO_POINT - jnp.asarray(magnitude)) * (LN10 / 2.5))


def magnitudes(flux: Real) -> Float[Array, "..."]:
    """AB magnitude of a flux (nanomaggies), any shape. A flux <= 0 has no magnitude: NaN in the
    value, zero in the gradient."""
    flux = jnp.asarray(flux)
    positive = flux > 0
    return jnp.where(
        positive, ZERO_POINT - (2.5 / LN10) * jnp.log(jnp.where(positive, flux, 1.0)), jnp.nan
    )


def depth_m5(psfdepth: Real) -> Float[Array, "..."]:
    """5-sigma point-source depth (AB mag) from the inverse variance `psfdepth` (nanomaggies^-2),
    any shape."""
    return magnitudes(5.0 / jnp.sqrt(jnp.asarray(psfdepth)))


def psfdepth_from_m5(m5: Real) -> Float[Array, "..."]:
    """Inverse variance of a point source (nanomaggies^-2) at the 5-sigma depth m5 (AB mag), any
    shape."""
    return 25.0 / nanomaggies(m5) ** 2


def flux_loss(psf: PSF, grid: PixelGrid) -> Float[Array, " B"]:
    """Share (B,) of a point source's flux that the PSF scatters out of the stamp, for a source at
    the centre; a source nearer to an edge loses more.

    On a stamp of 26 arcsec, a Gaussian of the survey's seeing loses nothing (1e-7 is rounding), and
    a Moffat loses 1e-4 to 1e-2 in its wings. A pixel kernel loses the part that does not fit on the
    stamp. Light beyond a kernel's own edge was never in it and is not counted.
    """
    return 1 - jnp.sum(psf.stamp(grid), axis=(0, 1))


WAVELENGTH = {
    "u": 367.0,
    "g": 480.0,
    "r": 640.0,
    "i": 780.0,
    "z": 920.0,
    "y": 990.0,
    "Y": 990.0,
    "vis": 715.0,
    "VIS": 715.0,
    "J": 1250.0,
    "H": 1630.0,
    "K": 2190.0,
}
"""Effective wavelength of common bands, nm, where a survey gives none of its own."""


def colour_bands(name: str) -> tuple[str, ...]:
    """Bands that a photometric parameter is about: `r_mag` is the magnitude in r, `g_r` the colour
    g - r. Empty for a name that is neither."""
    first, _, second = name.partition("_")
    if second == "mag" and first in WAVELENGTH:
        return (first,)
    return (first, second) if first in WAVELENGTH and second in WAVELENGTH else ()


def colour_magnitudes(
    values: Mapping[str, Real],
    bands: Sequence[str] = (),
    wavelengths: Sequence[float] | None = None,
) -> list[Real]:
    """Magnitude in every band, from one magnitude and colours by name (`colour_bands`).

    bands: without any, those that are named, from blue to red. wavelengths (nm): of the bands;
    those of WAVELENGTH where not given. A band that is not named gets the magnitude interpolated
    linearly in the logarithm of the wavelength between the two nearest named ones, beyond the
    outermost on the same line. Raises InputError for colours that hang on no magnitude, and for a
    band without a wavelength.
    """
    known: dict[str, Real] = {}
    waiting = {colour_bands(name): value for name, value in values.items()}
    for single in [named for named in waiting if len(named) == 1]:
        known[single[0]] = waiting.pop(single)
    while waiting:
        linked = [p for p in waiting if p[0] in known or p[1] in known]
        if not linked:
            raise InputError(f"colour {'_'.join(next(iter(waiting)))} hangs on no magnitude")
        pair = linked[0]
        blue, red = pair[0], pair[1]
        if red in known:
            known[blue] = known[red] + waiting.pop(pair)
        else:
            known[red] = known[blue] - waiting.pop(pair)
    wanted = list(bands) or sorted(known, key=WAVELENGTH.__getitem__)
    own = dict(WAVELENGTH) | dict(zip(bands, wavelengths or ()))
    if missing := [band for band in wanted if band not in own]:
        raise InputError(f"band {missing[0]!r} has no wavelength: give those of the bands, in nm")
    order = sorted(known, key=own.__getitem__)
    place = np.log([own[band] for band in order])
    found = []
    for band in wanted:
        if band in known or len(order) == 1:
            found.append(known.get(band, known[order[0]]))
            continue
        i = int(np.clip(np.searchsorted(place, np.log(own[band])) - 1, 0, len(order) - 2))
        share = float((np.log(own[band]) - place[i]) / (place[i + 1] - place[i]))
        found.append((1 - share) * known[order[i]] + share * known[order[i + 1]])
    return found
