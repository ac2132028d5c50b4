"""Compiling a step apart from what uses it, and the switch of everything that is done for the sake
of a processor's speed.

XLA fuses what it can, which is not always a gain on a CPU: a value that many elements need is
worked out again for each of them. `apart` keeps it from that. It changes no result beyond rounding.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import jax
from jax import lax
from jax.experimental.xla_metadata import set_xla_metadata

SWITCH = "LENSJAX_PLAIN"
"""Environment variable: set to 1, everything is computed in JAX's and Flax's plain way. It is read
when a function is traced."""


def plain() -> bool:
    """Whether the switch asks for the plain way."""
    return os.environ.get(SWITCH, "0") not in ("", "0")


def apart(f: Callable[..., Any], *args: Any) -> Any:
    """f(*args), on a CPU compiled apart from what uses it. Otherwise the compiler would work f out
    again for every use: the deflection for every exponential of the light, for example."""

    def fenced(*args: Any) -> Any:
        with set_xla_metadata(inlineable="false"):
            return jax.jit(f)(*args)

    return f(*args) if plain() else lax.platform_dependent(*args, cpu=fenced, default=f)
