"""A scene: what is in the sky before the telescope."""

from dataclasses import dataclass

import jax

from lensjax.errors import InputError
from lensjax.light import Clumps, ClumpySersic, Light, Sersic
from lensjax.mass import Mass, Pair, Shear, deflection


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Scene:
    """A source behind a lens.

    lens: a mass component, a tuple of them, or None; shear: external shear or None; source: a light profile or a tuple of them;
    clumps: knots of the (single, Sersic) source or None. Without lens and shear it is a galaxy as it is. A batch of scenes is a Scene
    whose leaves have a leading axis.
    """

    lens: Mass | tuple[Mass, ...] | None = None
    shear: Shear | None = None
    source: Light | tuple[Light, ...] = ()
    clumps: Clumps | None = None

    def mass(self) -> tuple[Mass, ...]:
        """Every mass component."""
        lens = (
            self.lens
            if isinstance(self.lens, tuple)
            else (() if self.lens is None else (self.lens,))
        )
        return lens if self.shear is None else (*lens, self.shear)

    def light(self) -> tuple[Light, ...]:
        """Every light profile, clumps included. InputError for clumps without their Sersic galaxy."""
        if self.clumps is not None:
            if not isinstance(self.source, Sersic):
                raise InputError(
                    f"Scene clumps belong to one Sersic source, the source is {type(self.source).__name__}: give clumps=None"
                )
            return (ClumpySersic(self.source, self.clumps),)
        return self.source if isinstance(self.source, tuple) else (self.source,)

    def trace(self, x, y) -> Pair:
        """Source position beta = theta - alpha(theta), arcsec."""
        ax, ay = deflection(self.mass(), x, y)
        return x - ax, y - ay
