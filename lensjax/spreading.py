"""Spreading points of light over the pixel grid: quadrature rules, and stencils.

A cell of light is a handful of points with weights (`Rule`). Every point is spread over the pixels
around it (`spline.py`), so that sub-pixel positions survive. In Fourier space that is a division by
the transform of the weights (`psf.py`), and everything after it is done on one cell a pixel.
"""

from __future__ import annotations

from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, Int

from lensjax import spline
from lensjax.apart import apart
from lensjax.field import BLOCK
from lensjax.placing import MONOMIAL, NODES
from lensjax.spline import HALF, ORDER


@dataclass(frozen=True)
class Rule:
    """A cell's rays: x, y (P,) in units of its side from its centre, weights (P,) that sum to one,
    and which four are its corners."""

    x: np.ndarray
    y: np.ndarray
    weight: np.ndarray
    corners: tuple[int, int, int, int]


def gauss(count: int) -> Rule:
    """Gauss-Legendre rule with count x count rays."""
    t, w = np.polynomial.legendre.leggauss(count)
    x, y = np.meshgrid(t / 2, t / 2)
    return Rule(
        x.ravel(),
        y.ravel(),
        np.outer(w, w).ravel() / 4,
        (0, count - 1, count * (count - 1), count * count - 1),
    )


def midpoints(count: int) -> Rule:
    """Rule with count x count evenly spaced rays."""
    t, s = (c.ravel() for c in np.meshgrid(*[(np.arange(count) + 0.5) / count - 0.5] * 2))
    return Rule(t, s, np.full(t.size, 1 / t.size), (0, count - 1, t.size - count, t.size - 1))


BLOCK_RULE = Rule(
    np.array([-1, 1, 0, -1, 1]) / 3,
    np.array([-1, -1, 0, 1, 1]) / 3,
    np.array([3, 3, 4, 3, 3]) / 16,
    (0, 1, 3, 4),
)
"""Five of a block's nine pixel centres: like the product of two-point Gauss rules it is exact for
cubics."""


def without(rays: Float[Array, "P C"], chosen: Int[Array, " N"]) -> Float[Array, "P C"]:
    """Brightness at the rays, 0 in the chosen cells."""
    return rays * jnp.ones_like(rays[0]).at[chosen].set(0.0)


def weights(rule: Rule, split: int) -> Float[np.ndarray, "P S S W W"]:
    """How a point of a rule in each of split x split pixels is spread over the pixels that it
    reaches (W = split + ORDER - 1)."""
    wide = split + ORDER - 1
    along, up = spline.weights(rule.x), rule.weight[:, None] * spline.weights(rule.y)
    out = np.zeros((rule.x.size, split, split, wide, wide))
    for row in range(split):
        for column in range(split):
            window = out[:, row, column, row : row + ORDER, column : column + ORDER]
            window += up[:, :, None] * along[:, None, :]
    return out


def deposit(
    out: Float[Array, "M M"], row: Array, column: Array, stencil: Float[Array, "K W W"]
) -> Float[Array, "M M"]:
    """Adds K stencils to the coefficients, from (row, column) (K,) on."""
    numbers = lax.ScatterDimensionNumbers((1, 2), (), (0, 1))
    return lax.scatter_add(out, jnp.stack([row, column], -1), stencil, numbers)


def of_points(rays: Float[Array, "P C"], rule: Rule, split: int) -> Float[Array, "K W W"]:
    """Stencils of split x split pixels, each with the points of `rule`."""
    w = weights(rule, split)
    return _product(rays.reshape(w.shape[0] * split**2, -1), w.reshape(-1, w.shape[-1] ** 2))


def of_moments(moments: Float[Array, "4 4 K"]) -> Float[Array, "K W W"]:
    """Stencils of pixels whose light is given as moments (`placing.py`): for a point at t the
    spline's weights are taken as cubic polynomials of t, which are right to 1e-5 of the light."""
    along = MONOMIAL @ spline.weights(NODES)
    w = np.einsum("ar,bc->abrc", along, along)
    return _product(moments.reshape(w.shape[0] ** 2, -1), w.reshape(-1, ORDER**2))


def _product(light: Float[Array, "C K"], w: np.ndarray) -> Float[Array, "K W W"]:
    wide = round(w.shape[-1] ** 0.5)
    found = jnp.einsum("ck,cw->kw", light, jnp.asarray(w, light.dtype), precision="highest")
    return found.reshape(-1, wide, wide)


def on_pixels(rays: Float[Array, "5 A A"]) -> Float[Array, "P P"]:
    """Brightness in every pixel of blocks from the points of BLOCK_RULE: the mean over the pixel of
    the polynomial 1, x, y, xy, x^2 + y^2 through them. Even light stays even, and the total of a
    block is the rule's."""
    x, y = (c.ravel() for c in np.meshgrid(*[np.arange(BLOCK) - BLOCK // 2] * 2))
    px, py = BLOCK * BLOCK_RULE.x, BLOCK * BLOCK_RULE.y
    through = np.stack([px**0, px, py, px * py, px**2 + py**2])
    means = np.stack([x**0, x, y, x * y, x**2 + y**2 + 1 / 6])
    w = np.linalg.solve(through, means).T.round(12)
    side = BLOCK * rays.shape[-1]

    def mixed(rays: Array) -> Array:
        pixels = [sum(float(c) * r for c, r in zip(row, rays) if c) for row in w]
        rows = [jnp.stack(pixels[BLOCK * k : BLOCK * (k + 1)], -1) for k in range(BLOCK)]
        return jnp.stack(rows, 1).reshape(side, side)

    return mixed(rays)


AT_CENTRE = np.zeros(1)

EVENLY = np.array([-1, 1]) / np.sqrt(12)
"""Where the light of a pixel is put along each axis (pixels from its centre): these two places have
the second moment of light that is even over the pixel."""


def spread(image: Float[Array, "P P"], places: np.ndarray = EVENLY) -> Float[Array, "M M"]:
    """Spline coefficients of the light of pixels, which stands in equal parts at `places`."""
    w = spline.weights(places).mean(0).tolist()
    side = image.shape[0] + 2 * HALF
    image = apart(lambda i: jnp.pad(i, 2 * HALF), image)
    image = apart(lambda i: sum(w[k] * i[k : k + side] for k in range(ORDER)), image)
    return apart(lambda i: sum(w[k] * i[:, k : k + side] for k in range(ORDER)), image)
