"""How large are the steps of a likelihood, where the renderer chooses other cells?

    python -m benchmarks.smoothness

Mock images of the prior arclike with a signal-to-noise ratio of 100 in the brightest pixel. Through
each truth go lines in random directions of parameter space, two standard errors long: chi^2 is
followed along them in 401 places, in double precision, and the largest change from one place to the
next that its neighbours do not have is a step. Writes benchmarks/results/smoothness.json and the
table of docs/fitting.md.
"""

from __future__ import annotations

import argparse
import json

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from rich.progress import track
from scipy.ndimage import median_filter

import lensjax as lj
from benchmarks.render import HERE, into_docs, machine, one_band

GRID = lj.PixelGrid(61)
PSF = lj.Gaussian(1.2)
PEAK = 100.0
PLACES = 401
BOUNDS = lj.Bounds(theta_e=3.0)
TOLERANCES = (1e-3, 5e-4)
WINDOW = 11
"""Places over which chi^2 is smooth: their differences are followed by a running median."""


def largest_step(chi2: np.ndarray) -> float:
    """Of chi^2 along a line."""
    change = np.diff(chi2)
    return float(
        np.abs(change - median_filter(change, WINDOW, mode="nearest"))[WINDOW:-WINDOW].max()
    )


def steps(tol: float, count: int, lines: int) -> list[dict]:
    """For every line: its largest step, and by how much chi^2 changes along all of it."""
    scenes = one_band(lj.priors("arclike").sample(jax.random.key(11), count))
    scenes = jax.tree.map(lambda leaf: jnp.asarray(leaf, float), scenes)
    _, rebuilt = ravel_pytree(jax.tree.map(lambda leaf: leaf[0], scenes))

    def image(p):
        return lj.render(rebuilt(p), GRID, PSF, tol, BOUNDS)[..., 0]

    along = jax.jit(
        lambda p, way, data, sigma: jax.lax.map(
            lambda t: jnp.sum(((image(p + t * way) - data) / sigma) ** 2),
            jnp.linspace(-1, 1, PLACES),
            batch_size=8,
        )
    )
    derivative = jax.jit(lambda p: (image(p), jax.jacfwd(image)(p)))
    rng, found = np.random.default_rng(11), []
    for i in track(range(count), description=f"scenes at {tol:g}"):
        p, _ = ravel_pytree(jax.tree.map(lambda leaf, i=i: leaf[i], scenes))
        model, slopes = derivative(p)
        sigma = float(model.max()) / PEAK
        data = model + sigma * rng.normal(size=model.shape)
        fisher = np.asarray(jnp.einsum("yxa,yxb->ab", slopes, slopes)) / sigma**2
        values, vectors = np.linalg.eigh(fisher)
        spread = vectors / np.sqrt(np.maximum(values, 1e-12 * values.max()))
        for _ in range(lines):
            way = rng.normal(size=p.size)
            way = spread @ (way / np.linalg.norm(way))
            chi2 = np.asarray(along(p, jnp.asarray(way), data, sigma))
            step = largest_step(chi2)
            found.append({"scene": i, "step": step, "chi2": chi2.mean(), "range": np.ptp(chi2)})
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--scenes", type=int, default=24)
    parser.add_argument("--lines", type=int, default=4)
    args = parser.parse_args()
    jax.config.update("jax_enable_x64", True)
    rows = {tol: steps(tol, args.scenes, args.lines) for tol in TOLERANCES}
    result = {"machine": machine(), "peak": PEAK, "lines": {str(t): r for t, r in rows.items()}}
    (HERE / "results" / "smoothness.json").write_text(json.dumps(result, indent=1) + "\n")
    table = [
        f"{args.scenes} scenes, {args.lines} lines each, {GRID.size**2:,} pixels:",
        "",
        "| tolerance | largest step of χ²: median / 95 % / worst | the same over χ² |",
        "|---|---|---|",
    ]
    for tol, found in rows.items():
        own = np.array([r["step"] for r in found])
        over = own / np.array([r["chi2"] for r in found])
        three = [
            " / ".join(f"{v:.1e}" for v in (np.median(a), np.quantile(a, 0.95), a.max()))
            for a in (own, over)
        ]
        table.append(f"| {tol:g} | {three[0]} | {three[1]} |")
    into_docs("smoothness", table, "fitting")


if __name__ == "__main__":
    main()
