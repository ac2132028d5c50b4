"""Rendering: scene -> rays -> point fluxes (cells.py) -> PSF (psf.py) -> image."""

from functools import partial

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from lensjax import cells
from lensjax.cells import Plan
from lensjax.checks import check, harmless
from lensjax.errors import InputError
from lensjax.grid import PixelGrid
from lensjax.light import Light
from lensjax.mass import Mass
from lensjax.psf import PSF, convolve
from lensjax.scene import Scene

PLANS = {
    1e-2: Plan(blocks=64, pixels=96, deeper=(64, 32), nodes=(2, 2, 2, 2)),
    1e-3: Plan(blocks=80, pixels=128, deeper=(160, 64), nodes=(3, 2, 2, 2)),
    5e-4: Plan(blocks=160, pixels=256, deeper=(320, 240, 120), nodes=(4, 4, 4, 4, 4)),
}
"""What each tolerance refines; docs/rendering.md has the errors measured over the priors."""

UNIFORM = {"4x4": 4, "8x8": 8}
"""The fixed rules of earlier simulations, by name: for comparison with them, not for use."""


def render(
    scene: Scene, grid: PixelGrid, psf: PSF, tol: float | str = 1e-3
) -> Float[Array, "N N B"]:
    """Image (N, N, B) in nanomaggies of one scene; batches by `jax.vmap`.

    tol (static): largest error of a pixel as a fraction of the image's peak, and of the total flux,
    that 99 % of the scenes of either prior preset stay below. 1e-2, 1e-3 and 5e-4 are provided;
    what is asked for is rounded down to one of them. "4x4" and "8x8" name fixed rules instead.

    Differentiable in every leaf of `scene` and `psf`, forward and reverse. Raises InputError,
    naming the parameter, its value and its range, when a value is outside the domain and this is
    not a compiled call; inside jit such a value is replaced by a harmless one, so that the image
    and its gradient stay finite but mean nothing (`lensjax.valid` is the flag), and shapes that do
    not match are refused all the same.
    """
    check(scene, grid, psf)
    dtype = jnp.result_type(*jax.tree.leaves((scene, psf)), jnp.float32)
    scene, psf = jax.tree.map(lambda leaf: jnp.asarray(leaf, dtype), (scene, psf))
    return _render(scene, grid, psf, plan(tol))


def plan(tol: float | str) -> Plan | int:
    """The refinement that meets a tolerance, or the rays per pixel and axis of a fixed rule."""
    if isinstance(tol, str):
        if tol not in UNIFORM:
            raise InputError(f"render tol = {tol!r}: give a number or one of {', '.join(UNIFORM)}")
        return UNIFORM[tol]
    usable = [t for t in PLANS if t <= float(tol) * (1 + 1e-9)]
    if not usable:
        raise InputError(f"render tol = {tol}: the smallest tolerance provided is {min(PLANS)}")
    return PLANS[max(usable)]


@partial(jax.jit, static_argnames=("grid", "how"))
def _render(scene: Scene, grid: PixelGrid, psf: PSF, how: Plan | int) -> Float[Array, "N N B"]:
    scene, psf = harmless((scene, psf))

    parts: list[tuple[tuple[Mass, ...], Light]] = [(scene.lens, light) for light in scene.source]
    parts += [((), light) for light in scene.lens_light]

    def image(mass: tuple[Mass, ...], light: Light) -> Float[Array, "N N B"]:
        if isinstance(how, int):
            nodes = cells.uniform(mass, light, grid, how)
        else:
            nodes = cells.nodes(mass, light, grid, how)
        return jnp.atleast_1d(jnp.asarray(light.flux)) * convolve(nodes, psf, grid)

    images = [image(mass, light) for mass, light in parts]
    return sum(images[1:], images[0])
