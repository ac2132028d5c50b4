"""Training of a lens finder on the shards of a survey.

settings    what a run is                    inputs     a split in memory or streaming, the order of an epoch
optimiser   schedules, AdamW, frozen parts   step       one update as one compiled function
loop        epochs, checkpoints, resume      interrupt  being stopped
devices     one step on all local devices    memory     as few passes as fit
curves      figures for TensorBoard          verb       from data and model to a frozen classifier
"""

from __future__ import annotations

from classifiers.training.settings import TrainSettings
from data.config import invocation

__all__ = ["TrainSettings", "command"]


def command(argv: list[str]) -> int:
    """Trains a lens finder on the survey's shards; a stopped run continues where it was."""
    call = invocation("train", TrainSettings, argv, description=TrainSettings.__doc__ or "")
    from classifiers.training.verb import main

    return main(call)


command.settings = TrainSettings  # type: ignore[attr-defined]
