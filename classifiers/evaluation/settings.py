"""What an evaluation is asked."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from data.config import settings

Probability = Annotated[float, Field(gt=0, lt=1)]


@settings
class EvaluateSettings:
    """Scores every split with a finder and measures it on held-out stamps."""

    finder: str = ""
    """what is evaluated, as `classifiers.finders` describes it: a folder with classifier.json, an
    ONNX file, `module:function`, `scores:FOLDER` or a YAML file; empty: the run's own classifier"""
    classifier: str = ""
    """folder of a classifier trained elsewhere; the same as `finder`"""
    on: Literal["auto", "test", "val", "all"] = "auto"
    """stamps the metrics are of; auto: test (val where there is no test), or all of them for a
    finder from elsewhere"""
    thresholds: tuple[Probability, ...] = (0.3, 0.5, 0.7)
    """scores at which precision, recall and false positives are counted"""
    fpr_targets: tuple[Probability, ...] = (0.05, 0.01, 0.001, 0.0001)
    """false-positive rates that thresholds are sought for among the validation negatives"""
    resamples: Annotated[int, Field(ge=20)] = 1000
    """bootstrap resamples"""
    bootstrap: Literal["objects", "healpix"] = "objects"
    """what is drawn: single objects, or whole HEALPix cells"""
    minimum: Annotated[int, Field(ge=2)] = 10
    """lenses (or non-lenses, or expected false positives) below which a figure is called
    insufficient"""
    batch: Annotated[int, Field(ge=1)] = 256
    """stamps that are scored together"""
    seed: Annotated[int, Field(ge=0)] = 42

    @model_validator(mode="after")
    def _one_finder(self) -> EvaluateSettings:
        if self.finder and self.classifier:
            raise ValueError("finder and classifier say the same; set one of them")
        if not self.thresholds:
            raise ValueError("thresholds: give at least one")
        return self

    @property
    def elsewhere(self) -> str:
        """The finder that does not come from this run; empty for the run's own."""
        return self.finder or self.classifier
