"""How many arcs a second, and how wrong?

    python benchmarks/render.py                 speeds of lensjax and of every peer that is installed, in one process, interleaved
    python benchmarks/render.py --accuracy 200  errors of every tolerance against converged truth over that many scenes of either prior

W1 one band, 4 x 4 rays or the tolerance 1e-3, Gaussian PSF; W2 three bands; W3 gradient of a chi^2 of W1 in 14 parameters; W4 injection
of W2 into hosts with the classifier's preprocessing. Scenes of the prior raw_notes, theta_e = 1.5". Writes benchmarks/results/render.json (and
accuracy.json) and the tables of docs/rendering.md. Times are the best of the repeats: others use the machine too.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

import lensjax as lj
from lensjax.reference import converged_points, lensed_sersic
from lensjax.rendering import PLANS, UNIFORM

HERE = Path(__file__).resolve().parent
GRID = lj.PixelGrid(101)
FWHM = (1.3, 1.2, 1.1)
PEERS = ("lenstronomy", "herculens", "jaxtronomy", "caustics")


def machine() -> dict:
    """What the numbers were measured on."""
    cpu = next((line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")), platform.processor())
    packages = {}
    for name in ("jax", "numpy", *PEERS):
        try:
            packages[name] = version(name)
        except PackageNotFoundError:
            packages[name] = None
    return {"device": str(jax.devices()[0].device_kind), "cpu": cpu, "cores": os.cpu_count(), "load": os.getloadavg()[0], "packages": packages}


def rate(run, items: int, repeats: int) -> dict:
    """Images a second (best and median of the repeats), processor microseconds an image, and the first call apart."""
    start = time.perf_counter()
    jax.block_until_ready(run())
    first = time.perf_counter() - start
    walls, cpus = [], []
    for _ in range(repeats):
        start, busy = time.perf_counter(), time.process_time()
        jax.block_until_ready(run())
        walls.append(time.perf_counter() - start)
        cpus.append(time.process_time() - busy)
    return {
        "per_second": items / min(walls),
        "per_second_median": items / float(np.median(walls)),
        "cpu_us": min(cpus) / items * 1e6,
        "first_call_s": first,
        "batch": items,
    }


def scenes(n: int) -> lj.Scene:
    return lj.priors("raw_notes").sample(jax.random.key(1), n, theta_e=1.5)


def workloads(batch: int, tol: float | str) -> dict:
    """Name -> function of no arguments that does it once for the whole batch."""
    from data.preprocess import Preprocess, raw_robust

    s = scenes(batch)
    one = lj.Gaussian(1.2)
    three = lj.Gaussian(jnp.broadcast_to(jnp.array(FWHM), (batch, 3)))
    hosts = 0.01 * jax.random.normal(jax.random.key(2), (batch, GRID.size, GRID.size, 3))
    grey = jax.tree.map(lambda leaf: leaf, s)
    w1 = jax.jit(jax.vmap(lambda s: lj.render(s, GRID, one, tol)[..., 1]))
    w2 = jax.jit(jax.vmap(lambda s, p: lj.render(s, GRID, p, tol)))
    target = w1(grey) * 1.01

    def chi2(s, d):
        return jnp.sum((lj.render(s, GRID, one, tol)[..., 1] - d) ** 2)

    w3 = jax.jit(jax.vmap(jax.grad(chi2)))
    settings = Preprocess()
    w4 = jax.jit(lambda s, p, h: raw_robust(jax.vmap(lambda s, p, h: lj.inject(h, lj.render(s, GRID, p, tol)))(s, p, h), settings))
    return {"W1": lambda: w1(grey), "W2": lambda: w2(s, three), "W3": lambda: w3(grey, target), "W4": lambda: w4(s, three, hosts)}


def lenstronomy_w1():
    """One render by lenstronomy: SIE + shear + Sersic, supersampling 4, Gaussian PSF at native pixels."""
    from lenstronomy.Data.imaging_data import ImageData
    from lenstronomy.Data.psf import PSF
    from lenstronomy.ImSim.image_model import ImageModel
    from lenstronomy.LensModel.lens_model import LensModel
    from lenstronomy.LightModel.light_model import LightModel

    t = np.arange(-12, 13) * 0.262 / (1.2 / 2.3548)
    kernel = np.outer(np.exp(-0.5 * t**2), np.exp(-0.5 * t**2))
    data = ImageData(np.zeros((101, 101)), ra_at_xy_0=-13.1, dec_at_xy_0=-13.1, transform_pix2angle=np.eye(2) * 0.262)
    psf = PSF(psf_type="PIXEL", kernel_point_source=kernel / kernel.sum())
    model = ImageModel(data, psf, LensModel(["SIE", "SHEAR"]), LightModel(["SERSIC_ELLIPSE"]), kwargs_numerics={"supersampling_factor": 4})
    lens = [{"theta_E": 1.5, "e1": 0.1, "e2": 0.1, "center_x": 0, "center_y": 0}, {"gamma1": 0.03, "gamma2": -0.02, "ra_0": 0, "dec_0": 0}]
    light = [{"amp": 1.0, "R_sersic": 0.15, "n_sersic": 1.0, "e1": 0.1, "e2": 0.1, "center_x": 0.2, "center_y": 0.1}]
    return lambda: model.image(lens, light)


def speed(batch: int, repeats: int) -> dict:
    results: dict = {"machine": machine(), "lensjax": {}, "peers": {}}
    for tol in (1e-3, 1e-2, "4x4"):
        for name, run in workloads(batch, tol).items():
            if tol == 1e-3 or name == "W1":
                results["lensjax"][f"{name} {tol}"] = rate(run, batch, repeats)
                print(f"lensjax {name} tol {tol}: {results['lensjax'][f'{name} {tol}']}", flush=True)
        peer = lenstronomy_w1()
        found = rate(lambda peer=peer: [peer() for _ in range(8)], 8, 3)
        if found["per_second"] > results["peers"].get("lenstronomy W1 4x4", {"per_second": 0})["per_second"]:
            results["peers"]["lenstronomy W1 4x4"] = found
        print(f"lenstronomy W1: {found}", flush=True)
    results["not installed"] = [p for p in PEERS if results["machine"]["packages"][p] is None]
    return results


def accuracy(count: int, cache: Path) -> dict:
    """Errors of every tolerance over both presets; the truth is kept in `cache`, half a minute for ten scenes."""
    out: dict = {}
    for name in ("raw_notes", "arclike"):
        s = lj.priors(name).sample(jax.random.key(0), count)
        fwhm = np.random.default_rng(0).uniform(0.9, 1.8, count)
        path = cache / f"truth_{name}_{count}.npy"
        if not path.is_file():
            truth = np.empty((count, GRID.size, GRID.size))
            for i in range(count):
                one = jax.tree.map(lambda leaf, i=i: np.asarray(leaf[i], float), s)
                truth[i] = converged_points(lensed_sersic(one), GRID, margin=8, accuracy=2e-7).convolved(GRID, fwhm[i])
            cache.mkdir(parents=True, exist_ok=True)
            np.save(path, truth)
        truth = np.load(path)
        for tol in (*PLANS, *UNIFORM):
            run = jax.jit(jax.vmap(lambda s, f, tol=tol: lj.render(s, GRID, lj.Gaussian(f), tol)[..., 1] / s.source.flux[1]))
            parts = [run(jax.tree.map(lambda leaf, i=i: leaf[i : i + 25], s), jnp.asarray(fwhm[i : i + 25])) for i in range(0, count, 25)]
            images = np.concatenate(parts).astype(float)
            peak = np.abs(images - truth).max((1, 2)) / truth.max((1, 2))
            flux = np.abs(images.sum((1, 2)) / truth.sum((1, 2)) - 1)
            out[f"{name} {tol}"] = {k: [float(np.median(v)), float(np.quantile(v, 0.99)), float(v.max())] for k, v in (("peak", peak), ("flux", flux))}
            print(name, tol, out[f"{name} {tol}"], flush=True)
    return {"machine": machine(), "scenes": count, "errors": out}


def into_docs(mark: str, table: list[str]) -> None:
    """Puts a table between its two marks in docs/rendering.md."""
    path = HERE.parent / "docs" / "rendering.md"
    before, rest = path.read_text().split(f"<!-- {mark} -->", 1)
    after = rest.split(f"<!-- /{mark} -->", 1)[1]
    path.write_text(before + "\n".join([f"<!-- {mark} -->", *table, f"<!-- /{mark} -->"]) + after)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--accuracy", type=int, default=0, metavar="SCENES")
    parser.add_argument("--cache", type=Path, default=HERE / "results" / "truth")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--repeats", type=int, default=7)
    args = parser.parse_args()
    (HERE / "results").mkdir(exist_ok=True)
    if args.accuracy:
        found = accuracy(args.accuracy, args.cache)
        (HERE / "results" / "accuracy.json").write_text(json.dumps(found, indent=1) + "\n")
        rows = ["| prior, tol | pixel error: median / 99 % / worst | flux error: median / 99 % / worst |", "|---|---|---|"]
        line = lambda v: " / ".join(f"{x:.1e}" for x in v)  # noqa: E731
        rows += [f"| {k} | {line(v['peak'])} | {line(v['flux'])} |" for k, v in found["errors"].items()]
        into_docs("accuracy", [f"{found['scenes']} scenes of each preset.", "", *rows])
        return
    found = speed(args.batch, args.repeats)
    (HERE / "results" / "render.json").write_text(json.dumps(found, indent=1) + "\n")
    rows = ["| work | images/s (best) | processor time an image | first call |", "|---|---|---|---|"]
    for group in ("lensjax", "peers"):
        for k, v in found[group].items():
            rows.append(f"| {group if group == 'lensjax' else ''} {k} | {v['per_second']:.0f} | {v['cpu_us']:.0f} µs | {v['first_call_s']:.1f} s |")
    m = found["machine"]
    head = f"{m['cpu']}, {m['cores']} cores, load {m['load']:.1f} from other work while measured, jax {m['packages']['jax']}, float32."
    into_docs("speed", [head, "", *rows])


if __name__ == "__main__":
    main()
