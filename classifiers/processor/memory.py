"""Memory that a process keeps.

Without this, the memory of an update goes back to the kernel of the operating system after the
update, and the next update gets it page by page, which takes a quarter of the time of a small
network. glibc can be told to keep it.
"""

from __future__ import annotations

import ctypes

import jax

from lensjax.apart import plain

# Parameters and values of mallopt(3).
TRIM_THRESHOLD, TOP_PAD, MMAP_THRESHOLD = -1, -2, -3
KEPT = {MMAP_THRESHOLD: 2**31 - 1, TRIM_THRESHOLD: 2**31 - 1, TOP_PAD: 2**26}


def keep_memory() -> bool:
    """Makes this process keep the memory that it frees from now on. Returns whether it does: only
    glibc can do it, and it is useful on a processor only."""
    if plain() or jax.default_backend() != "cpu":
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    return mallopt is not None and all(mallopt(what, value) == 1 for what, value in KEPT.items())
