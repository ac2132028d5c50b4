"""Named members of an ensemble from one configuration file, and which lenses each is trained
without.

A section `members` has a mapping for every member: keys of the section `train` that take the place
of the common ones, and `without`, which lenses it does not see in training.

    train: {model: resnet18, epochs: 30}
    members:
      sharp: {select: "psfsize_r < 1.2"}
      blurred: {select: "psfsize_r >= 1.2", seed: 7}
    ensemble: {columns: [tier]}
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pandas as pd
from jaxtyping import Bool
from pydantic import Field, model_validator

from classifiers.training import TrainSettings, choice
from data import config
from data.lenses import Lenses, nearest_within
from lensjax.errors import InputError, meant, some

NAME = re.compile(r"[A-Za-z][\w-]{0,40}")
TAKEN = ("id", "label", "split", "cell", "fold", "spread", "score", "logit", "average", "stacked")
"""Names that columns of the tables have already."""
TRAINED = ("train", "val")
"""Splits that a member sees."""


@config.settings
class Without:
    """Lenses that a member is trained without, by one of three rules."""

    where: str = ""
    """those for which this expression of the manifest's columns holds"""
    lists: tuple[str, ...] = ()
    """those near an entry of these lists, "name=path", or "name=path@column" for a file that joins
    several searches, one for every value of the column"""
    only: tuple[str, ...] = ()
    """names of the searches in `lists` that count; empty for all"""
    radius: Annotated[float, Field(gt=0, le=3600)] = 3.0
    """arcsec"""
    as_many_as: str = ""
    """as many, drawn at random, as the member of this name is trained without: what fewer lenses
    cost, whichever they are"""

    @model_validator(mode="after")
    def _one_rule(self) -> Without:
        said = [name for name in ("where", "lists", "as_many_as") if getattr(self, name)]
        if len(said) != 1:
            raise ValueError(f"give one of where, lists and as_many_as; there is {some(said)}")
        if self.only and not self.lists:
            raise ValueError("only is for lists")
        return self


@config.settings
class Judged:
    """How members are combined and judged: the section `ensemble` of the file."""

    on: tuple[str, ...] = ("test",)
    """splits whose objects are scored: test, or val and test"""
    combine: bool = True
    """average and stack the members; false: compare them only"""
    pairs: tuple[tuple[str, str], ...] = ()
    """members that are compared; empty: the first with every other"""
    columns: tuple[str, ...] = ()
    """columns of the manifest to break figures down by"""
    conditions: tuple[str, ...] = ()
    """columns of numbers that the meta-learner sees beside the scores"""
    folds: Annotated[int, Field(ge=2)] = 5
    primary: str = "average_precision"
    rate: Annotated[float, Field(gt=0, lt=1)] = 1e-3
    threshold: Annotated[float, Field(gt=0, lt=1)] = 0.5
    budgets: tuple[int, ...] = ()
    minimum: Annotated[int, Field(ge=2)] = 10
    resamples: Annotated[int, Field(ge=20)] = 10_000
    seed: Annotated[int, Field(ge=0)] = 42

    @model_validator(mode="after")
    def _held_out(self) -> Judged:
        if not self.on or wrong(self.on):
            raise ValueError(f"on is {some([*self.on])}; objects of val and test are held out")
        return self


def wrong(splits: tuple[str, ...]) -> list[str]:
    """Splits whose objects members are trained on, or that there are not."""
    return [name for name in splits if name not in ("val", "test")]


@dataclass(frozen=True)
class Member:
    """name: of the folder and the column of scores. train: its settings."""

    name: str
    train: TrainSettings
    without: Without | None = None


def read(source: str | Path) -> tuple[list[Member], Judged]:
    """Members and how they are judged. Raises InputError, naming the key, for a file that is no
    such configuration, fewer than two members, and names that cannot be used."""
    sections = config.read(source)
    known = ("train", "members", "ensemble")
    for name in sections:
        if name not in known:
            raise InputError(f"{source}: unknown section {name!r} ({meant(name, known)})")
    judged = config.validated(Judged, sections.get("ensemble", {}), f"{source}, section ensemble")
    common, found = sections.get("train", {}), []
    for name, own in sections.get("members", {}).items():
        found.append(_member(str(name), own, common, f"{source}, member {name}"))
    names = [m.name for m in found]
    if len(found) < 2:
        raise InputError(f"{source}: {len(found)} members; name two at least, each with what it is")
    if clash := sorted({*judged.columns, *judged.conditions} & {*names}):
        raise InputError(f"{source}: a member is called {some(clash)}, as a column is")
    for pair in judged.pairs:
        if strange := [n for n in pair if n not in names]:
            raise InputError(
                f"{source}: pairs: no member {strange[0]!r} ({meant(strange[0], names)})"
            )
    drawn = {m.name: m.without.as_many_as for m in found if m.without and m.without.as_many_as}
    ruled = [m.name for m in found if m.without and m.name not in drawn]
    for name, other in drawn.items():
        if other not in ruled:
            raise InputError(
                f"{source}, member {name}: as_many_as is {other!r}; it names a member with where "
                f"or lists, here {some(ruled)}"
            )
    return found, judged


def _member(name: str, own: Any, common: dict[str, Any], where: str) -> Member:
    if not NAME.fullmatch(name) or name in TAKEN:
        raise InputError(
            f"{where}: a name is a letter and then letters, digits, - or _, and none of "
            f"{some([*TAKEN], 12)}"
        )
    if own is not None and not isinstance(own, dict):
        raise InputError(f"{where}: expected a mapping of keys of train, and without")
    keys = dict(own or {})
    rule = keys.pop("without", None)
    if isinstance(rule, str):
        keys["without"] = rule  # a table of ids, which training itself knows
        rule = None
    without = None if rule is None else config.validated(Without, rule, f"{where}, without")
    train = config.validated(TrainSettings, {**common, **keys}, where)
    if without and train.without:
        raise InputError(f"{where}: without is a rule here and a table in section train")
    return Member(name, train, without)


def lenses_of(
    rule: Without, columns: dict[str, np.ndarray], out: Path, what: str
) -> Bool[np.ndarray, " n"]:
    """Which objects of the shards are lenses that `where` or `lists` mean. Raises InputError as
    `choice.holds` and `channels.lists.channels` do, and for a search that is not in the lists."""
    lens = columns["label"] == 1
    if rule.where:
        return lens & choice.holds(columns, rule.where, out, f"{what}, where")
    from classifiers.channels import lists

    found, _ = lists.channels(rule.lists)
    names = [c.name for c in found]
    if strange := [n for n in rule.only if n not in names]:
        raise InputError(f"{what}, only: no search {strange[0]!r} in the lists ({some(names, 12)})")
    parts = [c for c in found if not rule.only or c.name in rule.only]
    ra, dec = (np.concatenate([getattr(c, axis) for c in parts]) for axis in ("ra", "dec"))
    text = np.full(len(ra), "")
    index, _ = nearest_within(
        Lenses(text, ra, dec, text), columns["ra"], columns["dec"], rule.radius
    )
    return lens & (index >= 0)


def left_out(
    members: list[Member], columns: dict[str, np.ndarray], out: Path
) -> dict[str, Bool[np.ndarray, " n"]]:
    """For every member with a rule, which objects of all splits it means; of the test split, they
    are what the member would not have seen. columns: of all splits. Raises InputError as
    `lenses_of` does, and for a rule that leaves nothing out of training, or every lens."""
    found = {
        m.name: lenses_of(m.without, columns, out, f"member {m.name}, without")
        for m in members
        if m.without and not m.without.as_many_as
    }
    lens, split = columns["label"] == 1, columns["split"]
    for m in members:
        if m.without and m.without.as_many_as:
            same = found[m.without.as_many_as]
            mine = np.zeros(len(lens), bool)
            rng = np.random.default_rng([m.train.seed, 2])
            for name in TRAINED:
                there = np.flatnonzero(lens & (split == name))
                number = int((same & (split == name)).sum())
                mine[rng.choice(there, number, replace=False)] = True
            found[m.name] = mine
    for name, mine in found.items():
        there = lens & (split == "train")
        if not (mine & there).any() or not (there & ~mine).any():
            raise InputError(
                f"member {name}: without leaves {int((mine & there).sum())} of "
                f"{int(there.sum())} training lenses out; some must go and some must stay"
            )
    return found


def table(mine: Bool[np.ndarray, " n"], columns: dict[str, np.ndarray]) -> pd.DataFrame:
    """What a member is trained without, as `train.without` reads it: galaxy_id, split, ra, dec."""
    seen = mine & np.isin(columns["split"], TRAINED)
    return pd.DataFrame({name: columns[name][seen] for name in ("galaxy_id", "split", "ra", "dec")})
