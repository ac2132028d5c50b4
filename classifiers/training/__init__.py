"""Training of a lens finder on the shards of a survey.

settings    what a run is
choice      which stamps of a split it uses
inputs      a split in memory or streaming, and the order of an epoch
optimiser   schedules, AdamW, frozen parts
step        one update as one compiled function
loop        epochs, checkpoints, going on after a stop
interrupt   being stopped
devices     one step on all local devices
probe       how much memory is free
memory      as few passes of a batch as fit into it
curves      figures for TensorBoard
verb        from data and model to a frozen classifier
"""

from __future__ import annotations

from classifiers.training.settings import TrainSettings
from data.verb import Verb

__all__ = ["TrainSettings", "command"]

command = Verb(
    name="train",
    summary="Trains a lens finder on the survey's shards; a stopped run continues where it was.",
    settings=TrainSettings,
    after=("survey",),
    owns=("training",),
    reads="classifiers.training.verb:reads",
    guard="classifiers.training.verb:refuse_others",
    work="classifiers.training.verb:work",
    description=TrainSettings.__doc__ or "",
)
