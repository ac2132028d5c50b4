r"""What a scene is made of: components, each a small frozen dataclass that owns its formula, the
domain of its parameters, and how a prior draws it.

    @jax.tree_util.register_dataclass
    @dataclass(frozen=True)
    class PointMass(Mass):
        theta_e: Real = parameter(NOT_NEGATIVE)
        x: Real = parameter(default=0.0)
        y: Real = parameter(default=0.0)

        def deflection(self, x, y): ...
        def potential(self, x, y): ...

`parameter` writes a field's domain beside the field; the checks of the renderer and the priors read
it there. A class that derives from `Mass` or `Light` is known to the priors by its name as soon as
its module is imported.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, Field, dataclass, field, fields
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar, Literal, NamedTuple, TypeVar

import numpy as np
from jaxtyping import Array

from lensjax.errors import InputError
from lensjax.siblings import importable

C = TypeVar("C", bound="Component")


class Domain(NamedTuple):
    """The interval that a parameter may lie in, also in words; what stands in for a bad value; and
    which ends are part of it."""

    low: float
    high: float
    words: str
    stand_in: float = 0.0
    ends: Literal["[]", "(]", "()"] = "[]"

    def holds(self, value: Any) -> Any:
        """Whether each value is inside; NaN and infinity never are. NumPy or JAX, as `value` is."""
        above = value >= self.low if self.ends[0] == "[" else value > self.low
        below = value <= self.high if self.ends[1] == "]" else value < self.high
        return above & below & (abs(value) < np.inf)


ANY = Domain(-np.inf, np.inf, "finite")
NOT_NEGATIVE = Domain(0.0, np.inf, "0 or larger")
POSITIVE = Domain(0.0, np.inf, "larger than 0", 1.0, "()")
FRACTION = Domain(0.0, 1.0, "between 0 and 1")
AXIS_RATIO = Domain(0.0, 1.0, "larger than 0 and at most 1", 1.0, "(]")
LENS_AXIS_RATIO = Domain(0.1, 1.0, "between 0.1 and 1", 1.0)
"""of a mass: where the rational functions of `mass/series.py` hold their accuracy."""


def parameter(
    domain: Domain = ANY,
    default: Any = MISSING,
    *,
    drawn: bool = True,
    size: bool = False,
    normalised: bool = False,
) -> Any:
    """A field of a component.

    domain: where its values may lie. drawn: whether a prior draws it as a number of its own; a flux
    is drawn as magnitudes, an image from a library. size: whether it is the length that makes a
    source larger or smaller. normalised: whether it is an image that is divided by its sum.
    """
    metadata = {"domain": domain, "drawn": drawn, "size": size, "normalised": normalised}
    if default is MISSING:
        return field(metadata=metadata)
    return field(default=default, metadata=metadata)


def domain_of(part: Field) -> Domain:
    """Domain of a dataclass field; anything finite where none is written."""
    return part.metadata.get("domain", ANY)


@dataclass(frozen=True)
class Component:
    """Base of every mass and every light: how a prior draws it. Nothing here has to be changed for
    a component whose fields are drawn one by one."""

    extra: ClassVar[str] = ""
    """Key of a prior's block that is not a distribution, see `read_extra`; empty: there is none."""

    needs_extra: ClassVar[bool] = False
    """Whether a prior has to give it."""

    @classmethod
    def choices(cls) -> tuple[dict[str, Domain], ...]:
        """The sets of parameters that a prior may draw, each with their domains: one of them has
        to be given. Parameters with a default may be left out."""
        return ({f.name: domain_of(f) for f in fields(cls) if f.metadata.get("drawn")},)

    @classmethod
    def optional(cls) -> set[str]:
        """Parameters that a prior may leave out."""
        return {f.name for f in fields(cls) if f.default is not MISSING}

    @classmethod
    def constants(cls) -> set[str]:
        """Fields that are part of a compiled function's shape: plain values in a prior's block."""
        return {f.name for f in fields(cls) if f.metadata.get("static")}

    @classmethod
    def from_drawn(cls: type[C], values: Mapping[str, Any]) -> C:
        """The component of drawn parameters (those of one of `choices`), constants and extras."""
        return cls(**values)

    @classmethod
    def narrowed(cls, name: str, domain: Domain, constants: Mapping[str, Any]) -> Domain:
        """The domain of a parameter where the component's constants leave less of it."""
        return domain

    @classmethod
    def implied(cls, ends: Mapping[str, tuple[float, float]]) -> dict[str, Any]:
        """Constants that follow from the least and the largest value that each parameter is drawn
        with. A prior uses them unless it states others."""
        return {}

    def check(self, label: str) -> None:
        """Refuses, by InputError, what the domains of single fields cannot tell, for example arrays
        whose shapes do not fit. label: how the component is called in messages."""

    @classmethod
    def read_extra(cls, value: Any) -> Any:
        """What a prior keeps of the entry `extra` of a block: a pytree of numbers and arrays.
        Raises ValueError, saying what is wrong."""
        raise NotImplementedError

    @classmethod
    def draw_extra(cls, key: Array | None, n: int, kept: Any) -> dict[str, Any]:
        """Fields, with a leading axis of n, that follow from what `read_extra` kept. Without a key
        nothing is drawn: the fields have their plainest value."""
        raise NotImplementedError


def known(base: type[Component]) -> dict[str, type[Component]]:
    """Every component of a kind (Mass or Light) that has been imported, by name."""
    found: dict[str, type[Component]] = {}
    for cls in base.__subclasses__():
        found |= {cls.__name__: cls} | known(cls)
    return found


def named(base: type[Component], name: str) -> type[Component]:
    """The component of that name, or `module:Class` of a user's own module, which is looked for in
    the working directory after everything else. Raises InputError."""
    if ":" in name:
        module, _, attribute = name.partition(":")
        importable(Path())
        try:
            cls = getattr(import_module(module), attribute)
        except (ImportError, AttributeError) as error:
            raise InputError(f"component {name!r}: {error}; give module:Class") from None
        if not (isinstance(cls, type) and issubclass(cls, base)):
            raise InputError(f"component {name!r}: is not a {base.__name__}; derive it from one")
        return cls
    exist = known(base)
    if name not in exist:
        listed = ", ".join(sorted(exist))
        raise InputError(f"there is no {base.__name__} {name!r}; there are {listed}")
    return exist[name]
