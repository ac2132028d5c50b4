"""What training reads: a split in memory, or one that streams from the shards. Both give the same
batches for the same seed and epoch.

    resident   decoded and preprocessed once; an update gathers its rows on the device
    streaming  Grain reads, checks and decodes ahead; stamps are cropped on the host and
    preprocessed
               on the device, inside the update

Which stamps make an update, and how each is turned, is a function of seed and epoch (`epoch_rows`),
so that nothing of an input has to be saved.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from math import inf
from pathlib import Path
from typing import Any, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Array, Float, Int

from classifiers.training import choice, devices, probe
from classifiers.training.settings import TrainSettings
from classifiers.training.step import Split
from data import augment, manifest, shards, streaming
from data.loader import load_split
from data.preprocess import Preprocess, cropped, raw_robust
from lensjax.errors import InputError

CHUNK = 256
Update = tuple[Split, Array, Array]
"""(stamps, rows of them (A, B), turns (A, B)): what a step takes"""


class Input(Protocol):
    """A split to train on."""

    @property
    def ids(self) -> np.ndarray:
        """galaxy_id of the stamps (N,)."""
        ...

    @property
    def label(self) -> np.ndarray:
        """As in the manifest (N,)."""
        ...

    def prepare(self, images: Array) -> Array:
        """What is still to be done to stamps, inside the step."""
        ...

    def updates(self, rows: np.ndarray, turns: np.ndarray) -> Iterator[Update]:
        """The updates of these rows and turns, (U, A, B) each, in order."""
        ...

    def like(self, shape: tuple[int, int]) -> tuple[Split, Any]:
        """Stamps and rows of an update of (A, B), in shape, type and place. What is not on the
        device yet is a ShapeDtypeStruct."""
        ...


@dataclass(frozen=True)
class Resident:
    """A split on the device."""

    split: Split
    ids: np.ndarray
    label: np.ndarray
    mesh: Mesh | None = None

    def prepare(self, images: Array) -> Array:
        """Nothing: they are preprocessed."""
        return images

    def updates(self, rows: np.ndarray, turns: np.ndarray) -> Iterator[Update]:
        """One update for each row of indices, of a split that lies on the devices."""
        for some, turn in zip(rows, turns):
            yield self.split, devices.spread(some, self.mesh), devices.spread(turn, self.mesh)

    def like(self, shape: tuple[int, int]) -> tuple[Split, Any]:
        """The split itself: it is there."""
        return self.split, devices.spread(np.zeros(shape, np.int32), self.mesh)


@dataclass(frozen=True)
class Streaming:
    """A split on disk. target, weight: of every stamp (N,)."""

    records: streaming.Records
    target: np.ndarray
    weight: np.ndarray
    ids: np.ndarray
    label: np.ndarray
    preprocess: Preprocess
    bands: int
    workers: int
    mesh: Mesh | None = None

    def prepare(self, images: Array) -> Array:
        """raw_robust, inside the step."""
        return raw_robust(images, self.preprocess)

    def updates(self, rows: np.ndarray, turns: np.ndarray) -> Iterator[Update]:
        """One update for each row of indices, of a split that is read on the way."""
        size = rows[0].size
        place = devices.spread(np.arange(size, dtype=np.int32).reshape(rows.shape[1:]), self.mesh)
        stream = streaming.batches(
            self.records, rows.ravel(), size, ahead=2 * size, workers=self.workers
        )
        for some, turn, images in zip(rows.reshape(len(rows), -1), turns, stream):
            refuse_blank(images, self.ids[some], partial(self.records.only, some))
            # Cropping on the host leaves less to send.
            cut = cropped(images, self.preprocess.crop)  # type: ignore[arg-type]
            split = devices.copied(
                Split(
                    jnp.asarray(cut), jnp.asarray(self.target[some]), jnp.asarray(self.weight[some])
                ),
                self.mesh,
            )
            yield split, place, devices.spread(turn, self.mesh)

    def like(self, shape: tuple[int, int]) -> tuple[Split, Any]:
        """The stamps of one update, cropped."""
        number, side = shape[0] * shape[1], self.preprocess.crop
        arrays = (
            ((number, side, side, self.bands), np.float32),
            ((number,), self.target.dtype),
            ((number,), self.weight.dtype),
        )
        parts: Any = (devices.promised(size, kind, self.mesh) for size, kind in arrays)
        split = Split(*parts)
        return split, devices.spread(np.zeros(shape, np.int32), self.mesh)


def refuse_blank(
    images: Float[np.ndarray, "n h w c"], ids: np.ndarray, source: Callable[[], streaming.Records]
) -> None:
    """Raises InputError, which names file and record, for stamps that have no pixel at all in some
    band. source: tells where the stamps come from, in their order."""
    parts = [
        np.isnan(images[at : at + CHUNK]).all(axis=(1, 2)).any(axis=-1)
        for at in range(0, len(images), CHUNK)
    ]
    blank = np.flatnonzero(np.concatenate(parts)) if parts else ()
    if len(blank):
        records = source()
        names = "; ".join(
            f"{ids[i]}: {records.files[records.file[i]]}, record {records.number[i]}"
            for i in blank[:5]
        )
        raise InputError(
            f"{len(blank)} stamps without data in a band ({names}); "
            "quarantine them: `lensjax survey --force`"
        )


def refuse_lost(folder: Path, split: str, columns: dict[str, np.ndarray]) -> None:
    """Raises InputError, which names them, for objects that only one of manifest and shards has in
    this split, and for those whose labels differ.

    Rows of the manifest that are of no use (quality_ok false, another side) are not in the shards
    by design. Without a manifest nothing is compared.
    """
    path, size = folder / "manifest.parquet", shards.index(folder)["size"]
    if not path.is_file():
        return
    table = (
        manifest.read(path)
        .select(["galaxy_id", "label", "split", "quality_ok", "size"])
        .to_pandas()
    )
    usable = table[
        (table["split"] == split) & table["quality_ok"].eq(True) & (table["size"] == size)
    ]
    wanted = dict(zip(usable["galaxy_id"].astype(str), usable["label"]))
    found = dict(zip(columns["galaxy_id"].tolist(), columns["label"].tolist()))
    for problem, names in (
        ("are in the manifest and not in the shards", wanted.keys() - found.keys()),
        ("are in the shards and not usable in the manifest", found.keys() - wanted.keys()),
        (
            "have another label in the shards",
            {name for name in wanted.keys() & found.keys() if wanted[name] != found[name]},
        ),
    ):
        if names:
            some = ", ".join(sorted(names)[:5])
            raise InputError(
                f"{path}: {len(names)} objects of split {split} {problem} ({some}); "
                "write the shards again with `lensjax survey --force`"
            )


def on_device(
    images: Float[np.ndarray, "n h w c"], p: Preprocess, dtype: str, mesh: Mesh | None
) -> Float[Array, "n s s c"]:
    """raw_robust of every stamp, made where it stays, a few hundred at a time. The host needs no
    second copy, and the device little more than the result."""
    put = jax.jit(
        lambda whole, part, at: jax.lax.dynamic_update_slice(
            whole, raw_robust(part, p).astype(whole.dtype), (at, 0, 0, 0)
        ),
        donate_argnums=0,
    )
    p = p.of(images.shape[1])
    shape = (len(images), p.crop, p.crop, images.shape[3])
    whole = devices.copied(jnp.zeros(shape, dtype), mesh)
    for start in range(0, len(images), CHUNK):
        at = max(
            0, min(start, len(images) - CHUNK)
        )  # the last chunk overlaps the one before: one shape, one compilation
        part = cropped(images[at : at + CHUNK], p.crop)  # type: ignore[arg-type]
        whole = put(whole, devices.copied(part, mesh), at)
        # Otherwise chunks would queue up on the device, each with its own memory.
        whole.block_until_ready()
    return whole


def targets(
    columns: dict[str, np.ndarray], split: str, s: TrainSettings, where: Path
) -> tuple[np.ndarray, np.ndarray]:
    """Target and weight of every stamp (N,). Raises InputError when the training split holds no
    lens or no non-lens, or when a weight is not finite or negative."""
    label = columns["label"].astype(np.float32)
    if split == "train":
        lenses, others = int(label.sum()), int((1 - label).sum())
        if not (lenses and others):
            raise InputError(
                f"{where}, split train: {lenses} lenses and {others} non-lenses, both are needed "
                "to train; score with a trained classifier instead (evaluate: {classifier: FOLDER})"
            )
        if s.shuffle_labels:
            label = np.random.default_rng([s.seed, 1]).permutation(label)
    weight = (
        columns["sample_weight"].astype(np.float32) if s.sample_weights else np.ones_like(label)
    )
    wrong = ~(np.isfinite(weight) & (weight >= 0))
    if wrong.any():
        raise InputError(
            f"{where}, split {split}: sample_weight of {columns['galaxy_id'][wrong][0]} "
            "is not a weight; rebuild the manifest"
        )
    return np.where(
        (label == 1) & (columns["tier"] == "B"), np.float32(s.tier_b_target), label
    ), weight


def resident(folder: Path, split: str, s: TrainSettings) -> Resident:
    """A split decoded, checked and preprocessed, on the device, in the precision of the
    computation."""
    columns = load_split(folder, split)
    images = columns.pop("image")
    refuse_lost(folder, split, columns)
    rows = choice.chosen(columns, s, folder, split)
    if len(rows) < len(images):
        images, columns = images[rows], {name: values[rows] for name, values in columns.items()}
    refuse_blank(images, columns["galaxy_id"], lambda: streaming.records(folder, split).only(rows))
    target, weight = targets(columns, split, s, folder)
    mesh = devices.mesh(s.batch)
    ready = on_device(images, s.preprocess, s.precision, mesh)
    return Resident(
        Split(ready, *devices.copied((jnp.asarray(target), jnp.asarray(weight)), mesh)),
        columns["galaxy_id"],
        columns["label"],
        mesh,
    )


def streamed(folder: Path, split: str, s: TrainSettings) -> Streaming:
    """A split whose cutouts stay on disk."""
    columns = load_split(folder, split, shards.index(folder)["fields"])
    refuse_lost(folder, split, columns)
    rows = choice.chosen(columns, s, folder, split)
    columns = {name: values[rows] for name, values in columns.items()}
    target, weight = targets(columns, split, s, folder)
    source = streaming.records(folder, split).only(rows)
    return Streaming(
        source,
        target,
        weight,
        columns["galaxy_id"],
        columns["label"],
        s.preprocess,
        len(shards.index(folder)["bands"]),
        s.workers,
        devices.mesh(s.batch),
    )


def training(folder: Path, s: TrainSettings) -> tuple[Input, str]:
    """The training split as `input` asks, and which way it was in words."""
    if s.input == "streaming":
        return streamed(folder, "train", s), "streaming"
    need, have = needed(folder, s), available()
    short = [
        f"{need[where] / 2**30:.1f} GiB of the {where}'s {have[where] / 2**30:.1f}"
        for where in need
        if need[where] >= have[where]
    ]
    if s.input == "resident" or not short:
        return resident(folder, "train", s), f"resident ({need['device'] / 2**30:.1f} GiB)"
    return streamed(folder, "train", s), f"streaming (resident would take {' and '.join(short)})"


def needed(folder: Path, s: TrainSettings) -> dict[str, int]:
    """Bytes that a resident split takes: the decoded training stamps on the host, and those of
    training and validation, preprocessed, on the device. A processor is both."""
    listed = shards.index(folder)
    train, val = (
        len(listed["bands"])
        * sum(entry["records"] for entry in listed["shards"] if entry["split"] == split)
        for split in ("train", "val")
    )
    prepared = (
        (train + val) * jnp.dtype(s.precision).itemsize * s.preprocess.of(listed["size"]).crop ** 2
    )
    return {
        "host": train * 4 * listed["size"] ** 2
        + (prepared if jax.default_backend() == "cpu" else 0),
        "device": prepared,
    }


def available() -> dict[str, float]:
    """Bytes that may be used for it: half of the machine's free memory, and four fifths of what an
    accelerator has left; the rest is for the network and its activations. Unknown is unlimited."""
    host, device = probe.free()
    half = inf if host is None else host // 2
    if jax.default_backend() == "cpu" or device is None:
        return {"host": half, "device": half}
    return {"host": half, "device": device * 4 // 5}


def epoch_rows(
    label: Int[np.ndarray, " n"], s: TrainSettings, epoch: int, passes: int = 1
) -> tuple[Int[np.ndarray, "steps a b"], Int[np.ndarray, "steps a b"]]:
    """Rows and turns of every update of an epoch, a function of seed and epoch alone. What fills no
    batch is left to other epochs.

    label: of the stamps in the split. passes: number that a batch is cut into; its stamps stay the
    same.
    Raises InputError when the stamps are fewer than one effective batch.
    """
    number, whole = len(label), s.batch * s.accumulation
    if number < whole:
        raise InputError(
            f"batch {s.batch} x accumulation {s.accumulation} = {whole} is larger than the "
            f"training split ({number}); choose a smaller batch"
        )
    rng = np.random.default_rng([s.seed, 0, epoch])
    rows = rng.permutation(number)
    if s.balanced:
        kinds = [rows[label[rows] == kind] for kind in (0, 1)]
        rows = rng.permutation(np.concatenate([np.resize(kind, number // 2) for kind in kinds]))
        if len(rows) < whole:
            raise InputError(
                f"balanced: a batch of {whole} is larger than the {len(rows)} stamps of a balanced "
                "epoch; choose a smaller batch"
            )
    rows = rows[: len(rows) // whole * whole]
    turns = (
        np.zeros_like(rows)
        if s.augment == "none"
        else augment.codes(rows, s.seed, epoch, s.augment).astype(rows.dtype)
    )
    shape = (-1, s.accumulation * passes, s.batch // passes)
    return rows.reshape(shape).astype(np.int32), turns.reshape(shape).astype(np.int32)
