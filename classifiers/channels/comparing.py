"""Everything that is said of channels, as tables by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from classifiers.channels import apart, chosen, merging, overlap, parent
from classifiers.channels.lists import Channel


@dataclass(frozen=True)
class Question:
    """How channels are compared. radius: arcsec within which entries are one object. features, and
    population (tables that have them): what the choice is explained by. monotone: sign of the slope
    of features. minimum: objects below which a figure is insufficient."""

    radius: float = merging.RADIUS
    population: tuple[Path, ...] = ()
    features: tuple[str, ...] = ()
    monotone: Mapping[str, int] = field(default_factory=dict)
    minimum: int = 30
    resamples: int = 2000
    seed: int = 42


def compared(channels: Sequence[Channel], q: Question) -> dict[str, pd.DataFrame]:
    """Tables: objects, doubtful, overlap, combinations; and with a population: coverage, chosen,
    dependence, population, apart. Raises InputError as the functions that make them do."""
    objects = merging.merged(channels, q.radius)
    tables = {
        "objects": objects.table(),
        "doubtful": objects.doubtful(),
        "overlap": overlap.pairs(objects),
        "combinations": overlap.combinations_of(objects),
    }
    if q.population:
        own, coverage = parent.read(q.population, q.features, channels, q.radius)
        how = (q.minimum, q.resamples, q.seed)
        measured, curves, rows = chosen.chosen(own, q.monotone, *how)
        tables |= {"coverage": coverage, "chosen": measured, "dependence": curves}
        tables |= {"population": rows, "apart": apart.told_apart(own, *how)}
    return tables


def lines(tables: Mapping[str, pd.DataFrame]) -> list[str]:
    """The main figures in words."""
    objects, doubtful = tables["objects"], tables["doubtful"]
    several = int(objects["channels"].str.contains(" + ", regex=False).sum())
    said = [f"{len(objects)} objects, {several} in several lists, {len(doubtful)} doubtful"]
    for row in tables["overlap"].to_dict("records"):
        if row["both"] and row["status"] == "ok":
            said.append(
                f"{row['first']}, {row['second']}: {row['both']} of {row['either']} in both, "
                f"Jaccard {row['value']:.3f} (95 %: {row['lo95']:.3f} to {row['hi95']:.3f}), "
                f"{row['chance']:g} by chance"
            )
    if "chosen" not in tables:
        return said
    for row in tables["coverage"].to_dict("records"):
        said.append(
            f"{row['channel']}: {row['entries']} entries, {row['in_parent']} in the population, "
            f"{row['with_features']} with all features"
        )
    measured = tables["chosen"]
    for row in measured[measured["metric"] == "roc_auc"].to_dict("records"):
        known = row["status"] == "ok"
        ends = f"{row['value']:.3f} (95 %: {row['lo95']:.3f} to {row['hi95']:.3f})" if known else ""
        said.append(f"{row['channel']}: AUC of P(selected | features) {ends or row['status']}")
    for row in tables["apart"].to_dict("records"):
        if row["status"] == "ok":
            said.append(
                f"{row['first']}, {row['second']}: told apart with accuracy {row['accuracy']:.3f} "
                f"(95 %: {row['lo95']:.3f} to {row['hi95']:.3f}; a coin has 0.5)"
            )
    return said
