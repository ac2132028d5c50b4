"""The largest few of many numbers, without sorting.

A processor takes the largest _FEW by `lax.top_k`. For more than these it is slow, and the renderer
does not care about the order: bisect the threshold bit by bit, one count of what lies above it at a
time, then read the places off the mask. Three times quicker for 100 of 1,000.

On a graphics card every kernel takes a few microseconds to start, and a bisection is a hundred
kernels. There the threshold is found four bits at a time, fifteen counts in one kernel.
"""

from functools import partial

import jax
import jax.numpy as jnp
from jax import lax
from jax.experimental.layout import Layout, with_layout_constraint
from jaxtyping import Array, Float, Int, UInt32

from lensjax.apart import apart

_BITS = 32
_LANES = 100
"""The numbers stand in a table of at most _BITS rows and, where there are enough, no fewer than
_LANES columns: sums over rows become vector instructions, and the mask of a column is a word of
bits."""

_FEW = 32

_DIGIT = 4
"""Bits that `nth_largest` finds in a pass: 15 counts at once. More bits are fewer passes, but
2^bits comparisons a number in each, and from here on these take longer than reading the numbers."""


@partial(jax.jit, static_argnames=("count",), inline=True)  # traced once for each size of stamp
def largest(values: Float[Array, " N"], count: int) -> Int[Array, " K"]:
    """Places of the min(count, N) largest of non-negative values, in no order. Values that agree in
    their leading bits (10 significant ones for N = 4096) count as equal, and of equals the first
    are taken; what is below 0 counts as 0."""
    if count >= values.size:
        return jnp.arange(values.size)

    def by_threshold(values: Float[Array, " N"]) -> Int[Array, " K"]:
        keys = apart(_keys, values)
        most = min(max(keys.size // _LANES, 1), _BITS)
        rows = next((r for r in range(most, most // 2, -1) if keys.size % r == 0), most)
        keys = jnp.pad(keys, (0, -keys.size % rows), constant_values=-1).reshape(rows, -1)
        return _places(keys, _threshold(keys, count), count)

    if count > _FEW:
        return by_threshold(values)
    return lax.platform_dependent(
        values, cpu=lambda v: lax.top_k(jnp.maximum(v, 0), count)[1], default=by_threshold
    )


def _keys(values: Float[Array, " N"]) -> Int[Array, " N"]:
    """Integers in the order of the values, no two of them equal: the number of the place stands in
    the last bits."""
    low = (values.size - 1).bit_length()
    bits = lax.bitcast_convert_type(jnp.maximum(values, 0).astype(jnp.float32), jnp.int32)
    return (bits >> low << low) | jnp.arange(values.size - 1, -1, -1, dtype=jnp.int32)


def _threshold(keys: Int[Array, "R C"], count: int) -> Int[Array, ""]:
    """The count-th largest key, in the way that suits the device."""

    def by_digits(keys: Int[Array, "R C"]) -> Int[Array, ""]:
        unsigned = jnp.maximum(keys, 0).astype(jnp.uint32).ravel()
        return nth_largest(unsigned, count).astype(jnp.int32)

    return lax.platform_dependent(keys, cpu=partial(_bisected, count=count), default=by_digits)


def nth_largest(
    keys: UInt32[Array, "*rest N"], count: int | Int[Array, "*rest"]
) -> UInt32[Array, "*rest"]:
    """The count-th largest along the last axis, digit by digit from the top: each pass counts the
    keys from every value of the next digit on. No loop, because a card waits between the rounds of
    one.

    The keys that are compared are put side by side in memory. Where they are not, the compiler
    writes the result of every comparison to memory before it counts, three times the bytes."""
    keys = with_layout_constraint(keys, Layout(tuple(range(keys.ndim))))
    found = jnp.zeros_like(keys[..., 0])
    for shift in range(32 - _DIGIT, -1, -_DIGIT):
        found = _next_digit(keys, found, jnp.uint32(shift), count)
    return found


@jax.jit  # traced once for all digits
def _next_digit(
    keys: UInt32[Array, "*rest N"],
    found: UInt32[Array, "*rest"],
    shift: UInt32[Array, ""],
    count: int | Int[Array, "*rest"],
) -> UInt32[Array, "*rest"]:
    """The digit of the count-th largest key at `shift` bits, added to those that are `found`."""
    candidates = [found | jnp.uint32(digit) << shift for digit in range(1, 2**_DIGIT)]
    # One reduction of all counts, because single ones would be put into more kernels.
    above = lax.reduce(
        [(keys >= c[..., None]).astype(jnp.int32) for c in candidates],
        [jnp.int32(0)] * len(candidates),
        lambda a, b: [x + y for x, y in zip(a, b)],
        (keys.ndim - 1,),
    )
    return found | (sum((n >= count).astype(jnp.uint32) for n in above) << shift)


def _bisected(keys: Int[Array, "R C"], count: int) -> Int[Array, ""]:
    """The count-th largest of keys that are not negative, bit by bit."""

    def decide(step, threshold):
        higher = threshold | (1 << (30 - step)).astype(jnp.int32)
        above = apart(
            lambda keys, higher: jnp.sum(keys >= higher, axis=0, dtype=jnp.int32), keys, higher
        )
        return jnp.where(jnp.sum(above) >= count, higher, threshold)

    return lax.fori_loop(jnp.int32(0), jnp.int32(31), decide, jnp.int32(0))


def _places(keys: Int[Array, "R C"], threshold: Int[Array, ""], count: int) -> Int[Array, " K"]:
    """Where the `count` keys from the threshold on stand: for each the column by comparison with
    the running totals of the columns, then the row by halving its word of bits."""
    rows, columns = keys.shape
    column, slot = jnp.arange(columns), jnp.arange(count)

    def packed(keys, t):
        return jnp.sum(
            (keys >= t).astype(jnp.uint32) << jnp.arange(rows, dtype=jnp.uint32)[:, None],
            axis=0,
            dtype=jnp.uint32,
        )

    words = apart(packed, keys, threshold)
    inside = lax.population_count(words).astype(jnp.int32)
    until = apart(
        lambda inside: jnp.sum(
            jnp.where(column[:, None] <= column[None, :], inside[:, None], 0),
            axis=0,
            dtype=jnp.int32,
        ),
        inside,
    )
    at = apart(
        lambda until: jnp.sum(until[:, None] <= slot[None, :], axis=0, dtype=jnp.int32), until
    )
    word, rank, row = words[at], slot - (until - inside)[at], jnp.zeros_like(at)
    for half in (16, 8, 4, 2, 1):
        lower = lax.population_count(word & jnp.uint32((1 << half) - 1)).astype(jnp.int32)
        up = rank >= lower
        rank, word, row = (
            jnp.where(up, rank - lower, rank),
            jnp.where(up, word >> half, word),
            jnp.where(up, row + half, row),
        )
    return row * columns + at
