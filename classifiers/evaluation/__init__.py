"""Evaluation of a lens finder on held-out stamps.

settings    what is asked
scoring     scores of every stamp, by any finder
metrics     ranking metrics, for many resamples at once
calibration reliability, expected and maximum calibration error
bootstrap   resamples of objects or of sky cells
figures     a number with its interval, or the reason why there is none
thresholds  scores for a wanted false-positive rate
strata      the same figures by tier, type, conditions and kind of confuser
verb        from a survey and a finder to tables

Of any finder, from a table of its scores:

predictions a table of scores, checked at the door
diagrams    ROC, precision and recall, reliability as tables
calibrators scores into probabilities, fitted on validation objects
independence a held-out table freed of what lies near a training positive
conformal   sets of labels at a coverage, a list at a false-discovery rate
comparison  two finders on the same objects
composition what a list for inspection will hold
judging     all of it
plots       its tables drawn
judge_verb  the verb `judge`
"""

from __future__ import annotations

from classifiers.evaluation.settings import EvaluateSettings
from data.verb import Verb

__all__ = ["EvaluateSettings", "command"]

command = Verb(
    name="evaluate",
    summary="Scores every stamp and measures the finder: ROC, calibration, thresholds, strata.",
    settings=EvaluateSettings,
    after=("survey", "train"),
    owns=("evaluation",),
    reads="classifiers.evaluation.verb:reads",
    work="classifiers.evaluation.verb:work",
    description=EvaluateSettings.__doc__ or "",
)
