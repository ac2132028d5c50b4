"""Networks that saw one part of the stamps, judged as the trees of `views` are: what they reach in
the core, a finder can reach without an arc."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from classifiers.evaluation import judging
from classifiers.evaluation.predictions import Predictions
from classifiers.shortcuts.views import GATE

BOUNDS = ("lo95", "hi95")


def table(
    scores: Predictions, masks: Mapping[str, str], full: str, q: judging.Question
) -> pd.DataFrame:
    """A row for each masked network: view (its mask), network, value (AUC on the held-out objects)
    with lo68 ... hi95 and above_gate (whether the lower end of the 68 % interval is above 0.60),
    and less, less_lo95, less_hi95: how much more the full network reaches, paired.

    masks: name of the finder -> its mask. full: name of the network that saw all of the stamps.
    """
    own = judging.judged(scores.keeping(()), q, ())["figures"]
    areas = own[own["metric"] == "roc_auc"].set_index("finder")
    pairs = judging.compared(scores, q, [(name, full) for name in masks])
    paired = pairs[pairs["metric"] == "roc_auc"].set_index("finder")
    rows = []
    for name, mask in masks.items():
        figure = areas.loc[name].to_dict()
        figure.pop("metric")
        known = figure["status"] == "ok"
        row = {"view": mask, "network": name, **figure, "full": full}
        row["above_gate"] = bool(figure["lo68"] > GATE) if known else None
        row["less"] = paired.loc[name, "difference"] if known else None
        row |= {f"less_{end}": paired.loc[name, end] if known else None for end in BOUNDS}
        rows.append(row)
    return pd.DataFrame(rows)
