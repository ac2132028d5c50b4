"""Sets of labels at a stated coverage, and a list at a stated false-discovery rate.

Both use only the order in which a finder puts objects. They assume that validation objects and
those that are judged are drawn from one population. MAPIE's sets cover lenses and others together,
so that with one lens in a hundred all lenses may be missed at 99 %; here each class has its own
coverage.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float

from classifiers.evaluation import figures
from classifiers.evaluation.predictions import Predictions
from lensjax.errors import InputError

SETS = ("lens", "other", "either", "neither")


def p_values(
    reference: Float[np.ndarray, " n"], score: Float[np.ndarray, " m"]
) -> Float[np.ndarray, " m"]:
    """Conformal p-values (m,) of "this object is one of these": (1 + the number of reference scores
    that are at least as strange) / (n + 1), where higher is stranger (Vovk, Gammerman & Shafer
    2005, Algorithmic Learning in a Random World, equation 2.20). If it is one, p is at most a with
    probability at most a."""
    ordered = np.sort(reference)
    above = len(ordered) - np.searchsorted(ordered, score, side="left")
    return (1 + above) / (len(ordered) + 1)


def judged(
    validation: Predictions,
    test: Predictions,
    finder: str,
    coverage: float | None,
    discovery: float | None,
    minimum: int = 10,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Sets and a list for the test objects, from the validation objects.

    coverage: each class is in the sets of at least this share of its objects, on average over
    samples: a label is in the set where its p-value is above 1 - coverage, and that of each class
    is by its own validation objects (Mondrian sets, Vovk et al. 2005, section 4.5). discovery: the
    expected share of others among the discovered is at most this, times the share of others in the
    test table (Benjamini & Hochberg on the p-values of "other", Bates et al. 2023, Annals of
    Statistics 51, 149, theorem 2).

    First table: id, label, p_lens, p_other, set ("lens", "other", "either", "neither"), discovered.
    Second: what (covered lenses, covered others, the four sets, false discoveries), number, value
    with lo68 ... hi95, status, for the test objects. Raises InputError for levels that are not
    between 0 and 1, and with fewer validation objects of a class than its level needs:
    1 / (1 - coverage) - 1.
    """
    for name, level in (("coverage", coverage), ("false_discovery", discovery)):
        if level is not None and not 0 < level < 1:
            raise InputError(f"{name} is {level}; it lies between 0 and 1")
    lens = validation.label == 1
    before, score = validation.scores[finder], test.scores[finder]
    found = pd.DataFrame({"id": test.id, "label": test.label})
    found["p_lens"] = p_values(-before[lens], -score)
    found["p_other"] = p_values(before[~lens], score)
    rows: list[dict[str, Any]] = []
    if coverage is not None:
        least = int(np.ceil(1 / (1 - coverage) - 1e-9)) - 1
        for number, what in ((int(lens.sum()), "lenses"), (int((~lens).sum()), "others")):
            if number < least:
                raise InputError(
                    f"coverage {coverage:g} needs {least} validation {what}; there are {number}"
                )
        has = [found[c].to_numpy() > 1 - coverage + 1e-12 for c in ("p_lens", "p_other")]
        kinds = [has[0] & ~has[1], has[1] & ~has[0], has[0] & has[1], ~has[0] & ~has[1]]
        found["set"] = np.select(kinds, SETS, "")
        rows += _covered(test, has, found["set"].to_numpy(str), minimum)
    if discovery is not None:
        found["discovered"] = discovered(found["p_other"].to_numpy(), discovery)
        wrong, own = test.label == 0, found["discovered"].to_numpy(bool)
        share = figures.share(wrong, own, minimum, "discovered objects", test.cell)
        rows.append({"what": "false discoveries", "number": int((wrong & own).sum()), **share})
    return found, pd.DataFrame(rows)


def discovered(p: Float[np.ndarray, " m"], level: float) -> np.ndarray:
    """Which objects (m,) Benjamini & Hochberg's procedure finds at this false-discovery rate. With
    n others in validation no p-value is below 1 / (n + 1), so that a list of K out of m objects
    needs n of about m / (K level)."""
    return figures.q_values(p) <= level


def _covered(
    test: Predictions, has: list[np.ndarray], kind: np.ndarray, minimum: int
) -> list[dict[str, Any]]:
    label, rows = test.label, []
    for of, inside, own in (("lenses", label == 1, has[0]), ("others", label == 0, has[1])):
        share = figures.share(own, inside, minimum, of, test.cell)
        rows.append({"what": f"covered {of}", "number": int((own & inside).sum()), **share})
    for name in SETS:
        share = figures.share(kind == name, np.ones(len(kind), bool), minimum, "objects", test.cell)
        rows.append({"what": name, "number": int((kind == name).sum()), **share})
    return rows
