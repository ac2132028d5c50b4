"""A batch a few items at a time, as a processor's cache wants it.

`jax.vmap` makes one array of every step's results for the whole batch. A graphics card is kept busy
by that; a processor writes a step's results to memory and reads them back for the next one, where a
few items at a time would stay in its cache.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
from jax import lax

AT_ONCE = 8
"""Stamps that a processor works on together. One core renders them 1.2 times as quickly as 128 of
them together, and 1.7 times with injection and preprocessing."""


def in_turn(f: Callable[..., Any], at_once: int = AT_ONCE) -> Callable[..., Any]:
    """`jax.vmap(f)`, by `at_once` items at a time on a processor.

    The result takes pytrees of arrays that all have the batch as first axis, and returns such.
    Results and derivatives are those of `jax.vmap`, which is what a graphics card does.
    """

    def batch(*args: Any) -> Any:
        def few(*args: Any) -> Any:
            return lax.map(lambda item: f(*item), args, batch_size=at_once)

        return lax.platform_dependent(*args, cpu=few, default=jax.vmap(f))

    return batch
