"""How many injections a second does the audit recover, and what bounds it? `python -m
benchmarks.audit --help`

First the floor: operations and bytes that one injection cannot do without, and the time they take
at the rate of a product of matrices and of a copy on this machine. Then the audit's own campaign
(`classifiers.audit.campaign`), compiled beforehand, with ResNet-18 on stamps of 101 pixels in three
bands: end to end, from the files of hosts to the table of injections, and stage by stage on one
batch. Then all derivatives of a batch beside its forward pass. Beside it the sources' way on the
same scenes and hosts (audit_peer.py): lenstronomy, one injection after the other on two processes,
then batches through PyTorch's ResNet-18 (--torch PYTHON: an interpreter with torch and
torchvision). A peer that is not installed is named and left out. What a graphics card would do
around the network is counted without one (audit_card.py, --gpu FOLDER).

Hosts are simulated, or those of a finished run (--run DIR). The network's numbers are random: they
do not change its speed. Re-weighting is measured by benchmarks/populations.py.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from shutil import which
from typing import TYPE_CHECKING, Annotated, Any, Literal

import jax
import numpy as np
import tyro

import lensjax as lj
from benchmarks import audit_card, audit_peer
from benchmarks.audit_floor import answers, floor, machine_runs, table
from benchmarks.training import processor
from classifiers import frozen
from classifiers.audit import plan, sensitivity
from classifiers.audit.campaign import Campaign, described
from classifiers.audit.injection import observe, unchanged
from classifiers.audit.question import question
from classifiers.audit.settings import SPEC_GRID, AuditSettings
from classifiers.finders import scored
from classifiers.processor import jit, keep_memory
from data import manifest, record
from data.cutouts import write_npz
from data.files import write_json
from data.preprocess import raw_robust
from data.survey import default
from lensjax.cli import prepared
from lensjax.errors import InputError

if TYPE_CHECKING:
    from classifiers.audit.injection import Batch
    from classifiers.frozen import Frozen

MODEL = "resnet18"
Mode = Literal["matched", "degraded"]


@dataclass(frozen=True)
class Question:
    """What is measured."""

    injections: tuple[int, ...] = (528, 1056)
    """sizes of the campaigns that are carried out end to end; the rate is that of the largest"""
    run: Annotated[str, tyro.conf.arg(help="finished run whose hosts are taken")] = ""
    torch: str = ""
    """interpreter with torch and torchvision, for the peer; empty: no network of the peer"""
    gpu: str = ""
    """folder of aot.py and roofline.py, which compile for a card; empty: kernels are not counted"""
    batch: int = 48
    """injections made and scored together, as in the audit"""
    hosts: int = 48
    """hosts, simulated or of the run: the injections that one of them gets tell how many hosts have
    to be scored as well; a condition of the whole audit has 2,200 injections"""
    degraded: bool = True
    """also carry out a campaign whose hosts are degraded"""
    rounds: int = 7
    """every stage is measured so often, in turns"""
    slope_batches: int = 2
    """batches over which derivatives are taken"""
    peer: int = 192
    """injections that the peer makes; 0: no peer"""
    crop: int = 101
    """side of the stamps, pixels"""
    out: Annotated[
        Path, tyro.conf.arg(help="JSON file; default benchmarks/results/audit-<device>.json")
    ] = Path("")


def simulated(out: Path, number: int, side: int) -> None:
    """A run directory with hosts: round galaxies of many sizes with the sky noise of their depth
    on stamps of so many pixels."""
    import pyarrow as pa

    rng, pixels, survey = np.random.default_rng(0), lj.PixelGrid(side), default()
    light = np.array([0.05, 0.2, 0.4])
    rows = []
    for i in range(number):
        fwhm = np.array(survey.fwhm_ratio) * rng.uniform(0.9, 1.7)
        depth = np.array([1500.0, 800.0, 250.0]) * rng.uniform(0.5, 1.5)
        sigma = np.asarray(lj.pixel_sigma(depth, lj.Gaussian(fwhm), pixels))
        galaxy = np.exp(-pixels.radius() / rng.uniform(3, 8))[..., None] * light
        stamp = (galaxy + sigma * rng.normal(size=galaxy.shape)).astype(np.float32)
        row: dict[str, Any] = {
            "galaxy_id": f"0010p000_{i}",
            "cutout_path": f"cutouts/0010p000_{i}.npz",
            "label": 0,
            "split": "test",
            "sample_weight": 1.0,
            "tier": "N1",
            "size": side,
            "pixel_scale": pixels.scale,
            "ra": 10.0 + i / 50,
            "dec": 0.0,
            "healpix_128": i,
            "quality_ok": True,
        }
        for j, band in enumerate(survey.bands):
            row |= {f"psfsize_{band}": float(fwhm[j]), f"psfdepth_{band}": float(depth[j])}
        write_npz(out / row["cutout_path"], stamp, {k: row[k] for k in ("galaxy_id", "ra", "dec")})
        rows.append(row)
    manifest.write(out / "manifest.parquet", pa.Table.from_pylist(rows))


def campaign_of(out: Path, finder: Path, q: Question, number: int, mode: Mode) -> Campaign:
    """The audit's campaign of about so many injections, in cells of the Einstein radius alone and
    into at most `q.hosts` hosts, those of the commonest stamp size."""
    radii = SPEC_GRID["theta_e"]
    each = -(-number // len(radii))
    s = AuditSettings(
        finder=str(finder),
        trained_on="train" if q.run else "none",
        theta_e=radii,
        axis={"psf_fwhm": None, "depth_m5": None},
        injections=each,
        per_host=each,
        mode=mode,
        batch=q.batch,
        lens_radius=11.0 if q.run else 0.0,
    )
    asked = question(out, s)
    found = asked.campaign
    few = found.hosts.take(np.arange(len(found.hosts))[:: -(-len(found.hosts) // q.hosts)])
    made = plan.chunks(few, asked.axes, each, each, mode == "degraded", s.seed)
    return replace(found, hosts=few, plan=[max(made, key=len)])


def in_turns(runs: Mapping[str, Callable[[], Any]], rounds: int) -> dict[str, float]:
    """Median seconds of each, compiled beforehand; every round has all of them in turn, so that a
    slow spell of the machine falls on all."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    for name in [*runs] * rounds:
        times[name].append(once(runs[name]))
    return {name: float(np.median(values)) for name, values in times.items()}


def once(run: Callable[[], Any]) -> float:
    """Seconds of one call; of the first one, with compilation."""
    start = time.perf_counter()
    jax.block_until_ready(run())
    return time.perf_counter() - start


def stages(c: Campaign, batch: Batch, finder: Frozen) -> dict[str, Callable[[], Any]]:
    """Stage -> its work on one batch, with what the stage before made."""
    chunk, rows = c.plan[0], np.arange(c.batch) % len(c.plan[0])
    hosts, e = c.stamps(chunk.host[rows]), c.experiment(chunk)
    draw = jax.jit(lambda e, b: e.draw(b, unchanged()))
    prepare = jax.jit(lambda x: raw_robust(x, finder.preprocess))
    network = jit(lambda f, x: f.model(x))
    found = observe(e, batch, unchanged())
    seen = np.asarray(found["stamp"])
    ready = prepare(seen)
    return {
        "input": lambda: c.batch_of(chunk, rows, hosts),
        "draw": lambda: draw(e, batch),
        "render": lambda: observe(e, batch, unchanged()),
        "preprocess": lambda: prepare(seen),
        "network": lambda: network(finder, ready),
        "table": lambda: described(found, len(rows), c.survey),
    }


def degrading(c: Campaign) -> Callable[[], Any]:
    """Bringing the hosts of one batch to the conditions of the stamps."""
    chunk, rows = c.plan[0], np.arange(c.batch) % len(c.plan[0])
    hosts, batch = jax.jit(lambda e, b: e.hosts(b)), c.batch_of(chunk, rows, c.stamps(chunk.host))
    return lambda: hosts(c.experiment(chunk), batch)


def forward(c: Campaign, batches: list[Batch]) -> None:
    """The forward pass as the audit makes it."""
    for batch in batches:
        stamps = np.asarray(observe(c.experiment(c.plan[0]), batch, unchanged())["stamp"])
        scored(c.finder, stamps, batch=len(stamps))


def end_to_end(c: Campaign, folder: Path) -> dict[str, Any]:
    """The campaign carried out, from files to files; the quicker of two times. Hosts are scored
    before injection too: once each, or once an injection where they are degraded for it."""
    (chunk,), seconds, cores = c.plan, [], []
    for turn in range(2):
        start, processors = time.perf_counter(), time.process_time()
        rows = c.carry_out(folder / str(turn))
        seconds.append(time.perf_counter() - start)
        cores.append((time.process_time() - processors) / seconds[-1])
    return {
        "mode": "degraded" if chunk.degrade else "matched",
        "injections": len(rows),
        "hosts_scored": len(chunk if chunk.degrade else np.unique(chunk.host)),
        "per_s": len(rows) / min(seconds),
        "seconds": seconds,
        "cores": cores[int(np.argmin(seconds))],
        "load": os.getloadavg()[0],
    }


def measured(q: Question, folder: Path) -> dict[str, Any]:
    """Everything, in one process."""
    network = frozen.untrained(MODEL, crop=q.crop)
    frozen.save(folder / "finder", network)
    if not q.run:
        simulated(folder, q.hosts, q.crop)
    out = Path(q.run) if q.run else folder
    load = [os.getloadavg()[0]]
    of = lambda n, mode: campaign_of(out, folder / "finder", q, n, mode)
    campaigns = [of(n, "matched") for n in sorted(q.injections)]
    c, chunk = campaigns[-1], campaigns[-1].plan[0]
    batches = [
        c.batch_of(chunk, rows, c.stamps(chunk.host[rows]))
        for rows in np.arange(max(q.slope_batches, 1) * c.batch).reshape(-1, c.batch) % len(chunk)
    ]
    compiled = {"render": once(lambda: observe(c.experiment(chunk), batches[0], unchanged()))}
    compiled["network"] = once(lambda: forward(c, batches[:1]))
    parts = stages(c, batches[0], network)
    if q.degraded:
        worse = of(max(q.injections), "degraded")
        parts["degrade"] = degrading(worse)
        campaigns.append(worse)
    machine, amounts = machine_runs()
    for run in (*parts.values(), *machine.values()):
        once(run)
    seconds = in_turns(parts | machine, q.rounds)
    rates = {name: amounts[name] / seconds[name] for name in machine}
    load.append(os.getloadavg()[0])
    if q.degraded:
        first = np.arange(c.batch) % len(worse.plan[0])
        observed = lambda: worse.observed(worse.plan[0], first, worse.stamps(worse.plan[0].host))
        compiled["render_degraded"] = once(observed)
    carried = [end_to_end(one, folder / f"parts{i}") for i, one in enumerate(campaigns)]
    derived = None
    if q.slope_batches:
        sample = [(c.batch, batch) for batch in batches]
        slopes = lambda: sensitivity.all_slopes(c.finder, c.experiment(chunk), sample)
        compiled["derivatives"] = once(slopes)
        both = {"forward": lambda: forward(c, batches), "derivatives": slopes}
        derived = in_turns(both, max(q.rounds // 2, 1))
        derived["ratio"] = derived["derivatives"] / derived["forward"]
    load.append(os.getloadavg()[0])
    return {
        "floor": floor(network, c, q.crop),
        "machine": {"operations_per_s": rates["matrix product"], "bytes_per_s": rates["copy"]},
        "compile_s": compiled,
        "stage_s_per_injection": {name: seconds[name] / c.batch for name in parts},
        "end_to_end": carried,
        "derivatives": derived,
        "peer": audit_peer.measured(c, folder / "peer", q.peer, q.torch, MODEL),
        "card": audit_card.counted(
            q.gpu, c.experiment(chunk), batches[0], network.preprocess.of(q.crop)
        ),
        "load": load,
    }


def main(q: Question) -> dict[str, Any]:
    """Measures everything, prints the table and writes it down. Raises InputError for an
    interpreter or a run that is not there."""
    if q.torch and which(q.torch) is None:
        raise InputError(f"--torch {q.torch}: no such program; name a Python that has torch")
    if q.run and not (Path(q.run) / "manifest.parquet").is_file():
        raise InputError(f"--run {q.run}: no manifest.parquet there; name a finished run")
    keep_memory()
    kind = jax.devices()[0].device_kind.replace(" ", "-").lower()
    with tempfile.TemporaryDirectory() as name:
        found = measured(q, Path(name))
    found["answers"] = answers(found)
    about = {
        "question": __doc__.splitlines()[0] if __doc__ else "",
        "device": {"kind": kind, "processor": processor(kind), "cores": os.cpu_count()},
        "versions": record.versions(),
        "commit": record.commit(),
        "batch": q.batch,
        "hosts": "of a run" if q.run else f"{q.hosts} simulated",
        "model": MODEL,
        "crop": q.crop,
    }
    print("\n".join(table(found)))
    results = Path(__file__).parent / "results"
    out = q.out if q.out != Path("") else results / f"audit-{kind}.json"
    write_json(out, about | found)
    print(out)
    return about | found


if __name__ == "__main__":
    prepared()  # as the command lensjax
    try:
        main(tyro.cli(Question, description=__doc__))
    except InputError as error:
        raise SystemExit(str(error)) from None
