r"""External shear: $\alpha = (\gamma_1 x + \gamma_2 y,\ \gamma_2 x - \gamma_1 y)$ about the centre
of the stamp."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from lensjax.arrays import Real
from lensjax.component import ANY, NOT_NEGATIVE, Domain, parameter
from lensjax.mass.base import Mass, Pair


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Shear(Mass):
    """External shear gamma1, gamma2 about the centre of the stamp.

    A prior draws gamma1 and gamma2, or their length gamma and the angle gamma_phi (radians)."""

    gamma1: Real = parameter()
    gamma2: Real = parameter()

    def deflection(self, x: Real, y: Real) -> Pair:
        """Deflection (arcsec) at x, y."""
        x, y = jnp.asarray(x), jnp.asarray(y)
        return self.gamma1 * x + self.gamma2 * y, self.gamma2 * x - self.gamma1 * y

    def potential(self, x: Real, y: Real) -> Float[Array, "..."]:
        r"""$\psi = \gamma_1 (x^2 - y^2)/2 + \gamma_2 x y$."""
        x, y = jnp.asarray(x), jnp.asarray(y)
        return 0.5 * self.gamma1 * (x * x - y * y) + self.gamma2 * x * y

    @classmethod
    def choices(cls) -> tuple[dict[str, Domain], ...]:
        """Parametrisations that a prior may use, with the domains of their parameters."""
        return {"gamma1": ANY, "gamma2": ANY}, {"gamma": NOT_NEGATIVE, "gamma_phi": ANY}

    @classmethod
    def from_drawn(cls, values: Mapping[str, Any]) -> Shear:
        """The shear of drawn values: two components, or a length and an angle."""
        if "gamma" not in values:
            return cls(**values)
        length, angle = values["gamma"], 2 * values["gamma_phi"]
        return cls(length * jnp.cos(angle), length * jnp.sin(angle))
