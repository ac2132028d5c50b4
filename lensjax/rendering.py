"""Rendering: scene -> rays -> point fluxes (cells.py) -> PSF (psf.py) -> image."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, overload

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from lensjax import cells
from lensjax.checks import check, harmless
from lensjax.errors import InputError
from lensjax.field import Field
from lensjax.grid import PixelGrid
from lensjax.light.base import TINY
from lensjax.plans import TOLERANCES, Bounds, fields, plan, tolerance
from lensjax.psf import PSF, Gaussian, Moffat, beyond_pixels, convolve, everywhere
from lensjax.scene import Scene


@dataclass(frozen=True)
class Sampling:
    """What is static. fields: that of a wide and that of a narrow PSF, or one if the width is
    known. tol, bounds: how closely to look; tol may be the rays of a fixed rule instead of a
    tolerance."""

    fields: tuple[Field, ...]
    tol: float | int
    bounds: Bounds


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class RenderError:
    """How wrong an image may be (nanomaggies): each pixel, and the total flux of each band. In 99
    of 100 scenes of the domain the true errors are smaller (docs/rendering.md)."""

    pixel: Float[Array, "N N B"]
    flux: Float[Array, " B"]

    def relative(self, image: Float[Array, "N N B"]) -> Float[Array, " B"]:
        """Largest error of a pixel over the image's peak: what a tolerance speaks of."""
        return jnp.max(self.pixel, (0, 1)) / (jnp.max(image, (0, 1)) + TINY)


class RenderWarning(UserWarning):
    """An image may be further from the truth than the tolerance that was asked for."""


@overload
def render(
    scene: Scene,
    grid: PixelGrid,
    psf: PSF,
    tol: float | str = 1e-3,
    bounds: Bounds = Bounds(),
    *,
    with_error: Literal[False] = False,
) -> Float[Array, "N N B"]: ...


@overload
def render(
    scene: Scene,
    grid: PixelGrid,
    psf: PSF,
    tol: float = 1e-3,
    bounds: Bounds = Bounds(),
    *,
    with_error: Literal[True],
) -> tuple[Float[Array, "N N B"], RenderError]: ...


def render(
    scene: Scene,
    grid: PixelGrid,
    psf: PSF,
    tol: float | str = 1e-3,
    bounds: Bounds = Bounds(),
    *,
    with_error: bool = False,
) -> Any:
    """Image (N, N, B) in nanomaggies of one scene; batches by `jax.vmap`.

    tol (static): largest error of a pixel as a fraction of the image's peak, and of the total flux,
    that 99 % of the scenes of the domain stay below (docs/rendering.md). 1e-2, 1e-3 and 5e-4 are
    provided; what is asked for is rounded down to one of them. "4x4" and "8x8" name fixed rules
    instead. bounds (static): a part of the domain in which all scenes and PSFs are, so that fewer
    rays are needed.

    with_error (static): returns the image and a `RenderError`, which says how wrong the image may
    be and has no derivative. Outside of compiled functions a RenderWarning is given if the error is
    more than the tolerance.

    Differentiable in every leaf of `scene` and `psf`, forward and reverse. Raises InputError,
    naming the parameter, its value and its range, when a value is outside the domain and this is
    not a compiled call; inside jit such a value is replaced by a harmless one, so that the image
    and its gradient stay finite but mean nothing (`lensjax.valid` is the flag), and shapes that do
    not match are refused all the same.
    """
    check(scene, grid, psf)
    sampling = Sampling(fields(psf, grid, bounds), tolerance(tol), bounds)
    if with_error and isinstance(sampling.tol, int):
        raise InputError(f"render tol = {tol!r}: a fixed rule does not know its error")
    dtype = jnp.result_type(*jax.tree.leaves((scene, psf)), jnp.float32)
    scene, psf = jax.tree.map(lambda leaf: jnp.asarray(leaf, dtype), (scene, psf))
    image, error = _render(scene, psf, sampling, with_error)
    if error is None:
        return image
    _warn(error.relative(image), tol)
    return image, error


def _warn(relative: Float[Array, " B"], tol: Any) -> None:
    """Says that an image may be wrong by more than the tolerance, where there are values."""
    if isinstance(relative, jax.core.Tracer):
        return
    worst = float(jnp.max(relative))
    if worst > float(tol):
        warnings.warn(
            f"render tol = {tol}: a pixel of this image may be wrong by {worst:.1e} of its peak. "
            f"Ask for a smaller tolerance, at least {min(TOLERANCES)}, or compare with an image of "
            "smaller pixels",
            RenderWarning,
            stacklevel=3,
        )


OF_PIXEL, OF_FLUX, FLOOR = 0.32, 0.3, 1e-4
"""What makes 99 % of the true errors smaller than the stated ones, over the scenes of
benchmarks/errors.py. OF_PIXEL and OF_FLUX multiply what the cells say, which is the worst case of
each of them. FLOOR is a share of the peak and of the flux, for what no cell knows."""


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
    images, squares = [], []
    for mass, light in scene.views():
        lensed = mass, light.prepared(field.grid.scale)
        flux = jnp.atleast_1d(jnp.asarray(light.flux))
        if isinstance(sampling.tol, int):
            nodes = cells.uniform(lensed, field, sampling.tol)
            images.append(flux * convolve(nodes, psf, field))
            continue
        how = plan(sampling.tol, field, sampling.bounds, light.cusped, light.textured)
        levels = cells.survey(lensed, field, how)
        images.append(flux * convolve(cells.nodes(lensed, levels, field), psf, field))
        if with_error:
            doubts = convolve(cells.doubts(levels, field), psf, field)
            squares.append(flux**2 * jnp.maximum(doubts, 0.0))
    image = sum(images[1:], images[0])
    return image, _error(image, sum(squares[1:], squares[0]), psf, field) if with_error else None


def _error(
    image: Float[Array, "N N B"], squares: Float[Array, "N N B"], psf: PSF, field: Field
) -> RenderError:
    """What cells may have missed, and what the field's pixels cannot hold of the PSF. squares:
    errors of the cells, squared, behind the PSF. The square of a PSF is at most the PSF times its
    peak."""
    sharpest = jnp.max(psf.stamp(field.stamp), (0, 1))
    peak, total = jnp.max(image, (0, 1)), jnp.sum(image, (0, 1))
    unseen = beyond_pixels(psf, field.grid) + FLOOR
    pixel = OF_PIXEL * jnp.sqrt(sharpest * squares) + unseen * peak
    flux = OF_FLUX * jnp.sqrt(jnp.sum(squares, (0, 1))) + FLOOR * total
    return lax.stop_gradient(RenderError(pixel, flux))
