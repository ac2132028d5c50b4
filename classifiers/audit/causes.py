"""Why arcs were missed: a failure atlas by what was measured of each injection.

Every missed arc has one cause, the first that holds in the order of `CAUSES`: what is not in the
data comes before what the finder makes of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from classifiers.audit.completeness import weights

if TYPE_CHECKING:
    import pandas as pd

    from classifiers.audit.hosts import Hosts

GATE = "observable"
"""Column of the injections that says whether a gate without knowledge of the truth lets the stamp
pass, where there is one."""

CAUSES = {
    "too faint": "the SNR of the arc in a matched filter is below what counts as observable",
    "below the gate": "the gate that needs no truth does not let the stamp pass",
    "unresolved": "the Einstein radius is smaller than the PSF's FWHM",
    "inside the host's light": "the Einstein radius is smaller than the host's half-light radius",
    "the arc lowers the score": "the host scores higher without the arc",
    "raised, not enough": "the arc raises the score, but not above the threshold",
}
"""What each cause means, in the order in which they are asked."""


def cause_of(rows: pd.DataFrame, threshold: float, gate_snr: float, hosts: Hosts) -> np.ndarray:
    """Cause of every injection (n,), "" for one that was found. rows: injections with snr, score,
    score_before, host_psf_fwhm and, where the prior has it, theta_e. hosts: whose half-light radii
    (column shape_r, arcsec) count, where they are known. Arcs are resolved or not behind the PSF of
    their stamp (psf_fwhm_ and the reference band), which is not the host's own where hosts are
    degraded."""
    n = len(rows)
    missed = rows["score"].to_numpy() <= threshold
    never = np.zeros(n, bool)
    inside, unresolved = never, never
    if "theta_e" in rows:
        radius = rows["theta_e"].to_numpy()
        behind = f"psf_fwhm_{hosts.survey.reference}"
        unresolved = radius < rows[behind if behind in rows else "host_psf_fwhm"].to_numpy()
        if "shape_r" in hosts.columns:
            size = dict(zip(hosts.ids.tolist(), np.asarray(hosts.columns["shape_r"], np.float64)))
            inside = radius < np.array([size.get(i, np.nan) for i in rows["galaxy_id"]])
    answers = {
        "too faint": rows["snr"].to_numpy() < gate_snr,
        "below the gate": ~rows[GATE].to_numpy(bool) if GATE in rows else never,
        "unresolved": unresolved,
        "inside the host's light": inside,
        "the arc lowers the score": rows["score"].to_numpy() < rows["score_before"].to_numpy(),
        "raised, not enough": np.ones(n, bool),
    }
    found = np.full(n, "", object)
    for name in CAUSES:
        found[missed & (found == "") & answers[name]] = name
    return found.astype(str)


def atlas(rows: pd.DataFrame, cause: np.ndarray, gate_known: bool | None = None) -> pd.DataFrame:
    """One line per cause: number of missed injections, share of them (by the column weight, where
    there is one), medians of SNR and logit. A cause that cannot be told has no line."""
    import pandas as pd

    weight = weights(rows)
    total = weight[cause != ""].sum()
    asked = GATE in rows if gate_known is None else gate_known
    lines = []
    for name, meaning in CAUSES.items():
        if name == "below the gate" and not asked:
            continue
        own = cause == name
        some = bool(own.any())
        lines.append(
            {
                "cause": name,
                "n": int(own.sum()),
                "share": float(weight[own].sum() / total) if total > 0 else np.nan,
                "median_snr": float(rows["snr"][own].median()) if some else np.nan,
                "median_logit": float(rows["logit"][own].median()) if some else np.nan,
                "meaning": meaning,
            }
        )
    return pd.DataFrame(lines)


def picks(
    rows: pd.DataFrame, cause: np.ndarray, taken: dict[str, list[int]], each: int = 2
) -> dict[str, list[int]]:
    """Places of missed injections to look at, for every cause: those nearest its median SNR, one
    per host, none of those that were picked already."""
    names = rows["galaxy_id"].astype(str).to_numpy()
    used = {names[i] for places in taken.values() for i in places}
    found: dict[str, list[int]] = {}
    for name in CAUSES:
        own = np.flatnonzero(cause == name)
        snr = rows["snr"].to_numpy()[own]
        chosen: list[int] = []
        for place in (
            own[np.argsort(np.abs(snr - np.median(snr)), kind="stable")] if len(own) else ()
        ):
            if names[place] not in used and len(chosen) < each:
                used.add(names[place])
                chosen.append(int(place))
        if chosen:
            found[f"missed, {name}"] = chosen
    return found


def in_words(table: pd.DataFrame) -> str:
    """The atlas in one sentence."""
    some = table[table["n"] > 0]
    if some.empty:
        return "No arc was missed."
    parts: list[Any] = [f"{100 * r['share']:.0f} % {r['cause']}" for r in some.to_dict("records")]
    return f"Missed arcs by the first cause that holds: {', '.join(parts)}."
