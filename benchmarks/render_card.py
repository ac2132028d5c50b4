"""What would a graphics card do, seen without one?

    python -m benchmarks.render_card FOLDER

W1 to W4 of render.py, 1,024 images at once, compiled for a card with the modules of FOLDER
(card.py). Writes benchmarks/results/render-compiled.json and the table of docs/rendering.md.
"""

from __future__ import annotations

import os

os.environ["JAX_PLATFORMS"] = "cpu"  # with the plugin beside it, JAX would look for a driver

import argparse
import json
from pathlib import Path

import jax
import jax.numpy as jnp

import lensjax as lj
from benchmarks.card import compiler
from benchmarks.peers import versions
from benchmarks.render import BOUNDS, GRID, HERE, into_docs, one_band, scenes
from data.preprocess import Preprocess, raw_robust

AT_ONCE = 1024

TITLES = {
    "W1": "W1, one band",
    "W2": "W2, three bands",
    "W3": "W3, gradient of one band",
    "W4": "W4, injection and preprocessing",
}


def workloads() -> dict[str, tuple]:
    """Name -> function, and the shapes of its arguments."""
    scene = jax.eval_shape(lambda: scenes(AT_ONCE))
    one = jax.eval_shape(lambda: one_band(scenes(AT_ONCE)))
    stamps = jax.ShapeDtypeStruct((AT_ONCE, GRID.size, GRID.size, 3), jnp.float32)
    widths = lj.Gaussian(jax.ShapeDtypeStruct((AT_ONCE, 3), jnp.float32))

    def image(s):
        return lj.render(s, GRID, lj.Gaussian(jnp.float32(1.2)), bounds=BOUNDS)[..., 0]

    def three(s, p):
        return lj.render(s, GRID, p, bounds=BOUNDS)

    def injected(s, p, h):
        return raw_robust(lj.inject(h, three(s, p))[None], Preprocess())[0]

    gradient = jax.grad(lambda s, d: jnp.sum((image(s) - d) ** 2))
    band = jax.ShapeDtypeStruct(stamps.shape[:-1], stamps.dtype)
    return {
        "W1": (jax.vmap(image), one),
        "W2": (jax.vmap(three), scene, widths),
        "W3": (jax.vmap(gradient), one, band),
        "W4": (jax.vmap(injected), scene, widths, stamps),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="of aot.py and roofline.py")
    args = parser.parse_args()
    compiled = compiler(args.folder)
    found = {name: compiled(name, *work) for name, work in workloads().items()}
    result = {"images": AT_ONCE, "packages": versions("jax", "jaxlib"), "work": found}
    (HERE / "results" / "render-compiled.json").write_text(json.dumps(result, indent=1) + "\n")
    lines = ["| work | kernels | longest loop | time (ms) | GB moved |", "|---|---|---|---|---|"]
    for name, n in found.items():
        lines.append(
            f"| {TITLES[name]} | {n['kernels']} | {n['longest_loop']} | "
            f"{n['roofline_ms']:.2f} | {n['gigabytes']:.1f} |"
        )
    into_docs("compiled", lines)


if __name__ == "__main__":
    main()
