"""What an evaluation is asked."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from data.config import settings

Probability = Annotated[float, Field(gt=0, lt=1)]


@settings
class EvaluateSettings:
    """Scores every split with a frozen classifier and measures it on held-out stamps."""

    classifier: str = ""
    """folder of a classifier trained elsewhere (classifier.json); empty: this run's training"""
    on: Literal["auto", "test", "val", "all"] = "auto"
    """stamps the metrics are of; auto: test (val where there is no test), or all of them for a classifier trained elsewhere"""
    thresholds: tuple[Probability, ...] = (0.3, 0.5, 0.7)
    """scores at which precision, recall and false positives are counted"""
    fpr_targets: tuple[Probability, ...] = (0.05, 0.01, 0.001, 0.0001)
    """false-positive rates that thresholds are sought for among the validation negatives"""
    resamples: Annotated[int, Field(ge=20)] = 1000
    """bootstrap resamples"""
    bootstrap: Literal["objects", "healpix"] = "objects"
    """what is drawn: single objects, or whole HEALPix cells"""
    minimum: Annotated[int, Field(ge=2)] = 10
    """lenses (or non-lenses, or expected false positives) below which a figure is called insufficient"""
    batch: Annotated[int, Field(ge=1)] = 256
    seed: Annotated[int, Field(ge=0)] = 42
