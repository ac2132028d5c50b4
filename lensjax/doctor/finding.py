"""One finding of the examination: how good the news is, what was found, and what cures it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Level = Literal["ok", "note", "slow", "broken"]
GB = 1e9
"""Bytes in the unit in which memory and disk space are told."""


@dataclass(frozen=True)
class Finding:
    """level: ok; note, when something is absent that only some need; slow, when work takes longer
        than it must; broken, when something that is needed, or that the user asked for, fails.
    text: what was found, whole sentences.
    cure: what to do about it, whole sentences; empty where nothing needs to be done.
    values: the figures behind the sentences, for programs that read them as JSON.
    """

    level: Level
    text: str
    cure: str = ""
    values: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.level != "ok" and not self.cure:
            raise ValueError(f"a finding that is {self.level!r} names its cure: {self.text}")
