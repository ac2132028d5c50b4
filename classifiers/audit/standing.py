"""How the audit's one number stands: its statistical and its systematic interval, what missed arcs
lack, why they were missed, and how much hosts differ."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from classifiers.audit import (
    assumptions,
    causes,
    counterfactual,
    hosteffects,
    overlap,
    shapes,
    treatments,
)
from classifiers.audit.axes import Grid
from classifiers.audit.campaign import Campaign
from classifiers.audit.case import cases
from classifiers.audit.completeness import weights
from classifiers.audit.settings import AuditSettings
from classifiers.audit.thresholds import Threshold, known
from classifiers.intervals import FEW_GROUPS

if TYPE_CHECKING:
    import pandas as pd

TABLES = (
    *("treatments", "counterfactuals", "causes", "host_effects"),
    *("finders", "finder_shapes"),
)
PARTS = "treatments"
"""Folder of finished looks below the folder of the audit's parts."""


def headline(rows: pd.DataFrame, at: Threshold, table: pd.DataFrame | None) -> dict[str, Any]:
    """Completeness above a threshold with both intervals. statistical: 95 %, hosts as groups, and
    what is not known of the threshold (`thresholds.known`); status "insufficient" where the hosts
    are fewer than `FEW_GROUPS`. systematic: `assumptions.systematic`, None without treatments."""
    found = known(rows["score"].to_numpy(), weights(rows), rows["galaxy_id"].to_numpy(), at)
    (low, high), share = found.interval(), found.share
    systematic = None if table is None else assumptions.systematic(table, share.value)
    return {
        "completeness": share.value,
        "threshold": at.value,
        "statistical": {
            "low": low,
            "high": high,
            "n_eff": share.n_eff,
            "hosts": int(share.groups),
            "status": "sufficient" if share.groups >= FEW_GROUPS else "insufficient",
        },
        "systematic": systematic,
    }


def said(found: dict[str, Any]) -> str:
    """The headline in one or two sentences."""
    percent = lambda v: f"{100 * v:.1f} %"
    stat, systematic = found["statistical"], found["systematic"]
    start = f"Completeness above {found['threshold']:g}: {percent(found['completeness'])}; "
    if stat["status"] == "sufficient":
        start += f"statistical (95 %, by hosts): {percent(stat['low'])} to {percent(stat['high'])}"
    else:
        start += (
            f"no statistical interval, {stat['hosts']} hosts are too few to tell how hosts differ "
            f"({FEW_GROUPS} are needed)"
        )
    if systematic is None:
        return (
            f"{start}; systematic: not known, fewer than {assumptions.FEWEST_TREATMENTS} "
            "assumptions were changed (treatments of the audit)."
        )
    ends = [
        f"{end} with: {systematic[f'{name}_sentence']}"
        for end, name in (("lowest", "low"), ("highest", "high"))
        if systematic[f"{name}_sentence"]
    ]
    return (
        f"{start}; systematic (range over {systematic['treatments']} changes of one assumption): "
        f"{percent(systematic['low'])} to {percent(systematic['high'])}"
        + (f" ({'; '.join(ends)})." if ends else ".")
    )


def ask(
    campaign: Campaign,
    rows: pd.DataFrame,
    axes: Grid,
    s: AuditSettings,
    threshold: Threshold,
    folder: Path,
) -> tuple[dict[str, Any], dict[str, pd.DataFrame]]:
    """Treatments, counterfactuals and causes of an audit: what goes into its summary, with
    sentences under "said", and tables by name (`TABLES`). A finder whose scores come back in a
    table cannot be asked again; its treatments are listed as not applied."""
    middle = threshold.value
    at = float(np.log(middle / (1 - middle)))
    logit = rows["logit"].to_numpy(np.float64)
    tables: dict[str, pd.DataFrame] = {}
    listed = treatments.treatments(campaign, s)
    if s.treatments:
        listed = treatments.chosen(listed, s.treatments)
    alive = campaign.exchange is None
    sample = assumptions.choose(campaign.plan, logit, at, s.treatment_sample) if alive else None
    looks: dict[str, pd.DataFrame] = {}
    weight = np.ones(0)
    if sample is not None:
        looks = assumptions.carry_out(campaign, sample, listed, folder / "parts" / PARTS)
        weight = sample.weight * weights(rows)[sample.rows]
    if sample is not None or not alive:
        why = "" if alive else "the finder's scores came back in a table, so it cannot be asked"
        tables["treatments"] = assumptions.table(listed, looks, weight, middle, axes, why)
    found = headline(rows, threshold, tables.get("treatments") if looks else None)
    sentences = [said(found)]
    if (changes := _counterfactuals(campaign, rows, s, middle)) is not None:
        tables["counterfactuals"] = changes
    summary = counterfactual.summary(changes) if changes is not None and len(changes) else {}
    if summary:
        sentences.append(counterfactual.in_words(summary))
    cause = causes.cause_of(rows, middle, s.gate_snr, campaign.hosts)
    tables["causes"] = causes.atlas(rows, cause)
    sentences.append(causes.in_words(tables["causes"]))
    tables["host_effects"] = hosteffects.table(rows, middle, s.sufficient)
    sentences += hosteffects.in_words(tables["host_effects"])
    together, more_said = _several(campaign, rows, axes, s, middle, tables)
    sentences += more_said
    done = assumptions.overall(tables["treatments"]) if "treatments" in tables else None
    return {
        "headline": found,
        "systematic": found["systematic"],
        "treatments": [] if done is None else _plain(done),
        "counterfactuals": summary,
        "causes": _plain(tables["causes"]),
        "host_effects": _plain(tables["host_effects"]),
        **together,
        "said": sentences,
    }, tables


def _several(
    campaign: Campaign,
    rows: pd.DataFrame,
    axes: Grid,
    s: AuditSettings,
    middle: float,
    tables: dict[str, pd.DataFrame],
) -> tuple[dict[str, Any], list[str]]:
    """What several finders find together and alone: for the summary, and in sentences; both empty
    where only one was asked. Adds their tables."""
    if not campaign.more:
        return {}, []
    name, fixed = campaign.finder.name, sorted({*s.thresholds, middle})
    finders, looks = overlap.of_audit(rows, name, list(campaign.more), fixed, s.compare_at)
    found = overlap.table(rows, finders, looks, axes, s.sufficient)
    shape = shapes.table(rows, finders, looks, axes, s.sufficient)
    tables |= {"finders": found, "finder_shapes": shape}
    at = f"p{middle:g}"
    summary = overlap.summary(found, at) | {"names": list(finders)}
    own = shapes.in_words(shape, at, axes)
    return {"finders": summary | {"shapes": own}}, [overlap.in_words(summary), *own]


def _counterfactuals(
    campaign: Campaign, rows: pd.DataFrame, s: AuditSettings, middle: float
) -> pd.DataFrame | None:
    """Counterfactuals of the missed injections with the smallest keys."""
    import pandas as pd

    if campaign.exchange is not None:
        return None
    at, logit = float(np.log(middle / (1 - middle))), rows["logit"].to_numpy(np.float64)
    sample = assumptions.missed(campaign.plan, logit, at, s.counterfactuals)
    if sample is None:
        return None
    widths = campaign.hosts.fwhm[campaign.used]
    about = rows.iloc[sample.rows][["injection_id", "galaxy_id", "source_mag", "snr", "score"]]
    parts, start = [], 0
    for case in cases(campaign, sample.sample):
        own = about.iloc[start : start + case.count]
        columns = {str(name): own[name].to_numpy() for name in own}
        parts.append(counterfactual.search(case, middle, widths, columns))
        start += case.count
    return pd.concat(parts, ignore_index=True)


def _plain(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Lines of a table as JSON values, None for what is not a number."""
    return [
        {str(k): None if isinstance(v, float) and v != v else v for k, v in line.items()}
        for line in table.to_dict("records")
    ]
