"""What the lenses of a kind taught: members with and without them, on the same held-out objects.

A member that never saw a kind may be worse on it, or on all lenses, or nowhere. So pairs are
compared on all held-out lenses, on those of the kind, and on the rest, each time with the same
others. Fewer lenses make any member worse, whatever their kind; a member from which as many were
taken at random (`without: {as_many_as: ...}`) shows by how much.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from classifiers.evaluation import judging
from classifiers.evaluation.comparison import NUMBERS
from classifiers.evaluation.predictions import Predictions


def table(
    scores: Predictions,
    kinds: Mapping[str, str],
    pairs: Sequence[tuple[str, str]],
    q: judging.Question,
) -> pd.DataFrame:
    """`judging.compared` of the pairs for every kind of lenses: columns kind (name of the member
    that never saw it), lenses (all, left out, kept), n (lenses), then those of a comparison.

    kinds: member -> column of the table in which a lens is "left out" or "kept". Where a kind has
    no held-out lens, the row says so.
    """
    parts = []
    for name, column in kinds.items():
        value = scores.columns[column]
        for which in ("all", "left out", "kept"):
            inside = (scores.label == 1) & ((value == which) | (which == "all"))
            base = {"kind": name, "lenses": which, "n": int(inside.sum())}
            if not inside.any():
                nothing = dict.fromkeys((*NUMBERS, "q_value"), np.nan)
                why = {"metric": None, "status": "insufficient: no held-out lens"}
                rows = [{"finder": a, "other": b, **why, **nothing} for a, b in pairs]
                parts.append(pd.DataFrame(rows).assign(**base))
                continue
            part = scores.rows(inside | (scores.label == 0))
            parts.append(judging.compared(part, q, pairs).assign(**base))
    found = pd.concat(parts, ignore_index=True)
    first = ["kind", "lenses", "n", "finder", "other"]
    return found[[*first, *(name for name in found if name not in first)]]


def lines(found: pd.DataFrame, primary: str) -> list[str]:
    """A line of words for every kind, set of lenses and pair, in the primary metric."""
    said = []
    for row in found.to_dict("records"):
        if row.get("metric", primary) not in (primary, None) and row["metric"] == row["metric"]:
            continue
        whose = f"lenses {row['lenses']} ({row['n']}) by {row['kind']}"
        pair = f"{row['other']} minus {row['finder']}"
        if row["status"] != "ok":
            said.append(f"{whose}: {pair}: {row['status']}")
            continue
        said.append(
            f"{whose}: {pair}: {primary} {row['difference']:+.4f} "
            f"(95 %: {row['lo95']:+.4f} to {row['hi95']:+.4f})"
        )
    return said
