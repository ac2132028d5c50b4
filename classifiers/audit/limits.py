"""What an audit cannot say because of where its finder, thresholds and hosts come from."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from classifiers.audit import psffiles
from classifiers.audit.choosing import finder_of
from classifiers.audit.hosts import Hosts
from classifiers.audit.settings import AuditSettings
from data.tables import read_csv

if TYPE_CHECKING:
    import pandas as pd


def of_the_run(
    out: Path, s: AuditSettings, hosts: Hosts, trained: pd.DataFrame | None
) -> list[str]:
    """A sentence for each limit. trained: the galaxies that the finder was trained on, None for
    this run's own training split."""
    return [
        *_of_the_finder(s, hosts, trained),
        *_of_the_thresholds(out, s),
        *psffiles.unsaid(hosts.columns, len(hosts)),
    ]


def _of_the_finder(s: AuditSettings, hosts: Hosts, trained: pd.DataFrame | None) -> list[str]:
    if trained is None or not finder_of(s):
        return []
    many = f"{len(trained):,} other galaxies and " if len(trained) else ""
    return [
        f"The finder was trained on {many}none of this run's galaxies: what it misses may be "
        f"due to images that differ from its own ({hosts.survey.title}) as much as to the arcs."
    ]


def _of_the_thresholds(out: Path, s: AuditSettings) -> list[str]:
    path = out / "evaluation" / "thresholds.csv"
    if not path.is_file():
        return [
            "No negatives of this survey were scored, so that the rate of false positives at "
            f"{', '.join(f'{t:g}' for t in s.thresholds)} is not known, and there is no threshold "
            "for a wanted rate."
        ]
    table = read_csv(path, text=False)
    if (table["status"] == "ok").any():
        return []
    return [
        "The negatives of this run are too few for a threshold at any wanted rate of false "
        "positives (evaluation/thresholds.csv says how many it takes)."
    ]
