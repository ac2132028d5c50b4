"""A small training run for the tests of training. parts: what the fixture of this name gives
(conftest.py)."""

import jax
import jax.numpy as jnp
import numpy as np

from classifiers.checkpoints import Checkpoints
from classifiers.training import TrainSettings, inputs, loop, optimiser
from classifiers.training.step import begin
from data.config import validated

TINY = {
    "stem_width": 8,
    "stem_kernel": 5,
    "stem_stride": 2,
    "middles": [8],
    "widths": [8],
    "blocks": [1],
}
SETTINGS = {
    "model": "shielded_resnet",
    "architecture": TINY,
    "preprocess": {"crop": 24},
    "epochs": 8,
    "batch": 16,
    "learning_rate": 0.01,
}


def settings(**changes):
    return validated(TrainSettings, {**SETTINGS, **changes}, "test")


def make_run(folder, parts, **changes):
    net, _, step, train, val = parts
    s = settings(**changes)
    return loop.Run(
        folder,
        s,
        net,
        step,
        optimiser.schedule(s, len(inputs.epoch_rows(train.label, s, 0)[0])),
        train,
        val.split,
    )


def fresh(parts):
    net, update = parts[:2]
    return jax.tree.map(jnp.copy, begin(net, update))  # the step donates its state


def newest(folder, parts):
    return Checkpoints(folder / "last").restore(fresh(parts), loop.settings_of(settings()))[0]


def same(a, b):
    return all(
        np.array_equal(x, y) for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
    )


class Killed(Exception):
    pass
