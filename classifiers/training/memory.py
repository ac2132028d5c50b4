"""An effective batch in one pass where the device's memory allows it, otherwise in as few passes as
fit.

The update is compiled for the whole batch, and the compiler says how much memory it takes; jax.jit
uses the same compilation when training calls it. The passes hold the same stamps as the batch
(`inputs.epoch_rows` only cuts them in another way). A run keeps the number that it began with,
which is in run_info.json.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypedDict

import jax

from classifiers.checkpoints import Checkpoints
from classifiers.training import inputs
from classifiers.training.settings import TrainSettings
from classifiers.training.step import State
from lensjax.errors import InputError


class Division(TypedDict):
    """passes: number that one batch is cut into. whole, part: bytes that an update takes uncut and
    as cut. available: bytes that were free. None where it is not known."""

    passes: int
    whole: int | None
    part: int | None
    available: int | None


UNCUT = Division(passes=1, whole=None, part=None, available=None)


def needed(
    step: jax.stages.Wrapped, state: State, train: inputs.Input, shape: tuple[int, int]
) -> int | None:
    """Bytes that an update of (A, B) rows takes on each device beside what is there already; None
    when the compiler does not tell."""
    split, rows = train.like(shape)
    found: Any = step.lower(state, split, rows, rows).compile().memory_analysis()
    if found is None:
        return None
    absent = sum(
        x.size * x.dtype.itemsize
        for x in jax.tree.leaves(split)
        if isinstance(x, jax.ShapeDtypeStruct)
    )
    # The state is given away to the update and comes back in its place. Of a stream, the stamps of
    # the next update arrive during this one.
    return (
        found.temp_size_in_bytes
        + found.output_size_in_bytes
        - found.alias_size_in_bytes
        + found.generated_code_size_in_bytes
        + 2 * absent
    )


def divided(
    step: jax.stages.Wrapped,
    state: State,
    train: inputs.Input,
    s: TrainSettings,
    available: int | None,
) -> Division:
    """The fewest passes of a batch that fit. Raises InputError when not even one stamp a device
    fits."""
    if available is None:
        return UNCUT
    each, whole, part = jax.local_device_count(), None, 0
    for passes in (
        n for n in range(1, s.batch // each + 1) if s.batch % n == 0 and s.batch // n % each == 0
    ):
        found = needed(step, state, train, (s.accumulation * passes, s.batch // passes))
        if found is None:
            return UNCUT
        whole, part = whole or found, found
        if part <= available:
            return Division(passes=passes, whole=whole, part=part, available=available)
    raise InputError(
        f"batch {s.batch}: not enough memory on the device; even a pass of {each} takes "
        f"{part:,} bytes and {available:,} are free; "
        "free memory, or choose a smaller network or crop"
    )


def recorded(folder: Path) -> Division | None:
    """How the unfinished run in a folder divides its batches; None when there is none to go on
    from. Runs of older versions divided none."""
    path = folder / "run_info.json"
    if (
        not path.is_file()
        or not (folder / "last").is_dir()
        or Checkpoints(folder / "last").newest() is None
    ):
        return None
    return json.loads(path.read_text()).get("division", UNCUT)


def described(division: Division, s: TrainSettings, resumed: bool, statistics: bool) -> str:
    """The cut in words; empty for one pass."""
    passes, whole, available = division["passes"], division["whole"], division["available"]
    if passes == 1 or whole is None or available is None:
        return ""
    free = "were free when this run began" if resumed else "are free"
    why = f"needs {whole / 1e9:.3g} GB of memory, {available / 1e9:.3g} GB {free}"
    normalised = (
        "; batch normalisation sees the passes and not the batch (docs/training.md has figures)"
        if statistics
        else ""
    )
    parts = f"{passes} passes of {s.batch // passes}"
    return f"train: a batch of {s.batch} {why}: it is split into {parts}{normalised}"


@contextmanager
def explained(s: TrainSettings, passes: int = 1) -> Iterator[None]:
    """Raises InputError with what to do when the device's memory runs out within."""
    try:
        yield
    except jax.errors.JaxRuntimeError as error:
        if "RESOURCE_EXHAUSTED" not in str(error):
            raise
        smaller = max(s.batch // (2 * passes), 1)
        raise InputError(
            f"batch {s.batch // passes}: not enough memory on the device; --batch {smaller} "
            f"--accumulation {2 * passes * s.accumulation} has the same effective batch "
            "(batch statistics are then of a pass, see docs/training.md)"
        ) from None
