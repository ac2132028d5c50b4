"""Programs for a graphics card, compiled and counted on a machine without one.

That is done with two modules of a folder: `aot.compiled(name, function, *shapes)` compiles and
hands the program's text to `roofline.report(text, top)`, which counts kernels, bytes and the time
that operations and memory traffic would take at full speed. They need JAX's CUDA plugin, which may
be named with PYTHONPATH, and no driver. JAX has to be told that it runs on the processor
(JAX_PLATFORMS=cpu) before it is imported; it complains once that there is no driver, and goes on.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

STEPS = re.compile(r'"known_trip_count":\{"n":"(\d+)"')


def compiler(folder: str | Path) -> Callable[..., dict[str, Any]]:
    """A function of (name, function, *shapes) that compiles with the modules of a folder and
    returns what it counts. Of the branches of a program the longest is taken."""
    sys.path.insert(0, str(folder))
    import aot  # type: ignore[import-not-found]  # of the folder
    import roofline  # type: ignore[import-not-found]

    texts, report = [], roofline.report
    roofline.report = lambda text, *rest: (texts.append(text), report(text, *rest))[1]

    def counted(name: str, function: Callable[..., Any], *shapes: Any) -> dict[str, Any]:
        n = aot.compiled(name, function, *shapes)
        branches = sum(max(b[1] for b in branch) for branch in n["conds"])
        return {
            "kernels": n["kernels"] + branches,
            "longest_loop": max(loops(texts[-1]), default=0),
            "roofline_ms": n["us"] / 1e3,
            "gigabytes": n["bytes"] / 1e9,
        }

    return counted


def loops(text: str) -> list[int]:
    """Steps of every loop of a compiled program, wherever it is; raises ValueError where a loop
    does not say how many it has."""
    number, steps = len(re.findall(r" while\(", text)), [int(n) for n in STEPS.findall(text)]
    if len(steps) != number:
        raise ValueError(f"{number} loops, of which {len(steps)} say how many steps they have")
    return steps
