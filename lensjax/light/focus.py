"""Where a profile is steep, which says how rays are best placed (`placing.py`)."""

from __future__ import annotations

from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Complex, Float

from lensjax.arrays import Real


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Focus:
    """Places in the source plane around which brightness is a smooth function of an elliptical
    radius: the middle of a galaxy, or knots in it. All fields have one shape.

    x, y (arcsec); cos, sin: of the major axis, over its length (1/arcsec); flat: one over the axis
    ratio; peak: logarithm of the brightness there, which says which of several is the brightest.

    Two radii are in units of the length. core: within it the brightness changes little, so that the
    rays on a line are evenly spaced. smooth: a line that is shifted sideways by less than this sees
    nearly the same light. It says how close together lines have to be, and how wrong beta may
    be."""

    x: Real
    y: Real
    cos: Real
    sin: Real
    flat: Real
    core: Real
    smooth: Real
    peak: Real

    @property
    def place(self) -> Complex[Array, "..."]:
        """The place as a complex number (arcsec), x + iy."""
        return lax.complex(*(jnp.asarray(c) for c in (self.x, self.y)))

    def turned(self, step: Complex[Array, "..."]) -> Complex[Array, "..."]:
        """A step in the source plane in units of the ellipse: its length is the change of the
        elliptical radius."""
        return lax.complex(
            self.cos * step.real + self.sin * step.imag,
            self.flat * (self.cos * step.imag - self.sin * step.real),
        )


def even(length: Real) -> Focus:
    """No focus: light that changes over `length` (arcsec), the same everywhere."""
    length = jnp.reshape(jnp.asarray(length), (1,))
    zero = jnp.zeros_like(length)
    return Focus(zero, zero, 1 / length, zero, zero + 1, zero + EVEN, zero + SMOOTH, zero)


EVEN = 1e9
"""A core as wide as this asks for evenly spaced rays."""

SMOOTH = 0.3
"""The radius `smooth` of light that changes over its own length."""

FALL = 1.7
"""By how much the logarithm of the brightness falls in a unit of the radius, about: that of an
exponential disc."""


def size(z: Complex[Array, "..."]) -> Float[Array, "..."]:
    """|z|, for numbers whose square does not overflow or vanish. jnp.abs takes care of those too,
    and takes three times as long."""
    return jnp.sqrt(z.real * z.real + z.imag * z.imag)


def joined(*foci: Focus) -> Focus:
    """All of them as one."""
    each = [jnp.stack(jnp.broadcast_arrays(*jax.tree.leaves(f))) for f in foci]
    table = jnp.concatenate([t.reshape(t.shape[0], -1) for t in each], -1)
    return jax.tree.unflatten(jax.tree.structure(foci[0]), list(table))


def nearest(
    foci: Focus,
    middle: Complex[Array, " C"],
    along: Complex[Array, " C"],
    across: Complex[Array, " C"],
) -> Focus:
    """For each cell the focus whose light is the brightest in it. foci: K of them, every field
    (K,); the result has fields (C,). middle, along, across: beta in the middle of a cell, and how
    it changes from one side to the other on either axis."""
    table = jnp.stack(jax.tree.leaves(foci))
    each: Focus = jax.tree.map(lambda v: v[:, None], foci)
    half = 0.5 * (size(each.turned(along)) + size(each.turned(across)))
    distance = size(each.turned(middle - each.place))
    level: Float[Array, "K C"] = each.peak - FALL * jnp.maximum(distance - half, 0.0)
    chosen = jnp.argmax(level, 0) == jnp.arange(table.shape[1])[:, None]
    found = jnp.sum(jnp.where(chosen, table[:, :, None], 0.0), 1)
    return jax.tree.unflatten(jax.tree.structure(foci), list(found))
