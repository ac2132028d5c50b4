"""Calibrated probabilities of the scores of a scan.

A map is fitted to validation objects (`classifiers.evaluation.calibrators`), which took no part in
the training, and holds for a sample with as many lenses as these; the prior shift brings it to the
survey's share. A finder has its own map. The score that ranks has one of its own as well: where it
is the mean of several finders' scores, the mean of calibrated probabilities is not calibrated, so
that the map is fitted to the mean scores of the validation objects.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from classifiers.audit.thresholds import SAME
from classifiers.evaluation import calibrators, figures, predictions
from classifiers.evaluation.calibrators import Calibrator, Method
from classifiers.scanning import ranking, scan_verb
from lensjax.errors import InputError

if TYPE_CHECKING:
    import pyarrow as pa

RANKED = ""
"""Stands for the score that ranks, among the names of finders."""


@dataclass(frozen=True)
class Validation:
    """Validation objects. label (n,): 1 or 0. logit: (n,) by finder, for those whose scores are
    known. where: the file or folder they are from. why: reason by finder, for those whose scores
    are not known."""

    label: Int[np.ndarray, " n"]
    logit: Mapping[str, Float[np.ndarray, " n"]]
    where: str
    why: Mapping[str, str] = field(default_factory=dict)


def of_evaluation(out: Path, named: Mapping[str, Mapping[str, Any]]) -> Validation:
    """The validation split of a run's evaluation, for the finders that are the evaluated one.
    named: what the scan says of its finders."""
    folder = out / "evaluation"
    files = [folder / "scores.parquet", folder / "metrics.json"]
    nothing = np.empty(0, np.int64)
    if not all(path.is_file() for path in files):
        none = dict.fromkeys(named, "the run has no evaluation; set validation")
        return Validation(nothing, {}, str(folder), none)
    theirs = json.loads(files[1].read_text()).get("classifier", {})
    rows = pd.read_parquet(files[0])
    rows = rows[rows["split"] == "val"]
    logit, why = {}, {}
    for name, finder in named.items():
        own = finder["info"]
        if all(theirs.get(key) == own.get(key) for key in SAME):
            logit[name] = rows["logit"].to_numpy(np.float64)
        else:
            why[name] = "the run's evaluation was of another finder; set validation"
    return Validation(rows["label"].to_numpy(np.int64), logit, str(files[0]), why)


def of_table(path: Path, named: Sequence[str]) -> Validation:
    """A table with id, label and score_<finder>, or a run whose scan has labelled validation rows.
    Raises InputError as `predictions.read` does, and where there are none."""
    if not path.is_dir():
        columns = [f"score_{name}" for name in named]
        found = predictions.read(path, columns)
        logit = {name: found.logits[f"score_{name}"] for name in named}
        return Validation(found.label, logit, str(path))
    theirs = scan_verb.summary(path)["finders"]
    if missing := [name for name in named if name not in theirs]:
        raise InputError(f"{path}: its scan has no finder {missing[0]!r}; it has {[*theirs]}")
    columns = ["label", "split", "refused", *(f"logit_{name}" for name in named)]
    parts = [t.to_pandas() for t in ranking.tables(path / scan_verb.FOLDER, columns)]
    rows = pd.concat(parts) if parts else pd.DataFrame(columns=columns)
    rows = rows[(rows["split"] == "val") & rows["label"].notna() & rows["refused"].isna()]
    if not len(rows):
        raise InputError(f"{path}: its scan has no labelled row of split val; scan its shards")
    logit = {name: rows[f"logit_{name}"].to_numpy(np.float64) for name in named}
    return Validation(rows["label"].to_numpy(np.int64), logit, str(path / scan_verb.FOLDER))


@dataclass(frozen=True)
class Maps:
    """Calibration of the finders. maps: by finder, and under `RANKED` of the score that ranks.
    share: of lenses in the sample that they are fitted to. why: reason by finder, for those without
    a map. about: what the list's summary says of the maps."""

    maps: Mapping[str, Calibrator]
    share: float
    why: Mapping[str, str]
    about: Mapping[str, Any]

    def probability(self, name: str, logit: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
        """Probability of a lens, in a sample like the one that the map is fitted to."""
        return self.maps[name](_finite(logit))

    def in_survey(
        self, probability: Float[np.ndarray, " n"], prevalence: float
    ) -> Float[np.ndarray, " n"]:
        """The same where a share `prevalence` of all objects are lenses."""
        return calibrators.prior_shift(probability, self.share, prevalence)


def expected(
    parts: Iterable[pa.Table], ranked: ranking.Ranked, maps: Maps, prevalence: float
) -> tuple[float, int]:
    """The sum of the probabilities in the survey over all scored rows, and their number. If the
    validation objects are like the scanned ones, the sum is `prevalence` times the number: the
    probabilities of a population have its share of lenses as their mean."""
    total, n = 0.0, 0
    for part in parts:
        rows = ranked.of(part)
        logits = [np.asarray(rows[f"logit_{name}"], np.float64) for name in ranked.used]
        p = maps.probability(RANKED, ranked_logit(logits))
        total, n = total + float(maps.in_survey(p, prevalence).sum()), n + len(rows)
    return total, n


def fitted(sample: Validation, ranked: ranking.Ranked, method: Method, minimum: int) -> Maps:
    """A map for every finder with validation scores, and for the score that ranks. minimum: lenses,
    and others, that a map needs."""
    lenses = int(sample.label.sum())
    others = len(sample.label) - lenses
    about: dict[str, Any] = {
        "validation": sample.where,
        "lenses": lenses,
        "others": others,
        "method": method,
    }
    lacking = figures.lacking(minimum, lenses, others)
    why = {**sample.why}
    logit = {name: _finite(x) for name, x in sample.logit.items()}
    if missing := [name for name in ranked.used if name not in logit]:
        why[RANKED] = f"{missing[0]}: {why.get(missing[0], 'no validation scores')}"
    else:
        logit[RANKED] = ranked_logit([logit[name] for name in ranked.used])
    if lacking != "ok":
        why |= dict.fromkeys(logit, f"validation objects are {lacking}")
        return Maps({}, 0.0, why, about)
    maps = {name: calibrators.fit(sample.label, x, method) for name, x in logit.items()}
    about["maps"] = {name or "ranked": found.state() for name, found in maps.items()}
    return Maps(maps, lenses / (lenses + others), why, about)


def _finite(logit: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """Logits within those of probabilities that are a rounding error away from 0 and 1. A finder
    that answers exactly 0 or 1 has infinite ones."""
    low, high = predictions.logit(np.array([0.0, 1.0]))
    return np.clip(logit, low, high)


def ranked_logit(logits: Sequence[Float[np.ndarray, " n"]]) -> Float[np.ndarray, " n"]:
    """Logit of the score that ranks: the finder's own, or that of the mean score of several."""
    from scipy.special import expit

    if len(logits) == 1:
        return logits[0]
    return predictions.logit(np.mean([expit(x) for x in logits], axis=0))
