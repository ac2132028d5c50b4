r"""Mass: deflection, potential, Jacobian and magnification of thin lenses.

A mass component is a small frozen dataclass with the methods `deflection(x, y)` and
`potential(x, y)`; one file holds one profile. Components add: a tuple of them is a lens too, for
every function below. Angles are in arcsec from the centre of the stamp, and the source position is
$\beta = \theta - \alpha(\theta)$.
"""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from lensjax.arrays import Real
from lensjax.mass.base import CORE as CORE
from lensjax.mass.base import Mass as Mass
from lensjax.mass.base import Pair as Pair
from lensjax.mass.base import deflection as deflection
from lensjax.mass.base import trace as trace
from lensjax.mass.dpie import DPIE as DPIE
from lensjax.mass.epl import EPL as EPL
from lensjax.mass.multipole import Multipole as Multipole
from lensjax.mass.nfw import NFW as NFW
from lensjax.mass.nfw import EllipticalNFW as EllipticalNFW
from lensjax.mass.planes import Planes as Planes
from lensjax.mass.shear import Shear as Shear
from lensjax.mass.sheet import ConvergenceSheet as ConvergenceSheet
from lensjax.mass.sie import SIE as SIE


def potential(mass: Mass | tuple[Mass, ...], x: Real, y: Real) -> Float[Array, "..."]:
    """Lensing potential (arcsec^2) at x, y (arcsec) of one component or the sum of several."""
    parts = mass if isinstance(mass, tuple) else (mass,)
    return sum((m.potential(x, y) for m in parts), jnp.zeros_like(x))


def jacobian(mass: Mass | tuple[Mass, ...], x: Real, y: Real) -> tuple[Array, Array, Array, Array]:
    r"""$A = \partial\beta/\partial\theta$ at x, y (arcsec): (A_xx, A_xy, A_yx, A_yy),
    dimensionless, each of the shape of x."""
    x, y = jnp.asarray(x), jnp.asarray(y)
    ray: Callable = lambda x, y: deflection(mass, x, y)
    _, (axx, ayx) = jax.jvp(ray, (x, y), (jnp.ones_like(x), jnp.zeros_like(y)))
    _, (axy, ayy) = jax.jvp(ray, (x, y), (jnp.zeros_like(x), jnp.ones_like(y)))
    return 1 - axx, -axy, -ayx, 1 - ayy


def magnification(mass: Mass | tuple[Mass, ...], x: Real, y: Real) -> Float[Array, "..."]:
    r"""Signed magnification $1/\det A$ at x, y (arcsec)."""
    axx, axy, ayx, ayy = jacobian(mass, x, y)
    return 1 / (axx * ayy - axy * ayx)


def convergence(mass: Mass | tuple[Mass, ...], x: Real, y: Real) -> Float[Array, "..."]:
    r"""$\kappa = 1 - \mathrm{tr}A/2$ at x, y (arcsec): the surface density in critical units."""
    axx, _, _, ayy = jacobian(mass, x, y)
    return 1 - 0.5 * (axx + ayy)
