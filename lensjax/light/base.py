"""What a light profile is."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

import jax.numpy as jnp
from jaxtyping import Array, Float

from lensjax.arrays import Real
from lensjax.component import Component
from lensjax.light.focus import Focus, even

TINY = 1e-12
"""Offset of a squared radius, which keeps derivatives finite on the centre."""


@dataclass(frozen=True)
class Light(Component):
    """A profile with a `flux` (B,) in nanomaggies, one for each band, and a shape of unit flux that
    the bands share. Its normalisation is the integral over the *source plane*, so that lensing
    magnifies: dividing by the image-plane sum would cancel it."""

    if TYPE_CHECKING:
        flux: Real

    def brightness(self, x: Real, y: Real) -> Float[Array, "..."]:
        """Surface brightness (arcsec^-2) of unit flux at x, y (arcsec), any shape."""
        raise NotImplementedError

    def bound(self, x: Real, y: Real, reach: Real) -> Float[Array, "..."]:
        """About the largest brightness within `reach` (arcsec) of x, y: tells the renderer where it
        has to look closely."""
        raise NotImplementedError

    def foci(self) -> Focus:
        """Where the brightness is steep, so that rays are placed around it (`placing.py`). A
        profile that does not say is taken to change over its own length everywhere alike."""
        lengths = _lengths(self)
        return even(getattr(self, lengths[0]) if lengths else 1.0)

    @property
    def cusped(self) -> bool:
        """Whether much of the light may be very close to one point, as in a steep galaxy: part of a
        compiled function's shape, because it takes more rays."""
        return False

    @property
    def textured(self) -> bool:
        """Whether the light has structure everywhere and not around a few places, as a picture of a
        galaxy: part of a compiled function's shape, because more cells have to be divided."""
        return False

    def prepared(self, pixel: float) -> Light:
        """The light as it is rendered on pixels of that size (arcsec), for example with a smooth
        middle in place of a steep one, or as a spline in place of an image. A few numbers that are
        the same for every place need not be worked out here, see `lensjax.once`."""
        return self


def brighter(light: Any, factor: Real) -> Any:
    """The light, or every light of a tuple, with its flux multiplied by a factor."""
    if isinstance(light, tuple):
        return tuple(brighter(part, factor) for part in light)
    return replace(light, flux=light.flux * factor)


def larger(light: Any, factor: Real) -> Any:
    """The light, or every light of a tuple, with its own length multiplied by a factor: the
    half-light radius of a Sersic profile, the pixel of a galaxy image. Flux and place stay."""
    if isinstance(light, tuple):
        return tuple(larger(part, factor) for part in light)
    return replace(light, **{name: getattr(light, name) * factor for name in _lengths(light)})


def _lengths(light: Light) -> list[str]:
    """Fields that make the light larger or smaller."""
    return [f.name for f in fields(light) if f.metadata.get("size")]


def surface_brightness(light: Light, x: Real, y: Real) -> Float[Array, "..."]:
    """Surface brightness (arcsec^-2) of a profile of unit flux at x, y (arcsec) in the source
    plane, any shape."""
    return light.brightness(jnp.asarray(x), jnp.asarray(y))
