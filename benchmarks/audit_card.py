"""What benchmarks/audit.py's work around the network would be on a graphics card, counted without
one: kernels that are launched, and loops that run one step after the other.

`counted` is called by the benchmark. A process of its own, `python -m benchmarks.audit_card
FOLDER`, takes the experiment and its shapes as a pickle on standard input, compiles for the card
with the modules of FOLDER (card.py), and prints one JSON line. The network's kernels are libraries'
and are not counted.
"""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from benchmarks import card

if TYPE_CHECKING:
    from classifiers.audit.injection import Batch, Experiment
    from data.preprocess import Preprocess

ROOT = Path(__file__).resolve().parents[1]

AT_ONCE = 1024
"""Injections in a batch on a card."""

AROUND = ("observe", "preprocess")
"""Programs before the network, as the audit compiles them."""


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
    line = [sys.executable, "-m", "benchmarks.audit_card", str(Path(gpu).resolve())]
    apart = os.environ | {"JAX_PLATFORMS": "cpu"}
    done = subprocess.run(line, input=work, capture_output=True, env=apart, cwd=ROOT)
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


def main() -> None:
    import lensjax as lj
    from classifiers.audit.injection import unchanged
    from data.preprocess import raw_robust

    compiled = card.compiler(sys.argv[1])
    experiment, batch, p = pickle.load(sys.stdin.buffer)
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
    found = {name: compiled(name, *program) for name, program in programs.items()}
    print(json.dumps(found))


if __name__ == "__main__":
    main()
