"""`lensjax ensemble MEMBERS.yaml`: trains the members that a file names, each in its own folder of
a run, and hands their scores of held-out objects to the ensemble."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import tyro

from classifiers import frozen
from classifiers.ensembles import ablation, combining, folds, members, plots
from classifiers.evaluation import judging, latex, predictions, scoring
from classifiers.shortcuts import networks
from classifiers.training import TrainSettings, choice
from classifiers.training import verb as training
from data import manifest, shards
from data.config import Invocation
from data.files import replacing, sha256, write_csv
from data.loader import load_split
from data.record import Step
from lensjax.errors import InputError, some

FOLDER = "members"
LEFT_OUT = "left_out.csv"
PREDICTIONS = "predictions.parquet"


@dataclass(frozen=True)
class Asked:
    """Trains the members that a configuration names, each in its own folder of a run, scores the
    held-out objects, and combines and compares the members; see docs/ensembles.md."""

    file: tyro.conf.Positional[Path]
    """YAML with the sections train (common settings), members and ensemble"""
    out: Path
    """run directory with shards; members go to members/, tables to ensemble/"""
    force: bool = False
    """train every member again even when it is up to date"""


@dataclass(frozen=True)
class Trained:
    """What a member depends on, besides the survey."""

    train: TrainSettings
    left_out_sha256: str


def work(argv: list[str]) -> int:
    """Trains what is not up to date, and writes the tables. Raises InputError for a file, a choice
    or a run that cannot be used."""
    asked = tyro.cli(
        Asked, args=argv, prog="lensjax ensemble MEMBERS.yaml", description=Asked.__doc__
    )
    found, q = members.read(asked.file)
    columns = whole(asked.out)
    gone = members.left_out(found, columns, asked.out)
    for m in found:
        if not trained(asked, m, gone.get(m.name), columns):
            return 0
    table = scores(asked.out, found, q, columns, gone)
    judge(asked.out, table, found, q, gone)
    return 0


def whole(out: Path) -> dict[str, np.ndarray]:
    """Columns of the shards of all splits, without the stamps."""
    fields = tuple(shards.index(out)["fields"])
    parts = [load_split(out, split, fields) for split in shards.SPLITS]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def trained(
    asked: Asked, m: members.Member, mine: np.ndarray | None, columns: dict[str, np.ndarray]
) -> bool:
    """Whether the member is there: trained and scored now, or before. False when SIGTERM stopped
    it; then the same command goes on."""
    out, place = asked.out, f"{FOLDER}/{m.name}/training"
    settings, digest = m.train, ""
    if mine is not None:
        listed = f"{FOLDER}/{m.name}/{LEFT_OUT}"
        (out / listed).parent.mkdir(parents=True, exist_ok=True)
        write_csv(out / listed, members.table(mine, columns))
        digest = sha256(out / listed)
        settings = TrainSettings(**{**vars(settings), "without": listed})
    name = f"{FOLDER}-{m.name}"
    own = Trained(settings, digest)
    initial = Path(settings.initial)
    external = (
        [initial / n for n in (frozen.DESCRIPTION, frozen.NUMBERS)] if settings.initial else []
    )
    if m.train.without:
        external.append(out / m.train.without)
    step = Step(
        out, name, own, after=("survey",), owns=(f"{FOLDER}/{m.name}/training",), external=external
    )
    if step.current() and not asked.force:
        print(f"ensemble: member {m.name}: up to date")
        return True
    call = Invocation(settings, out, asked.force, str(asked.file))
    if asked.force:
        step.restart()
    else:
        training.refuse_others(call, place, name)
    print(f"ensemble: member {m.name}", flush=True)
    with step:
        done = training.work(call, place)
        if done is None:
            return False
        scored = scoring.table(out, frozen.load(out / place), 256)
        path = out / place / "scores.parquet"
        with replacing(path) as temporary:
            scored.to_parquet(temporary, index=False)
        step.finish([*done.outputs, f"{place}/scores.parquet"], **done.notes)
    for line in done.lines:
        print(f"ensemble: member {m.name}: {line}")
    return True


def scores(
    out: Path,
    found: list[members.Member],
    q: members.Judged,
    columns: dict[str, np.ndarray],
    gone: dict[str, np.ndarray],
) -> Path:
    """Writes the held-out objects with the score of every member and the columns that are asked
    for; returns the file. Columns `in NAME` say whether an object is of the domain that the member
    was selected by, `without NAME` whether it is a lens of the kind that the member never saw."""
    parts = {
        m.name: pd.read_parquet(out / FOLDER / m.name / "training" / "scores.parquet")
        for m in found
    }
    first = parts[found[0].name]
    keys = ["galaxy_id", "label", "split", "ra", "dec", "healpix_128"]
    known = [c for c in (*q.columns, *q.conditions) if c in first and c not in keys]
    table = first[[*keys, *dict.fromkeys(known)]]
    for name, part in parts.items():
        own = part[["galaxy_id", "score"]].rename(columns={"score": name})
        table = table.merge(own, on="galaxy_id", how="left", validate="one_to_one")
    wanted = [c for c in dict.fromkeys((*q.columns, *q.conditions)) if c not in table]
    more = pd.DataFrame({"galaxy_id": columns["galaxy_id"]})
    for name in [c for c in wanted if c in columns]:
        more[name] = columns[name]
    if rest := [c for c in wanted if c not in columns]:
        path = out / "manifest.parquet"
        listed = manifest.read(path).to_pandas() if path.is_file() else pd.DataFrame()
        if missing := [c for c in rest if c not in listed]:
            raise InputError(
                f"ensemble: neither shards nor manifest have the column {some(missing)}"
            )
        more = more.merge(listed[["galaxy_id", *rest]], on="galaxy_id", how="left")
    for m in found:
        if m.train.select:
            inside = choice.holds(columns, m.train.select, out, f"member {m.name}, select")
            more[f"in {m.name}"] = np.where(inside, "inside", "outside")
        if m.name in gone and m.without and not m.without.as_many_as:
            more[f"without {m.name}"] = np.where(gone[m.name], "left out", "kept")
    table = table.merge(more, on="galaxy_id", how="left", validate="one_to_one")
    table = table[table["split"].isin(q.on)].reset_index(drop=True)
    if not len(table):
        raise InputError(f"{out}: no objects in split {some([*q.on])}")
    path = out / FOLDER / PREDICTIONS
    with replacing(path) as temporary:
        table.to_parquet(temporary, index=False)
    return path


def judge(
    out: Path,
    path: Path,
    found: list[members.Member],
    q: members.Judged,
    gone: dict[str, np.ndarray],
) -> None:
    """Writes the tables of the ensemble, and of networks that saw one part of the stamps beside the
    first that saw all; prints the main figures."""
    names = tuple(m.name for m in found)
    domains = [f"in {m.name}" for m in found if m.train.select]
    kinds = {m.name: f"without {m.name}" for m in found if m.without and not m.without.as_many_as}
    kept = tuple(dict.fromkeys([*q.columns, *q.conditions, *domains, *kinds.values()]))
    table = predictions.read(path, names, id="galaxy_id", columns=kept, cell="healpix_128")
    assert table.cell is not None
    shown = tuple(dict.fromkeys([*q.columns, *domains]))
    pairs = list(q.pairs) or [(names[0], other) for other in names[1:]]
    asked = judging.Question(q.threshold, q.budgets, q.minimum, q.resamples, q.seed)
    if q.combine:
        own = combining.Question(
            **{n: getattr(q, n) for n in combining.Question.__dataclass_fields__}
        )
        both, fold = combining.scored(table, folds.joined(table.cell), own)
        tables = combining.tables(both.keeping(shown), own)
        direct = judging.compared(table, asked, pairs)
        tables["comparison"] = pd.concat([direct, tables["comparison"]], ignore_index=True)
        tables["scores"] = combining.ranked(both, fold)
        if shown:
            tables["strata"] = judging.broken_down(both.keeping(shown), asked)
    else:
        tables = judging.judged(table.keeping(shown), asked, pairs)
    if kinds:
        tables["ablation"] = ablation.table(table, kinds, pairs, asked)
    tables["members"] = described(out, found, gone)
    masks = {m.name: m.train.mask for m in found if m.train.mask}
    full = [m.name for m in found if not m.train.mask]
    if masks and full:
        seen = networks.table(table, masks, full[0], asked)
        write_csv(out / "shortcuts" / "networks.csv", seen)
    for name, each in tables.items():
        write_csv(out / "ensemble" / f"{name}.csv", each)
    plots.draw(tables, out / "ensemble")
    latex.write(tables, out / "ensemble")
    lenses = int(table.label.sum())
    print(f"ensemble: {lenses} lenses, {len(table) - lenses} others of {' and '.join(q.on)}")
    figures, compared = tables["figures"], tables["comparison"]
    for part in (figures, compared):
        for line in judging.lines(part[part["metric"] == q.primary]):
            print(f"ensemble: {line}")
    if q.combine:
        print(f"ensemble: {combining.verdict(compared, q.primary)}")
    for line in ablation.lines(tables["ablation"], q.primary) if kinds else ():
        print(f"ensemble: {line}")
    print(f"ensemble: {out / 'ensemble'}")


def described(out: Path, found: list[members.Member], gone: dict[str, np.ndarray]) -> pd.DataFrame:
    """A row for every member: what it is, what it was trained on, and its best epoch."""
    rows: list[dict[str, Any]] = []
    for m in found:
        folder = out / FOLDER / m.name
        info = json.loads((folder / "training" / frozen.DESCRIPTION).read_text())
        row = {"member": m.name, "model": info["model"], "seed": info["seed"]}
        row["select"] = m.train.select
        row["left_out"] = len(pd.read_csv(folder / LEFT_OUT)) if m.name in gone else 0
        for split, number in info["splits"].items():
            row |= {f"{split}_{kind}": n for kind, n in number.items()}
        rows.append({**row, "epoch": info["epoch"], "val_auc": info["val_auc"]})
    return pd.DataFrame(rows)
