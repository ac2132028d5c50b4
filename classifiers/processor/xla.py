"""Compiler options for networks.

XLA 0.10 hands float32 convolutions to YNNPACK, which spreads them over threads by blocks of 64
output channels, so that layers of 64 channels and fewer run on one thread. Left to Eigen they use
every core (benchmarks/convolutions.py).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import jax

from lensjax.apart import plain

EIGEN = {
    "xla_cpu_experimental_ynn_fusion_type": "LIBRARY_FUSION_TYPE_DOT,LIBRARY_FUSION_TYPE_REDUCE"
}
"""YNNPACK is left with products of matrices and sums."""


@cache
def options() -> dict[str, str]:
    """Options of the compiler for networks; none off the processor, or where XLA no longer knows
    them."""
    if jax.default_backend() != "cpu":
        return {}
    try:
        jax.jit(lambda: 0, compiler_options=EIGEN).lower().compile()
    except jax.errors.JaxRuntimeError:
        return {}
    return EIGEN


def jit(function: Callable[..., Any], **more: Any) -> Any:
    """jax.jit for a network. more: further arguments of jax.jit."""
    return jax.jit(function, compiler_options={} if plain() else options(), **more)
