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
from data.verb import Verb

__all__ = ["EvaluateSettings", "command"]

command = Verb(
    name="evaluate",
    summary="Scores every stamp and measures the classifier: ROC, calibration, confusers, strata.",
    settings=EvaluateSettings,
    after=("survey", "train"),
    owns=("evaluation",),
    reads="classifiers.evaluation.verb:reads",
    work="classifiers.evaluation.verb:work",
    description=EvaluateSettings.__doc__ or "",
)
