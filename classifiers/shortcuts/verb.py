"""The verb `shortcuts`: what is easier to see than an arc."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import tyro

from data.verb import Verb

if TYPE_CHECKING:
    import pandas as pd

CONDITIONS = ("psfsize_", "psfdepth_", "galdepth_", "nobs_", "ebv")
"""Beginnings of the columns of the shards that say how a stamp was observed."""


@dataclass(frozen=True)
class Shortcuts:
    """Looks for shortcuts in a run's stamps: numbers that tell lenses from others one by one (how
    bright, how noisy, how deep), and trees that see the core, the annulus, or the radial profile
    only; see docs/metrics.md."""

    run: tyro.conf.Positional[Path]
    """run directory with shards"""
    on: Literal["train", "val", "test", "all"] = "train"
    """stamps that are looked at: a finder learns the shortcuts of those it is trained on"""
    minimum: int = 10
    """lenses or others below which a figure is insufficient"""
    resamples: int = 500
    seed: int = 42
    out: Path | None = None
    """folder for features.csv, views.csv, attributions and neighbours.csv"""
    finder: str | None = None
    """network of ours whose worst false positives and negatives are explained by integrated
    gradients; an empty text: the run's own"""
    worst: int = 8
    """false positives, and false negatives, that are explained"""
    neighbours: int = 0
    """stamps nearest to each explained one in the network's features that are listed"""
    search: Literal["exact", "usearch"] = "exact"
    """every distance, or a graph of neighbours (extra `neighbours`), which may miss some"""
    threshold: float = 0.5
    """score from which a stamp counts as found"""


def work(argv: list[str]) -> int:
    """Prints flags and views, and writes the tables to `out`. Raises InputError for a run without
    shards, or stamps of one class."""
    import numpy as np
    from rich.progress import track

    from classifiers.shortcuts import features, views
    from data import quality, shards
    from data.files import write_csv
    from data.loader import load_split
    from data.survey import of_run
    from lensjax.errors import InputError

    asked = tyro.cli(Shortcuts, args=argv, prog="lensjax shortcuts", description=Shortcuts.__doc__)
    if asked.resamples < 20 or asked.minimum < 2:
        raise InputError("expected at least 20 resamples and a minimum of at least 2")
    if asked.neighbours < 0 or (asked.neighbours and asked.finder is None):
        raise InputError("neighbours are 0 or more, in the features of a --finder")
    survey = of_run(asked.run)
    names = shards.SPLITS if asked.on == "all" else (asked.on,)
    parts = [load_split(asked.run, name) for name in names]
    whole = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    label, cell = whole["label"], whole["healpix_128"]
    if not len(label) or label.min() == label.max():
        raise InputError(f"{asked.run}: the stamps of {asked.on} are not of both classes")
    stamps = whole["image"]
    own = [quality.features(image, survey) for image in track(stamps, "measuring", transient=True)]
    measured = {n: np.array([f[n] for f in own], np.float64) for n in quality.columns(survey)}
    measured |= {
        name: np.asarray(values, np.float64)
        for name, values in whole.items()
        if name.startswith(CONDITIONS) and values.dtype.kind in "fi"
    }
    sure = (asked.minimum, asked.resamples, asked.seed)
    table = features.judged(label, measured, *sure, cell)
    seen = views.judged(label, views.seen(stamps, survey), cell, *sure)
    lenses = int(label.sum())
    print(f"shortcuts: {lenses} lenses, {len(label) - lenses} others")
    for row in table[table["flag"] != "none"].to_dict("records"):
        print(
            f"shortcuts: {row['flag']}: {row['feature']} is {row['lens_is']} for lenses, AUC "
            f"{row['value']:.3f} (68 %: {row['lo68']:.3f} to {row['hi68']:.3f})"
        )
    core = features.ratio(label, measured[f"core_brightness_{survey.reference}"])
    low, high = features.RATIO
    inside = "inside" if low <= core <= high else "outside"
    print(f"shortcuts: cores of lenses are {core:.3f} times as bright ({inside} {low} to {high})")
    for row in seen.to_dict("records"):
        known = row["status"] == "ok"
        ends = f"{row['value']:.3f} (68 %: {row['lo68']:.3f} to {row['hi68']:.3f})" if known else ""
        gate = f", above {views.GATE:g}" if row["above_gate"] else ""
        print(
            f"shortcuts: trees that see the {row['view']} only: AUC {ends or row['status']}{gate}"
        )
    if asked.finder is not None:
        _explained(asked, whole)
    if asked.out is not None:
        write_csv(asked.out / "features.csv", table)
        write_csv(asked.out / "views.csv", seen)
        print(f"shortcuts: {asked.out}")
    return 0


def _explained(asked: Shortcuts, whole: dict[str, Any]) -> None:
    """Prints where errors come from; writes attributions.csv and attributions.npz, and
    neighbours.csv where neighbours are asked for."""
    import numpy as np
    import pandas as pd

    from classifiers import finders
    from classifiers.shortcuts import attribution
    from data.files import replacing, write_csv
    from data.survey import of_run

    finder = finders.load(asked.finder or "", asked.run)
    score = finders.scored(finder, whole["image"], whole["galaxy_id"]).score
    tables: list[pd.DataFrame] = []
    maps: dict[str, Any] = {}
    picked = attribution.wrong(whole["label"], score, asked.threshold, asked.worst)
    for kind, places in picked.items():
        rows, maps[kind] = attribution.explained(
            finder, whole["image"][places], whole["galaxy_id"][places], of_run(asked.run)
        )
        tables.append(rows.assign(kind=kind))
        part = f", {rows['core_share'].mean():.2f} of it in the core" if len(rows) else ""
        print(f"shortcuts: {len(rows)} explained as {kind.replace('_', ' ')}{part}")
    if asked.neighbours:
        near = _neighbours(asked, finder, whole, picked)
        if asked.out is not None:
            write_csv(asked.out / "neighbours.csv", near)
    if asked.out is not None:
        write_csv(asked.out / "attributions.csv", pd.concat(tables, ignore_index=True))
        with (
            replacing(asked.out / "attributions.npz") as temporary,
            temporary.open("wb") as file,
        ):
            np.savez_compressed(file, **maps)


def _neighbours(
    asked: Shortcuts, finder: Any, whole: dict[str, Any], picked: dict[str, Any]
) -> pd.DataFrame:
    """Prints what the wrong stamps' neighbours are, and returns the table. Raises InputError for a
    finder without features."""
    import jax
    import numpy as np
    import pandas as pd

    from classifiers.finders.head import OwnHead
    from classifiers.finders.trunk import Trunk
    from classifiers.frozen import Frozen
    from classifiers.shortcuts import neighbours
    from lensjax.errors import InputError

    network = finder.trunk if isinstance(finder, OwnHead) else finder
    if not isinstance(network, Frozen):
        raise InputError(f"finder {finder.name}: has no features; give a network of ours")
    trunk = Trunk(network.name, jax.jit(network.features), {}, network)
    ids, label = whole["galaxy_id"], whole["label"]
    features = trunk.features(whole["image"], ids)
    none = np.empty(0, int)
    empty = neighbours.table(ids, label, features, none, asked.neighbours, asked.search)
    tables = []
    for kind, places in picked.items():
        if not len(places):
            continue
        own = neighbours.table(
            ids, label, features, np.asarray(places, int), asked.neighbours, asked.search
        )
        tables.append(own.assign(kind=kind))
        share = own["neighbour_label"].mean()
        print(
            f"shortcuts: {share:.2f} of the {asked.neighbours} stamps nearest to a "
            f"{kind.replace('_', ' ')} are lenses, of all {label.mean():.2f}"
        )
    # Where no stamp is wrong, the columns are there all the same.
    return pd.concat(tables, ignore_index=True) if tables else empty.assign(kind="")


command: Verb[None] = Verb(
    name="shortcuts",
    summary="Looks for what tells a run's lenses from its other stamps without an arc.",
    work="classifiers.shortcuts.verb:work",
)
