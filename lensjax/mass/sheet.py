r"""A sheet of constant surface density: $\alpha = \kappa\, (x - x_0,\ y - y_0)$."""

from __future__ import annotations

from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from lensjax.arrays import Real
from lensjax.component import parameter
from lensjax.mass.base import Mass, Pair


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class ConvergenceSheet(Mass):
    """External convergence kappa (dimensionless, of either sign) about x, y (arcsec), by default
    the centre of the stamp; lenstronomy's CONVERGENCE."""

    kappa: Real = parameter()
    x: Real = parameter(default=0.0)
    y: Real = parameter(default=0.0)

    def deflection(self, x: Real, y: Real) -> Pair:
        """Deflection (arcsec) at x, y."""
        return self.kappa * (jnp.asarray(x) - self.x), self.kappa * (jnp.asarray(y) - self.y)

    def potential(self, x: Real, y: Real) -> Float[Array, "..."]:
        r"""$\psi = \kappa\, ((x - x_0)^2 + (y - y_0)^2)/2$, arcsec^2."""
        dx, dy = jnp.asarray(x) - self.x, jnp.asarray(y) - self.y
        return 0.5 * self.kappa * (dx * dx + dy * dy)

    @property
    def centre(self) -> None:
        """A sheet is smooth everywhere."""
        return None
