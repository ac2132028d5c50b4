"""The completeness that a survey has under an object's conditions, from the audit's selection
function: how likely a lens there would be found, whatever its Einstein radius.

Axes that are the host's (PSF width, depth, E(B-V)) take the object's values. Over the others, above
all the Einstein radius, the completeness is summed as the injections were drawn.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from classifiers.audit.population_verb import number_or_name
from classifiers.selection import Answer, SelectionFunction, tablefile
from data.survey import Survey

UNKNOWN = "unknown"
"""Flag of an object whose conditions are not known."""
AT_ONCE = 100_000
"""objects that are asked about together"""


def function(path: str | Path, threshold: str = "") -> SelectionFunction:
    """The selection function of a run, audit or table. threshold: a score or a name; empty: the one
    nearest to 0.5. Raises InputError as `SelectionFunction.load` does."""
    if not threshold:
        table, _ = tablefile.read(tablefile.located(path))
        first = table.drop_duplicates("threshold_name")
        nearest = int(np.argmin(np.abs(first["threshold"].to_numpy(float) - 0.5)))
        return SelectionFunction.load(path, str(first["threshold_name"].iloc[nearest]))
    return SelectionFunction.load(path, number_or_name(threshold))


def known(survey: Survey, columns: Mapping[str, np.ndarray]) -> dict[str, Float[np.ndarray, " n"]]:
    """Conditions of objects by the names of axes, from the columns of a scan."""
    from data.photometry import depth_m5

    r = survey.reference
    found = {
        "psf_fwhm": columns[f"psfsize_{r}"],
        "depth_m5": depth_m5(columns[f"psfdepth_{r}"]),
        "ebv": columns["ebv"],
    }
    return {name: np.where(np.isfinite(v), v, np.nan) for name, v in found.items()}


def expected(
    of: SelectionFunction, conditions: Mapping[str, Float[np.ndarray, " n"]], level: float = 0.95
) -> tuple[Answer, dict[str, Any]]:
    """Completeness of each object with its interval and flag (`selection.FLAGS`, or `UNKNOWN` where
    a condition is not known), and what is to be said of all of them."""
    names = [a.name for a in of.needed if a.kind != "drawn" and a.name in conditions]
    over = [axis.name for axis in of.needed if axis.name not in names]
    summed = of.summed(*names)
    n = len(next(iter(conditions.values())))
    value, low, high = np.full(n, np.nan), np.zeros(n), np.ones(n)
    flag = np.full(n, UNKNOWN, "U12")
    have = np.all([np.isfinite(conditions[name]) for name in names], axis=0)
    have = np.flatnonzero(np.broadcast_to(have, n))
    for start in range(0, len(have), AT_ONCE):
        rows = have[start : start + AT_ONCE]
        answer = summed.query(level=level, **{name: conditions[name][rows] for name in names})
        for own, theirs in zip((value, low, high, flag), answer[:4]):
            own[rows] = theirs
    about = {
        "of": of.name,
        "threshold": of.threshold,
        "threshold_name": of.threshold_name,
        "axes": names,
        "summed_over": over,
        "level": level,
        "finders": of.about.get("finders"),
        "prior": of.about.get("prior"),
    }
    return Answer(value, low, high, flag), about
