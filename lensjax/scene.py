"""A scene: what is in the sky before the telescope."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax

from lensjax.light import Light
from lensjax.mass import Mass, Pair, deflection


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Scene:
    """Light behind a lens, and light of the lens itself.

    lens: mass components, which add; external shear is one of them. source: light behind them.
    lens_light: light that is not lensed. Each is a tuple; a single component may be given in place
    of a tuple of one, and None in place of an empty tuple. Without lens the source is a galaxy as
    it is. A batch of scenes is a Scene whose leaves have a leading axis.
    """

    lens: tuple[Mass, ...] = ()
    source: tuple[Light, ...] = ()
    lens_light: tuple[Light, ...] = ()

    def __post_init__(self):
        for name in ("lens", "source", "lens_light"):
            object.__setattr__(self, name, _several(getattr(self, name)))

    def views(self) -> list[tuple[tuple[Mass, ...], Light]]:
        """Every light with the lenses in front of it."""
        behind: list[tuple[tuple[Mass, ...], Light]] = [(self.lens, one) for one in self.source]
        return behind + [((), light) for light in self.lens_light]

    def trace(self, x: Any, y: Any) -> Pair:
        """Source position beta = theta - alpha(theta), arcsec."""
        ax, ay = deflection(self.lens, x, y)
        return x - ax, y - ay


def _several(given: Any) -> Any:
    """A tuple of what was given. Lists become tuples; what JAX puts in place of a component while
    it takes a scene apart stays as it is."""
    if given is None:
        return ()
    if isinstance(given, Mass | Light):
        return (given,)
    return tuple(given) if isinstance(given, list) else given
