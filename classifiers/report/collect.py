"""Reads what the steps of a run wrote.

Everything but the survey's manifest may be missing: it is then None or empty.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from classifiers.report import command
from data import record
from data.manifest import read as read_manifest
from data.survey import Survey, default, of_run
from lensjax.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

STEPS = command.after
TABLES = {
    "pool": "counts/pool.csv",
    "crossmatch": "counts/crossmatch.csv",
    "unmatched": "counts/unmatched.csv",
    "sample": "counts/sample.csv",
    "quarantine": "quarantine.csv",
    "scores": "evaluation/scores.parquet",
    "roc": "evaluation/roc.csv",
    "reliability": "evaluation/reliability.csv",
    "thresholds": "evaluation/thresholds.csv",
    "confusers": "evaluation/confusers.csv",
    "strata": "evaluation/strata.csv",
    "completeness": "audit/completeness.parquet",
    "marginals": "audit/marginals.parquet",
    "injections": "audit/injections.parquet",
    "sensitivity": "audit/sensitivity.parquet",
    "sensitivity_prior": "audit/sensitivity_prior.parquet",
    "treatments": "audit/treatments.parquet",
    "counterfactuals": "audit/counterfactuals.parquet",
    "causes": "audit/causes.parquet",
    "merged": "audit/merged.parquet",
    "finders": "audit/finders.parquet",
    "finder_shapes": "audit/finder_shapes.parquet",
    "host_effects": "audit/host_effects.parquet",
    "audit_thresholds": "audit/thresholds.parquet",
    "hosts_left_out": "audit/hosts_left_out.parquet",
    "native": "audit/native.parquet",
    "native_noise": "audit/native_noise.parquet",
    "native_psf": "audit/native_psf.parquet",
}


@dataclass(frozen=True)
class Run:
    """A run directory. survey: whose bands and pixels count. records: of the finished steps by
    name. manifest: of the cutouts. tables: those of TABLES that exist and have rows. epochs: of
    training. metrics: evaluation/metrics.json. audit: audit/summary.json."""

    out: Path
    records: dict[str, dict[str, Any]]
    manifest: pd.DataFrame
    tables: dict[str, pd.DataFrame]
    epochs: pd.DataFrame | None
    metrics: dict[str, Any] | None
    audit: dict[str, Any] | None
    survey: Survey = field(default_factory=default)

    @property
    def simulated(self) -> bool:
        """Whether the survey is the simulated one."""
        return "simulate" in self.records

    def table(self, name: str, needs: Sequence[str] = ()) -> pd.DataFrame | None:
        """A table, or None when it is absent, empty or lacks one of these columns."""
        found = self.tables.get(name)
        return found if found is not None and set(needs) <= set(found.columns) else None


def collect(out: Path) -> Run:
    """Everything of a run directory. Raises InputError naming a file that cannot be read."""
    import pandas as pd

    tables: dict[str, pd.DataFrame] = {}
    for name, place in TABLES.items():
        path = out / place
        if not path.is_file():
            continue
        try:
            table = pd.read_parquet(path) if path.suffix == ".parquet" else pd.read_csv(path)
        except pd.errors.EmptyDataError:
            continue
        except (OSError, ValueError) as error:
            raise InputError(
                f"{path}: cannot be read ({str(error).splitlines()[0]}); run the step that writes "
                "it again with --force"
            ) from None
        if len(table):
            tables[name] = table
    epochs = _lines(out / "training" / "metrics.jsonl")
    records = {name: found for name in STEPS if (found := record.read(out, name)) is not None}
    return Run(
        out,
        records,
        read_manifest(out / "manifest.parquet").to_pandas(),
        tables,
        pd.DataFrame(epochs) if epochs else None,
        _json(out / "evaluation" / "metrics.json"),
        _json(out / "audit" / "summary.json"),
        of_run(out),
    )


def _json(path: Path) -> dict[str, Any] | None:
    return json.loads(path.read_text()) if path.is_file() else None


def _lines(path: Path) -> list[dict[str, Any]]:
    return (
        [json.loads(line) for line in path.read_text().splitlines() if line.strip()]
        if path.is_file()
        else []
    )
