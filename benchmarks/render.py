"""How many arcs a second?

    python -m benchmarks.render     lensjax and every peer that is installed (peers.py), in one
    process, in turns

W1 one band; W2 three bands, each with its own PSF; W3 gradient of a chi^2 of W1 in every parameter;
W4 injection of W2 into hosts with the classifier's preprocessing. 101 x 101 px, Gaussian PSF,
scenes of the prior raw_notes with theta_e = 1.5" at the tolerance given. The peers do W1 with 4 x 4
rays and without the clumps. The batch is split over all devices: on a CPU, its cores. Freed memory
is kept (mallopt), for all of them.

Writes benchmarks/results/render_<device>.json and the table of docs/rendering.md. How wrong the
images are: accuracy.py.
"""

from __future__ import annotations

import os

os.environ["XLA_FLAGS"] = (
    os.environ.get("XLA_FLAGS", "") + " --xla_cpu_prefer_vector_width=512"
)  # 1.2 times quicker where there is AVX-512

import argparse
import dataclasses
import json
import platform
import resource
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import jax

if __name__ == "__main__":
    jax.config.update("jax_num_cpu_devices", os.cpu_count())

import jax.numpy as jnp
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec

import lensjax as lj
from benchmarks.peers import NAMES, at_once, ready, versions
from classifiers.processor import keep_memory
from data.preprocess import Preprocess, raw_robust
from lensjax.plans import Bounds, fields, plan

HERE = Path(__file__).resolve().parent
GRID = lj.PixelGrid(101)
FWHM = (1.3, 1.2, 1.1)
BOUNDS = Bounds(theta_e=1.5, fwhm=(1.1, 1.3))
"""What is known of the scenes before: a user states it in the same way."""

OPERATIONS = {"lens": 110, "sersic": 40, "clump": 25, "psf": 1.6e6}
"""For a ray, a ray, a ray and clump, the two rows of weights of a Gaussian PSF."""


def machine() -> dict:
    """What the numbers were measured on."""
    lines = (
        Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").is_file() else []
    )
    cpu = next(
        (line.split(":")[1].strip() for line in lines if line.startswith("model name")),
        platform.processor(),
    )
    device = jax.devices()[0]
    return {
        "device": device.device_kind if device.platform != "cpu" else cpu,
        "devices": len(jax.devices()),
        "cores": os.cpu_count(),
        "load": os.getloadavg()[0],
        "packages": versions("jax", "numpy", "torch", *NAMES),
    }


def scenes(count: int, dtype=jnp.float32) -> lj.Scene:
    drawn = lj.priors("raw_notes").sample(jax.random.key(1), count, theta_e=1.5)
    return jax.tree.map(lambda leaf: leaf.astype(dtype), drawn)


def one_band(scene: lj.Scene) -> lj.Scene:
    (source,) = scene.source
    return dataclasses.replace(scene, source=dataclasses.replace(source, flux=source.flux[:, 1:2]))


def over_devices(function, *arguments):
    """Function of no arguments that maps `function` over the leading axis, an equal part on each
    device, a few items at a time where that is a core."""
    mesh = jax.make_mesh((len(jax.devices()),), ("batch",))
    spec = PartitionSpec("batch")
    mapped = jax.jit(
        jax.shard_map(
            lj.in_turn(function), mesh=mesh, in_specs=spec, out_specs=spec, check_vma=False
        )
    )
    placed = jax.device_put(arguments, NamedSharding(mesh, spec))
    return lambda: jax.block_until_ready(mapped(*placed))


def workloads(batch: int, tol: float | str, dtype=jnp.float32) -> dict:
    """Name -> function of no arguments that does it once for the whole batch."""
    scene, psf, settings = scenes(batch, dtype), lj.Gaussian(jnp.asarray(1.2, dtype)), Preprocess()
    three = lj.Gaussian(jnp.broadcast_to(jnp.array(FWHM, dtype), (batch, 3)))
    hosts = 0.01 * jax.random.normal(jax.random.key(2), (batch, GRID.size, GRID.size, 3), dtype)

    def image(s):
        return lj.render(s, GRID, psf, tol, BOUNDS)[..., 0]

    def chi2(s, d):
        return jnp.sum((image(s) - d) ** 2)

    def injected(s, p, h):
        return raw_robust(lj.inject(h, lj.render(s, GRID, p, tol, BOUNDS))[None], settings)[0]

    return {
        "W1": over_devices(image, one_band(scene)),
        "W2": over_devices(lambda s, p: lj.render(s, GRID, p, tol, BOUNDS), scene, three),
        "W3": over_devices(jax.grad(chi2), one_band(scene), hosts[..., 0]),
        "W4": over_devices(injected, scene, three, hosts),
    }


def in_double(run):
    def double():
        with jax.enable_x64(True):
            assert run().dtype == jnp.float64

    return double


def first(run) -> float:
    """Seconds of the first call: compilation and one run."""
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def in_turns(runs: dict, rounds: int, least_s: float) -> dict:
    """Images a second of each (run, images): every round times each of them in turn, so that a slow
    spell of the machine falls on all. The best and the median of the rounds."""
    found: dict = {name: [] for name in runs}
    for _ in range(rounds):
        for name, (run, items) in runs.items():
            start, count = time.perf_counter(), 0
            while time.perf_counter() - start < least_s:
                run()
                count += items
            found[name].append(count / (time.perf_counter() - start))
    return {name: {"best": max(v), "median": float(np.median(v))} for name, v in found.items()}


def operations(tol: float) -> float:
    """Of one W1 image: rays and PSF."""
    (field,) = fields(lj.Gaussian(1.2), GRID, BOUNDS)
    counts = plan(tol, field, BOUNDS, cusped=False)
    return (
        counts.traced(field) * OPERATIONS["lens"]
        + counts.seen(field) * (OPERATIONS["sersic"] + 3 * OPERATIONS["clump"])
        + OPERATIONS["psf"]
    )


def matrix_rate() -> float:
    """Operations a second in a product of large matrices: what the machine can do."""
    a = jnp.ones((len(jax.devices()), 2048, 2048), jnp.float32)
    run = over_devices(lambda m: m @ m, a)
    run()
    return in_turns({"": (run, len(jax.devices()))}, 5, 0.5)[""]["best"] * 2 * 2048**3


GRADIENTS = """
import jax, jax.numpy as jnp, lensjax as lj
s = lj.priors("raw_notes").sample(jax.random.key(1), 256)
grid, psf = lj.PixelGrid(101), lj.Gaussian(jnp.array([1.3, 1.2, 1.1]))
squared = lambda s: jnp.sum(lj.render(s, grid, psf) ** 2)
jax.block_until_ready(jax.jit(lj.in_turn(jax.grad(squared)))(s))
used = jax.devices()[0].memory_stats()  # None on a CPU
peak = next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(used["peak_bytes_in_use"] if used else int(peak) * 1024)
"""


def speed(batch: int, rounds: int, tol: float) -> dict:
    works = workloads(batch, tol)
    compile_s = {name: first(run) for name, run in works.items()}
    runs = {f"lensjax {name}": (run, batch) for name, run in works.items()}
    with jax.enable_x64(True):
        double = workloads(batch, tol, jnp.float64)["W1"]
    runs["lensjax W1 float64"] = in_double(double), batch
    first(in_double(double))
    fixed = workloads(batch, "4x4")["W1"]
    fixed()
    runs["lensjax W1 4x4"] = fixed, batch
    runs |= ready(scenes(at_once()))
    found = in_turns(runs, rounds, 1.0)
    peak = matrix_rate()
    memory = int(
        subprocess.run(
            [sys.executable, "-c", GRADIENTS], capture_output=True, text=True, check=True
        ).stdout
    )
    return {
        "machine": machine(),
        "batch": batch,
        "tolerance": tol,
        "first_call_s": compile_s,
        "images_per_s": found,
        "operations_per_image": operations(tol),
        "matrix_operations_per_s": peak,
        "share_of_matrix_rate": operations(tol) * found["lensjax W1"]["best"] / peak,
        "memory_of_256_gradients_of_three_bands_bytes": memory,
        "memory_of_this_process_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    }


def table(found: dict) -> list[str]:
    m, rates = found["machine"], found["images_per_s"]
    peers = {k: v["best"] for k, v in rates.items() if k in NAMES}
    packages = ", ".join(f"{k} {v}" for k, v in m["packages"].items() if v)
    lines = [
        *textwrap.wrap(
            f"{m['device']}, {m['cores']} cores, {m['devices']} device(s), tolerance "
            f"{found['tolerance']}, float32 unless said ({packages}).",
            100,
        ),
        "",
    ]
    lines += ["| work | images/s: best | median | first call |", "|---|---|---|---|"]
    for name, v in rates.items():
        wait = found["first_call_s"].get(name.removeprefix("lensjax "))
        lines.append(
            f"| {name}{' W1 4x4' if name in NAMES else ''} | {v['best']:,.0f} | "
            f"{v['median']:,.0f} | {f'{wait:.1f} s' if wait else ''} |"
        )
    best = max(peers, key=peers.__getitem__, default=None)
    share, ops = found["share_of_matrix_rate"], found["operations_per_image"] / 1e6
    lines.append("")
    lines.append(
        f"W1 is {ops:.1f} million operations an image: {100 * share:.0f} % of the rate of a "
        "product of matrices on the same machine."
    )
    if best:
        lines.append(
            f"The quickest peer is {best}: lensjax makes "
            f"{rates['lensjax W1']['best'] / peers[best]:.1f} times as many images."
        )
    megabytes = found["memory_of_256_gradients_of_three_bands_bytes"] / 1e6
    lines.append(
        "A process that differentiates 256 stamps of three bands at once peaks at "
        f"{megabytes:,.0f} MB."
    )
    return lines


def into_docs(mark: str, lines: list[str], page: str = "rendering") -> None:
    """Puts lines between the two marks in a page of docs/."""
    path = HERE.parent / "docs" / f"{page}.md"
    before, rest = path.read_text().split(f"<!-- {mark} -->", 1)
    after = rest.split(f"<!-- /{mark} -->", 1)[1]
    path.write_text(before + "\n".join([f"<!-- {mark} -->", *lines, f"<!-- /{mark} -->"]) + after)


def main() -> None:
    gpu = jax.devices()[0].platform != "cpu"
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tolerance", type=float, default=1e-3)
    parser.add_argument(
        "--batch", type=int, default=4096 if gpu else 64, help="scenes at once (%(default)s here)"
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--keep-docs", action="store_true", help="leave docs/rendering.md as it is")
    args = parser.parse_args()
    keep_memory()
    found = speed(args.batch, args.rounds, args.tolerance)
    (HERE / "results").mkdir(exist_ok=True)
    name = "_".join(found["machine"]["device"].lower().split())
    (HERE / "results" / f"render_{name}.json").write_text(json.dumps(found, indent=1) + "\n")
    print("\n".join(table(found)))
    if not args.keep_docs:
        into_docs("speed", table(found))


if __name__ == "__main__":
    main()
