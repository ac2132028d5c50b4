"""Memory that a process keeps.

The memory of an update goes back to the kernel when the update is over, and comes again page by
page, which is a quarter of the time of a small network. Told to, glibc keeps it.
"""

from __future__ import annotations

import ctypes

import jax

from lensjax.apart import plain

# Parameters and values of mallopt(3).
TRIM_THRESHOLD, TOP_PAD, MMAP_THRESHOLD = -1, -2, -3
KEPT = {MMAP_THRESHOLD: 2**31 - 1, TRIM_THRESHOLD: 2**31 - 1, TOP_PAD: 2**26}


def keep_memory() -> bool:
    """From now on this process keeps the memory that it frees. Whether it does: only glibc can, and
    it is of use on a processor only."""
    if plain() or jax.default_backend() != "cpu":
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    return mallopt is not None and all(mallopt(what, value) == 1 for what, value in KEPT.items())
