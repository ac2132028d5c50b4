"""What benchmarks/audit.py's work around the network would be on a graphics card, counted without
one: kernels that are launched, and loops that run one step after the other.

`counted` is called by the benchmark. A process of its own, `python audit_card.py FOLDER`,
takes the experiment and its shapes as a pickle on standard input and compiles for the card with two
modules of FOLDER: `aot.compiled(name, function, *shapes)` compiles and hands the program's text to
`roofline.report(text, top)`, which counts. They need JAX's CUDA plugin, and no driver. The process
prints one JSON line.

The network's kernels are libraries' and are not counted. The plugin may be named with PYTHONPATH;
without a driver JAX then complains once and goes on.
"""

from __future__ import annotations

import json
import os
import pickle
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import numpy as np

if TYPE_CHECKING:
    from classifiers.audit.injection import Batch, Experiment
    from data.preprocess import Preprocess

AT_ONCE = 1024
"""Injections in a batch on a card."""

AROUND = ("observe", "preprocess")
"""Programs before the network, as the audit compiles them."""

STEPS = re.compile(r'"known_trip_count":\{"n":"(\d+)"')


def counted(gpu: str, experiment: Experiment, batch: Batch, p: Preprocess) -> dict[str, Any]:
    """Kernels and the longest loop of the two programs around the network, as the audit compiles
    them, and of rendering and injecting within the first; or why there are none.

    gpu: folder of aot.py and roofline.py, empty for none. batch: injections of any number; the card
    gets AT_ONCE. p: the finder's preprocessing."""
    if not gpu:
        return {"left_out": "card (name the folder of aot.py and roofline.py with --gpu)"}
    if not all((Path(gpu) / name).is_file() for name in ("aot.py", "roofline.py")):
        return {"left_out": f"card (no aot.py and roofline.py in {gpu})"}
    work = pickle.dumps((jax.tree.map(np.asarray, experiment), shapes(batch), p))
    line = [sys.executable, __file__, str(Path(gpu).resolve())]
    apart = os.environ | {"JAX_PLATFORMS": "cpu"}
    done = subprocess.run(line, input=work, capture_output=True, env=apart)
    if done.returncode:
        said = (done.stderr.decode().strip() or "no message").splitlines()[-1]
        return {"left_out": f"card ({said})"}
    programs = json.loads(done.stdout.decode().splitlines()[-1])
    around = [programs[name] for name in AROUND]
    return {
        "batch": AT_ONCE,
        "programs": programs,
        "kernels": sum(program["kernels"] for program in around),
        "longest_loop": max(program["longest_loop"] for program in around),
    }


def shapes(batch: Batch) -> Batch:
    """Shapes and types of the same batch with AT_ONCE injections."""
    wide = lambda leaf: jax.ShapeDtypeStruct((AT_ONCE, *leaf.shape[1:]), leaf.dtype)
    return jax.tree.map(wide, batch)


def loops(text: str) -> list[int]:
    """Steps of every loop of a compiled program, wherever it is; raises ValueError where a loop
    does not say how many it has."""
    number, steps = len(re.findall(r" while\(", text)), [int(n) for n in STEPS.findall(text)]
    if len(steps) != number:
        raise ValueError(f"{number} loops, of which {len(steps)} say how many steps they have")
    return steps


def main() -> None:
    sys.path.insert(0, sys.argv[1])
    import aot  # type: ignore[import-not-found]  # of the folder
    import roofline  # type: ignore[import-not-found]

    import lensjax as lj
    from classifiers.audit.injection import unchanged
    from data.preprocess import raw_robust

    experiment, batch, p = pickle.load(sys.stdin.buffer)
    texts, report = [], roofline.report
    roofline.report = lambda text, *rest: (texts.append(text), report(text, *rest))[1]
    nudge = unchanged().of(AT_ONCE)
    scenes = jax.eval_shape(experiment.draw, batch, nudge)[1]

    def render(scenes: Any, batch: Any) -> Any:
        arc = jax.vmap(lambda s, psf: lj.render(s, experiment.pixels, psf))(scenes, batch.psf)
        return jax.vmap(lj.inject)(batch.host, batch.dimming[:, None, None, :] * arc)

    programs = {
        "observe": (experiment.observe, batch, jax.eval_shape(lambda: nudge)),
        "render": (render, scenes, batch),
        "preprocess": (lambda x: raw_robust(x, p), batch.host),
    }
    found = {}
    for name, (function, *arguments) in programs.items():
        n = aot.compiled(name, function, *arguments)
        branches = sum(max(b[1] for b in branch) for branch in n["conds"])  # the longest is taken
        found[name] = {
            "kernels": n["kernels"] + branches,
            "longest_loop": max(loops(texts[-1]), default=0),
            "roofline_ms": n["us"] / 1e3,
        }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
