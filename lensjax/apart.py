"""Compiles a step apart from the steps that use it; and the switch that turns off everything that
is done only for the speed of a processor.

XLA fuses steps where it can. On a CPU this is not always a gain, because a value that many elements
need is then computed again for each of them. `apart` prevents this; results change by rounding
only.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import jax
from jax import lax
from jax.experimental.xla_metadata import set_xla_metadata

SWITCH = "LENSJAX_PLAIN"
"""Environment variable: if it is 1, everything is computed in JAX's and Flax's plain way. It is
read when a function is traced."""


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
