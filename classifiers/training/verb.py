"""The verb `train`: data and model in, a frozen classifier out."""

from __future__ import annotations

import dataclasses
import datetime
import json
import sys
from importlib import resources
from pathlib import Path
from typing import Any

import jax
from flax import nnx
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from classifiers import card, frozen, models, processor, weights
from classifiers.checkpoints import Checkpoints
from classifiers.training import devices, inputs, interrupt, loop, memory, optimiser, probe
from classifiers.training.settings import TrainSettings
from classifiers.training.step import Network, begin, make_step
from data import record, shards
from data.config import Invocation, presets
from data.files import sha256, write_json
from data.preprocess import kept_pixels
from data.survey import of_run
from data.verb import Done, Reads
from lensjax.errors import InputError

PLACE = "training"
"""Folder of a run directory that a training writes, unless another is given."""


def network(s: TrainSettings, bands: int | None = None) -> Network:
    """The model before training: freshly drawn, or with the numbers of `initial`.

    bands: channels of a stamp; None: as the architecture says. Raises InputError when the numbers
    do not fit, or when the architecture is set to another number of bands.
    """
    config = dict(s.architecture)
    if bands is not None and config.setdefault("bands", bands) != bands:
        raise InputError(
            f"train.architecture: bands is {config['bands']}, and the survey has {bands}; "
            "leave it out"
        )
    dtype = jax.numpy.bfloat16 if s.precision == "bfloat16" else None
    model = models.create(s.model, config, nnx.Rngs(s.seed), dtype)
    if s.initial:
        start, fresh = weights.flatten(frozen.load(Path(s.initial)).model), weights.flatten(model)
        if s.new_head:
            head = {n: v for n, v in fresh.items() if n.split(".")[0] == model.head_name}
            start = {n: v for n, v in start.items() if n.split(".")[0] != model.head_name} | head
        weights.restore(model, start, s.initial)
    return Network(model)


def resolved(s: TrainSettings, out: Path) -> TrainSettings:
    """The settings with the crop and the mask that they mean for the stamps of a run. Raises
    InputError for a mask beside another ring, and one that leaves no pixel of the crop."""
    p = s.preprocess.of(shards.index(out)["size"])
    if s.mask:
        keep = of_run(out).ring(s.mask)
        if p.keep not in (None, keep):
            raise InputError(f"train.mask is {s.mask}, and preprocess.keep {p.keep}; give one")
        if not keep[0] < keep[1]:
            raise InputError(f"train.mask {s.mask}: the survey's radii {keep} (pixels) are no ring")
        p = dataclasses.replace(p, keep=keep)
    if p.keep:
        kept_pixels(p)
    return dataclasses.replace(s, preprocess=p)


def run_info(
    call: Invocation[TrainSettings],
    net: Network,
    split: dict[str, Any],
    way: str,
    manifest: Path,
    division: memory.Division,
) -> dict[str, Any]:
    """Everything that tells this run from another. Only the time changes when the run is
    continued."""
    settings = json.loads(json.dumps(dataclasses.asdict(call.settings)))
    source, device = Path(call.source), jax.devices()[0]
    if call.source in presets():
        source = Path(str(resources.files("data"))) / "presets" / f"{call.source}.yaml"
    start = Path(call.settings.initial) / frozen.NUMBERS
    return {
        "commit": record.commit(),
        "utc": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "config": call.source,
        "config_sha256": sha256(source) if source.is_file() else None,
        "settings": settings,
        "manifest_sha256": sha256(manifest) if manifest.is_file() else None,
        "shards_sha256": sha256(shards.located(call.out) / shards.INDEX),
        "initial_sha256": sha256(start) if call.settings.initial else None,
        "without_sha256": sha256(call.out / call.settings.without)
        if call.settings.without
        else None,
        "seeds": {"training": call.settings.seed},
        "command": sys.argv,
        "versions": record.versions(),
        "device": {
            "platform": device.platform,
            "kind": device.device_kind,
            "count": jax.local_device_count(),
        },
        "parameters": sum(v.size for v in net.params.values()),
        "splits": split,
        "input": way,
        "division": division,
    }


def train(call: Invocation[TrainSettings], console: Console, place: str = PLACE) -> Done:
    """Reads, trains and freezes the best epoch. place: folder of the run directory."""
    s, out = call.settings, call.out
    folder = out / place
    listed = shards.index(shards.located(out))
    s = resolved(s, out)
    bands = len(listed["bands"])
    processor.keep_memory()
    net = network(s, bands)
    train, way = inputs.training(out, s)
    val = inputs.resident(out, "val", s)
    rows, _ = inputs.epoch_rows(train.label, s, 0)
    held = optimiser.frozen_names([*net.params, *net.statistics], s.freeze)
    update = optimiser.optimiser(s, len(rows), net.params)
    compiled, state, begun = (
        make_step(net, update, s.seed, frozenset(held), train.prepare),
        begin(net, update),
        memory.recorded(folder),
    )
    division = begun or memory.divided(compiled, state, train, s, probe.free().device)
    devices.mesh(s.batch // division["passes"])  # refuses a run begun on other devices
    counts = {
        name: {"lenses": int(x.label.sum()), "others": int((1 - x.label).sum())}
        for name, x in (("train", train), ("val", val))
    }
    info = run_info(call, net, counts, way, out / "manifest.parquet", division)
    write_json(folder / "run_info.json", info)
    sizes = ", ".join(f"{n} {c['lenses']} lenses + {c['others']} others" for n, c in counts.items())
    console.print(
        f"train: {s.model}, {info['parameters']:,} parameters, {s.preprocess.crop} px, "
        f"{s.precision}, {s.epochs} epochs of {rows.size} stamps "
        f"in batches of {s.batch * s.accumulation}, {way} on {info['device']['kind']}; {sizes}",
        markup=False,
        soft_wrap=True,
    )
    if said := memory.described(division, s, begun is not None, bool(net.statistics)):
        console.print(said, markup=False, soft_wrap=True)
    columns_shown = [
        TextColumn("train"),
        BarColumn(),
        TextColumn("{task.percentage:3.0f}%  {task.fields[speed]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    ]
    with Progress(
        *columns_shown, console=console, disable=not console.is_terminal, transient=True
    ) as progress:
        task = progress.add_task("train", total=len(rows) * s.epochs, speed="")
        per_update = s.batch * s.accumulation

        def tick(done: int, total: int, text: str) -> None:
            speed = (progress.tasks[0].speed or 0.0) * per_update
            progress.update(
                task, completed=done, total=total, speed=f"{speed:.0f} images/s" if speed else ""
            )
            if text:
                console.print(text, markup=False, soft_wrap=True)

        run = loop.Run(
            folder,
            s,
            net,
            compiled,
            optimiser.schedule(s, len(rows)),
            train,
            val.split,
            division["passes"],
        )
        with memory.explained(s, division["passes"]):
            state, summary = loop.fit(run, state, tick)
    notes = {k: info[k] for k in ("manifest_sha256", "parameters", "splits")}
    described = {
        "model": s.model,
        "config": models.complete(s.model, {**s.architecture, "bands": bands}),
        "seed": s.seed,
        "shuffled_labels": s.shuffle_labels,
        "survey": card.about(of_run(out)),
        **notes,
    }
    described |= {
        "epoch": summary["epoch"],
        "val_auc": summary["val_auc"],
        "checkpoint": "best",
        "settings": info["settings"],
    }
    found = frozen.freeze(net.model(state.params, state.statistics), s.preprocess, described)
    frozen.save(folder, found)
    card.write(folder, card.of_network(found))
    auc = (
        "none (the validation split lacks lenses or non-lenses)"
        if summary["val_auc"] is None
        else f"{summary['val_auc']:.4f}"
    )
    # The files metrics.jsonl and run_info.json hold times. They are no outputs of the step, because
    # otherwise the steps after it would run again.
    return Done(
        [f"{place}/{name}" for name in (frozen.NUMBERS, frozen.DESCRIPTION)],
        summary,
        [
            f"best epoch {summary['best_epoch']}, validation AUC {auc}; "
            f"{folder / frozen.DESCRIPTION}"
        ],
    )


def refuse_others(call: Invocation[TrainSettings], place: str = PLACE, step: str = "train") -> None:
    """Raises InputError, which names the keys, when an unfinished run of other settings has left
    checkpoints here: going on would throw its work away."""
    folder = call.out / place / "last"
    if (
        folder.is_dir()
        and record.read(call.out, step) is None
        and (last := Checkpoints(folder)).newest() is not None
    ):
        last.require(loop.settings_of(resolved(call.settings, call.out)))


def work(call: Invocation[TrainSettings], place: str = PLACE) -> Done | None:
    """The step `train`; None when SIGTERM stopped it and everything is saved. place: folder of the
    run directory."""
    console = Console(stderr=True, highlight=False)
    try:
        with interrupt.immediate(), memory.explained(call.settings):
            return train(call, console, place)
    except interrupt.Terminated:
        console.print(
            "train: stopped by SIGTERM, everything is saved; the same command continues here",
            markup=False,
        )
        return None


def reads(s: TrainSettings, out: Path) -> Reads:
    """The survey's shards, and the classifier that training starts from."""
    start = Path(s.initial)
    files = [start / name for name in (frozen.DESCRIPTION, frozen.NUMBERS)] if s.initial else []
    return Reads(("survey",), [*files, *([out / s.without] if s.without else [])])
