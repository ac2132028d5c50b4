"""What a report is asked."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from data.config import settings


@settings
class ReportSettings:
    """How much the report shows."""

    title: str = ""
    """Title of the page; empty: one that says what was run."""
    stamps: Annotated[int, Field(ge=0, le=64)] = 8
    """Stamps shown of each kind."""
    rows: Annotated[int, Field(ge=1, le=1000)] = 30
    """Longest table on the page; the files beside it have all rows."""
