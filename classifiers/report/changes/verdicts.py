"""What either run says of itself, where the two say different things."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from classifiers.report.changes.pair import SIDES, Pair, Side

if TYPE_CHECKING:
    import pandas as pd

ABSENT = "—"
COLUMNS = ("verdict", *SIDES)


def table(pair: Pair) -> pd.DataFrame:
    """A row for every verdict that differs: of the realism gates and their sum, of the intervals,
    of thresholds for a rate of false positives, of saturated scores, and of cells."""
    import pandas as pd

    one, two = (said(side) for side in pair)
    rows = [
        (name, *(found.get(name, ABSENT) for found in (one, two)))
        for name in {**one, **two}
        if one.get(name) != two.get(name)
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def said(side: Side) -> dict[str, str]:
    """The verdicts of a run, in words, by what they are of."""
    audit = side.run.audit
    if not audit:
        return {}
    realism = audit.get("realism") or {}
    found = {"realism of the injections": realism.get("verdict", ABSENT)}
    found |= {f"realism gate: {g['name']}": g["status"] for g in realism.get("gates", [])}
    headline = audit.get("headline") or {}
    if "statistical" in headline:
        found["statistical interval"] = headline["statistical"]["status"]
    if systematic := audit.get("systematic"):
        ends = (100 * systematic[end] for end in ("low", "high"))
        found["systematic interval"] = "{:.1f} to {:.1f} %".format(*ends)
    found |= {f"threshold {n}": "there is one" for n in audit.get("thresholds", {})}
    found |= {f"threshold {n}": why for n, why in audit.get("no_threshold", {}).items()}
    found["scores"] = "saturated" if _saturated(audit) else "not saturated"
    cells = audit["cells"]
    found["cells with enough injections"] = f"{cells['sufficient']} of {cells['total']}"
    return found


def _saturated(audit: dict[str, Any]) -> bool:
    return bool(audit.get("saturation", {}).get("flag"))
