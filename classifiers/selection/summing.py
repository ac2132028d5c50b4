"""Fewer axes: completeness summed over the cells of the others, every cell counting as the weight
of its injections.

Cells of one observing condition share their hosts, and a table does not say how many of them, so
that their errors are taken to be the same way and added; those of different conditions have
different hosts and are added in squares. With errors s_i of shares w_i of the sum, the variance is
the sum over conditions of (sum of w_i s_i)^2. Where hosts are degraded to a condition, or the table
does not say which axes are the hosts', all of them are added. What an uncertain threshold adds to
the intervals has the same sign in all cells, and is added too. An interval is thus rather too wide
than too narrow; the audit's own marginals, which know every host, are narrower.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float, Int

from classifiers.audit.axes import stem_of
from classifiers.selection.axis import TableAxis
from classifiers.selection.interpolation import of_threshold, with_threshold

if TYPE_CHECKING:
    import pandas as pd


def combined(
    error: Float[np.ndarray, " n"], weight: Float[np.ndarray, " n"], site: Int[np.ndarray, " n"]
) -> float:
    """Error of a weighted sum, see the module's docstring. weight: sums to 1."""
    return float(np.sqrt((np.bincount(site, weight * error) ** 2).sum()))


def sites(
    lines: pd.DataFrame, axes: Sequence[TableAxis], about: Mapping[str, Any]
) -> Int[np.ndarray, " n"]:
    """Number of the observing condition of each line, by the axes that are the hosts'."""
    import pandas as pd

    own = [axis.column for axis in axes if axis.kind == "host"]
    degraded = about.get("settings", {}).get("mode") == "degraded"
    if degraded or not own:
        return np.zeros(len(lines), np.int64)
    return pd.factorize(pd.MultiIndex.from_frame(lines[own]))[0]


def summed(
    table: pd.DataFrame,
    axes: Sequence[TableAxis],
    names: Sequence[str],
    about: Mapping[str, Any],
) -> pd.DataFrame:
    """The table with a line for every cell along the axes `names` alone; bins of the measured axes
    stay as they are. axes: all of the table's. A line is sufficient where its cells with injections
    are, and there is one."""
    import pandas as pd

    spanning = [axis for axis in axes if axis.kind != "measured"]
    kept = [axis for axis in spanning if axis.name in names]
    measured = [axis.column for axis in axes if axis.kind == "measured"]
    edges = [f"{stem_of(a.name)}_{end}" for a in kept for end in ("lo", "hi")]
    cell = [axis.column for axis in kept] + [c for c in edges if c in table]
    numbered = table.assign(site=sites(table, spanning, about))
    groups = [*cell, "threshold_name", "threshold", *measured]
    rows = [
        dict(zip(groups, key)) | _line(part) for key, part in numbered.groupby(groups, sort=False)
    ]
    found = pd.DataFrame(rows)
    if "lo95_total" not in table:
        return found
    below, above = (found.pop(name).to_numpy(np.float64) for name in ("below", "above"))
    return with_threshold(found, below, above)


def _line(part: pd.DataFrame) -> dict[str, Any]:
    """Counts and completeness of some cells together."""
    counted = "weight" if "weight" in part else "n"
    used = part[part[counted] > 0]
    n, own = used["n"].to_numpy(np.float64), used[counted].to_numpy(np.float64)
    found: dict[str, Any] = {"n": int(n.sum()), "k": int(used["k"].sum())}
    found |= {"weight": float(own.sum())} if counted == "weight" else {}
    if not len(used):
        return found | {
            "completeness": np.nan,
            "n_eff": 0.0,
            "hosts": 0,
            "status": "insufficient",
            **_of_threshold(used, np.zeros(0)),
        }
    weight = own / own.sum()
    value = used["completeness"].to_numpy(np.float64)
    each = used["n_eff"].to_numpy(np.float64) if "n_eff" in used else n
    hosts = (used["hosts"] if "hosts" in used else used["n"]).to_numpy(np.float64)
    site = used["site"].to_numpy()
    # A share of nothing or all has an error too: that of half a success more, as Jeffreys has it.
    held = (value * each + 0.5) / (each + 1)
    error = combined(np.sqrt(held * (1 - held) / each), weight, site)
    total, mean = each.sum(), float(weight @ value)
    middle = (mean * total + 0.5) / (total + 1)
    return found | {
        "completeness": mean,
        "n_eff": min(middle * (1 - middle) / error**2, total),
        "hosts": int(sum(hosts[site == s].max() for s in np.unique(site))),
        "status": "sufficient" if (used["status"] == "sufficient").all() else "insufficient",
        **_of_threshold(used, weight),
    }


def _of_threshold(lines: pd.DataFrame, weight: Float[np.ndarray, " n"]) -> dict[str, float]:
    """How far an uncertain threshold lets the 95 % interval of the sum reach below and above."""
    if "lo95_total" not in lines:
        return {}
    below, above = (float(weight @ np.nan_to_num(part)) for part in of_threshold(lines))
    return {"below": below, "above": above}
