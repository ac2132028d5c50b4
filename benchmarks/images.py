"""How often are the images of a point source wrong?

    python -m benchmarks.images

Random SIEs with shear. Half of the sources are drawn uniformly from a disc of 1.2 Einstein radii;
half within the tangential caustic's size, where there are four images. The truth of a scene is
every solution that the analytical solver of lenstronomy, its numerical one, or `point_images`
found, if it solves the lens equation in lenstronomy's own unsoftened deflection, after a polish by
Newton's method, and if its magnification is not below 1e-2. A scene has failed if `point_images`
misses an image, has one that is none, or is off by more than 1e-3". Places where one of the two
solvers of lenstronomy fails by the same standard are counted as well.

Writes benchmarks/results/images.json.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from lenstronomy.LensModel.lens_model import LensModel
from lenstronomy.LensModel.Solver.lens_equation_solver import LensEquationSolver
from rich.progress import track

import lensjax as lj

GRID = lj.PixelGrid(64, 0.2)
FAINTEST = 1e-2
OFF = 1e-3
MODEL = LensModel(["SIE", "SHEAR"])
SOLVER = LensEquationSolver(MODEL)
RESULTS = Path(__file__).resolve().parent / "results"


def drawn(count: int, seed: int = 0) -> dict[str, np.ndarray]:
    """Parameters of lens and source, each (count,)."""
    r = np.random.default_rng(seed)
    theta_e, q = r.uniform(0.5, 2.5, count), r.uniform(0.3, 1.0, count)
    gamma, angle = r.uniform(0, 0.1, count), r.uniform(0, np.pi, count)
    inner = np.arange(count) % 2 == 0
    reach = np.where(inner, 0.4 * (1 - q) + 1.5 * gamma, 1.2) * theta_e
    radius, turn = reach * np.sqrt(r.uniform(0, 1, count)), r.uniform(0, 2 * np.pi, count)
    cx, cy = r.normal(0, 0.05, (2, count))
    return {
        "theta_e": theta_e,
        "q": q,
        "phi": r.uniform(0, np.pi, count),
        "cx": cx,
        "cy": cy,
        "gamma1": gamma * np.cos(2 * angle),
        "gamma2": gamma * np.sin(2 * angle),
        "x": cx + radius * np.cos(turn),
        "y": cy + radius * np.sin(turn),
    }


def ours(scene: dict[str, Any]) -> lj.PointImages:
    lens = lj.SIE(*(scene[k] for k in ("theta_e", "q", "phi", "cx", "cy")))
    shear = lj.Shear(scene["gamma1"], scene["gamma2"])
    return lj.point_images((lens, shear), scene["x"], scene["y"], GRID, faintest=FAINTEST)


def lenstronomy_arguments(scene: dict[str, float]) -> list[dict[str, float]]:
    f = (1 - scene["q"]) / (1 + scene["q"])
    lens = {"theta_E": scene["theta_e"], "center_x": scene["cx"], "center_y": scene["cy"]}
    lens |= {"e1": f * np.cos(2 * scene["phi"]), "e2": f * np.sin(2 * scene["phi"])}
    return [lens, {"gamma1": scene["gamma1"], "gamma2": scene["gamma2"], "ra_0": 0, "dec_0": 0}]


def polished(places: np.ndarray, scene: dict[str, float], kwargs: list[dict]) -> np.ndarray:
    """Those of the places (n, 2) that lead to a solution within OFF, each once, moved onto it."""
    place = places.copy()
    source = np.array([scene["x"], scene["y"]])
    kept: list[np.ndarray] = []
    for start in place:
        at = start.copy()
        for _ in range(20):
            beta = np.array(MODEL.ray_shooting(*at, kwargs))
            xx, xy, yx, yy = MODEL.hessian(*at, kwargs)
            a = np.array([[1 - xx, -xy], [-yx, 1 - yy]])
            if abs(np.linalg.det(a)) < 1e-9:
                break
            step = np.linalg.solve(a, source - beta)
            at = at + step * min(1.0, 0.02 / (np.hypot(*step) + 1e-30))
        residual = np.hypot(*(np.array(MODEL.ray_shooting(*at, kwargs)) - source))
        bright = abs(MODEL.magnification(*at, kwargs)) > FAINTEST
        new = all(np.hypot(*(at - k)) > 1e-5 for k in kept)
        if residual < 1e-8 and np.hypot(*(at - start)) < 0.05 and bright and new:
            kept.append(at)
    return np.array(kept).reshape(-1, 2)


def wrong(found: np.ndarray, truth: np.ndarray) -> bool:
    """Whether the places (n, 2) are not those of the truth, one for one."""
    if len(found) != len(truth):
        return True
    gaps = np.hypot(*(found[:, None] - truth[None]).transpose(2, 0, 1))
    return bool(len(truth)) and not (
        (gaps.min(0) < OFF).all() and len(set(gaps.argmin(0))) == len(truth)
    )


def measured(count: int) -> dict[str, Any]:
    scenes = drawn(count)
    runs: dict[str, lj.PointImages] = {}
    seconds: dict[str, float] = {}
    for name, wide in (("float64", True), ("float32", False)):
        with jax.enable_x64(wide):
            batch = {k: jnp.asarray(v) for k, v in scenes.items()}
            run = jax.jit(jax.vmap(ours))
            jax.block_until_ready(run(batch))
            start = time.perf_counter()
            runs[name] = jax.tree.map(np.asarray, jax.block_until_ready(run(batch)))
            seconds[name] = (time.perf_counter() - start) / count
    solvers = {
        "lenstronomy, analytical": {"solver": "analytical"},
        "lenstronomy, numerical": {
            "solver": "lenstronomy",
            "search_window": GRID.size * GRID.scale,
            "min_distance": 0.05,
            "precision_limit": 1e-10,
            "num_iter_max": 100,
        },
    }
    names = [*runs, *solvers]
    failed: dict[str, list[int]] = {name: [] for name in names}
    total: dict[int, int] = {}
    for i in track(range(count)):
        scene = {k: float(v[i]) for k, v in scenes.items()}
        kwargs = lenstronomy_arguments(scene)
        found = {}
        for name, images in runs.items():
            here = images.found[i]
            found[name] = np.stack([images.x[i][here], images.y[i][here]], -1).astype(float)
        for name, options in solvers.items():
            start = time.perf_counter()
            places = SOLVER.image_position_from_source(
                scene["x"],
                scene["y"],
                kwargs,
                magnification_limit=FAINTEST,
                arrival_time_sort=False,
                **options,
            )
            seconds[name] = seconds.get(name, 0.0) + (time.perf_counter() - start) / count
            found[name] = np.stack(places, -1)
        truth = polished(np.concatenate(list(found.values())), scene, kwargs)
        total[len(truth)] = total.get(len(truth), 0) + 1
        for name in names:
            if wrong(found[name], truth):
                failed[name].append(i)
    return {
        "scenes": count,
        "images": {str(k): total[k] for k in sorted(total)},
        "failed": {name: len(which) for name, which in failed.items()},
        "which": failed,
        "seconds_a_scene": seconds,
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--scenes", type=int, default=4000)
    args = parser.parse_args()
    found = measured(args.scenes)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "images.json").write_text(json.dumps(found, indent=1) + "\n")
    for key in ("images", "failed", "seconds_a_scene"):
        print(key, found[key])


if __name__ == "__main__":
    main()
