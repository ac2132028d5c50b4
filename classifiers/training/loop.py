"""Epochs: updates, validation, checkpoints, and going on exactly where a killed run stopped.

A stopped run takes the newest whole checkpoint of `last` and its place in the epoch, cuts
metrics.jsonl to the epochs before, and goes on with the rows that are left. Rows, turns and random
keys are functions of seed, epoch and update, so nothing else has to be saved. `best` and the line
in metrics.jsonl are written before the checkpoint that says the epoch is over: a run that dies in
between repeats the end of the epoch with the same result.
"""

from __future__ import annotations

import json
import math
import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from classifiers import processor
from classifiers.checkpoints import Checkpoints
from classifiers.evaluation import calibration, metrics
from classifiers.training import curves, inputs, interrupt
from classifiers.training.settings import TrainSettings
from classifiers.training.step import Network, Split, State
from data.files import replacing, write_json
from lensjax.errors import InputError

# Settings that say how a run is kept, not what comes out of it.
KEEPING = ("checkpoint_seconds", "keep_every", "tensorboard")
SCORED = 256
NAMED = 64
"""objects of a batch that an error names itself; a longer list is in not_finite.json"""


@dataclass(frozen=True)
class Place:
    """Where training stands: whole epochs done, updates done in the next, their losses, and the
    best epoch so far."""

    epoch: int = 0
    update: int = 0
    losses: tuple[float, ...] = ()
    best: tuple[float, float] = (-math.inf, -math.inf)
    best_epoch: int = -1
    seconds: float = 0.0


@dataclass(frozen=True)
class Run:
    """What a loop needs."""

    folder: Path
    settings: TrainSettings
    network: Network
    step: Callable[..., tuple[State, Any, Any]]
    rate: optax.Schedule
    train: inputs.Input
    val: Split
    passes: int = 1
    """that each batch is cut into (memory.py)"""


def scores(
    network: Network, state: State, images: jax.Array, compiled: Callable[..., Any]
) -> np.ndarray:
    """Logits of a split, on the host."""
    out = []
    for start in range(0, len(images), SCORED):
        part = images[start : start + SCORED]
        padded = jnp.pad(part, [(0, SCORED - len(part))] + [(0, 0)] * 3)
        out.append(np.asarray(compiled(state.params, state.statistics, padded))[: len(part)])
    return np.concatenate(out) if out else np.zeros(0, np.float32)


def validated(logits: np.ndarray, val: Split) -> dict[str, float | None]:
    """The epoch's figures on the validation split; None where the split cannot support one."""
    target, weight = np.asarray(val.target), np.asarray(val.weight)
    label = (target > 0.5).astype(int)
    found: dict[str, float | None] = dict.fromkeys(
        (
            "val_loss",
            "val_auc",
            "val_precision_at_recall_0.9",
            "val_recall_at_precision_0.9",
            "val_ece",
        )
    )
    if len(label):
        found["val_loss"] = float(
            np.mean(weight * np.asarray(optax.sigmoid_binary_cross_entropy(logits, target)))
        )
    if 0 < label.sum() < len(label):
        probability = 1 / (1 + np.exp(-logits.astype(np.float64)))
        curve = metrics.curve(label, logits)
        found["val_auc"] = float(metrics.roc_auc(curve))
        found["val_precision_at_recall_0.9"] = float(metrics.precision_at_recall(curve, 0.9))
        found["val_recall_at_precision_0.9"] = float(metrics.recall_at_precision(curve, 0.9))
        found["val_ece"] = float(calibration.ece(label, probability))
    return found


def rank(found: dict[str, float | None], epoch: int) -> tuple[float, float]:
    """What the best epoch has most of: validation AUC, then a small loss. A split without both
    kinds cannot rank, and then the last epoch is the best."""
    auc, loss = found["val_auc"], found["val_loss"]
    return (float(epoch), 0.0) if auc is None or loss is None else (auc, -loss)


def settings_of(s: TrainSettings) -> dict[str, Any]:
    """What a checkpoint's settings must equal for a run to go on from it, as JSON values."""
    return {k: v for k, v in json.loads(json.dumps(asdict(s))).items() if k not in KEEPING}


def _lines(path: Path) -> list[dict[str, Any]]:
    try:
        return [json.loads(line) for line in path.read_text().splitlines()]
    except (FileNotFoundError, json.JSONDecodeError):
        return []


def _write(path: Path, lines: list[dict[str, Any]]) -> None:
    with replacing(path) as temporary:
        temporary.write_text("".join(json.dumps(line) + "\n" for line in lines))


def fit(
    run: Run, state: State, tick: Callable[[int, int, str], None] = lambda done, total, text: None
) -> tuple[State, dict[str, Any]]:
    """Trains to the end; returns the best epoch's state and a summary.

    tick(updates done, updates in all, line to print or ""): called after every update. Raises
    InputError on a loss that is not finite (the objects of the batch and the last good checkpoint
    are named) and on an unusable checkpoint. Raises KeyboardInterrupt on SIGINT and
    interrupt.Terminated on SIGTERM, both after saving.
    """
    s, folder = run.settings, run.folder
    last, best = Checkpoints(folder / "last"), Checkpoints(folder / "best")
    kept = Checkpoints(folder / "kept", keep=None) if s.keep_every else None
    plain = settings_of(s)
    place, log = Place(), folder / "metrics.jsonl"
    if last.newest() is not None:
        state, note = last.restore(state, plain)
        kept_place = note["place"]
        place = Place(
            **{
                **kept_place,
                "losses": tuple(kept_place["losses"]),
                "best": tuple(map(float, kept_place["best"])),
            }
        )
    lines = [line for line in _lines(log) if line["epoch"] <= place.epoch]
    _write(log, lines)
    if s.tensorboard:
        curves.write(folder / "tensorboard", lines)
    state = jax.tree.map(jnp.asarray, state)
    score = processor.jit(run.network.evaluate)
    saved, started = time.monotonic(), time.monotonic() - place.seconds

    def save(place: Place) -> None:
        nonlocal saved
        place = replace(place, seconds=time.monotonic() - started)
        # epochs are counted too: the end of one is another checkpoint than that of its last update
        last.save(
            int(state.step) + place.epoch,
            state,
            {"settings": plain, "place": {**asdict(place), "best": list(map(str, place.best))}},
        )
        saved = time.monotonic()

    # The next epoch's draws are made while this one trains: at survey size they take seconds.
    with interrupt.deferred() as request, ThreadPoolExecutor(1) as beside:
        drawn = beside.submit(inputs.epoch_rows, run.train.label, s, place.epoch, run.passes)
        while place.epoch < s.epochs:
            if s.patience and place.epoch - max(place.best_epoch, 0) >= s.patience:
                break
            rows, turns = drawn.result()
            drawn = beside.submit(
                inputs.epoch_rows, run.train.label, s, place.epoch + 1, run.passes
            )
            total, began, first = len(rows) * s.epochs, time.monotonic(), place.update
            losses, pending = list(place.losses), None
            for update, batch in enumerate(
                run.train.updates(rows[first:], turns[first:]), start=first
            ):
                state, loss, finite = run.step(state, *batch)
                if (
                    pending is not None
                ):  # read one update late, so that the device never waits for the host
                    losses.append(_checked(*pending, run, last))
                pending = (loss, finite, rows[update], place.epoch, update)
                tick(place.epoch * len(rows) + update + 1, total, "")
                if request.signal or time.monotonic() - saved > s.checkpoint_seconds:
                    losses.append(_checked(*pending, run, last))
                    pending = None
                    save(replace(place, update=update + 1, losses=tuple(losses)))
                    _stop(request)
            if pending is not None:
                losses.append(_checked(*pending, run, last))
            trained = time.monotonic() - began
            logits = scores(run.network, state, run.val.images, score)
            if not np.isfinite(logits).all():
                raise InputError(
                    f"validation scores after epoch {place.epoch + 1} are not finite; "
                    f"last good checkpoint: {_good(last)}; lower learning_rate"
                )
            found = validated(logits, run.val)
            line = {
                "epoch": place.epoch + 1,
                "train_loss": math.fsum(losses) / len(losses),
                **found,
                "learning_rate": float(run.rate(int(state.step) - 1)),
                "images_per_second": round(
                    (len(rows) - first) * rows[0].size / max(trained, 1e-9), 1
                ),
                "seconds": round(time.monotonic() - began, 3),
                "unix_seconds": round(time.time(), 3),
            }
            lines.append(line)
            value = rank(found, place.epoch)
            improved = value > place.best
            place = Place(
                place.epoch + 1,
                0,
                (),
                *((value, place.epoch + 1) if improved else (place.best, place.best_epoch)),
            )
            if improved:
                best.save(
                    place.epoch,
                    _model(state),
                    {"settings": plain, "epoch": place.epoch, "metrics": line},
                )
            if kept is not None and place.epoch % s.keep_every == 0:
                kept.save(
                    place.epoch,
                    _model(state),
                    {"settings": plain, "epoch": place.epoch, "metrics": line},
                )
            _write(log, lines)
            if s.tensorboard:
                curves.write(folder / "tensorboard", lines)
            save(place)
            tick(place.epoch * len(rows), total, describe(line, s.epochs, improved))
            _stop(request)
    chosen, note = best.restore(_model(state), plain)
    chosen = jax.tree.map(jnp.asarray, chosen)
    state = replace(state, params=chosen["params"], statistics=chosen["statistics"])
    return state, {
        "epochs": place.epoch,
        "best_epoch": place.best_epoch,
        "training_seconds": round(time.monotonic() - started, 1),
        **note["metrics"],
    }


def _model(state: State) -> dict[str, Any]:
    return {"params": state.params, "statistics": state.statistics}


def _stop(request: interrupt.Request) -> None:
    if request.signal == signal.SIGTERM:
        raise interrupt.Terminated
    if request.signal:
        raise KeyboardInterrupt


def _good(last: Checkpoints) -> str:
    return str(last.folder / str(last.newest())) if last.newest() is not None else "none yet"


def _checked(
    loss: Any, finite: Any, rows: np.ndarray, epoch: int, update: int, run: Run, last: Checkpoints
) -> float:
    if not bool(finite):
        ids, listed = run.train.ids[rows.ravel()].tolist(), run.folder / "not_finite.json"
        write_json(
            listed,
            {
                "epoch": epoch + 1,
                "update": update + 1,
                "loss": str(float(loss)),
                "last_good_checkpoint": _good(last),
                "galaxy_id": ids,
            },
        )
        names = ", ".join(ids[:NAMED]) + (
            f" and {len(ids) - NAMED} more in {listed}" if len(ids) > NAMED else ""
        )
        raise InputError(
            f"loss {float(loss)} or its gradient is not finite in epoch {epoch + 1}, "
            f"update {update + 1}; last good checkpoint: {_good(last)}; "
            f"lower learning_rate or look at the objects of this batch: {names}"
        )
    return float(loss)


def describe(line: dict[str, Any], epochs: int, improved: bool) -> str:
    """An epoch in one line for people."""
    auc = (
        "no validation AUC (the split lacks lenses or non-lenses)"
        if line["val_auc"] is None
        else f"val AUC {line['val_auc']:.4f}"
    )
    star = " (best)" if improved else ""
    speed = f"{line['images_per_second']:.0f} images/s, {line['seconds']:.1f} s"
    return f"epoch {line['epoch']}/{epochs}: loss {line['train_loss']:.4f}, {auc}{star}, {speed}"
