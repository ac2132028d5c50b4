"""How often is the truth inside of a fit's errors?

    python -m benchmarks.fit

Mock lenses with random parameters, noise and starting points are fitted as docs/fitting.md does it:
L-BFGS in the coordinates of `lensjax.unconstrained`, errors by Laplace's approximation with the
Jacobian of the model. Of every parameter's interval (in its coordinate; all but the ellipticities
are monotonic functions of one parameter) and of the joint ellipsoid it is counted how often it
holds the truth. A fit starts some 15 % or 0.15" off the truth; in the centre of the lens, which its
own light shows, and in the shear 0.05. If it ends with a chi^2 that noise alone would have once in
a thousand fits, it starts anew, at most STARTS times, and the best counts, whatever it is.

Writes benchmarks/results/fit.json, docs/images/fit.png, and the table of docs/fitting.md.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float
from rich.progress import track
from scipy.stats import chi2, norm

import lensjax as lj

GRID, PSF, TOL = lj.PixelGrid(31, 0.15), lj.Gaussian(fwhm=jnp.array([0.4])), 1e-3
TRUE_TOL = 5e-4
"""Of the mocks: they do not have the errors of the model that is fitted to them."""

PEAK = 50.0
"""Signal-to-noise ratio of the brightest pixel."""

STARTS = 8
LEVELS = (0.68, 0.95)
ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "fitting.md"
FIGURE = ROOT / "docs" / "images" / "fit.png"
RESULTS = ROOT / "benchmarks" / "results" / "fit.json"
START, END = "<!-- fit: python -m benchmarks.fit -->\n", "<!-- /fit -->"
LABELS = {
    "lens[0].theta_e": "θ_E",
    "lens[0].e": "ellipticity of the lens",
    "lens[0].x lens[0].y": "centre of the lens",
    "lens[1]": "shear",
    "source[0].flux": "flux of the source",
    "source[0].r_eff": "its half-light radius",
    "source[0].n": "its Sérsic index",
    "source[0].e": "its ellipticity",
    "source[0].x source[0].y": "its place",
}
"""Rows of the table, and how the names of their coordinates begin."""


class Fit(NamedTuple):
    """z (D,), where the search ended; slope: norm of the gradient there; steps; chi2 of the
    residuals; covariance (D, D)."""

    z: Float[Array, " D"]
    slope: Float[Array, ""]
    steps: Float[Array, ""]
    chi2: Float[Array, ""]
    covariance: Float[Array, "D D"]


def drawn(rng: np.random.Generator) -> lj.Scene:
    """An SIE with shear and a Sersic source of which more than one image is seen."""
    theta_e, (x, y) = rng.uniform(0.8, 1.4), rng.normal(0, 0.03, 2)
    radius, turn = 0.3 * theta_e * np.sqrt(rng.uniform()), rng.uniform(0, 2 * np.pi)
    lens = lj.SIE(theta_e, rng.uniform(0.5, 0.95), rng.uniform(0, np.pi), x, y)
    source = lj.Sersic(
        flux=jnp.array([5.0]),  # arbitrary, as the noise follows the peak
        r_eff=rng.uniform(0.1, 0.4),
        n=rng.uniform(0.7, 3.0),
        q=rng.uniform(0.4, 0.95),
        phi=rng.uniform(0, np.pi),
        x=x + radius * np.cos(turn),
        y=y + radius * np.sin(turn),
    )
    return lj.Scene((lens, lj.Shear(*rng.normal(0, 0.03, 2))), (source,))


def fitter(restore: Callable, memory: int = 20, most: int = 250) -> Callable[..., Fit]:
    """fit(start, image, sigma), compiled."""
    search = optax.scale_by_zoom_linesearch(max_linesearch_steps=10, initial_guess_strategy="one")
    solver = optax.lbfgs(memory_size=memory, linesearch=search)

    def fit(start: Array, image: Array, sigma: Array) -> Fit:
        def loss(z):
            scene, log_det = restore(z)
            return -lj.log_likelihood(scene, image, sigma, PSF, GRID, TOL) - log_det

        def step(carry):
            z, state, _, count = carry
            value, slope = optax.value_and_grad_from_state(loss)(z, state=state)
            change, state = solver.update(slope, state, z, value=value, grad=slope, value_fn=loss)
            return optax.apply_updates(z, change), state, optax.tree.norm(slope), count + 1

        goes_on = lambda carry: (carry[2] > 0.3) & (carry[3] < most)
        begin = (start, solver.init(start), jnp.asarray(jnp.inf), jnp.asarray(0))
        z, _, slope, steps = jax.lax.while_loop(goes_on, step, begin)

        def pixels(z):
            return (lj.render(restore(z)[0], GRID, PSF, TOL) / sigma).ravel()

        slopes = jax.jacfwd(pixels)(z)
        precision = slopes.T @ slopes - jax.hessian(lambda z: restore(z)[1])(z)
        square = jnp.sum((pixels(z) - image.ravel() / sigma) ** 2)
        return Fit(z, slope, steps, square, jnp.linalg.inv(precision))

    return jax.jit(fit)


def _scatter(names: tuple[str, ...]) -> Float[np.ndarray, " D"]:
    """Standard deviation of the start about the truth."""
    near = ("lens[0].x", "lens[0].y", "lens[1]")
    return np.array([0.05 if name.startswith(near) else 0.15 for name in names])


def measured(count: int, seed: int = 0) -> dict[str, Any]:
    draw = jax.jit(lambda scene: lj.render(scene, GRID, PSF, TRUE_TOL))
    _, restore = lj.unconstrain(drawn(np.random.default_rng(seed)))
    scatter = _scatter(restore.names)
    fit = fitter(restore)
    bad = chi2.isf(1e-3, GRID.size**2 - len(restore.names))
    pulls: list[np.ndarray] = []
    joint: list[float] = []
    squares: list[float] = []
    starts: list[int] = []
    steps: list[int] = []
    seconds: list[float] = []
    for i in track(range(count)):
        rng = np.random.default_rng([seed, i])
        scene = drawn(rng)
        true = lj.unconstrain(scene)[0]
        clean = np.asarray(draw(scene))
        sigma = jnp.asarray(clean.max() / PEAK)
        image = jnp.asarray(clean + sigma * rng.normal(size=clean.shape), jnp.float32)
        begin = time.perf_counter()
        tries: list[Fit] = []
        while len(tries) < STARTS and not (tries and min(t.chi2 for t in tries) < bad):
            start = true + jnp.asarray(scatter * rng.normal(size=true.shape), jnp.float32)
            tries.append(jax.tree.map(np.asarray, fit(start, image, sigma)))
        seconds.append(time.perf_counter() - begin)
        best = min(tries, key=lambda t: np.nan_to_num(t.chi2, nan=np.inf))
        off = np.asarray(best.z - true, float)
        covariance = np.asarray(best.covariance, float)
        pulls.append(off / np.sqrt(np.diag(covariance)))
        joint.append(float(off @ np.linalg.solve(covariance, off)))
        squares.append(float(best.chi2))
        starts.append(len(tries))
        steps.append(int(best.steps))
    return {
        "mocks": count,
        "intervals": "Laplace, Jacobian of the model; L-BFGS",
        "names": restore.names,
        "pulls": np.round(pulls, 3).tolist(),
        "joint": np.round(joint, 2).tolist(),
        "chi2": np.round(squares, 1).tolist(),
        "degrees": GRID.size**2 - len(restore.names),
        "not_fitted": int(np.sum(np.array(squares) > bad)),
        "starts": starts,
        "steps": steps,
        "seconds_a_fit": round(float(np.median(seconds)), 2),
    }


def coverage(found: dict[str, Any]) -> dict[str, list[tuple[float, float]]]:
    """Share of truths inside of intervals of each of LEVELS, and its standard error over the
    mocks, for each row of the table."""
    pulls, names = np.abs(found["pulls"]), found["names"]
    rows = {}
    for begins, label in LABELS.items():
        mine = [name.startswith(tuple(begins.split())) for name in names]
        rows[label] = [_share(pulls[:, mine] < norm.isf((1 - level) / 2)) for level in LEVELS]
    rows["all parameters"] = [_share(pulls < norm.isf((1 - level) / 2)) for level in LEVELS]
    limits = [chi2.ppf(level, len(names)) for level in LEVELS]
    joint = np.asarray(found["joint"])[:, None]
    rows["all together, one ellipsoid"] = [_share(joint < limit) for limit in limits]
    return rows


def _share(inside: np.ndarray) -> tuple[float, float]:
    of_mock = inside.mean(1)
    return float(of_mock.mean()), float(of_mock.std(ddof=1) / np.sqrt(len(of_mock)))


def table(found: dict[str, Any]) -> str:
    """Markdown of the results."""
    lines = [
        f"{found['mocks']} mocks, of which {found['not_fitted']} ended at a bad χ² after "
        f"{STARTS} starts; {sum(n > 1 for n in found['starts'])} needed more",
        f"than one. A fit takes {np.median(found['steps']):.0f} steps and "
        f"{found['seconds_a_fit']:.1f} s of one core (medians).",
        "",
        "| inside of the interval, % | 68 % | 95 % |",
        "|---|---|---|",
    ]
    for label, shares in coverage(found).items():
        cells = " | ".join(f"{100 * share:.0f} ± {100 * error:.0f}" for share, error in shares)
        lines.append(f"| {label} | {cells} |")
    return "\n".join(lines) + "\n"


def figure(found: dict[str, Any], path: Path) -> None:
    """Share of truths inside of intervals of every level."""
    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    level = np.linspace(0, 1, 201)
    inside = lambda p: (np.abs(p)[:, None] < norm.isf((1 - level) / 2)).mean(0)
    pulls = np.asarray(found["pulls"])
    drawing, ax = plt.subplots(figsize=(3.6, 3.4), layout="constrained")
    for pull in pulls.T:
        ax.plot(level, inside(pull), color="0.75", lw=0.8)
    ax.plot(level, inside(pulls.ravel()), color="k", label="all parameters")
    joint = np.asarray(found["joint"])
    ax.plot(
        level, (joint[:, None] < chi2.ppf(level, pulls.shape[1])).mean(0), "C0", label="together"
    )
    ax.plot([0, 1], [0, 1], "k:", lw=0.8)
    ax.set(xlabel="level of the interval", ylabel="share of truths inside")
    ax.set(xlim=(0, 1), ylim=(0, 1), aspect="equal")
    ax.legend(frameon=False)
    path.parent.mkdir(exist_ok=True)
    drawing.savefig(path, dpi=100)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--mocks", type=int, default=100)
    parser.add_argument("--dry", action="store_true", help="print the table, write nothing")
    args = parser.parse_args()
    found = measured(args.mocks)
    print(table(found))
    if args.dry:
        return
    lines = [f"{json.dumps(key)}: {json.dumps(value)}" for key, value in found.items()]
    RESULTS.write_text("{\n" + ",\n".join(lines) + "\n}\n")
    figure(found, FIGURE)
    before, rest = PAGE.read_text().split(START)
    PAGE.write_text(before + START + table(found) + END + rest.split(END, 1)[1])


if __name__ == "__main__":
    main()
