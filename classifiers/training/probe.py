"""How much memory is free: the one place that asks the operating system and the device."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import jax

MEMINFO = Path("/proc/meminfo")


class Free(NamedTuple):
    """Bytes that are free now. host: of the machine. device: of each device that computes; a
    processor's is the machine's, divided by the devices it stands for. None where it is not
    known."""

    host: int | None
    device: int | None


def free() -> Free:
    """What Linux counts as available, and what an accelerator has left of its limit."""
    host = _host()
    told = jax.local_devices()[0].memory_stats() or {}
    if "bytes_limit" in told:
        return Free(host, told["bytes_limit"] - told["bytes_in_use"])
    if jax.default_backend() != "cpu" or host is None:
        return Free(host, None)
    return Free(host, host // jax.local_device_count())


def _host() -> int | None:
    if not MEMINFO.is_file():
        return None
    lines = MEMINFO.read_text().splitlines()
    found = [int(line.split()[1]) for line in lines if line.startswith("MemAvailable:")]
    return found[0] * 1024 if found else None
