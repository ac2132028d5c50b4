"""What of a machine can change the last digits of a result, as run records have it."""

from __future__ import annotations

import os
import platform
import re
import sys
from pathlib import Path
from typing import Any

SWITCHES = (
    *("XLA_FLAGS", "JAX_PLATFORMS", "JAX_ENABLE_X64", "JAX_DEFAULT_MATMUL_PRECISION"),
    "LENSJAX_PLAIN",
)
"""Environment variables that change how results are computed."""


def machine() -> dict[str, Any]:
    """Kind and model of the processor, its cores, the C library, the devices that JAX has opened,
    the SWITCHES that are set; and the whole name of the system, for people."""
    return {
        "processor": platform.machine(),
        "model": model(),
        "cores": os.cpu_count(),
        "library": " ".join(platform.libc_ver()),
        "devices": devices(),
        "switches": {name: os.environ[name] for name in SWITCHES if os.environ.get(name)},
        "system": platform.platform(),
    }


def model(information: Path = Path("/proc/cpuinfo")) -> str:
    """The processor's name; empty where the system does not tell."""
    try:
        found = re.search(r"^model name\s*:\s*(.*)$", information.read_text(), re.M)
    except OSError:
        return ""
    return found[1].strip() if found else ""


def devices() -> list[str]:
    """The devices on which JAX computes in this process, kind by kind; empty where it has opened
    none. Asking JAX itself would open them, and a step that does not compute should not take a
    card."""
    bridge = sys.modules.get("jax._src.xla_bridge")
    if not getattr(bridge, "_backends", None):
        return []
    import jax

    kinds = [device.device_kind for device in jax.devices()]
    return [f"{kinds.count(kind)} x {kind}" for kind in sorted(set(kinds))]
