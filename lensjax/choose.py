"""The largest few of many numbers, in no order.

On a processor, up to _FEW numbers are taken by `lax.top_k`. For more it is slow, and it also sorts,
which the renderer does not need. So the threshold is found bit by bit, by counting the numbers
above it each time, and the places are read off the mask: three times quicker for 100 of 1,000.

On a graphics card every kernel takes a few microseconds to start, and a bisection is a hundred
kernels. So a few hundred numbers are sorted there, which is one kernel. Of more numbers, the
leading bits of the threshold are found five at a time, by 31 counts in one kernel; the last places
go to some of the numbers that agree with the threshold in all these bits.
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

_LEADING = 15
"""Bits of a number, without its sign, by which a card compares: the exponent and 7 of the mantissa,
so that numbers within a hundredth count as equal."""

_LEADING_DIGIT = 5
"""As _DIGIT, for these bits, in three passes."""

_SORTED = 1024
"""Numbers that a card sorts in the memory of one multiprocessor."""


@partial(jax.jit, static_argnames=("count",), inline=True)  # traced once for each size of stamp
def largest(values: Float[Array, " N"], count: int) -> Int[Array, " K"]:
    """Places of the min(count, N) largest of non-negative values, in no order. Values that agree in
    their leading bits (7 of the mantissa) may count as equal, and of equals a processor takes the
    first; what is below 0 counts as 0."""
    if count >= values.size:
        return jnp.arange(values.size)
    here = _by_order if count <= _FEW else _by_bisection
    card = _by_sorting if values.size <= _SORTED else _by_digits
    return lax.platform_dependent(
        values, cpu=partial(here, count=count), default=partial(card, count=count)
    )


def _by_order(values: Float[Array, " N"], count: int) -> Int[Array, " K"]:
    return lax.top_k(jnp.maximum(values, 0), count)[1]


def _by_sorting(values: Float[Array, " N"], count: int) -> Int[Array, " K"]:
    """Keys are sorted, because they are one array; values and their places would be two."""
    first = lax.sort(-_keys(values), is_stable=False)[:count]
    return values.size - 1 - (-first & ((1 << (values.size - 1).bit_length()) - 1))


def _by_bisection(values: Float[Array, " N"], count: int) -> Int[Array, " K"]:
    keys = _in_rows(apart(_keys, values))
    return _read(apart(_packed, keys, _bisected(keys, count)), count, keys.shape[1])


def _by_digits(values: Float[Array, " N"], count: int) -> Int[Array, " K"]:
    """First the words of what is above the threshold, then those of what agrees with it: in this
    order they fill the places that there are."""
    bits = lax.bitcast_convert_type(jnp.maximum(values, 0).astype(jnp.float32), jnp.int32)
    keys = _in_rows(bits >> (_BITS - 1 - _LEADING))
    unsigned = jnp.maximum(keys, 0).astype(jnp.uint32).ravel()
    threshold = nth_largest(unsigned, count, _LEADING, _LEADING_DIGIT).astype(jnp.int32)
    above = _packed(keys, threshold + 1)
    words = jnp.concatenate([above, _packed(keys, threshold) & ~above])
    return _read(words, count, keys.shape[1])


def _in_rows(keys: Int[Array, " N"]) -> Int[Array, "R C"]:
    """A table of the keys, filled up with -1."""
    most = min(max(keys.size // _LANES, 1), _BITS)
    rows = next((r for r in range(most, most // 2, -1) if keys.size % r == 0), most)
    return jnp.pad(keys, (0, -keys.size % rows), constant_values=-1).reshape(rows, -1)


def _keys(values: Float[Array, " N"]) -> Int[Array, " N"]:
    """Integers in the order of the values, no two of them equal: the number of the place stands in
    the last bits."""
    low = (values.size - 1).bit_length()
    bits = lax.bitcast_convert_type(jnp.maximum(values, 0).astype(jnp.float32), jnp.int32)
    return (bits >> low << low) | jnp.arange(values.size - 1, -1, -1, dtype=jnp.int32)


def nth_largest(
    keys: UInt32[Array, "*rest N"],
    count: int | Int[Array, "*rest"],
    bits: int = _BITS,
    digit: int = _DIGIT,
) -> UInt32[Array, "*rest"]:
    """The count-th largest along the last axis of keys below 2^bits, digit by digit from the top:
    each pass counts the keys from every value of the next digit on. No loop, because a card waits
    between the rounds of one. digit: its bits, a divisor of `bits`.

    The keys that are compared are put side by side in memory. Where they are not, the compiler
    writes the result of every comparison to memory before it counts, three times the bytes."""
    keys = with_layout_constraint(keys, Layout(tuple(range(keys.ndim))))
    found = jnp.zeros_like(keys[..., 0])
    for shift in range(bits - digit, -1, -digit):
        found = _next_digit(keys, found, jnp.uint32(shift), count, digit)
    return found


@partial(jax.jit, static_argnames=("digit",))  # traced once for all digits
def _next_digit(
    keys: UInt32[Array, "*rest N"],
    found: UInt32[Array, "*rest"],
    shift: UInt32[Array, ""],
    count: int | Int[Array, "*rest"],
    digit: int,
) -> UInt32[Array, "*rest"]:
    """The digit of the count-th largest key at `shift` bits, added to those that are `found`."""
    candidates = [found | jnp.uint32(value) << shift for value in range(1, 2**digit)]
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


def _packed(keys: Int[Array, "R C"], threshold: Int[Array, ""]) -> UInt32[Array, " C"]:
    """For each column a word of bits: which rows hold a key from the threshold on."""
    bit = jnp.arange(keys.shape[0], dtype=jnp.uint32)[:, None]
    return jnp.sum((keys >= threshold).astype(jnp.uint32) << bit, axis=0, dtype=jnp.uint32)


def _read(words: UInt32[Array, " W"], count: int, columns: int) -> Int[Array, " K"]:
    """Where the first `count` bits stand: for each the word by comparison with the running totals
    of the words, then the row by halving it. columns: of the table; there may be several words for
    each of them, all first ones before the second ones."""
    column, slot = jnp.arange(words.size), jnp.arange(count)
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
    return row * columns + at % columns
