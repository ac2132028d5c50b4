"""Rendering: scene -> rays -> point fluxes (cells.py) -> PSF (psf.py) -> image."""

from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from lensjax import cells
from lensjax.checks import check, harmless
from lensjax.field import Field
from lensjax.grid import PixelGrid
from lensjax.light import Light
from lensjax.mass import Mass
from lensjax.plans import Bounds, fields, plan, tolerance
from lensjax.psf import PSF, Gaussian, Moffat, convolve, everywhere
from lensjax.scene import Scene


@dataclass(frozen=True)
class Sampling:
    """Static: the fields of a wide and of a narrow PSF, or of the one it is, and how closely to
    look: a tolerance with bounds, or the rays of a fixed rule."""

    fields: tuple[Field, ...]
    tol: float | int
    bounds: Bounds


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class RenderError:
    """How wrong an image may be (nanomaggies): each pixel, and the total flux of each band. The
    true error is smaller in 95 of 100 scenes of the domain (docs/rendering.md)."""

    pixel: Float[Array, "N N B"]
    flux: Float[Array, " B"]

    def relative(self, image: Float[Array, "N N B"]) -> tuple[Array, Array]:
        """Largest error of a pixel over the image's peak, and that of the flux over the flux, (B,)
        each."""
        peak, total = jnp.max(image, (0, 1)), jnp.sum(image, (0, 1))
        return jnp.max(self.pixel, (0, 1)) / (peak + 1e-30), self.flux / (total + 1e-30)


def render(
    scene: Scene,
    grid: PixelGrid,
    psf: PSF,
    tol: float | str = 1e-3,
    bounds: Bounds = Bounds(),
    with_error: bool = False,
) -> Any:
    """Image (N, N, B) in nanomaggies of one scene; batches by `jax.vmap`.

    tol (static): largest error of a pixel as a fraction of the image's peak, and of the total flux,
    that 99 % of the scenes of the domain stay below (docs/rendering.md). 1e-2, 1e-3 and 5e-4 are
    provided; what is asked for is rounded down to one of them. "4x4" and "8x8" name fixed rules
    instead. bounds (static): what holds for all scenes and PSFs, where it is less than the domain:
    less has to be looked at then.

    Differentiable in every leaf of `scene` and `psf`, forward and reverse. Raises InputError,
    naming the parameter, its value and its range, when a value is outside the domain and this is
    not a compiled call; inside jit such a value is replaced by a harmless one, so that the image
    and its gradient stay finite but mean nothing (`lensjax.valid` is the flag), and shapes that do
    not match are refused all the same.
    """
    check(scene, grid, psf)
    sampling = Sampling(fields(psf, grid, bounds), tolerance(tol), bounds)
    dtype = jnp.result_type(*jax.tree.leaves((scene, psf)), jnp.float32)
    scene, psf = jax.tree.map(lambda leaf: jnp.asarray(leaf, dtype), (scene, psf))
    image, error = _render(scene, psf, sampling, with_error)
    return (image, error) if with_error else image


CALIBRATED = 1.0
"""Makes the estimates of errors larger than 95 % of the errors, see benchmarks/accuracy.py."""


@partial(jax.jit, static_argnames=("sampling", "with_error"))
def _render(
    scene: Scene, psf: PSF, sampling: Sampling, with_error: bool
) -> tuple[Float[Array, "N N B"], RenderError | None]:
    scene, psf = harmless((scene, psf))
    forms = [
        partial(_image, sampling=sampling, field=field, with_error=with_error)
        for field in sampling.fields
    ]
    if len(forms) == 1:
        return forms[0](scene, psf)
    wide, narrow = forms
    assert isinstance(psf, Gaussian | Moffat)
    least = psf.own_pixels_from * sampling.fields[0].stamp.scale
    return lax.cond(everywhere(jnp.asarray(psf.fwhm) >= least), wide, narrow, scene, psf)


def _image(
    scene: Scene, psf: PSF, sampling: Sampling, field: Field, with_error: bool
) -> tuple[Float[Array, "N N B"], RenderError | None]:
    parts: list[tuple[tuple[Mass, ...], Light]] = [(scene.lens, light) for light in scene.source]
    parts += [((), light) for light in scene.lens_light]
    image: Any = 0.0
    squares: Any = 0.0
    for mass, light in parts:
        lensed = mass, light.prepared(field.grid.scale)
        flux = jnp.atleast_1d(jnp.asarray(light.flux))
        if isinstance(sampling.tol, int):
            image = image + flux * convolve(cells.uniform(lensed, field, sampling.tol), psf, field)
            continue
        levels = cells.survey(
            lensed, field, plan(sampling.tol, field, sampling.bounds, light.cusped)
        )
        image = image + flux * convolve(cells.nodes(lensed, levels, field), psf, field)
        if with_error:
            doubts = convolve(cells.doubts(levels, field), psf, field)
            squares = squares + flux**2 * jnp.maximum(doubts, 0.0)
    if not with_error:
        return image, None
    # The square of the PSF is at most the PSF times its peak.
    peak = jnp.max(psf.stamp(field.stamp), (0, 1))
    pixel = CALIBRATED * jnp.sqrt(peak * squares)
    flux = CALIBRATED * jnp.sqrt(jnp.sum(squares, (0, 1)))
    return image, lax.stop_gradient(RenderError(pixel, flux))
