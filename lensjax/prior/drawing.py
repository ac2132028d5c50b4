"""A prior: which components a scene has, how they are distributed, and scenes drawn from it."""

from __future__ import annotations

import zlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from lensjax.arrays import Real
from lensjax.checks import check_value
from lensjax.component import ANY, Component, Domain, named
from lensjax.errors import InputError
from lensjax.light import Light
from lensjax.mass import Mass
from lensjax.photometry import colour_magnitudes, nanomaggies
from lensjax.prior.distribution import Distribution
from lensjax.scene import Scene

BASES: dict[str, type[Component]] = {"lens": Mass, "source": Light, "lens_light": Light}
"""Blocks of a prior, and what may stand in each."""


@dataclass(frozen=True)
class Block:
    """One component of a prior. names: its parameter to the flat name; constants: plain values;
    implied: constants that are not stated, but follow from the distributions."""

    role: str
    component: str
    names: tuple[tuple[str, str], ...]
    constants: tuple[tuple[str, Any], ...]
    implied: tuple[tuple[str, Any], ...] = ()

    def freed(
        self, values: tuple[tuple[str, Any], ...], names: Collection[str]
    ) -> tuple[tuple[str, Any], ...]:
        """Those of the constants `values` that do not narrow the parameters of these flat names."""
        own = [name for name, flat in self.names if flat in names]
        return tuple(
            (k, v)
            for k, v in values
            if all(self.cls.narrowed(name, ANY, {k: v}) is ANY for name in own)
        )

    @property
    def cls(self) -> type[Component]:
        """Class of the component that is drawn."""
        return named(BASES[self.role], self.component)

    def flat(self, name: str) -> str | None:
        """Flat name of one of its parameters, or None."""
        return dict(self.names).get(name)


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Prior:
    """A distribution of scenes. parameters: by flat name. extras: what the components keep that is
    no distribution (clumps, a library of images), one for each block. blocks: the components.
    bands, wavelengths (nm): of the fluxes."""

    parameters: dict[str, Distribution]
    extras: tuple[Any, ...]
    blocks: tuple[Block, ...] = field(metadata={"static": True})
    bands: tuple[str, ...] = field(metadata={"static": True})
    wavelengths: tuple[float, ...] | None = field(metadata={"static": True})
    name: str = field(metadata={"static": True})

    def for_bands(self, bands: Sequence[str], wavelengths: Sequence[float] | None = None) -> Prior:
        """The prior for other bands. Magnitudes of bands that it does not name are interpolated
        linearly in the logarithm of the wavelength (nm; those of `lensjax.photometry` unless
        given). Raises InputError for a band whose wavelength is not known."""
        made = replace(
            self,
            bands=tuple(bands),
            wavelengths=None if wavelengths is None else tuple(float(w) for w in wavelengths),
        )
        for block in made.blocks:
            if block.role != "lens":
                colour_magnitudes(
                    {n: 0.0 for n, _ in _colours(block)}, made.bands, made.wavelengths
                )
        return made

    def replaced(self, **parameters: Distribution) -> Prior:
        """The prior with other distributions of these parameters. Raises InputError for a name that
        it does not have."""
        for name in parameters:
            self._known(name)
        made = self._with_room_for(parameters)
        return replace(made, parameters={**self.parameters, **parameters})

    def draw(self, key: Array, n: int, /, **fixed: Real) -> dict[str, Array]:
        """n values (n,) of every parameter, those in `fixed` (scalar or (n,)) as given.

        A parameter's draws depend on the key and its name only: fixing one leaves the others as
        they were. InputError for an unknown name or a value outside the parameter's domain."""
        self._with_room_for(fixed)._check(n, fixed)
        return _draw(self, key, n, fixed)

    def sample(self, key: Array, n: int, /, **fixed: Real) -> Scene:
        """n scenes as one batched Scene (leaves (n, ...)); `fixed` holds parameters at given
        values, for example theta_e=1.5."""
        made = self._with_room_for(fixed)
        made._check(n, fixed)
        return _sample(made, key, n, fixed)

    def log_prob(self, parameters: Mapping[str, Array]) -> Array:
        """Log density (n,) of parameters as `draw` gives them (extras not included)."""
        parts = [d.log_prob(parameters[k]) for k, d in self.parameters.items()]
        return sum(parts[1:], parts[0])

    def scene(self, p: Mapping[str, Array], key: Array | None = None) -> Scene:
        """The (batched) scene of drawn parameters (n,). key: of clumps and images; without one
        there are no clumps, and a library gives its first image."""
        n = np.shape(next(iter(p.values())))[0]
        first = self.blocks[0]

        def of_lens(name: str, otherwise: float) -> Array:
            flat = first.flat(name) if first.role == "lens" else None
            return jnp.full(n, otherwise) if flat is None else p[flat]

        centre, theta_e = (of_lens("x", 0.0), of_lens("y", 0.0)), of_lens("theta_e", 1.0)
        made: dict[str, list[Any]] = {role: [] for role in BASES}
        for number, (block, kept) in enumerate(zip(self.blocks, self.extras)):
            own = None if key is None else jax.random.fold_in(key, number)
            made[block.role].append(self._component(block, kept, p, centre, theta_e, own))
        return Scene(*(tuple(made[role]) for role in BASES))

    def _component(
        self,
        block: Block,
        kept: Any,
        p: Mapping[str, Array],
        centre: tuple[Array, Array],
        theta_e: Array,
        key: Array | None,
    ) -> Component:
        """One component: its drawn fields, its place, its fluxes and its extras."""
        values: dict[str, Any] = dict(block.implied + block.constants)
        drawn = {name: p[flat] for name, flat in block.names}
        colours = {name: drawn.pop(name) for name, _ in _colours(block)}
        if "beta" in drawn:
            r, angle = drawn.pop("beta") * theta_e, drawn.pop("beta_phi")
            drawn["x"], drawn["y"] = centre[0] + r * jnp.cos(angle), centre[1] + r * jnp.sin(angle)
        placed = {name for choice in block.cls.choices() for name in choice}
        if {"x", "y"} <= placed:
            values |= {"x": centre[0], "y": centre[1]}
        if block.role != "lens":
            magnitudes = colour_magnitudes(colours, self.bands, self.wavelengths)
            values["flux"] = nanomaggies(jnp.stack(magnitudes, -1))
        if kept is not None:
            values |= block.cls.draw_extra(key, theta_e.shape[0], kept)
        return block.cls.from_drawn(values | drawn)

    def without_implied(self, names: Collection[str]) -> Prior:
        """The prior without the implied constants that narrow these parameters, for distributions
        that are going to be others. Constants that are stated stay."""
        blocks = (replace(b, implied=b.freed(b.implied, names)) for b in self.blocks)
        return replace(self, blocks=tuple(blocks))

    def _with_room_for(self, names: Collection[str]) -> Prior:
        """The prior without the constants that narrow these parameters: they were chosen for its
        own distributions, not for values from elsewhere."""
        made = self.without_implied(names)
        blocks = (replace(b, constants=b.freed(b.constants, names)) for b in made.blocks)
        return replace(made, blocks=tuple(blocks))

    def _known(self, name: str) -> None:
        if name not in self.parameters:
            listed = ", ".join(sorted(self.parameters))
            raise InputError(f"prior {self.name!r} has no parameter {name!r}; it has {listed}")

    def domain(self, name: str) -> Domain:
        """Where a parameter may lie. Raises InputError for a name that the prior does not have."""
        self._known(name)
        for block in self.blocks:
            for own, flat in block.names:
                if flat == name:
                    domain = _domains(block.cls).get(own, ANY)
                    return block.cls.narrowed(own, domain, dict(block.constants))
        return ANY

    def _check(self, n: int, fixed: Mapping[str, Real]) -> None:
        if isinstance(n, bool) or not isinstance(n, int | np.integer) or n < 1:
            raise InputError(
                f"prior {self.name!r}: n = {n}: give a whole number of scenes, 1 or larger"
            )
        for name, value in fixed.items():
            check_value(f"prior {self.name!r}: {name}", value, self.domain(name))
            if np.shape(value) not in ((), (1,), (n,)):
                raise InputError(
                    f"prior {self.name!r}: {name} has shape {np.shape(value)}: give one value "
                    f"or {n}"
                )


@partial(jax.jit, static_argnames="n")
def _draw(prior: Prior, key: Array, n: int, fixed: dict[str, Real]) -> dict[str, Array]:
    names = sorted(prior.parameters)
    hashes = jnp.asarray([zlib.crc32(name.encode()) for name in names], jnp.uint32)
    keys = jax.vmap(lambda h: jax.random.fold_in(key, h))(hashes)
    noise = jax.vmap(lambda k: jax.random.uniform(k, (n,), minval=1e-6, maxval=1 - 1e-6))(keys)
    drawn = {k: prior.parameters[k].quantile(u) for k, u in zip(names, noise) if k not in fixed}
    return drawn | {
        k: jnp.broadcast_to(jnp.asarray(v, jnp.result_type(v, jnp.float32)), (n,))
        for k, v in fixed.items()
    }


@partial(jax.jit, static_argnames="n")
def _sample(prior: Prior, key: Array, n: int, fixed: dict[str, Real]) -> Scene:
    return prior.scene(_draw(prior, key, n, fixed), jax.random.fold_in(key, 1))


def lens_like_host(key: Array, q: Real, phi: Real, scatter: float = 0.05) -> dict[str, Array]:
    """Lens ellipticity that follows its host's light: lens_q = clip(q + N(0, scatter), 0.5, 1),
    lens_phi = phi (radians); shapes of q. To be passed to `Prior.sample` as fixed parameters."""
    q = jnp.asarray(q)
    shape = jnp.clip(q + scatter * jax.random.normal(key, q.shape), 0.5, 1.0)
    return {"lens_q": shape, "lens_phi": jnp.asarray(phi)}


def _domains(cls: type[Component]) -> dict[str, Domain]:
    return {name: domain for choice in cls.choices() for name, domain in choice.items()}


def _colours(block: Block) -> list[tuple[str, str]]:
    """The magnitude and colours of a light, as (own name, flat name)."""
    if block.role == "lens":
        return []
    shape = {*_domains(block.cls), "beta", "beta_phi"}
    return [pair for pair in block.names if pair[0] not in shape]
