"""A whole split, decoded and preprocessed once, ready on the device; and in which order an epoch goes through it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int

from classifiers.training.settings import TrainSettings
from classifiers.training.step import Split
from data import augment
from data.loader import load_split
from data.preprocess import Preprocess, raw_robust
from lensjax.errors import InputError

FIELDS = ("image", "galaxy_id", "label", "sample_weight", "tier")
CHUNK = 256


def preprocessed(images: Float[np.ndarray, "n h w 3"], p: Preprocess) -> Float[np.ndarray, "n s s 3"]:
    """raw_robust of every stamp, a few hundred at a time, on the host."""
    apply = jax.jit(lambda chunk: raw_robust(chunk, p))
    out = np.empty((len(images), p.crop, p.crop, 3), np.float32)
    for start in range(0, len(images), CHUNK):
        part = images[start : start + CHUNK]
        # every chunk has the same shape, so that one compilation serves them all
        padded = np.pad(part, [(0, CHUNK - len(part))] + [(0, 0)] * 3) if len(images) > CHUNK else part
        out[start : start + len(part)] = np.asarray(apply(padded))[: len(part)]
    return out


def read(folder: Path, split: str, s: TrainSettings) -> tuple[Split, dict[str, np.ndarray]]:
    """A split on the device and its columns on the host.

    Raises InputError naming the objects when a stamp has no pixel at all in a band, and when the split holds no lens or no non-lens to train on.
    """
    columns = load_split(folder, split, FIELDS)
    images = columns.pop("image")
    blank = np.isnan(images).all(axis=(1, 2)).any(axis=-1)
    if blank.any():
        names = ", ".join(columns["galaxy_id"][blank][:5])
        raise InputError(f"{folder}, split {split}: {blank.sum()} stamps without data in a band ({names}); quarantine them: `lensjax survey --force`")
    label = columns["label"].astype(np.float32)
    if split == "train":
        lenses, others = int(label.sum()), int((1 - label).sum())
        if not (lenses and others):
            raise InputError(
                f"{folder}, split train: {lenses} lenses and {others} non-lenses, both are needed to train; score with a trained classifier instead "
                "(evaluate: {classifier: FOLDER})"
            )
        if s.shuffle_labels:
            label = np.random.default_rng([s.seed, 1]).permutation(label)
    target = np.where((label == 1) & (columns["tier"] == "B"), np.float32(s.tier_b_target), label)
    weight = columns["sample_weight"].astype(np.float32) if s.sample_weights else np.ones_like(label)
    if not (np.isfinite(weight).all() and (weight >= 0).all()):
        raise InputError(f"{folder}, split {split}: sample_weight of {columns['galaxy_id'][~(weight >= 0)][0]} is not a weight; rebuild the manifest")
    on_device: Any = map(jnp.asarray, (preprocessed(images, s.preprocess), target, weight))
    return Split(*on_device), columns


def epoch_rows(number: int, s: TrainSettings, epoch: int) -> tuple[Int[np.ndarray, "steps a b"], Int[np.ndarray, "steps a b"]]:
    """Rows and turns of every update of an epoch, a function of seed and epoch alone; the rest that fills no batch is left to other epochs.

    number: of stamps in the split. Raises InputError when it is less than one effective batch.
    """
    whole = s.batch * s.accumulation
    if number < whole:
        raise InputError(f"batch {s.batch} x accumulation {s.accumulation} = {whole} is larger than the training split ({number}); choose a smaller batch")
    rows = np.random.default_rng([s.seed, 0, epoch]).permutation(number)[: number // whole * whole]
    turns = np.zeros_like(rows) if s.augment == "none" else augment.codes(rows, s.seed, epoch, s.augment).astype(rows.dtype)
    shape = (-1, s.accumulation, s.batch)
    return rows.reshape(shape).astype(np.int32), turns.reshape(shape).astype(np.int32)
