"""Distributions of single parameters."""

from __future__ import annotations

from dataclasses import dataclass, field

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import ndtri
from jaxtyping import Array

from lensjax.arrays import Real

KINDS = {"uniform": 2, "area": 2, "normal": 2, "half_normal": 1, "fixed": 1}
"""Kind of a distribution, and how many numbers it has."""


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Distribution:
    """One parameter's distribution: its kind and the kind's numbers.

    uniform: low, high. area: low, high of a radius that is uniform in its square. normal: mean,
    sigma. half_normal: sigma. fixed: the value."""

    numbers: tuple[Real, ...]
    kind: str = field(metadata={"static": True})

    @property
    def ends(self) -> tuple[float, float]:
        """The least and the largest value."""
        if self.kind in ("uniform", "area"):
            return float(self.numbers[0]), float(self.numbers[1])
        if self.kind == "fixed":
            return float(self.numbers[0]), float(self.numbers[0])
        return (-np.inf if self.kind == "normal" else 0.0), np.inf

    def quantile(self, u: Array) -> Array:
        """The value below which a share u (in (0, 1)) of the draws falls, any shape."""
        a, *rest = self.numbers
        b = rest[0] if rest else 0.0
        if self.kind == "uniform":
            return a + (b - a) * u
        if self.kind == "area":
            return jnp.sqrt(a**2 + (b**2 - a**2) * u)
        if self.kind == "normal":
            return a + b * ndtri(u)
        if self.kind == "half_normal":
            return a * ndtri(0.5 + 0.5 * u)
        return a + 0.0 * u

    def log_prob(self, value: Array) -> Array:
        """Log density at `value`, any shape; -inf outside the support, 0 for a fixed parameter."""
        a, *rest = self.numbers
        b = rest[0] if rest else 0.0
        if self.kind == "uniform":
            return jnp.where((value >= a) & (value <= b), -jnp.log(b - jnp.asarray(a)), -jnp.inf)
        if self.kind == "area":
            inside = (value >= a) & (value <= b)
            return jnp.where(
                inside,
                jnp.log(2 * jnp.where(inside, value, 1.0) / (b**2 - jnp.asarray(a) ** 2)),
                -jnp.inf,
            )
        if self.kind == "normal":
            return jax.scipy.stats.norm.logpdf(value, a, b)
        if self.kind == "half_normal":
            return jnp.where(
                value >= 0, jnp.log(2.0) + jax.scipy.stats.norm.logpdf(value, 0.0, a), -jnp.inf
            )
        return jnp.zeros_like(value)
