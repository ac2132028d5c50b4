"""Light in every pixel before any PSF: for a PSF of one's own, or for comparison with other codes.

`render` never has this image, because its light goes through the PSF at the exact places of its
rays. Here every pixel is a cell of `placing.py`, and the neediest are split into 4 x 4 again.
"""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from lensjax.checks import check_scene, harmless
from lensjax.choose import largest
from lensjax.grid import PixelGrid
from lensjax.light import Light
from lensjax.light.focus import Focus
from lensjax.mass import Mass
from lensjax.placing import look, seen
from lensjax.scene import Scene

_RULE = (6, 8)
"""Lines in a cell, and rays on each."""

_DEPTH, _NEEDIEST, _PARTS = 3, 64, 4
"""How often cells are split, how many of them, and into how many parts on either axis."""


def pixel_flux(scene: Scene, grid: PixelGrid) -> Float[Array, "N N B"]:
    """Flux (nanomaggies) of a scene in every pixel of a stamp, without PSF; batches by `jax.vmap`.

    Differentiable in every leaf of `scene`. Right to 1e-4 of the brightest pixel for Sersic indices
    up to 2.5. Steeper ones have a smooth core (`Sersic.prepared`). It leaves the total as it is,
    but some light is in the pixel beside its own: 3 % of the brightest pixel for n = 8 and
    r_eff = 0.1". Raises InputError as `render` does.
    """
    check_scene(scene, grid)
    dtype = jnp.result_type(*jax.tree.leaves(scene), jnp.float32)
    return _pixel_flux(jax.tree.map(lambda leaf: jnp.asarray(leaf, dtype), scene), grid)


@partial(jax.jit, static_argnames=("grid",))
def _pixel_flux(scene: Scene, grid: PixelGrid) -> Float[Array, "N N B"]:
    scene = harmless(scene)
    images = []
    for mass, light in scene.views():
        light = light.prepared(grid.scale)
        dtype = jax.tree.leaves(light)[0].dtype
        x, y = (jnp.asarray(c.ravel(), dtype) for c in grid.mesh())
        flux = _fluxes(mass, light, light.foci(), (x, y, jnp.full_like(x, grid.scale)), _DEPTH)
        image = flux.reshape(grid.size, grid.size, 1)
        images.append(jnp.atleast_1d(jnp.asarray(light.flux)) * image)
    return sum(images[1:], images[0])


def _fluxes(
    mass: tuple[Mass, ...],
    light: Light,
    foci: Focus,
    cells: tuple[Float[Array, " C"], Float[Array, " C"], Float[Array, " C"]],
    depth: int,
) -> Float[Array, " C"]:
    """Flux of unit flux in cells (x, y, side); the neediest are replaced by their parts, `depth`
    times."""
    found = lax.stop_gradient(look(mass, light, foci, cells, _RULE))
    placed = found.placed
    flux = jnp.sum(seen(mass, light, placed) * placed.weight, (0, 1))
    if not depth:
        return flux
    chosen = largest(found.need, _NEEDIEST)
    x, y, side = (v[chosen] for v in cells)
    step = ((jnp.arange(_PARTS) + 0.5) / _PARTS - 0.5)[:, None] * side
    px = jnp.broadcast_to((x + step)[None], (_PARTS, _PARTS, x.size)).ravel()
    py = jnp.broadcast_to((y + step)[:, None], (_PARTS, _PARTS, x.size)).ravel()
    parts = px, py, jnp.tile(side / _PARTS, _PARTS**2)
    own = _fluxes(mass, light, foci, parts, depth - 1).reshape(_PARTS**2, -1)
    return flux.at[chosen].set(jnp.sum(own, 0))
