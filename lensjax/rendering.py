"""Rendering: scene -> rays -> point fluxes (cells.py) -> PSF (psf.py) -> image."""

from functools import partial

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from lensjax import cells
from lensjax.cells import Plan
from lensjax.errors import InputError
from lensjax.grid import PixelGrid
from lensjax.psf import PSF, convolve
from lensjax.scene import Scene

PLANS = {
    1e-2: Plan(blocks=40, pixels=32, deeper=(24,), nodes=(4, 2, 2)),
    1e-3: Plan(blocks=64, pixels=64, deeper=(96, 48), nodes=(4, 2, 2, 2)),
    1e-4: Plan(blocks=160, pixels=320, deeper=(480, 240, 120), nodes=(4, 4, 4, 4, 4)),
}
"""What each tolerance refines; docs/rendering.md has the errors measured over the priors."""


def render(scene: Scene, grid: PixelGrid, psf: PSF, tol: float = 1e-3) -> Float[Array, "N N B"]:
    """Image (N, N, B) in nanomaggies of one scene; batches by `jax.vmap`.

    tol (static): largest error of a pixel as a fraction of the image's peak, and of the total flux, that 99 % of the scenes of either prior
    preset stay below. 1e-2, 1e-3 and 1e-4 are provided; what is asked for is rounded down to one of them.

    Differentiable in every leaf of `scene` and `psf`, forward and reverse. Raises InputError for a tolerance below 1e-4.
    """
    dtype = jnp.result_type(*jax.tree.leaves((scene, psf)), jnp.float32)
    scene, psf = jax.tree.map(lambda leaf: jnp.asarray(leaf, dtype), (scene, psf))
    return _render(scene, grid, psf, plan(tol))


def plan(tol: float) -> Plan:
    """The refinement that meets a tolerance."""
    usable = [t for t in PLANS if t <= float(tol) * (1 + 1e-9)]
    if not usable:
        raise InputError(f"render tol = {tol}: the smallest tolerance provided is {min(PLANS)}")
    return PLANS[max(usable)]


@partial(jax.jit, static_argnames=("grid", "plan"))
def _render(scene: Scene, grid: PixelGrid, psf: PSF, plan: Plan) -> Float[Array, "N N B"]:
    images = [
        jnp.atleast_1d(jnp.asarray(light.flux)) * convolve(cells.nodes(scene.mass(), light, grid, plan), psf, grid) for light in scene.light()
    ]
    return sum(images[1:], images[0])
