"""Learning-rate schedules and AdamW."""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase

import optax

from classifiers.training.settings import TrainSettings
from lensjax.errors import InputError


def schedule(s: TrainSettings, steps_per_epoch: int) -> optax.Schedule:
    """Learning rate as a function of the number of updates done."""
    warmup = round(s.warmup_epochs * steps_per_epoch)
    total = s.epochs * steps_per_epoch
    if s.schedule == "cosine":
        main = optax.cosine_decay_schedule(s.learning_rate, max(total - warmup, 1))
        # the cosine starts when the rise ends; the other two keep their epochs
    elif s.schedule == "step":
        boundaries = {epoch * steps_per_epoch - warmup: s.step_factor for epoch in s.step_epochs}
        main = optax.piecewise_constant_schedule(s.learning_rate, boundaries)
    else:
        main = optax.constant_schedule(s.learning_rate)
    if not warmup:
        return main
    return optax.join_schedules(
        [optax.linear_schedule(s.learning_rate / warmup, s.learning_rate, warmup), main], [warmup]
    )


def frozen_names(names: Iterable[str], patterns: Iterable[str]) -> set[str]:
    """Names that a pattern matches. Raises InputError when a pattern matches none."""
    names, found = list(names), set()
    for pattern in patterns:
        matched = {n for n in names if fnmatchcase(n, pattern)}
        if not matched:
            raise InputError(
                f"freeze {pattern!r} matches no parameter; the names start with "
                f"{', '.join(sorted({n.split('.')[0] for n in names}))}"
            )
        found |= matched
    return found


def optimiser(
    s: TrainSettings, steps_per_epoch: int, names: Iterable[str]
) -> optax.GradientTransformation:
    """AdamW (Loshchilov & Hutter 2019) with decay on every parameter, as in torch. Frozen
    parameters get no update at all.

    names: of the parameters, which are a flat dictionary.
    """
    names = list(names)
    held = frozen_names(names, s.freeze)
    if held == set(names):
        raise InputError("freeze: every parameter is frozen, nothing is left to train")
    adamw = optax.adamw(schedule(s, steps_per_epoch), weight_decay=s.weight_decay)
    if not held:
        return adamw
    return optax.partition(
        {"train": adamw, "hold": optax.set_to_zero()},
        {n: "hold" if n in held else "train" for n in names},
    )
