"""Exact medians, those of numpy: the mean of the two middle values of an even number.

They are found by bisecting the ordered bit patterns of the floats. These are 32 counting passes
that vectorise; on a processor they are 15 to 50 times faster than XLA's sort. On a graphics card
four bits are found in a pass (`lensjax.choose.nth_largest`), because each pass takes time to start.
The result is the same.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from lensjax.choose import nth_largest

_SIGN = np.uint32(1 << 31)
"""The bit that puts signed integers in the order of unsigned ones."""
_LAST = np.iinfo(np.int32).max
"""Key of a value that does not count: above that of every number."""


def _ordered(x: Float[Array, "..."]) -> Int[Array, "..."]:
    """Integers in the order of the floats (its own inverse on the bit patterns)."""
    bits = jax.lax.bitcast_convert_type(x, jnp.int32)
    return bits ^ ((bits >> 31) & 0x7FFFFFFF)


def _value(key: Int[Array, "..."]) -> Float[Array, "..."]:
    return jax.lax.bitcast_convert_type(key ^ ((key >> 31) & 0x7FFFFFFF), jnp.float32)


def _middles(x: Float[Array, "..."], axis: int) -> tuple[Float[Array, "..."], Float[Array, "..."]]:
    """The two middle order statistics along an axis (the same one twice when the number is odd)."""
    n = x.shape[axis]
    wanted = (n - 1) // 2 + 1  # rank, counted from 1, of the lower middle
    keys = _ordered(x)
    key = jax.lax.platform_dependent(
        keys,
        cpu=partial(_smallest_by_bisection, wanted=wanted, axis=axis),
        default=partial(_smallest_by_digits, wanted=wanted, axis=axis),
    )
    if n % 2:
        return _value(key), _value(key)
    limit = jnp.iinfo(jnp.int32).max
    following = jnp.min(jnp.where(keys > jnp.expand_dims(key, axis), keys, limit), axis)
    return _value(key), _value(jnp.where(_at_most(keys, key, axis) > wanted, key, following))


def _at_most(keys: Int[Array, "..."], bound: Int[Array, "..."], axis: int) -> Int[Array, "..."]:
    return jnp.sum((keys <= jnp.expand_dims(bound, axis)).astype(jnp.int32), axis)


def _smallest_by_bisection(
    keys: Int[Array, "..."], wanted: int | Int[Array, "..."], axis: int
) -> Int[Array, "..."]:
    """The wanted-th smallest key, bit by bit."""

    def halve(_: int, bracket: tuple[Array, Array]) -> tuple[Array, Array]:
        low, high = bracket  # _at_most(low) < wanted <= _at_most(high)
        middle = (low & high) + ((low ^ high) >> 1)  # (low + high) // 2 without overflow
        enough = _at_most(keys, middle, axis) >= wanted
        return jnp.where(enough, low, middle), jnp.where(enough, middle, high)

    first = jnp.take(keys, 0, axis)
    limits = jnp.iinfo(jnp.int32)
    return jax.lax.fori_loop(
        0, 32, halve, (jnp.full_like(first, limits.min), jnp.full_like(first, limits.max))
    )[1]


def _smallest_by_digits(
    keys: Int[Array, "..."], wanted: int | Int[Array, "..."], axis: int
) -> Int[Array, "..."]:
    """The wanted-th smallest key, four bits at a time (`lensjax.choose.nth_largest`)."""
    last = jnp.moveaxis(keys, axis, -1)
    unsigned = jax.lax.bitcast_convert_type(last, jnp.uint32) ^ _SIGN
    found = nth_largest(unsigned, last.shape[-1] - wanted + 1)
    return jax.lax.bitcast_convert_type(found ^ _SIGN, jnp.int32)


@jax.custom_jvp
def _median_first(x: Float[Array, "n m"]) -> Float[Array, " m"]:
    low, high = _middles(x, 0)
    return 0.5 * (low + high)


@_median_first.defjvp
def _median_first_jvp(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    """The derivative goes to the one or two middle values. Values that are tied with one of them
    share its part, which is one of the valid subgradients."""
    (x,), (dx,) = primals, tangents
    low, high = _middles(x, 0)
    at_low, at_high = x == low, x == high
    share = 0.5 * (
        at_low / jnp.sum(at_low, 0, dtype=x.dtype) + at_high / jnp.sum(at_high, 0, dtype=x.dtype)
    )
    return 0.5 * (low + high), jnp.sum(share * dx, 0)


def median(x: Float[Array, "n *rest"]) -> Float[Array, " *rest"]:
    """Exact median along the first axis, float32, differentiable; no NaN among the values."""
    return _median_first(x.reshape(x.shape[0], -1)).reshape(x.shape[1:])


@jax.custom_jvp
def masked_median(
    x: Float[Array, "*rest n"], keep: Bool[Array, "*rest n"]
) -> Float[Array, "*rest"]:
    """Exact median along the last axis of the values that are kept and not NaN, found in float32,
    differentiable; NaN where there are none."""
    low, high, some = _kept_middles(x, keep)
    return jnp.where(some, 0.5 * (low + high), jnp.nan)


def _kept_middles(
    x: Float[Array, "*rest n"], keep: Bool[Array, "*rest n"]
) -> tuple[Float[Array, "*rest"], Float[Array, "*rest"], Bool[Array, "*rest"]]:
    """As `_middles` among the kept values, and whether there are any."""
    keep = keep & ~jnp.isnan(x)
    keys = jnp.where(keep, _ordered(x.astype(jnp.float32)), _LAST)
    n = jnp.sum(keep, -1, dtype=jnp.int32)
    wanted = (n + 1) // 2
    key = jax.lax.platform_dependent(
        keys,
        wanted,
        cpu=partial(_smallest_by_bisection, axis=-1),
        default=partial(_smallest_by_digits, axis=-1),
    )
    following = jnp.min(jnp.where(keys > key[..., None], keys, _LAST), -1)
    single = (n % 2 == 1) | (_at_most(keys, key, -1) > wanted)
    low, high = (_value(k).astype(x.dtype) for k in (key, jnp.where(single, key, following)))
    return low, high, n > 0


@masked_median.defjvp
def _masked_median_jvp(primals: tuple[Array, Array], tangents: tuple[Array, Any]) -> Any:
    """As `_median_first_jvp`."""
    (x, keep), (dx, _) = primals, tangents
    low, high, some = _kept_middles(x, keep)
    same = [keep & (x.astype(jnp.float32) == v[..., None]) for v in (low, high)]
    share = 0.5 * sum(at / jnp.maximum(jnp.sum(at, -1, keepdims=True), 1) for at in same)
    change = jnp.sum(jnp.where(keep, share * dx, 0.0), -1, dtype=x.dtype)
    return jnp.where(some, 0.5 * (low + high), jnp.nan), change
