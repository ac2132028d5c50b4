r"""Critical curves, where $\det A = 0$, and caustics, which they are in the source plane.

The contour is found on the pixels of a grid by contourpy (it comes with matplotlib, in the extra
`data`), and every point of it is moved onto the curve by Newton's method along the gradient of
$\det A$. The functions here are for figures and for cross-sections; they are not compiled and
cannot be differentiated.

An isothermal lens has a curve in the source plane within which there is one more image but which is
no caustic, because the image appears at the lens's centre with magnification 0: the *cut*. It is
what a small circle about the centre becomes. `cuts` returns it.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from lensjax.errors import InputError
from lensjax.grid import PixelGrid
from lensjax.mass import CORE, Mass, deflection, jacobian

Curve = Float[np.ndarray, "n 2"]

CENTRE = 100 * CORE
"""Radius (arcsec) about the centre of a component within which curves are left out: there is the
softening of the deflection, and not the lens."""

STEPS = 8
"""Newton's steps of a point on a curve, each at most a pixel long."""

JUMP = 0.05
"""Largest relative change of the deflection between CENTRE and half of it that makes a cut."""


def critical_curves(mass: Mass | tuple[Mass, ...], grid: PixelGrid) -> list[Curve]:
    """Critical curves of a lens: polylines (n, 2) of x, y (arcsec), the first point again at the
    end of a closed one, the longest in front.

    grid: where they are looked for, and how closely: a curve that is smaller than some pixels may
    be missed, and its points are about a pixel apart. The points themselves are exact. Raises
    InputError if the mass is none, or contourpy is not installed.
    """
    parts = _parts(mass)
    if not isinstance(grid, PixelGrid):
        raise InputError(f"grid = {grid!r}: give PixelGrid(size, scale), where to look for curves")
    try:
        from contourpy import contour_generator
    except ImportError:
        raise InputError(
            "critical curves need contourpy, which comes with matplotlib: pip install contourpy"
        ) from None
    axis, (x, y) = grid.axis(), grid.mesh()
    values = np.array(_determinant(parts, jnp.asarray(x), jnp.asarray(y)), float)
    # A pixel centre on the centre of a lens is in its softened core, where the sign is another one.
    for cx, cy in _centres(parts):
        values[np.hypot(x - cx, y - cy) < CENTRE] = -1.0
    lines = [np.asarray(line) for line in contour_generator(axis, axis, values).lines(0.0)]
    curves = _on_curves(parts, lines, grid.scale)
    kept = [c for c in curves if not any(_within(c, centre) for centre in _centres(parts))]
    return sorted(kept, key=_length, reverse=True)


def caustics(mass: Mass | tuple[Mass, ...], grid: PixelGrid) -> list[Curve]:
    """The critical curves in the source plane, in the order of `critical_curves`, point for point.
    The caustic of a sphere is a point."""
    parts, curves = _parts(mass), critical_curves(mass, grid)
    return _apart(_traced(parts, _together(curves)), curves)


def cuts(mass: Mass | tuple[Mass, ...], points: int = 256) -> list[Curve]:
    """Cuts of a lens, one for each component whose deflection jumps in its centre (an isothermal
    one), as closed polylines (points + 1, 2) in the source plane, arcsec.

    An EPL that is less steep than isothermal has a radial caustic instead of a cut. One that is
    steeper has neither, because its deflection has no limit at the centre.
    """
    parts = _parts(mass)
    found = []
    for part in parts:
        if part.centre is None:
            continue
        x, y = (float(c) for c in part.centre)
        turn = np.linspace(0, 2 * np.pi, points + 1)
        ring = np.stack([np.cos(turn), np.sin(turn)], -1)
        rings = [[x, y] + r * ring for r in (CENTRE, 0.5 * CENTRE)]
        here, half = (place - _traced((part,), place) for place in rings)
        if np.abs(here - half).max() < JUMP * np.abs(here).max():
            found.append(_traced(parts, [x, y] + CENTRE * ring))
    return found


def _parts(mass: Mass | tuple[Mass, ...]) -> tuple[Mass, ...]:
    parts = mass if isinstance(mass, tuple) else (mass,)
    for part in parts:
        if not isinstance(part, Mass):
            raise InputError(f"mass holds a {type(part).__name__}: give a Mass or a tuple of them")
    return parts


def _centres(parts: tuple[Mass, ...]) -> list[tuple[float, float]]:
    found = [part.centre for part in parts]
    return [(float(c[0]), float(c[1])) for c in found if c is not None]


def _within(curve: Curve, centre: tuple[float, float]) -> bool:
    return bool(np.hypot(*(curve - np.asarray(centre)).T).max() < CENTRE)


def _length(curve: Curve) -> float:
    return float(np.hypot(*np.diff(curve, axis=0).T).sum())


def _together(curves: list[Curve]) -> Curve:
    return np.concatenate([*curves, np.zeros((0, 2))])


def _apart(points: Curve, curves: list[Curve]) -> list[Curve]:
    """Points of all curves, those of each one again."""
    return np.split(points, np.cumsum([len(c) for c in curves]))[: len(curves)]


def _padded(points: Curve) -> Array:
    """x and y (2, n), the last point repeated up to a power of two, so that the functions below are
    compiled for few shapes."""
    more = (1 << (max(len(points), 128) - 1).bit_length()) - len(points)
    return jnp.asarray(np.pad(points, ((0, more), (0, 0)), "edge").T)


def _traced(parts: tuple[Mass, ...], points: Curve) -> Curve:
    """The points in the source plane."""
    if not len(points):
        return points
    deflected = np.asarray(_deflection(parts, *_padded(points)), float).T
    return points - deflected[: len(points)]


@jax.jit
def _deflection(parts: tuple[Mass, ...], x: Array, y: Array) -> Float[Array, "2 n"]:
    return jnp.stack(deflection(parts, x, y))


@jax.jit
def _determinant(parts: tuple[Mass, ...], x: Array, y: Array) -> Float[Array, "..."]:
    axx, axy, ayx, ayy = jacobian(parts, x, y)
    return axx * ayy - axy * ayx


@jax.jit
def _newton(parts: tuple[Mass, ...], place: Float[Array, "2 n"], pixel: float) -> Array:
    """The points after STEPS steps along the gradient of the determinant."""
    axes = jnp.broadcast_to(jnp.eye(2, dtype=place.dtype)[..., None], (2, *place.shape))

    def step(_: int, place: Array) -> Array:
        along = lambda axis: jax.jvp(lambda p: _determinant(parts, p[0], p[1]), (place,), (axis,))
        value, slope = jax.vmap(along, out_axes=(None, 0))(axes)
        move = -value / jnp.maximum(jnp.sum(slope**2, 0), 1e-12) * slope
        size = jnp.hypot(move[0], move[1])
        return place + (move * jnp.minimum(1.0, pixel / jnp.maximum(size, 1e-12)))

    return jax.lax.fori_loop(0, STEPS, step, place)


def _on_curves(parts: tuple[Mass, ...], lines: list[Curve], pixel: float) -> list[Curve]:
    """The lines with every point moved onto the curve; one that Newton's method takes more than two
    pixels away stays where the contour had it."""
    start = _together(lines)
    if not len(start):
        return []
    at = np.asarray(_newton(parts, _padded(start), pixel), float).T[: len(start)]
    lost = np.hypot(*(at - start).T) > 2 * pixel
    return _apart(np.where(lost[:, None], start, at), lines)
