"""What a mass component is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Complex, Float

from lensjax.arrays import Real
from lensjax.component import Component

CORE = 1e-5
"""Softening (arcsec) of the direction at the centre of a lens, where the deflection of an
isothermal sphere has no direction: |.|^2 -> |.|^2 + CORE^2. Derivatives stay below theta_E / CORE.
In 0.01" from the centre the deflection changes by less than 1e-4 of itself at q = 0.1, where an
image squeezed against the centre of a flat lens is seen in pixels of 0.03"."""

Pair = tuple[Float[Array, "..."], Float[Array, "..."]]


@dataclass(frozen=True)
class Mass(Component):
    """A thin lens. Angles are in arcsec from the centre of the stamp, arrays of any one shape; the
    source position is beta = theta - deflection(theta)."""

    def deflection(self, x: Real, y: Real) -> Pair:
        """Deflection (arcsec) at x, y."""
        raise NotImplementedError

    def potential(self, x: Real, y: Real) -> Float[Array, "..."]:
        """Lensing potential (arcsec^2) at x, y; its gradient is the deflection."""
        raise NotImplementedError

    @property
    def centre(self) -> tuple[Any, Any] | None:
        """Where the deflection may jump or its slope is large, so that the renderer looks there
        closely; None for a lens that is smooth everywhere."""
        own = vars(self)
        return (own["x"], own["y"]) if "x" in own else None


def deflection(mass: Mass | tuple[Mass, ...], x: Real, y: Real) -> Pair:
    """Deflection (arcsec) at x, y (arcsec) of one component or the sum of several."""
    x, y = jnp.asarray(x), jnp.asarray(y)
    ax, ay = jnp.zeros_like(x), jnp.zeros_like(y)
    for m in mass if isinstance(mass, tuple) else (mass,):
        bx, by = m.deflection(x, y)
        ax, ay = ax + bx, ay + by
    return ax, ay


@jax.custom_jvp
def homogeneous(mass: Any, degree: Real, x: Real, y: Real) -> Float[Array, "..."]:
    r"""Potential (arcsec^2) at x, y of a lens whose potential is homogeneous of a degree about its
    centre: $\psi = \theta \cdot \alpha$ over the degree, by Euler's theorem.

    Its gradient is the deflection by rule. Derivatives of the formula would differentiate the error
    of the deflection's series once more: at q = 0.5 a second derivative would be off by 1.4e-6.
    """
    ax, ay = mass.deflection(x, y)
    return ((x - mass.x) * ax + (y - mass.y) * ay) / degree


@homogeneous.defjvp
def _homogeneous_jvp(primals: tuple, tangents: tuple) -> tuple[Array, Array]:
    mass, degree, x, y = primals
    of_lens = lambda mass, degree: homogeneous.fun(mass, degree, x, y)
    value, change = jax.jvp(of_lens, (mass, degree), tangents[:2])
    ax, ay = mass.deflection(x, y)
    return value, change + ax * tangents[2] + ay * tangents[3]


def trace(masses: tuple[Mass, ...], x: Real, y: Real) -> Complex[Array, "..."]:
    """beta (arcsec) of rays at x, y behind thin lenses in one plane, any one shape."""
    bx, by = x, y
    for mass in masses:
        ax, ay = mass.deflection(x, y)
        bx, by = bx - ax, by - ay
    return lax.complex(bx, by)
