r"""Scenes as vectors without bounds, for optimisers and samplers.

Every parameter has a domain, written beside its field (`lensjax.component.parameter`). A coordinate
z on the whole line stands for

| domain | parameter | |
|---|---|---|
| the whole line | z | |
| from `low` on, or larger | low + exp(z) | the mirror image for an upper bound alone |
| between two ends | low + (high - low) / (1 + exp(-z)) | |
| axis ratio and angle, q and phi | a pair, below | |

An axis ratio ends at q = 1, where the angle means nothing. In the ellipticity $e = f (\cos 2\phi,
\sin 2\phi)$ with $f = (1 - q)/(1 + q)$ this is no end, but the middle of the unit disc. So a
component's q and phi together are the pair z with $e = f_m z/\sqrt{1 + |z|^2}$, where f_m belongs
to the smallest axis ratio of the domain. A round component is put at f = ROUND, because (q, phi)
have no derivative in e at q = 1.

A log-determinant comes with a scene. ln L plus this log-determinant is the density in z for a prior
that is flat in the domains: in theta_e, a flux, a place, and in e (not in q and phi, which would
pile up at round shapes: $\mathrm{d}q\,\mathrm{d}\phi \sim \mathrm{d}^2 e / (f (1 + f)^2)$). Any
other prior is another term: its density relative to the flat one. A flat density on a line without
ends is no proper prior, so the data have to bound such parameters.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import fields, is_dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from lensjax.component import ANY, Component, Domain, domain_of
from lensjax.errors import InputError

ROUND = 1e-4
"""Least modulus of an ellipticity in the start vector; the axis ratio is then 0.9998."""


class _Leaf(NamedTuple):
    """An array in the scene: its name, shape and domain, and its place among the leaves."""

    name: str
    shape: tuple[int, ...]
    domain: Domain
    at: int

    @property
    def size(self) -> int:
        return int(np.prod(self.shape))


class _Pair(NamedTuple):
    """Axis ratio and angle of one component."""

    q: _Leaf
    phi: _Leaf

    @property
    def size(self) -> int:
        return 2 * self.q.size


class Restore:
    """The way back from z (D,): `restore(z)` gives (scene, ln |det d scene/d z|), pure, for jit,
    vmap and derivatives. `names` (D,): what each coordinate stands for; those of a pair end in
    `.e1` and `.e2`."""

    def __init__(self, values: Sequence[Any], groups: Sequence[_Leaf | _Pair], tree: Any):
        self._values, self._groups, self._tree = tuple(values), tuple(groups), tree
        self.names = tuple(name for group in groups for name in _names(group))

    def __call__(self, z: Float[Array, " D"]) -> tuple[Any, Float[Array, ""]]:
        """The object at z (D,), and ln |d parameters / d z|; raises InputError for another
        shape."""
        z = jnp.asarray(z)
        if z.shape != (len(self.names),):
            raise InputError(f"z has shape {z.shape}: give ({len(self.names)},), one a coordinate")
        values, total, start = list(self._values), jnp.zeros((), z.dtype), 0
        for group in self._groups:
            part = z[start : start + group.size]
            start += group.size
            if isinstance(group, _Pair):
                z1, z2 = part.reshape(2, *group.q.shape)
                values[group.q.at], values[group.phi.at], change = _shape(z1, z2, group.q.domain)
            else:
                values[group.at], change = _bounded(part.reshape(group.shape), group.domain)
            total = total + jnp.sum(change)
        return jax.tree.unflatten(self._tree, values), total


def unconstrain(scene: Any, fixed: Iterable[str] = ()) -> tuple[Float[Array, " D"], Restore]:
    """A scene as a vector z (D,) on the whole of R^D, and the way back: z, restore with
    `restore(z) == (scene, log_det)`.

    scene: a Scene, a component, or any tuple or dict of them, of a PSF too. fixed: names of
    parameters that are held at their value, such as "source[0].n" or "lens[1]" for all of a
    component's; an axis ratio or an angle alone may be held too, the other is then a coordinate
    of its own. Images and kernels that are divided by their sum are always held. Raises InputError,
    naming the parameter, for a value outside of its domain or on its end, where z would be
    infinite, and for a name that does not exist.
    """
    paths, tree = jax.tree_util.tree_flatten_with_path(scene)
    dtype = jnp.result_type(*(leaf for _, leaf in paths), jnp.float32)
    values = [jnp.asarray(leaf, dtype) for _, leaf in paths]
    leaves, held = _leaves(scene, paths, values, tuple(fixed))
    groups = _grouped([leaf for leaf, no in zip(leaves, held) if not no])
    parts = [_coordinates(group, values) for group in groups]
    z = jnp.concatenate(parts) if parts else jnp.zeros(0, dtype)
    return z, Restore(values, groups, tree)


def _leaves(
    scene: Any, paths: Sequence[Any], values: Sequence[Array], fixed: tuple[str, ...]
) -> tuple[list[_Leaf], list[bool]]:
    """Every array of the scene, and whether it is held."""
    leaves, held, used = [], [], set()
    for i, (path, _) in enumerate(paths):
        name = jax.tree_util.keystr(path).removeprefix(".")
        domain, image = _field(scene, path)
        by = {f for f in fixed if name == f or name.startswith((f + ".", f + "["))}
        used |= by
        leaves.append(_Leaf(name, values[i].shape, domain, i))
        held.append(image or bool(by))
    for name in fixed:
        if name not in used:
            known = ", ".join(leaf.name for leaf in leaves)
            raise InputError(f"fixed names {name!r}, which the scene does not have: it has {known}")
    return leaves, held


def _field(scene: Any, path: Sequence[Any]) -> tuple[Domain, bool]:
    """Domain of a leaf, and whether it is an image that is divided by its sum: what the last field
    on the way to it says."""
    at, domain, image = scene, ANY, False
    for key in path:
        if is_dataclass(at):
            (field,) = (f for f in fields(at) if f.name == key.name)
            domain, image = domain_of(field), bool(field.metadata.get("normalised"))
            if isinstance(at, Component):
                domain = at.narrowed(field.name, domain, vars(at))
            at = getattr(at, key.name)
        else:
            at = at[key.idx if hasattr(key, "idx") else key.key]
    return domain, image


def _grouped(leaves: Sequence[_Leaf]) -> list[_Leaf | _Pair]:
    """q and phi of the same component as a pair, the others alone."""
    by_name = {leaf.name: leaf for leaf in leaves}
    groups: list[_Leaf | _Pair] = []
    for leaf in leaves:
        owner, _, last = leaf.name.rpartition(".")
        name = {"q": "phi", "phi": "q"}.get(last, "")
        other = by_name.get(f"{owner}.{name}" if owner else name)
        if other is None or other.shape != leaf.shape:
            groups.append(leaf)
        elif last == "q":
            groups.append(_Pair(leaf, other))
    return groups


def _names(group: _Leaf | _Pair) -> list[str]:
    if isinstance(group, _Pair):
        owner = group.q.name.rpartition(".")[0]
        both = [f"{owner}.{e}".removeprefix(".") for e in ("e1", "e2")]
        return [name for e in both for name in _numbered(e, group.q.shape)]
    return _numbered(group.name, group.shape)


def _numbered(name: str, shape: tuple[int, ...]) -> list[str]:
    if not shape:
        return [name]
    return [f"{name}[{','.join(map(str, index))}]" for index in np.ndindex(*shape)]


def _coordinates(group: _Leaf | _Pair, values: Sequence[Array]) -> Float[Array, " D"]:
    """z of a group. Raises InputError if it would be infinite."""
    if isinstance(group, _Leaf):
        value, domain = values[group.at], group.domain
        _check(group.name, value, domain._replace(ends="()"))
        if np.isinf(domain.low) and np.isinf(domain.high):
            return value.ravel()
        if np.isinf(domain.high):
            return jnp.log(value - domain.low).ravel()
        if np.isinf(domain.low):
            return jnp.log(domain.high - value).ravel()
        return (jnp.log(value - domain.low) - jnp.log(domain.high - value)).ravel()
    q, phi = values[group.q.at], values[group.phi.at]
    _check(group.q.name, q, group.q.domain._replace(ends="(]"))
    _check(group.phi.name, phi, group.phi.domain)
    f = jnp.maximum((1 - q) / (1 + q), ROUND) / _flattest(group.q.domain)
    r = f / jnp.sqrt((1 - f) * (1 + f))
    return jnp.concatenate([(r * jnp.cos(2 * phi)).ravel(), (r * jnp.sin(2 * phi)).ravel()])


def _check(name: str, value: Array, domain: Domain) -> None:
    if isinstance(value, jax.core.Tracer):
        return
    values = np.asarray(value)
    bad = ~np.asarray(domain.holds(values))
    if bad.any():
        raise InputError(
            f"{name} = {values[bad].flat[0]:g}: it should be inside of its domain "
            f"({domain.words}), because z is infinite at the ends; hold it by `fixed`"
        )


def _bounded(z: Array, domain: Domain) -> tuple[Array, Array]:
    """The parameter, and the logarithm of its slope in z."""
    if np.isinf(domain.low) and np.isinf(domain.high):
        return z, jnp.zeros_like(z)
    if np.isinf(domain.high):
        return domain.low + jnp.exp(z), z
    if np.isinf(domain.low):
        return domain.high - jnp.exp(z), z
    width = domain.high - domain.low
    slope = jax.nn.log_sigmoid(z) + jax.nn.log_sigmoid(-z) + np.log(width)
    return domain.low + width * jax.nn.sigmoid(z), slope


def _flattest(domain: Domain) -> float:
    """Modulus of the ellipticity of the smallest axis ratio."""
    return (1 - domain.low) / (1 + domain.low)


def _shape(z1: Array, z2: Array, domain: Domain) -> tuple[Array, Array, Array]:
    """q, phi, and ln |det d e/d z| = 2 ln f_m - 2 ln(1 + |z|^2). At z = 0, which is a single point,
    phi is 0 and the derivatives of q and phi are too. domain: of q."""
    largest = _flattest(domain)
    square = z1 * z1 + z2 * z2
    is_round = square == 0
    safe = jnp.where(is_round, 1.0, square)
    f = largest * jnp.where(is_round, 0.0, jnp.sqrt(safe / (1 + safe)))
    phi = 0.5 * jnp.arctan2(z2, jnp.where(is_round, 1.0, z1))
    phi = jnp.where(is_round, 0.0, phi)
    q = jnp.maximum((1 - f) / (1 + f), domain.low)
    return q, phi, 2 * np.log(largest) - 2 * jnp.log1p(square)
