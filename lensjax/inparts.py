"""The derivative of a formula at many places, some of them at a time.

The renderer works brightness out at tens of thousands of rays. A derivative that is carried along
with all of them at once writes every intermediate result to memory; one loop over the rays, a few
hundred at a time, keeps them in a processor's cache, and the backward pass keeps the brightness
only. On a graphics card it is the other way around: few large kernels, and no loop.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array

from lensjax.once import split

Formula = Callable[[Any, Any], Array]
"""Values at places: f(parameters, places), where every array of `places`, a pytree, and the result
have one entry for each place on their last axis."""


def with_derivative(f: Formula, parameters: Any, places: Any, values: Array, at_once: int) -> Array:
    """`values` with a derivative. They are f(parameters, places), computed without derivative; the
    result has the derivative by the parameters, and none by the places. A processor goes over
    `at_once` places at a time."""

    @jax.custom_jvp
    def attach(parameters: Any, values: Array, places: Any) -> Array:
        return values

    @attach.defjvp
    def attach_jvp(primals, tangents):
        parameters, values, places = primals
        change = lax.platform_dependent(
            parameters,
            tangents[0],
            places,
            cpu=lambda p, d, places: change_in_parts(f, p, d, places, at_once),
            default=lambda p, d, places: change_of_all(f, p, d, places),
        )
        return attach(parameters, values, places), change

    return attach(parameters, values, places)


def change_of_all(f: Formula, parameters: Any, change: Any, places: Any) -> Array:
    """Derivative of f along a change of the parameters, at all places at once. Intermediate results
    are worked out again by the backward pass rather than kept.

    The barrier makes the compiler work the result out once. Without it, every place that uses some
    of it would work it out again."""
    return lax.optimization_barrier(jax.checkpoint(_along(f))(parameters, change, places))


def change_in_parts(f: Formula, parameters: Any, change: Any, places: Any, at_once: int) -> Array:
    """The same in one loop, at_once places at a time. What is the same for all places is worked out
    before the loop. The last place is repeated to fill the last part."""
    leaves, tree = jax.tree.flatten(places)
    count = leaves[0].shape[-1]
    leaves = [
        jnp.pad(v, [(0, 0)] * (v.ndim - 1) + [(0, -count % at_once)], mode="edge") for v in leaves
    ]

    def some(start: Any) -> list[Array]:
        return [lax.dynamic_slice_in_dim(v, start, at_once, -1) for v in leaves]

    first, rest = split(lambda p, *v: f(p, jax.tree.unflatten(tree, v)), parameters, *some(0))
    same, d_same = jax.jvp(first, (parameters,), (change,))

    @jax.checkpoint
    def part(d_same: Any, start: Array) -> Array:
        return _along(rest)(same, d_same, *some(start))

    parts = lax.map(lambda start: part(d_same, start), jnp.arange(0, count, at_once))
    parts = jnp.moveaxis(parts, 0, -2)
    return parts.reshape(*parts.shape[:-2], -1)[..., :count]


def _along(f: Callable[..., Array]) -> Callable[..., Array]:
    """The derivative of f(parameters, ...) along a change of its parameters, as a function of
    (parameters, change, ...)."""
    return lambda p, change, *rest: jax.jvp(lambda p: f(p, *rest), (p,), (change,))[1]
