"""Working out once what is the same for every ray.

A formula is written in one place, from the parameters of a profile and the place of a ray. The
sine of a lens's angle, say, is the same for all rays, but a compiler that turns the formula into a
loop over rays works it out again in every turn, and its derivative as well. `split` finds such
steps in the traced formula, so that nobody has to write a formula in two parts.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
from jax.extend.core import Literal
from jaxtyping import Array


def split(
    f: Callable[..., Any], parameters: Any, *rays: Array
) -> tuple[Callable[[Any], list[Array]], Callable[..., Any]]:
    """The steps of f(parameters, *rays) that do not need the rays, and the others.

    Returns (first, rest) with rest(first(parameters), *rays) equal to f(parameters, *rays).
    parameters: a pytree. rays: arrays with one entry for each ray on their last axis. Only the
    shapes count here: both functions take other values, and both can be differentiated. A step
    whose result has an entry for each ray stays in `rest`, even if it does not need them: to keep
    it would cost more than to do it again.
    """
    traced, out = jax.make_jaxpr(f, return_shape=True)(parameters, *rays)
    jaxpr = traced.jaxpr
    count = len(jax.tree.leaves(parameters))
    given, places = jaxpr.invars[:count], jaxpr.invars[count:]
    known = {*jaxpr.constvars, *given}
    early, late = [], []
    for step in jaxpr.eqns:
        small = all(v.aval.shape[-1:] != rays[0].shape[-1:] for v in step.outvars)
        if small and all(isinstance(v, Literal) or v in known for v in step.invars):
            known.update(step.outvars)
            early.append(step)
        else:
            late.append(step)
    used = [v for step in late for v in step.invars] + list(jaxpr.outvars)
    kept = [v for v in dict.fromkeys(v for v in used if not isinstance(v, Literal)) if v in known]

    def first(parameters: Any) -> list[Array]:
        values = dict(zip(jaxpr.constvars, traced.consts))
        values |= zip(given, jax.tree.leaves(parameters))
        _do(early, values)
        return [values[v] for v in kept]

    def rest(same: list[Array], *rays: Array) -> Any:
        values = dict(zip(kept, same)) | dict(zip(places, rays))
        _do(late, values)
        return jax.tree.unflatten(jax.tree.structure(out), [_at(v, values) for v in jaxpr.outvars])

    return first, rest


def _do(steps: list[Any], values: dict[Any, Any]) -> None:
    """Does steps of a traced function and adds their results to `values`."""
    for step in steps:
        arguments = [_at(v, values) for v in step.invars]
        done = step.primitive.bind(*arguments, **step.primitive.get_bind_params(step.params))
        values.update(zip(step.outvars, done if step.primitive.multiple_results else [done]))


def _at(v: Any, values: dict[Any, Any]) -> Any:
    return v.val if isinstance(v, Literal) else values[v]
