r"""Lenses at several distances, one behind the other.

A ray from direction $\theta = x_1$ meets plane j at

$$x_j = \theta - \sum_{i<j} \beta_{ij}\, \alpha_i(x_i), \quad
\beta_{ij} = \frac{D_{ij} D_s}{D_j D_{is}}$$

(Schneider, Ehlers & Falco 1992, equation 9.7a; Schneider 2014, arXiv 1409.0015, equations 5 and 9),
and the source at $\beta = \theta - \sum_i \alpha_i(x_i)$. $\alpha_i$ is the deflection of plane i
scaled to the source, as for a plain lens, and D are angular-diameter distances. $\beta_{ij}$ lies
between 0, for two planes at the same distance, and 1, for a plane at the distance of the source.

In any Friedmann universe $1 - \beta_{ij} = \prod_{k=i}^{j-1} (1 - \beta_{k,k+1})$, so the ratios of
neighbours, $r_k = \beta_{k,k+1}$, determine all others. Any numbers from 0 to 1 are possible
ratios, and the sums can be continued from plane to plane:

$$x_{j+1} = \theta - S_{j+1} + T_{j+1}, \quad S_{j+1} = S_j + \alpha_j(x_j), \quad
T_{j+1} = (1 - r_j)\,(T_j + \alpha_j(x_j)).$$
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NoReturn

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from lensjax.arrays import Real
from lensjax.component import FRACTION, NOT_NEGATIVE, parameter
from lensjax.errors import InputError
from lensjax.mass.base import Mass, Pair, deflection


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Planes(Mass):
    r"""Masses in several planes, as one component of a lens: its deflection is $\theta - \beta$.

    masses: for each plane, from the nearest to the farthest, its masses, which add. Their
    parameters are those of a plain lens: angles as if nothing were in front, deflections scaled to
    the source (theta_e of an isothermal lens is $4\pi (\sigma/c)^2 D_{is}/D_s$).
    ratios: $\beta_{j,j+1}$ of each plane and the next, one fewer than planes, see the top of this
    module; `lensjax.Cosmology.plane_ratios` has them for redshifts.
    strengths: a factor of the deflection of each plane, 1 where not given.

    `render(Scene(planes, source), ...)` is the image of a source behind all of them. A source in
    between is behind some of them: `planes.in_front(j)` is the lens of light at the distance of
    plane j. With sources at two distances the image is the sum of two renders,

        render(Scene(planes.in_front(1), near), ...) + render(Scene(planes, far), ...)

    Shear and other masses beside it in `Scene.lens` are added to its deflection, as if they were at
    the distance of the first plane and did not change where rays meet the others. The renderer
    looks closely at the centre of the first mass only. A prior does not draw it.
    """

    masses: tuple[tuple[Mass, ...], ...] = parameter(drawn=False)
    ratios: tuple[Real, ...] = parameter(FRACTION, (), drawn=False)
    strengths: tuple[Real, ...] = parameter(NOT_NEGATIVE, (), drawn=False)

    def __post_init__(self):
        if isinstance(self.masses, list | tuple):
            object.__setattr__(self, "masses", tuple(_plane(given) for given in self.masses))
        for name in ("ratios", "strengths"):
            given = getattr(self, name)
            if isinstance(given, list | np.ndarray | jax.Array) and np.ndim(given) > 0:
                object.__setattr__(self, name, tuple(given))

    def deflection(self, x: Real, y: Real) -> Pair:
        """theta - beta (arcsec) of rays at x, y."""
        self.check("Planes")
        x, y = jnp.asarray(x), jnp.asarray(y)
        zero = jnp.zeros_like(x)
        total, rest = (zero, zero), (zero, zero)
        for j, masses in enumerate(self.masses):
            at = x - total[0] + rest[0], y - total[1] + rest[1]
            bent = deflection(masses, *at)
            if self.strengths:
                bent = self.strengths[j] * bent[0], self.strengths[j] * bent[1]
            if j < len(self.ratios):
                kept = 1 - jnp.asarray(self.ratios[j])
                rest = kept * (rest[0] + bent[0]), kept * (rest[1] + bent[1])
            total = total[0] + bent[0], total[1] + bent[1]
        return total

    def potential(self, x: Real, y: Real) -> Float[Array, "..."]:
        """There is none: the deflection of several planes is no gradient. Raises InputError."""
        raise InputError(
            "Planes has no potential: the deflection of several planes is not the gradient of one; "
            "ask the masses of a plane for theirs"
        )

    def in_front(self, j: int) -> Planes:
        r"""The lens of light at the distance of plane j (1 is the second): the planes before it,
        their deflections scaled by $\beta_{ij}$, and ratios $\beta_{i,i+1}/\beta_{ij}$. Raises
        InputError for a plane that is not there."""
        if isinstance(j, bool) or j != int(j) or not 1 <= j < len(self.masses):
            raise InputError(
                f"Planes in_front = {j}: give the number of a plane from 1 to "
                f"{len(self.masses) - 1}, 0 being the nearest"
            )
        own = self.strengths or (1.0,) * len(self.masses)
        ratios: list[Real] = []
        strengths: list[Real] = []
        left: Any = 1.0  # 1 - beta_ij
        for i in reversed(range(j)):
            left = left * (1 - jnp.asarray(self.ratios[i]))
            strengths.insert(0, own[i] * (1 - left))
            if i < j - 1:
                behind = jnp.where(left < 1, 1 - left, 1.0)  # 0 / 0: no light is bent there
                ratios.insert(0, jnp.minimum(self.ratios[i] / behind, 1.0))
        return Planes(self.masses[:j], tuple(ratios), tuple(strengths))

    def check(self, label: str) -> None:
        """Refuses what holds no masses, and ratios or strengths of another number of planes."""
        for i, plane in enumerate(self.masses):
            for part in plane:
                if not isinstance(part, Mass):
                    raise InputError(
                        f"{label}.masses[{i}] holds a {type(part).__name__}, which is no Mass: "
                        "give a tuple of masses for each plane"
                    )
                part.check(f"{label}.masses[{i}]")
        planes = len(self.masses)
        if planes == 0:
            raise InputError(f"{label}.masses is empty: give a tuple of masses for each plane")
        for name, wanted in (("ratios", (planes - 1,)), ("strengths", (0, planes))):
            given = getattr(self, name)
            if not isinstance(given, tuple) or len(given) not in wanted:
                found = len(given) if isinstance(given, tuple) else given
                raise InputError(
                    f"{label}.{name}: {found} for {planes} planes; give {wanted[-1]} in a tuple"
                )

    @classmethod
    def choices(cls) -> NoReturn:
        """A prior draws numbers, and not a number of planes. Raises InputError."""
        raise InputError("Planes cannot be drawn by a prior: put it together from drawn masses")

    @property
    def centre(self) -> tuple[Any, Any] | None:
        """That of the first mass that has one in the first plane, which is seen where it is."""
        found = [mass.centre for mass in self.masses[0]]
        return next((place for place in found if place is not None), None)


def _plane(given: Any) -> Any:
    """The masses of a plane as a tuple; what JAX puts there stays as it is."""
    if isinstance(given, Mass):
        return (given,)
    return tuple(given) if isinstance(given, list) else given
