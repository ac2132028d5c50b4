"""What a scan is asked."""

from __future__ import annotations

import re
from dataclasses import field
from typing import Annotated, Literal

from pydantic import Field, model_validator

from classifiers.finders.description import SCORES
from data.config import settings
from data.folder import Folder

OWN = "own"
"""Name of the run's own classifier, where no finders are named."""
MEAN = "mean"
"""Ranks by the mean of all finders' scores."""
FINDER = re.compile(r"[A-Za-z][A-Za-z0-9_]*")


@settings
class ScanSettings:
    """Scores every cutout of shards, of a folder, or of coadded bricks at the positions of a
    catalogue, with one or several finders; see docs/scanning.md. Scores go to scan/parts/, the best
    to scan/top.parquet, and what could not be scored to scan/refused.csv. A stopped scan goes on
    where it was and ends with the same bytes."""

    source: Literal["bricks", "shards", "folder"] = "bricks"
    """where cutouts come from: coadds and catalogues of a survey, TFRecord shards, or a folder of
    cutout files"""
    root: str = ""
    """folder of the survey, shards or cutouts; empty: those of this run; LENSJAX_DATA stands for
    the folder that this environment variable names"""
    definition: str = ""
    """the survey's definition: a shipped one's name, or a YAML file; empty: the run's, else that of
    root, else DR10"""
    finders: dict[str, str] = field(default_factory=dict)
    """name (letters, digits, _) to finder, as `classifiers.finders` describes it; empty: the run's
    own classifier, called own"""
    rank: str = ""
    """finder whose scores rank the objects, or mean; empty: the only one, else the mean"""
    top: Annotated[int, Field(ge=1)] = 10_000
    """how many objects the ranked table holds"""
    sweeps: tuple[str, ...] = ("sweep/sweep-*.fits",)
    """bricks: catalogue files, relative to root: names, or patterns with * and ?"""
    types: tuple[str, ...] = ()
    """bricks: morphological types to score; empty: every object"""
    magnitude_max: float | None = None
    """bricks: magnitude in the survey's selection band to score up to; none: every object"""
    splits: tuple[Literal["train", "val", "test"], ...] = ("train", "val", "test")
    """shards: splits to score"""
    table: Folder = Folder()
    """folder: how its table names things, as in `survey.folder`; without a table: every NPZ file of
    this project below the folder"""
    size: Annotated[int, Field(ge=0, le=1024)] = 0
    """bricks and folder: side of a cutout, pixels; 0: the survey's"""
    on_bad_file: Literal["stop", "quarantine"] = "stop"
    """what a file that cannot be read does. stop: ends the scan, for a shard or brick once
    everything else is scored. quarantine: the rows of a shard or brick are refused, and a catalogue
    is named in scan/summary.json; single bad cutouts are always refused"""
    batch: Annotated[int, Field(ge=1)] = 256
    """cutouts that are scored together"""
    rows_per_part: Annotated[int, Field(ge=1)] = 4096
    """rows of one file of scores, about: a shard or a brick is never cut"""
    ahead: Annotated[int, Field(ge=0)] = 3
    """batches that are read ahead; 0: reading and scoring take turns"""

    @model_validator(mode="after")
    def _can_be_columns(self) -> ScanSettings:
        for name, text in self.finders.items():
            if not FINDER.fullmatch(name) or name == MEAN:
                raise ValueError(f"finders: {name!r} is no name; use letters, digits and _")
            if text.startswith(SCORES):
                raise ValueError(
                    f"finders.{name}: scores of a table come later, and a scan needs them at once"
                )
        if self.rank and self.rank not in (*self.named, MEAN):
            raise ValueError(f"rank {self.rank!r}: expected {', '.join(self.named)} or {MEAN}")
        return self

    @property
    def named(self) -> dict[str, str]:
        """The finders by name."""
        return self.finders or {OWN: ""}

    @property
    def ranked_by(self) -> str:
        """The finder that ranks, or `MEAN`."""
        return self.rank or (next(iter(self.named)) if len(self.named) == 1 else MEAN)
