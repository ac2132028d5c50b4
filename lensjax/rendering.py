"""Rendering: scene -> rays -> point fluxes (cells.py) -> PSF (psf.py) -> image."""

from dataclasses import dataclass
from functools import partial

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
from lensjax.psf import PSF, convolve, everywhere
from lensjax.scene import Scene


@dataclass(frozen=True)
class Sampling:
    """Static: the fields of a wide and of a narrow PSF, or of the one it is, and how closely to
    look: a tolerance with bounds, or the rays of a fixed rule."""

    fields: tuple[Field, ...]
    tol: float | int
    bounds: Bounds

    def nodes(self, mass: tuple[Mass, ...], light: Light, field: Field) -> Float[Array, "M M"]:
        if isinstance(self.tol, int):
            return cells.uniform(mass, light, field, self.tol)
        return cells.nodes(mass, light, field, plan(self.tol, field, self.bounds, light.cusped))


def render(
    scene: Scene,
    grid: PixelGrid,
    psf: PSF,
    tol: float | str = 1e-3,
    bounds: Bounds = Bounds(),
) -> Float[Array, "N N B"]:
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
    return _render(scene, psf, sampling)


@partial(jax.jit, static_argnames=("sampling",))
def _render(scene: Scene, psf: PSF, sampling: Sampling) -> Float[Array, "N N B"]:
    scene, psf = harmless((scene, psf))
    forms = [partial(_image, sampling=sampling, field=field) for field in sampling.fields]
    if len(forms) == 1:
        return forms[0](scene, psf)
    wide, narrow = forms
    least = psf.own_pixels_from * sampling.fields[0].stamp.scale
    return lax.cond(everywhere(psf.fwhm >= least), wide, narrow, scene, psf)


def _image(scene: Scene, psf: PSF, sampling: Sampling, field: Field) -> Float[Array, "N N B"]:
    parts: list[tuple[tuple[Mass, ...], Light]] = [(scene.lens, light) for light in scene.source]
    parts += [((), light) for light in scene.lens_light]

    def image(mass: tuple[Mass, ...], light: Light) -> Float[Array, "N N B"]:
        nodes = sampling.nodes(mass, light, field)
        return jnp.atleast_1d(jnp.asarray(light.flux)) * convolve(nodes, psf, field)

    images = [image(mass, light) for mass, light in parts]
    return sum(images[1:], images[0])
