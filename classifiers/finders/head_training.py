"""Trains a small head on the frozen features of a run's stamps: fitted to the training split,
calibrated on the validation split, blind to the test split."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from classifiers import card
from classifiers.finders import head
from classifiers.finders import trunk as trunks
from classifiers.finders.description import described
from data.files import sha256, write_csv
from data.loader import load_split
from data.survey import of_run
from lensjax.errors import InputError, some

Kind = Literal["logistic", "mlp"]
PLACES = "trained_on.csv"
"""Beside head.json: the objects that the head was fitted to (galaxy_id, ra, dec)."""
FEW = 10
"""lenses, or others, of a split that are needed at least"""
FIELDS = ("image", "label", "galaxy_id", "ra", "dec")


def fitted(
    label: Int[np.ndarray, " n"], x: Float[np.ndarray, "n f"], kind: Kind, seed: int = 42
) -> head.Numbers:
    """Numbers of an uncalibrated head: scikit-learn's logistic regression (L2, C = 1, on
    standardised features) or one hidden layer of 300 units (`ensembles.stacking.network`)."""
    if kind == "mlp":
        from classifiers.ensembles import stacking

        net = stacking.network(label, x, seed)
        names = ("mean", "scale", "hidden", "bias", "out", "offset")
        return {name: np.asarray(getattr(net, name)) for name in names} | _uncalibrated()
    from sklearn.linear_model import LogisticRegression

    mean, scale = x.mean(axis=0), x.std(axis=0)
    scale = np.where(scale > 0, scale, 1.0)
    model = LogisticRegression(max_iter=2000).fit((x - mean) / scale, label)
    own = {"mean": mean, "scale": scale, "out": model.coef_[0], "offset": model.intercept_[0]}
    return {name: np.asarray(value) for name, value in own.items()} | _uncalibrated()


def _uncalibrated() -> head.Numbers:
    return {"slope": np.array(1.0), "intercept": np.array(0.0)}


def train(out: Path, text: str, folder: Path, kind: Kind = "logistic", seed: int = 42) -> Any:
    """Writes head.json and the list of its training objects to `folder`; returns what is noted.

    out: a run with shards. text: the trunk, as a finder is described. Raises InputError as
    `trunk.load` and `Trunk.features` do, with fewer than ten lenses or others in the training or
    the validation split, for an object in two splits, and where the features rank the validation
    objects no better than chance, so that there is nothing to calibrate.
    """
    from classifiers.evaluation import calibrators

    what, home = described(text)
    if not what.finder:  # the run's own network keeps its place wherever the head is used
        from dataclasses import replace

        what, home = replace(what, finder="training"), out
    trunk = trunks.load(what, home, out, of_run(out))
    parts = {name: load_split(out, name, FIELDS) for name in ("train", "val")}
    test = load_split(out, "test", ("galaxy_id",))
    _apart({**parts, "test": test})
    for name, part in parts.items():
        lenses = int(part["label"].sum())
        if min(lenses, len(part["label"]) - lenses) < FEW:
            raise InputError(
                f"{out}: split {name} has {lenses} lenses and {len(part['label']) - lenses} "
                f"others; a head needs {FEW} of each"
            )
    x = {name: trunk.features(part["image"], part["galaxy_id"]) for name, part in parts.items()}
    if x["val"].shape[1] != x["train"].shape[1]:
        raise InputError(
            f"trunk {trunk.name}: {x['val'].shape[1]} features of the validation stamps after "
            f"{x['train'].shape[1]}; return the same number for every batch"
        )
    numbers = fitted(parts["train"]["label"], x["train"], kind, seed)
    raw = head.logit(numbers, x["val"])
    slope, intercept = calibrators.fit(parts["val"]["label"], raw, "platt").numbers
    if slope <= 0:
        raise InputError(
            f"trunk {trunk.name}: its features rank validation objects no better than chance; "
            "use another trunk"
        )
    numbers |= {"slope": np.array(slope), "intercept": np.array(intercept)}
    info = {
        "model": f"{kind} head on {trunk.name}",
        "kind": "head",
        "head": kind,
        "trunk": trunk.info,
        "features": int(x["train"].shape[1]),
        "seed": seed,
        "survey": card.about(of_run(out)),
        "splits": {name: _counts(part["label"]) for name, part in parts.items()},
        "calibration": {"method": "platt", "split": "val", "numbers": [slope, intercept]},
    }
    manifest = out / "manifest.parquet"
    if manifest.is_file():
        info["manifest_sha256"] = sha256(manifest)
    folder.mkdir(parents=True, exist_ok=True)
    places = pd.DataFrame({name: parts["train"][name] for name in ("galaxy_id", "ra", "dec")})
    write_csv(folder / PLACES, places)
    info["trained_on_sha256"] = sha256(folder / PLACES)
    card.write(folder, card.of_head(info))
    head.save(folder, what, os.path.relpath(home.resolve(), folder.resolve()), numbers, info)
    return info


def _counts(label: np.ndarray) -> dict[str, int]:
    return {"lenses": int(label.sum()), "others": int((1 - label).sum())}


def _apart(parts: dict[str, dict[str, np.ndarray]]) -> None:
    seen: dict[Any, str] = {}
    for name, part in parts.items():
        own = set(part["galaxy_id"].tolist())
        if shared := sorted(str(i) for i in own if i in seen):
            raise InputError(
                f"{len(shared)} objects of split {name} are in another split too: {some(shared)}; "
                "a head that has seen them cannot be judged on them"
            )
        seen |= dict.fromkeys(own, name)
