"""Evaluation of a frozen lens finder on held-out stamps.

settings    what is asked                        scoring     logits of every stamp
metrics     ranking metrics, many resamples at once          calibration reliability, ECE, MCE
bootstrap   resamples of objects or of sky cells             intervals   of a proportion
figures     a number with its interval, or why there is none
thresholds  scores for a wanted false-positive rate          strata      by tier, type, conditions, confuser
verb        from a survey and a classifier to tables
"""

from __future__ import annotations

from classifiers.evaluation.settings import EvaluateSettings
from data.config import invocation

__all__ = ["EvaluateSettings", "command"]


def command(argv: list[str]) -> int:
    """Scores every stamp and measures the classifier: ROC, calibration, thresholds, confusers, strata."""
    call = invocation(
        "evaluate", EvaluateSettings, argv, description=EvaluateSettings.__doc__ or ""
    )
    from classifiers.evaluation.verb import main

    return main(call)


command.settings = EvaluateSettings  # type: ignore[attr-defined]
