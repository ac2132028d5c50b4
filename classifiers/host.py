"""What makes networks quick on a processor: XLA's convolutions and glibc's memory. Where neither applies, nothing happens.

XLA 0.10 hands float32 convolutions to YNNPACK, which spreads them over threads by blocks of 64 output channels: layers of 64 and fewer run on one thread.
Left to Eigen they use every core (benchmarks/convolutions.py). The memory of an update goes back to the kernel when it is over and
comes again page by page, a quarter of the time of a small network; told to, glibc keeps it.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from functools import cache
from typing import Any

import jax

EIGEN = {
    "xla_cpu_experimental_ynn_fusion_type": "LIBRARY_FUSION_TYPE_DOT,LIBRARY_FUSION_TYPE_REDUCE"
}
"""what YNNPACK is left with: products and sums"""

# Of mallopt(3): its numbers and values.
TRIM_THRESHOLD, TOP_PAD, MMAP_THRESHOLD = -1, -2, -3
KEPT = {MMAP_THRESHOLD: 2**31 - 1, TRIM_THRESHOLD: 2**31 - 1, TOP_PAD: 2**26}


@cache
def options() -> dict[str, str]:
    """Options of the compiler for networks; none off the processor, or where XLA no longer knows them."""
    if jax.default_backend() != "cpu":
        return {}
    try:
        jax.jit(lambda: 0, compiler_options=EIGEN).lower().compile()
    except jax.errors.JaxRuntimeError:
        return {}
    return EIGEN


def jit(function: Callable[..., Any], **more: Any) -> Any:
    """jax.jit for a network."""
    return jax.jit(function, compiler_options=options(), **more)


def keep_memory() -> bool:
    """From now on this process keeps the memory that it frees; whether that could be had (glibc alone has it)."""
    mallopt = (
        getattr(ctypes.CDLL(None), "mallopt", None) if jax.default_backend() == "cpu" else None
    )
    return mallopt is not None and all(mallopt(what, value) == 1 for what, value in KEPT.items())
