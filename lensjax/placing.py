r"""The light of a small square of sky, with rays placed where it is bright.

Within a pixel the lens is smooth and the light is not: the source may be a tenth of the pixel's
width. So a cell traces the lens at 4 x 4 points only, and takes the polynomial through them
for beta in between. The light is evaluated at `lines` x `rays` points:

* The lines run along the axis of the cell on which beta changes faster. Along a line the light is a
  narrow peak, and its middle is where beta, taken as linear, comes closest to the middle of the
  source. Rays are evenly placed in s, with t = t_0 + epsilon sinh(s): close together within epsilon
  of the peak and ever farther apart outside. epsilon is the distance of the closest approach, and
  at least the profile's core (the sinh transformation of Johnston & Elliott 2005, Int. J. Numer.
  Meth. Engng 62, 564).
* On the other axis, the lines are placed in the same way around the line that passes closest.
* The nodes and weights in s are those of Gauss and Legendre. So the rule converges for any profile,
  whatever beta is; taking it as linear only decides where rays are placed.

The result of a cell are its moments: sums of flux t^a u^b, a and b up to 3, measured from the
middle of its pixel. `spreading.py` spreads them over the pixels.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial, reduce
from operator import add
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Bool, Complex, Float

from lensjax.apart import apart
from lensjax.light import Light
from lensjax.light.focus import Focus, nearest, size
from lensjax.mass import Mass, trace

NODES = np.polynomial.legendre.leggauss(4)[0] / 2
"""Where the lens is traced along each axis of a cell."""

_N = NODES.size

MONOMIAL = np.linalg.inv(np.vander(NODES, increasing=True))
"""Takes values at the nodes of an axis to the coefficients of t^0, t^1, ... of the polynomial."""

_FAR = 3.0
"""Sides of a cell: a peak farther away than this is as good as one this far away."""

_FLATTEST = 30.0
"""Largest epsilon, in sides of a cell; from there on the rays are evenly spaced."""

_TINY = 1e-12


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Placed:
    """Rays in C cells: centres x, y (C,) and `side` (C,) of the cells (arcsec); turned (C,): lines
    run along y instead of along x; line (M, C): where the lines cross the cell, ray (M, N, C):
    where the rays stand on them, both in [-1/2, 1/2]; weight (M, N, C): area of a ray (arcsec^2).
    None of it has a derivative."""

    x: Float[Array, " C"]
    y: Float[Array, " C"]
    side: Float[Array, " C"]
    turned: Bool[Array, " C"]
    line: Float[Array, "M C"]
    ray: Float[Array, "M N C"]
    weight: Float[Array, "M N C"]

    def rays(self) -> tuple[Float[Array, "M N C"], Float[Array, "M N C"]]:
        """Their places x, y (arcsec)."""
        line = jnp.broadcast_to(self.line[:, None], self.ray.shape)
        along = jnp.where(self.turned, line, self.ray), jnp.where(self.turned, self.ray, line)
        return self.x + self.side * along[0], self.y + self.side * along[1]


def _powers(values: list[Any]) -> list[Any]:
    """Coefficients of the polynomial of one axis through the values at the nodes."""
    return [reduce(add, [float(c) * v for c, v in zip(row, values)]) for row in MONOMIAL]


def _traced(
    mass: tuple[Mass, ...], x: Float[Array, " C"], y: Float[Array, " C"], side: Array, tx, ty
) -> Complex[Array, "P C"]:
    """beta at tx, ty (P,) in the cells, in units of their sides from their centres."""

    def traced(mass, x, y, side):
        return trace(mass, *(c + side * t.astype(c.dtype)[:, None] for c, t in ((x, tx), (y, ty))))

    return apart(traced, mass, x, y, side)


def _map(beta: Complex[Array, "P C"]) -> Complex[Array, "A B C"]:
    """Coefficients of u^a t^b of beta in the cells, u along y and t along x, from beta at the
    nodes."""

    def fitted(beta):
        rows = [_powers([beta[_N * j + i] for i in range(_N)]) for j in range(_N)]
        found = [_powers([row[b] for row in rows]) for b in range(_N)]
        return jnp.stack([jnp.stack([found[b][a] for b in range(_N)]) for a in range(_N)])

    return apart(fitted, beta)


_TX, _TY = (t.ravel() for t in np.meshgrid(NODES, NODES))


def _horner(coefficients: list[Any], t: Any) -> Any:
    return reduce(lambda total, c: total * t + c, reversed(coefficients[:-1]), coefficients[-1])


def _lines(cells: Complex[Array, "A B C"], line: Float[Array, "M C"]) -> Complex[Array, "B M C"]:
    """Coefficients of t^b of beta along the lines at u."""
    return jnp.stack([_horner([cells[a, b][None] for a in range(_N)], line) for b in range(_N)])


def _ordered(cells: Array, turned: Bool[Array, " C"]) -> Array:
    """Coefficients or moments (4, 4, C) with the axes of the cells that are turned exchanged."""
    return jnp.where(turned, jnp.swapaxes(cells, 0, 1), cells)


def seen(mass: tuple[Mass, ...], light: Light, placed: Placed) -> Float[Array, "M N C"]:
    """Brightness at the rays."""
    beta = _traced(mass, placed.x, placed.y, placed.side, _TX, _TY)
    cells = _ordered(_map(beta), placed.turned)
    lines = apart(_lines, cells, placed.line)

    return apart(_shone, light, lines, placed.ray)


def _sinh_rule(middle: Array, width: Array, count: int) -> Complex[Array, "*rest P C"]:
    """Places in [-1/2, 1/2] and, as imaginary part, weights of `count` points close together around
    `middle` (*rest, C), within `width`."""
    x, w = (jnp.asarray(v[:, None] / 2, middle.dtype) for v in _legendre(count))
    low, high = (_arcsinh((end - middle) / width) for end in (-0.5, 0.5))
    long, mean, middle, width = (
        v[..., None, :] for v in (high - low, 0.5 * (low + high), middle, 0.5 * width)
    )
    up = jnp.exp(mean + long * x)
    down = 1 / up
    return lax.complex(middle + width * (up - down), w * long * width * (up + down))


def _arcsinh(z: Array) -> Array:
    """jnp.arcsinh without its care for tiny and huge arguments, of which there are none."""
    size = jnp.abs(z)
    return jnp.sign(z) * jnp.log(size + jnp.sqrt(1 + size * size))


def _legendre(count: int) -> tuple[np.ndarray, np.ndarray]:
    return np.polynomial.legendre.leggauss(count)


def _dot(a: Array, b: Array) -> Array:
    return a.real * b.real + a.imag * b.imag


def _slope(c1: Array, c3: Array) -> Array:
    """Slope of the straight line that is nearest to a cubic polynomial over a cell."""
    return c1 + 0.15 * c3


def _mean(c0: Array, c2: Array) -> Array:
    """Mean of a cubic polynomial over a cell."""
    return c0 + c2 / 12


def _bent(cells: Complex[Array, "A B C"]) -> Float[Array, " C"]:
    """At most how far beta is from linear in a cell (arcsec)."""
    orders = [(a, b) for a in range(_N) for b in range(_N) if a + b > 1]
    return reduce(add, [0.5 ** (a + b) * size(cells[a, b]) for a, b in orders])


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class _Straight:
    """What beta does in the cells if it is taken as linear: its mean, and its change from one side
    to the other along x and along y (C,)."""

    middle: Complex[Array, " C"]
    along: Complex[Array, " C"]
    across: Complex[Array, " C"]

    @classmethod
    def of(cls, c: Complex[Array, "A B C"]) -> _Straight:
        means = [_mean(c[0, b], c[2, b]) for b in range(_N)]
        slopes = [_slope(c[1, b], c[3, b]) for b in (0, 2)]
        return cls(_mean(means[0], means[2]), _slope(means[1], means[3]), _mean(*slopes))


def _lines_around(straight: _Straight, focus: Focus) -> Float[Array, "3 C"]:
    """Which line passes closest to the focus, within what width there have to be many, and whether
    the lines run along y (1) or along x (0)."""
    u, a, b = (
        focus.turned(v) for v in (straight.middle - focus.place, straight.along, straight.across)
    )
    turned = _dot(b, b) > _dot(a, a)
    fast, slow = jnp.where(turned, b, a), jnp.where(turned, a, b)
    square = _dot(fast, fast) + _TINY
    slow, u = (v - fast * (_dot(fast, v) / square) for v in (slow, u))
    square = _dot(slow, slow) + _TINY
    at = jnp.clip(-_dot(slow, u) / square, -_FAR, _FAR)
    width = jnp.minimum(jnp.maximum(focus.core, focus.smooth) / jnp.sqrt(square), _FLATTEST)
    return jnp.stack([at, width, turned.astype(at.dtype)])


def _rays_around(c: Complex[Array, "B M C"], focus: Focus) -> Complex[Array, "M C"]:
    """Which place on each line is closest to the focus, and as imaginary part the width within
    which there have to be many rays. A step of Newton from the straight line to the curve makes
    images no better, and takes a seventh of their time."""
    u, a = focus.turned(_mean(c[0], c[2]) - focus.place), focus.turned(_slope(c[1], c[3]))
    square, along = _dot(a, a) + _TINY, _dot(a, u)
    away = jnp.maximum(_dot(u, u) - along**2 / square, 0.0)
    width = jnp.minimum(jnp.sqrt((away + focus.core**2) / square), _FLATTEST)
    return lax.complex(jnp.clip(-along / square, -_FAR, _FAR), width)


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Looked:
    """What was seen in C cells, without derivative. value: brightness at the rays; need (C,): by
    how much the cells' fluxes may be wrong."""

    placed: Placed
    value: Float[Array, "M N C"]
    need: Float[Array, " C"]


@partial(jax.jit, static_argnames="rule")  # traced once for each number of cells
def look(
    mass: tuple[Mass, ...],
    light: Light,
    foci: Focus,
    cells: tuple[Float[Array, " C"], Float[Array, " C"], Float[Array, " C"]],
    rule: tuple[int, int],
) -> Looked:
    """Places rays in cells and evaluates the light there. cells: their centres x, y and their sides
    (arcsec); foci: of the light; rule: the numbers of lines and of rays on each."""
    lines, rays = rule
    tx, ty = (np.append(t, 0.0) for t in (_TX, _TY))
    x, y, side = cells
    beta = _traced(mass, x, y, side, tx, ty)
    maps = _map(beta[:-1])
    straight = apart(_Straight.of, maps)
    focus = apart(lambda foci, s: nearest(foci, s.middle, s.along, s.across), foci, straight)
    middle, width, turned = apart(_lines_around, straight, focus)
    crossed = apart(lambda m, w: _sinh_rule(m, w, lines), middle, width)
    coefficients = apart(_lines, _ordered(maps, turned > 0.5), crossed.real)
    around = apart(_rays_around, coefficients, focus)

    def stood(around: Array, side: Array, crossed: Array) -> Array:
        stands = _sinh_rule(around.real, around.imag, rays)
        area = side**2 * crossed.imag
        return lax.complex(stands.real, stands.imag * area[:, None])

    stands = apart(stood, around, side, crossed)
    placed = Placed(x, y, side, turned > 0.5, crossed.real, stands.real, stands.imag)
    value = apart(_shone, light, coefficients, stands.real)
    need = _need(mass, light, maps, straight, focus, placed, value, beta[-1])
    return Looked(placed, value, need)


def _shone(light: Light, lines: Complex[Array, "B M C"], ray: Float[Array, "M N C"]) -> Array:
    beta = _horner([lines[b][:, None] for b in range(_N)], ray)
    return light.brightness(beta.real, beta.imag)


def _need(
    mass: tuple[Mass, ...],
    light: Light,
    cells: Complex[Array, "A B C"],
    straight: _Straight,
    focus: Focus,
    placed: Placed,
    value: Float[Array, "M N C"],
    centre: Complex[Array, " C"],
) -> Float[Array, " C"]:
    """Three errors: of the sum over the rays, from what the highest Legendre polynomials that the
    rays resolve have of it; of beta between the nodes, from a ray at the centre of each cell; and,
    where the centre of a lens lies in the cell, all light within reach."""

    def tails(value: Array, weight: Array) -> tuple[Array, Array]:
        flux = value * weight
        of_lines = jnp.sum(flux, 1)
        return _highest(of_lines, 0) + jnp.sum(_highest(flux, 1), 0), jnp.sum(of_lines, 0)

    tail, total = apart(tails, value, placed.weight)
    reach = apart(lambda s, c: 0.5 * (size(s.along) + size(s.across)) + _bent(c), straight, cells)
    bound = apart(light.bound, straight.middle.real, straight.middle.imag, reach)
    centres = [lens.centre for lens in mass if lens.centre is not None]

    def summed(tail, total, bound, straight, focus, placed, off, centres):
        area, total = placed.side**2, jnp.abs(total)  # pixels of an image may be negative
        # The light of a whole source, magnified as much as the cell is larger than its image.
        whole = area / (size(straight.along) * size(straight.across) + _TINY)
        bound = jnp.minimum(bound * area, whole)
        tail = tail * jnp.sqrt(jnp.minimum(tail / (total + 1e-30), 1.0))
        # If beta is off by about `smooth`, all of the light may be in the wrong place.
        off = jnp.minimum(1.2 * size(focus.turned(off)) / focus.smooth, 1.0)
        moved = jnp.minimum(bound, 10 * total + 1e-3 * bound) * off
        torn = jnp.zeros_like(placed.turned)
        for cx, cy in centres:
            away = jnp.maximum(jnp.abs(placed.x - cx), jnp.abs(placed.y - cy))
            torn = torn | (away <= 0.5 * placed.side)
        return tail + moved + jnp.where(torn, bound, 0.0)

    off = cells[0, 0] - centre
    return apart(summed, tail, total, bound, straight, focus, placed, off, centres)


def _highest(flux: Float[Array, "*rest P C"], axis: int) -> Array:
    """Size of the two highest Legendre coefficients along an axis of Gauss-Legendre points."""
    count = flux.shape[axis]
    x = _legendre(count)[0]
    squares = []
    for order in (count - 1, count - 2):
        shape = [1] * flux.ndim
        shape[axis] = count
        p = np.polynomial.legendre.legval(x, np.eye(count)[order]) * np.sqrt(2 * order + 1)
        squares.append(jnp.sum(flux * jnp.asarray(p.reshape(shape), flux.dtype), axis) ** 2)
    return jnp.sqrt(squares[0] + squares[1])


def moments(
    placed: Placed, value: Float[Array, "M N C"], x: Array, y: Array, scale: float
) -> Float[Array, "4 4 C"]:
    """Flux times u^a t^b summed over the rays of each cell, u along y and t along x, both from the
    place x, y (C,) in units of `scale` (arcsec): the pixel in which the cell lies."""
    size = placed.side / scale
    u, t = (placed.y - y) / scale, (placed.x - x) / scale
    u, t = jnp.where(placed.turned, t, u), jnp.where(placed.turned, u, t)

    def along(value: Array, weight: Array, ray: Array) -> Array:
        flux, found = value * weight, []
        for _ in range(_N):
            found.append(jnp.sum(flux, 1))
            flux = flux * ray
        return jnp.stack(found)

    def across(of_lines: Array, line: Array) -> Array:
        found = []
        for _ in range(_N):
            found.append(jnp.sum(of_lines, 1))
            of_lines = of_lines * line
        return jnp.stack(found)

    of_lines = apart(along, value, placed.weight, t + size * placed.ray)
    return _ordered(apart(across, of_lines, u + size * placed.line), placed.turned)
