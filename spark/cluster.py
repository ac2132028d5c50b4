"""A cluster as the settings describe it, for estimates."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from data.config import settings


@settings
class Cluster:
    """The machines that `--dry-run` estimates time and cost for; nothing else reads this."""

    nodes: Annotated[int, Field(ge=1)] = 1
    """machines that share the work"""
    cores: Annotated[int, Field(ge=1)] = 2
    """cores of each machine"""
    mib_per_second: Annotated[float, Field(gt=0)] = 200.0
    """MiB a second that each machine reads from where the survey lies"""
    price: Annotated[float, Field(ge=0)] = 0.0
    """price of a machine for an hour, in any currency; 0: no cost is given"""
