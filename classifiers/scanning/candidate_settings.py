"""What a list of candidates is asked."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from data.config import settings

Format = Literal["csv", "ecsv", "fits", "vot", "reg", "parquet"]
Share = Annotated[float, Field(gt=0, lt=1)]


@settings
class CandidateSettings:
    """Ranks what a scan has scored, and says of every object what is known of it; see
    docs/scanning.md. The list goes to candidates/ in every format that is asked for."""

    number: Annotated[int, Field(ge=0)] = 1000
    """how many objects are listed; 0: every one that has a score"""
    minimum: Annotated[float, Field(ge=0, le=1)] = 0.0
    """score that an object needs to be listed"""
    rank: str = ""
    """finder whose scores rank, or mean; empty: as in the scan"""
    lenses: str = ""
    """list of known lenses in lenscat's format (CSV, TSV, Parquet); empty: the run's, if it has
    one; LENSJAX_DATA stands for the folder that this environment variable names"""
    radius: Annotated[float, Field(gt=0, le=3600)] = 5.0
    """arcsec within which an object is a known lens"""
    calibrate: Literal["", "temperature", "platt", "isotonic", "beta"] = "beta"
    """map from scores to probabilities, fitted to validation objects; empty: none"""
    validation: str = ""
    """CSV or Parquet table of validation objects with label and score_<finder> for each finder;
    empty: the validation split of the run's evaluation, for the finder that it was of"""
    fitted_to: Annotated[int, Field(ge=2)] = 10
    """lenses, and others, that a map needs at least"""
    prevalence: Share | None = None
    """share of lenses among the objects of the survey, to which probabilities are brought"""
    completeness: str = ""
    """run, audit or completeness table with the selection function; empty: the run's audit, if it
    has one"""
    threshold: str = ""
    """score, or name of a threshold of the audit, above which an injection counts as found; empty:
    the one nearest to 0.5"""
    formats: tuple[Format, ...] = ("csv", "ecsv", "fits", "vot", "reg", "parquet")

    @model_validator(mode="after")
    def _something(self) -> CandidateSettings:
        if not self.formats:
            raise ValueError("formats: give at least one")
        return self
