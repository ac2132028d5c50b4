"""Negatives that look like lenses: a list to inspect, and a manifest without them.

Cleanlab ranks labels by out-of-sample probabilities and leaves the rest to its user. Two things
matter more here. The probability of an object comes from a network that saw nothing of its group:
otherwise a lens with a negative's label would have been learned as a negative. And only training
negatives are ever taken out: a test split cleaned by a finder holds fewer of the objects on which
that finder is wrong, and every figure on it would be too good.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from jaxtyping import Float

from classifiers.evaluation.predictions import Predictions
from data.tables import read_csv
from lensjax.errors import InputError, some

if TYPE_CHECKING:
    import pyarrow as pa

THRESHOLD = 0.4
"""Out-of-fold probability above which a negative is listed."""
TRAINED = "train"
ACTIONS = ("remove", "keep")


def suspects(
    table: Predictions,
    probability: Float[np.ndarray, " n"],
    threshold: float = THRESHOLD,
    split: str = "",
) -> pd.DataFrame:
    """Negatives above the threshold, highest first: id, probability, the scores, the table's
    columns, and action: "remove", or "keep" for those that are not of the training split (where
    the table has the column of splits). probability: out of fold. Raises InputError for a
    threshold that is not between 0 and 1."""
    if not 0 < threshold < 1:
        raise InputError(f"the threshold of cleaning is {threshold}; it lies between 0 and 1")
    which = np.flatnonzero((table.label == 0) & (probability > threshold))
    which = which[np.lexsort((table.id[which], -probability[which]))]
    part = table.rows(which)
    found = pd.DataFrame({"id": part.id, "probability": probability[which], **part.scores})
    for name, values in part.columns.items():
        found[name if name not in found else f"{name}_of_object"] = values
    trained = part.columns[split] == TRAINED if split else np.ones(len(which), bool)
    return found.assign(action=np.where(trained, *ACTIONS))


def read(path: str | Path) -> pd.DataFrame:
    """A list of suspects as it came back from inspection: id and action as text. Raises InputError
    for a file that cannot be read, missing columns, ids that are there twice, and actions other
    than remove and keep."""
    path = Path(path)
    try:
        found = read_csv(path)
    except InputError:
        raise
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: not a readable CSV ({str(error).splitlines()[0]})") from None
    if missing := [name for name in ("id", "action") if name not in found]:
        raise InputError(f"{path}: column {some(missing)} is missing")
    found = found.assign(id=found["id"].str.strip(), action=found["action"].str.strip())
    if (twice := found["id"][found["id"].duplicated()]).size:
        raise InputError(f"{path}: id {some([*twice])} is there twice")
    if (odd := ~found["action"].isin(ACTIONS)).any():
        named = [f"{r['id']}: {r['action']!r}" for r in found[odd].to_dict("records")]
        raise InputError(f"{path}: actions are remove or keep; found {some(named)}")
    return found


def rebuilt(manifest: pa.Table, listed: pd.DataFrame) -> pa.Table:
    """The manifest without the rows whose action is "remove", in their order.

    listed: id (galaxy_id) and action. Raises InputError, with ids, for objects that the manifest
    does not have, that are lenses in it, or that are not of its training split.
    """
    import pyarrow as pa

    remove = listed.loc[listed["action"] == "remove", "id"].astype(str)
    names = ("galaxy_id", "label", "split")
    rows = pd.DataFrame({n: manifest[n].to_pylist() for n in names}).set_index("galaxy_id")
    if missing := [i for i in remove if i not in rows.index]:
        raise InputError(
            f"{len(missing)} objects to remove are not in the manifest: {some(missing)}"
        )
    own = rows.loc[list(remove)]
    if lenses := [*own.index[own["label"] == 1]]:
        raise InputError(f"{len(lenses)} objects to remove are lenses in it: {some(lenses)}")
    if held := [*own.index[own["split"] != TRAINED]]:
        raise InputError(
            f"{len(held)} objects to remove are not of the training split: {some(held)}; a test "
            "split that a finder cleaned makes that finder look better than it is"
        )
    kept = ~rows.index.isin(set(remove))
    return manifest.filter(pa.array(kept))
