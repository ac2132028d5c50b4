"""How many images a second does training take, and what bounds it? `python -m benchmarks.training
--help`

For every model, input, precision and batch: images a second of whole updates (forward, backward,
AdamW) fed from shards in a temporary folder, floating-point operations of one update as XLA counts
them, and their share of what a large matrix product reaches on this device. Beside it the loader
alone, and the peer: torchvision's model under PyTorch, fed from NPZ files by a DataLoader (--torch
PYTHON: an interpreter with torch and torchvision). Times are the least of several repeats. Models
that are not asked for keep what the file has of them, of the same device, versions and commit.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Annotated, Any

import jax
import jax.numpy as jnp
import numpy as np
import tyro

from classifiers.processor import keep_memory
from classifiers.training import TrainSettings, inputs, optimiser
from classifiers.training.step import begin, make_step
from classifiers.training.verb import network
from data import record, shards, streaming
from data.files import write_json
from data.splits import order_key
from lensjax.cli import prepared


@dataclass(frozen=True)
class Question:
    """What is measured."""

    models: tuple[str, ...] = ("resnet18", "efficientnet_v2_s", "shielded_resnet")
    inputs: tuple[str, ...] = ("resident", "streaming")
    precisions: tuple[str, ...] = ("float32", "bfloat16")
    batches: tuple[int, ...] = (64,)
    stamps: int = 1024
    """cutouts in the temporary survey"""
    crop: int = 101
    steps: int = 4
    """updates in one repeat"""
    repeats: int = 3
    torch: str = ""
    """interpreter with torch and torchvision, for the peer; empty: no peer"""
    workers: int = 2
    """processes of the peer's DataLoader"""
    out: Annotated[
        Path, tyro.conf.arg(help="JSON file; default benchmarks/results/training-<device>.json")
    ] = Path("")


def fastest(action: Callable[[], Any], repeats: int) -> float:
    """Least seconds of several."""
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        action()
        times.append(time.perf_counter() - began)
    return min(times)


def survey(folder: Path, number: int) -> None:
    """Shards and NPZ files with the same random cutouts of 101 pixels, one in eleven a lens; a few
    more for validation."""
    rng = np.random.default_rng(0)
    images = rng.normal(0, 0.02, (number, 101, 101, 3)).astype(np.float32)
    rows = [
        {
            "galaxy_id": f"g{i}",
            "label": int(i % 11 == 0),
            "split": "train",
            "sample_weight": 1.0,
            "tier": "N1",
        }
        for i in range(number)
    ]
    where = folder / "shards" / shards.NAME / shards.VERSION
    planned = shards.plan(
        [r["split"] for r in rows], order_key([r["galaxy_id"] for r in rows]), 512
    )
    written = [
        shards.write(where / s.file, (shards.example(images[i], rows[i]) for i in s.rows))
        for s in planned
    ]
    shards.finish(where, planned, written, 101)
    (folder / "npz").mkdir()
    for i, image in enumerate(images):
        np.savez(folder / "npz" / f"{i:06d}.npz", cutout=image)


def peak(precision: str, repeats: int) -> float:
    """Floating-point operations a second of a large matrix product."""
    n = 2048 if jax.default_backend() == "cpu" else 16384
    x = jnp.ones((n, n), precision)
    multiply = jax.jit(lambda a: a @ a)
    multiply(x).block_until_ready()
    return 2 * n**3 / fastest(lambda: multiply(x).block_until_ready(), 3 * repeats)


def case(
    folder: Path, model: str, way: str, precision: str, batch: int, q: Question
) -> dict[str, Any]:
    """One combination."""
    settings: Any = {
        "model": model,
        "architecture": {},
        "preprocess": {"crop": q.crop},
        "batch": batch,
        "precision": precision,
        "input": way,
    }
    s = TrainSettings(**settings)
    net = network(s)
    train, _ = inputs.training(folder, s)
    update = optimiser.optimiser(s, 100, net.params)
    rows, turns = inputs.epoch_rows(train.label, s, 0)
    rows, turns = (np.resize(x, (q.steps, *x.shape[1:])) for x in (rows, turns))
    first = next(iter(train.updates(rows, turns)))
    state = begin(net, update)
    step = make_step(net, update, 0, prepare=train.prepare)
    compiled = step.lower(state, *first).compile()

    def run() -> None:
        nonlocal state
        for item in train.updates(rows, turns):
            state, loss, _ = compiled(state, *item)
        loss.block_until_ready()

    run()
    seconds = fastest(run, q.repeats) / len(rows)
    # As a processor would run it: on a card, convolutions are a library's and count as none.
    counted = step.trace(state, *first).lower(lowering_platforms=("cpu",)).cost_analysis()
    operations = float((counted or {}).get("flops", float("nan")))
    found = {
        "images_per_second": batch / seconds,
        "gflop_per_image": operations / batch / 1e9,
        "flops_per_second": operations / seconds,
    }
    return {
        "model": model,
        "input": way,
        "precision": precision,
        "batch": batch,
        "crop": q.crop,
        **found,
    }


def peer(folder: Path, model: str, precision: str, batch: int, q: Question) -> dict[str, Any]:
    """The same under PyTorch, or the reason why not."""
    script = Path(__file__).with_name("torch_peer.py")
    steps = max(q.steps, 4)  # the first ones after its start are slow
    line = [
        q.torch,
        str(script),
        model,
        str(folder / "npz"),
        str(batch),
        precision,
        str(steps),
        str(q.workers),
    ]
    done = subprocess.run(line, capture_output=True, text=True)
    base = {"model": model, "precision": precision, "batch": batch}
    if done.returncode:
        lines = done.stderr.strip().splitlines()
        return {**base, "failed": next((s for s in reversed(lines) if "Error" in s), lines[-1])}
    return {**base, **json.loads(done.stdout.splitlines()[-1])}


def processor(kind: str) -> str:
    """What `kind` is, by name: JAX calls every processor cpu."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if kind == "cpu" else []
    return next(
        (line.split(":")[1].strip() for line in lines if line.startswith("model name")), kind
    )


def main(q: Question) -> dict[str, Any]:
    """Measures everything and writes it down."""
    keep_memory()
    kind = jax.devices()[0].device_kind.replace(" ", "-").lower()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        survey(folder, q.stamps)
        source = streaming.records(folder, "train")
        order = np.random.default_rng(0).permutation(len(source))
        read = lambda: [None for _ in streaming.batches(source, order, 64)]
        read()
        loader = len(source) / fastest(read, q.repeats)
        print(f"loader alone: {loader:.0f} cutouts/s")
        reached = {p: peak(p, q.repeats) for p in q.precisions}
        out = (
            q.out
            if q.out != Path("")
            else Path(__file__).parent / "results" / f"training-{kind}.json"
        )
        conditions = {
            "device": {
                "kind": kind,
                "processor": processor(kind),
                "count": jax.local_device_count(),
                "cores": os.cpu_count(),
            },
            "versions": record.versions(),
            "commit": record.commit(),
        }
        before = json.loads(out.read_text()) if out.is_file() else {}
        same = conditions.items() <= before.items()
        results, peers = (
            [r for r in before[part] if r["model"] not in q.models] if same else []
            for part in ("training", "pytorch")
        )
        answer = {
            "question": __doc__.splitlines()[0] if __doc__ else "",
            **conditions,
            "stamps": q.stamps,
            "loader_alone_cutouts_per_second": loader,
            "matrix_product_flops": reached,
            "training": results,
            "pytorch": peers,
        }
        for model, precision, batch in product(q.models, q.precisions, q.batches):
            for way in q.inputs:
                found = case(folder, model, way, precision, batch, q)
                found["utilisation"] = found.pop("flops_per_second") / reached[precision]
                results.append(found)
                speed = (
                    f"{found['images_per_second']:.0f} images/s, "
                    f"{100 * found['utilisation']:.0f} % of a matrix product"
                )
                print(f"{model} {way} {precision} batch {batch}: {speed}", flush=True)
                write_json(out, answer)
            if q.torch and model != "shielded_resnet":
                peers.append(peer(folder, model, precision, batch, q))
                print("peer:", peers[-1], flush=True)
                write_json(out, answer)
    print(out)
    return answer


if __name__ == "__main__":
    prepared()  # as the command lensjax; the peer has them too
    main(tyro.cli(Question, description=__doc__))
