r"""Multipoles: what makes the mass of a lens disky, boxy or lopsided.

$$\psi = \frac{a_m}{1 - m^2}\, r \cos m(\varphi - \varphi_m)$$

(Xu et al. 2013, equation B12; lenstronomy's MULTIPOLE), so that the convergence gains
$\frac{a_m}{2 r} \cos m(\varphi - \varphi_m)$. In complex form, with $z = e^{i\varphi}$,

$$\alpha = \frac{a_m}{1 - m^2}\, z\, (\cos m\delta - i\, m \sin m\delta), \quad
\delta = \varphi - \varphi_m.$$
"""

from __future__ import annotations

from dataclasses import dataclass, field

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from lensjax.arrays import Real
from lensjax.component import parameter
from lensjax.errors import InputError
from lensjax.mass.base import CORE, Mass, Pair


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Multipole(Mass):
    """A multipole of order m (2 or larger; 3 and 4 are the usual ones) with strength a_m (arcsec)
    and angle phi_m (radians), centre x, y (arcsec). Negative strengths are allowed."""

    a_m: Real = parameter()
    phi_m: Real = parameter()
    x: Real = parameter(default=0.0)
    y: Real = parameter(default=0.0)
    m: int = field(default=4, metadata={"static": True})

    def __post_init__(self):
        if isinstance(self.m, bool) or self.m != int(self.m) or not 2 <= self.m <= 16:
            raise InputError(f"Multipole m = {self.m}: give a whole number from 2 to 16")

    def deflection(self, x: Real, y: Real) -> Pair:
        """Deflection (arcsec) at x, y."""
        zr, zi, (cos, sin), _ = self._angles(x, y)
        radial = self.a_m / (1 - self.m**2) * cos
        tangential = -self.a_m * self.m / (1 - self.m**2) * sin
        return radial * zr - tangential * zi, radial * zi + tangential * zr

    def potential(self, x: Real, y: Real) -> Float[Array, "..."]:
        """Lensing potential (arcsec^2) at x, y."""
        _, _, (cos, _), r = self._angles(x, y)
        return self.a_m / (1 - self.m**2) * r * cos

    def _angles(self, x: Real, y: Real) -> tuple[Array, Array, tuple[Array, Array], Array]:
        """Cosine and sine of the angle, of m times the angle from phi_m, and the radius."""
        dx, dy = x - jnp.asarray(self.x), y - jnp.asarray(self.y)
        inverse = jax.lax.rsqrt(dx * dx + dy * dy + CORE**2)
        zr, zi = dx * inverse, dy * inverse
        cos, sin = jnp.cos(self.m * self.phi_m), -jnp.sin(self.m * self.phi_m)
        for _ in range(int(self.m)):  # (cos + i sin) (zr + i zi)^m
            cos, sin = cos * zr - sin * zi, cos * zi + sin * zr
        return zr, zi, (cos, sin), 1 / inverse
