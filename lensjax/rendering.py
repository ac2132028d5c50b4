"""Rendering: parameters -> rays -> surface brightness -> cells -> PSF -> image."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from lensjax.grid import PixelGrid
from lensjax.light import Light
from lensjax.psf import CELLS, PSF
from lensjax.scene import Scene


def render(scene: Scene, grid: PixelGrid, psf: PSF, tol: float = 1e-3) -> Float[Array, "N N B"]:
    """Image (N, N, B) in nanomaggies of one scene; batches by `jax.vmap`.

    tol: the largest error allowed in a pixel, as a fraction of the image's peak, and in the total flux (static).
    """
    dtype = jnp.result_type(*jax.tree.leaves((scene, psf)), jnp.float32)
    scene, psf = jax.tree.map(lambda leaf: jnp.asarray(leaf, dtype), (scene, psf))
    return _render(scene, grid, psf, float(tol))


@partial(jax.jit, static_argnames=("grid", "tol"))
def _render(scene: Scene, grid: PixelGrid, psf: PSF, tol: float):
    image = jnp.zeros(())
    for light in scene.light():
        unit = psf.convolve(cells(scene, light, grid, tol), grid)
        image = image + jnp.atleast_1d(jnp.asarray(light.flux)) * unit
    return image


def _offsets(k: int) -> np.ndarray:
    return (np.arange(k) + 0.5) / k - 0.5


def cells(scene: Scene, light: Light, grid: PixelGrid, tol: float) -> Float[Array, "M M"]:
    """Flux in every cell of a unit-flux profile: one ray a pixel, then closer looks where the light is."""
    n, s = grid.size, grid.scale
    dtype = jax.tree.leaves(light)[0].dtype
    axis = jnp.asarray(grid.axis(), dtype)
    bx, by = scene.trace(axis[None, :], axis[:, None])
    bx, by = jnp.broadcast_to(bx, (n, n)), jnp.broadcast_to(by, (n, n))
    coarse = light.brightness(bx, by)

    # how far a pixel reaches in the source plane: half the larger of its two diagonals
    def half_diagonal(sign):
        dx, dy = (_gradient(b, 1) + sign * _gradient(b, 0) for b in (bx, by))
        return 0.5 * jnp.sqrt(dx**2 + dy**2)

    reach = jnp.maximum(half_diagonal(1), half_diagonal(-1))
    need = jax.lax.stop_gradient(light.bound(bx, by, reach) - coarse)
    first, second = (600, 64) if tol <= 2e-3 else (400, 16)
    _, where = jax.lax.top_k(need.ravel(), min(first, n * n))
    out = jnp.repeat(jnp.repeat(coarse, CELLS, 0), CELLS, 1).reshape(n, CELLS, n, CELLS)
    iy, ix = where // n, where % n
    out = out.at[iy, :, ix, :].set(_look(scene, light, axis[ix], axis[iy], s, 6))
    jy, jx = iy[:second], ix[:second]
    out = out.at[jy, :, jx, :].set(_look(scene, light, axis[jx], axis[jy], s, 32))
    return out.reshape(n * CELLS, n * CELLS) * (s * s / CELLS**2)


def _gradient(a: Array, axis: int) -> Array:
    d = jnp.diff(a, axis=axis)
    take = lambda i: jax.lax.slice_in_dim(d, i, i + 1 or None, axis=axis) if i >= 0 else jax.lax.slice_in_dim(d, d.shape[axis] - 1, d.shape[axis], axis=axis)  # noqa: E731
    low = jnp.concatenate([take(0), d], axis)
    high = jnp.concatenate([d, take(-1)], axis)
    return jnp.where(jnp.abs(low) > jnp.abs(high), low, high)


def _look(scene: Scene, light: Light, x: Array, y: Array, scale: float, k: int) -> Float[Array, "K C C"]:
    """Mean brightness in the CELLS x CELLS cells of the pixels centred on x, y, from k x k rays a pixel."""
    per = k // CELLS
    o = (_offsets(k) * scale).reshape(CELLS, per)
    pairs = jnp.asarray([(o[a, i], o[b, j]) for i in range(per) for j in range(per) for a in range(CELLS) for b in range(CELLS)], x.dtype)
    pairs = pairs.reshape(per * per, CELLS, CELLS, 2)

    @jax.checkpoint
    def body(total, offset):
        bx, by = scene.trace(x + offset[..., 1, None], y + offset[..., 0, None])
        return total + light.brightness(bx, by), None

    total, _ = jax.lax.scan(body, jnp.zeros((CELLS, CELLS, *x.shape), x.dtype), pairs)
    return jnp.moveaxis(total, -1, 0) / (per * per)
