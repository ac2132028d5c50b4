"""The machine: cores and memory that this process may really use, and what slows a processor.

Containers and batch systems give a process less than the machine has. A limit of the control group
(cgroup version 2, or the memory limit of version 1) and the set of cores that the process is bound
to count, not what the kernel says of the whole machine.
"""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Iterator
from pathlib import Path

from lensjax.doctor.finding import GB, Finding

MEMORY = 2.5
"""Memory of the default run, GB, the most of any of its steps."""
WIDE = ("avx2", "fma")
"""Instructions that the quickest loops of XLA and OpenBLAS are made of."""


def cores(groups: Path = Path("/sys/fs/cgroup"), own: Path = Path("/proc/self/cgroup")) -> float:
    """Cores that this process may use: those it is bound to, or its share of them in time."""
    count = getattr(os, "sched_getaffinity", None)
    usable = float(len(count(0)) if count else os.cpu_count() or 1)
    for folder in control_groups(groups, own):
        quota, _, period = _text(folder / "cpu.max").partition(" ")
        if quota.isdigit() and period.isdigit():
            usable = min(usable, int(quota) / int(period))
    return usable


def memory(
    information: Path = Path("/proc/meminfo"),
    groups: Path = Path("/sys/fs/cgroup"),
    own: Path = Path("/proc/self/cgroup"),
) -> tuple[float, float]:
    """Bytes of memory that this process may use, and how many of them are free now.

    Caches that the kernel gives back count as free. Both are NaN where the system does not tell.
    """
    said = dict(re.findall(r"^(\w+):\s+(\d+) kB", _text(information), re.M))
    total, free = (1024.0 * float(said.get(n, "nan")) for n in ("MemTotal", "MemAvailable"))
    limits = [
        (folder / name, folder / used)
        for folder in control_groups(groups, own)
        for name, used in (
            ("memory.max", "memory.current"),
            ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"),
        )
    ]
    for limit, used in limits:
        most, now = _text(limit), _text(used)
        if most.isdigit() and not float(most) >= total:
            total = float(most)
            free = min(free, total - float(now)) if now.isdigit() else free
    return total, free


def control_groups(groups: Path, own: Path) -> list[Path]:
    """The folders of the control group of this process and of those around it."""
    inside = re.search(r"^0::/(.*)$", _text(own), re.M)
    here = groups / (inside[1] if inside else "")
    return [p for p in (here, *here.parents) if p == groups or groups in p.parents]


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace").strip()
    except OSError:
        return ""


def findings() -> Iterator[Finding]:
    """About cores, memory, the processor's instructions, and how memory is handed out."""
    yield from _cores()
    yield from _memory(*memory())
    yield from processor(_text(Path("/proc/cpuinfo")), platform.machine())
    yield from pages(_text(Path("/sys/kernel/mm/transparent_hugepage/enabled")))


def _cores() -> Iterator[Finding]:
    usable, there = cores(), os.cpu_count() or 1
    load = os.getloadavg()[0]
    values = {"cores": there, "usable": usable, "load": round(load, 2)}
    said = f"This process may use {usable:g} of {there} cores."
    if usable < 2:
        cure = "Give the process two cores or more (its container, batch job or `taskset`)."
        yield Finding("slow", f"{said} The default run is measured with two.", cure, values)
    else:
        yield Finding("ok", said, values=values)
    if load > 1.2 * there:
        cure = "Wait for the other processes, or run where the cores are free."
        text = f"Other processes hold the cores: the load is {load:.1f} on {there} of them."
        yield Finding("slow", text, cure, values)


def _memory(total: float, free: float) -> Iterator[Finding]:
    if not total > 0:
        cure = f"See to it that {MEMORY} GB are free for the default run."
        yield Finding("note", "This system does not tell how much memory it has.", cure)
        return
    values = {"bytes": int(total), "free_bytes": int(free)}
    said = f"Of {total / GB:.1f} GB of memory {free / GB:.1f} GB are free"
    if free >= MEMORY * GB:
        yield Finding("ok", f"{said}; the default run takes {MEMORY} GB.", values=values)
        return
    cure = "End other programs, allow the container more, or make batches smaller (`train.batch`)."
    text = f"{said}, and the default run takes {MEMORY} GB: it would swap or be killed."
    yield Finding("slow", text, cure, values)


def processor(information: str, kind: str) -> Iterator[Finding]:
    """About the instructions of an x86-64 processor. information: as in /proc/cpuinfo; kind: the
    machine's name."""
    flags = re.search(r"^flags\s*:(.*)$", information, re.M)
    if kind != "x86_64" or flags is None:
        return
    has = set(flags[1].split())
    name = re.search(r"^model name\s*:\s*(.*)$", information, re.M)
    said = f"The processor is {name[1] if name else 'unnamed'}"
    values = {"processor": name[1] if name else "", "missing": [w for w in WIDE if w not in has]}
    cure = "Run on a processor made after 2013, or let the virtual machine pass its flags on."
    if "avx" not in has:
        yield Finding("broken", f"{said}, without AVX, which JAX's wheels need.", cure, values)
    elif values["missing"]:
        lacks = " and ".join(w.upper() for w in values["missing"])
        yield Finding("slow", f"{said}, without {lacks}: arithmetic is slower.", cure, values)
    else:
        yield Finding("ok", f"{said}.", values=values)


def pages(enabled: str) -> Iterator[Finding]:
    """About memory in large pages. enabled: what the kernel says, as in "always [madvise] never";
    empty where it has none."""
    if "[never]" not in enabled:
        return
    text = (
        "The kernel hands out memory only in pages of 4 kB, with which an update of training takes "
        "up to a third longer (docs/training.md)."
    )
    cure = "As root: `echo madvise > /sys/kernel/mm/transparent_hugepage/enabled`."
    yield Finding("slow", text, cure, {"transparent_hugepage": enabled})
