"""The published selection function of Balaji & Johnson (2026), as a completeness table.

Their repository aditrivaishnavi/stronglens-realism-gap has it as CSV: 385 cells of Einstein radius,
PSF FWHM and depth in DR10, five thresholds, and bins of unlensed and of lensed source magnitude. It
says nothing of hosts, so that its intervals take injections as independent.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from classifiers.audit.axes import ALL
from classifiers.audit.settings import KNOWN

if TYPE_CHECKING:
    import pandas as pd

THEIRS = ("theta_e", "psf_fwhm", "depth_5sig", "threshold_type", "source_mag_bin", "n_injections")
COUNTS = {"n_injections": "n", "n_detected": "k", "depth_5sig": "depth_m5"}
INTERVALS = {f"ci{level}_{end}": f"{end}{level}" for level in (68, 95) for end in ("lo", "hi")}
LENSED = "lensed_"
"""What the names of bins of lensed magnitude begin with, in the column of unlensed ones."""
NAME = "Balaji & Johnson 2026"


def is_published(table: pd.DataFrame) -> bool:
    """Whether a table has the columns of the published one."""
    return set(THEIRS) <= {str(c) for c in table.columns}


def converted(table: pd.DataFrame, path: Path) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Our columns of the published ones, and what is said of all of it.

    Hosts of a PSF or depth cell are those nearest to its centre, so that a cell reaches half way to
    its neighbours; Einstein radii are points.
    """
    import pandas as pd

    found = table.rename(columns=COUNTS | INTERVALS)
    lensed = found["source_mag_bin"].str.startswith(LENSED)
    made: dict[str, Any] = {"theta_e": found["theta_e"]}
    for name, stem in (("psf_fwhm", "psf"), ("depth_m5", "depth")):
        step = float(np.diff(np.unique(found[name])).min())
        made |= {name: found[name], f"{stem}_lo": found[name] - step / 2}
        made[f"{stem}_hi"] = found[name] + step / 2
    rate = found["fpr_target"].map(lambda v: f"fpr{v:g}")
    fixed = found["threshold"].map(lambda v: f"p{v:g}")
    made["threshold_name"] = rate.where(found["fpr_target"].notna(), fixed)
    made["threshold"] = found["threshold"]
    made["source_mag_bin"] = found["source_mag_bin"].where(~lensed, ALL)
    arcs = found["source_mag_bin"].str.removeprefix(LENSED)
    made["arc_mag_bin"] = arcs.where(lensed, ALL)
    made |= {name: found[name] for name in ("n", "k", "completeness", *INTERVALS.values())}
    made["snr_mean"] = found["mean_arc_snr"]
    made["status"] = np.where(found["sufficient"], "sufficient", "insufficient")
    kinds = {"theta_e": "drawn", "psf_fwhm": "host", "depth_m5": "host"}
    kinds |= {"source_mag": "measured", "arc_mag": "measured"}
    axes = [
        {"name": n, "label": KNOWN[n][0], "unit": KNOWN[n][1], "kind": kind, "column": n}
        for n, kind in kinds.items()
    ]
    about = {"axes": axes, "survey": "ls_dr10", "finders": {"": {"name": f"{NAME}: {path.stem}"}}}
    return pd.DataFrame(made), about
