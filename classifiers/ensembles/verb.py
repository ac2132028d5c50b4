"""The verb `ensemble`: several finders of the same objects as one."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import tyro

from data.verb import Verb

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Table:
    """Combines several finders' scores of the same objects by a meta-learner (out of fold) and by
    plain averaging, says which is better and how the finders differ, and lists negatives that look
    like lenses; see docs/ensembles.md. Scores must be of objects that no finder was trained on.

    With a configuration (.yaml) in place of a table, its members are trained first: `lensjax
    ensemble MEMBERS.yaml --help`."""

    table: tyro.conf.Positional[Path]
    """Parquet or CSV: a row for every object with id, label (1 for a lens, 0 for others), scores"""
    other: tuple[Path, ...] = ()
    """tables of the same objects with the scores of one more finder each"""
    scores: tuple[str, ...] = ("score",)
    """columns of scores in the table, one a finder"""
    other_scores: tuple[str, ...] = ()
    """the column of scores of each other table"""
    output: Literal["score", "logit"] = "score"
    """whether scores are probabilities or logits"""
    id: str = "id"
    label: str = "label"
    cell: str = "healpix"
    """column of the cell that an object lies in, or healpix: from ra and dec; a cell is in one
    fold, and drawn whole by the bootstrap"""
    object: str = ""
    """column with the name of an object that may have several rows; they are in one fold"""
    conditions: tuple[str, ...] = ()
    """columns of numbers that the meta-learner sees beside the scores"""
    columns: tuple[str, ...] = ()
    """columns to break disagreement down by, and to list suspects with"""
    folds: int = 5
    primary: str = "average_precision"
    """the metric by which stacking is said to be better than averaging, or not"""
    rate: float = 1e-3
    """false-positive rate of the discovery set"""
    threshold: float = 0.5
    budgets: tuple[int, ...] = ()
    """lengths of lists for inspection"""
    clean: float = 0.4
    """out-of-fold probability above which a negative is listed"""
    split: str = ""
    """column of splits: only negatives of the split train are proposed for removal"""
    manifest: Path | None = None
    """a run's manifest.parquet: written anew without the suspects, as cleaned.parquet, and with a
    gallery of their cutouts"""
    actions: Path | None = None
    """suspects.csv as it came back from inspection, with remove or keep in the column action"""
    minimum: int = 10
    """lenses, others, or expected false positives below which a figure is insufficient"""
    resamples: int = 10_000
    seed: int = 42
    out: Path | None = None
    """folder for the tables, one CSV each, their figures (PDF, PNG), latex/, and stacker.json"""


def work(argv: list[str]) -> int:
    """Prints what was found and writes every table to `out`. Raises InputError for a table or a
    choice that cannot be used."""
    if argv and argv[0].endswith((".yaml", ".yml")):
        from classifiers.ensembles import members_verb

        return members_verb.work(argv)
    from classifiers.ensembles import cleaning, combining, folds, plots, stacking
    from classifiers.evaluation import judging, latex, predictions
    from data.files import write_csv, write_json
    from lensjax.errors import InputError

    asked = tyro.cli(Table, args=argv, prog="lensjax ensemble", description=Table.__doc__)
    _checked(asked)
    extra = (asked.object, asked.split, *asked.conditions, *asked.columns)
    kept = tuple(dict.fromkeys(name for name in extra if name))
    read = partial(predictions.read, output=asked.output, id=asked.id, label=asked.label)
    table = read(asked.table, asked.scores, columns=kept, cell=asked.cell)
    for path, column in zip(asked.other, asked.other_scores):
        table = predictions.together(table, read(path, (column,)))
    if table.cell is None:
        raise InputError("name the column of --cell")
    keys = [table.cell, *([table.columns[asked.object]] if asked.object else [])]
    q = combining.Question(
        **{name: getattr(asked, name) for name in combining.Question.__dataclass_fields__}
    )
    whole, fold = combining.scored(table, folds.joined(*keys), q)
    lenses = int(table.label.sum())
    print(f"ensemble: {lenses} lenses, {len(table) - lenses} others, {len(table.scores)} finders")
    if asked.split and (number := int((table.columns[asked.split] == cleaning.TRAINED).sum())):
        print(
            f"ensemble: {number} objects are of the split {cleaning.TRAINED}; their scores must be "
            "of finders that did not see them, from a training by folds"
        )
    tables = combining.tables(whole.keeping(asked.columns), q)
    said = combining.verdict(tables["comparison"], asked.primary)
    figures = tables["figures"]
    main = figures[figures["metric"] == asked.primary]
    for line in [*combining.agreement(tables["correlation"]), *judging.lines(main), said]:
        print(f"ensemble: {line}")
    shown = tuple(dict.fromkeys(n for n in (asked.split, *asked.columns) if n))
    suspects = cleaning.suspects(
        table.keeping(shown), whole.scores[combining.STACKED], asked.clean, asked.split
    )
    number = int((suspects["action"] == "remove").sum())
    print(
        f"ensemble: {len(suspects)} negatives above {asked.clean:g}, out of fold; {number} of them "
        "to be removed from training, the others stay where they are"
    )
    if asked.out is None:
        return 0
    for name, found in {**tables, "suspects": suspects}.items():
        write_csv(asked.out / f"{name}.csv", found)
    write_csv(asked.out / "scores.csv", combining.ranked(whole, fold))
    names = (*table.scores, *asked.conditions)
    last = stacking.network(table.label, stacking.inputs(table, asked.conditions), asked.seed)
    write_json(asked.out / "stacker.json", replace(last, inputs=names).state())
    plots.draw(tables, asked.out)
    latex.write(tables, asked.out)
    if asked.manifest is not None:
        _cleaned(asked, suspects)
    print(f"ensemble: {asked.out}")
    return 0


def _checked(asked: Table) -> None:
    from lensjax.errors import InputError

    if asked.resamples < 20 or asked.minimum < 2:
        raise InputError("expected at least 20 resamples and a minimum of at least 2")
    for name in ("threshold", "rate", "clean"):
        if not 0 < getattr(asked, name) < 1:
            raise InputError(f"{name} is {getattr(asked, name)}; it lies between 0 and 1")
    if len(asked.other) != len(asked.other_scores):
        raise InputError("give one column of --other-scores for every table of --other")
    if asked.manifest is not None and (asked.out is None or not asked.split):
        raise InputError("a manifest is written to --out, by the column of --split")
    if asked.actions is not None and asked.manifest is None:
        raise InputError("--actions are for a --manifest")


def _cleaned(asked: Table, suspects: pd.DataFrame) -> None:
    """Writes the manifest without what is to be removed, and the gallery."""
    from classifiers.ensembles import cleaning, plots
    from data import manifest
    from data.survey import of_run
    from lensjax.errors import InputError, some

    assert asked.manifest is not None and asked.out is not None
    survey = of_run(asked.manifest.parent)
    whole = manifest.read(asked.manifest, survey)
    listed = suspects
    if asked.actions is not None:
        listed = cleaning.read(asked.actions)
        if strange := [i for i in listed["id"] if i not in set(suspects["id"])]:
            raise InputError(f"{asked.actions}: no suspect has the id {some(strange)}")
    rebuilt = cleaning.rebuilt(whole, listed)
    manifest.write(asked.out / "cleaned.parquet", rebuilt, survey)
    paths = whole.select(["galaxy_id", "cutout_path"]).to_pandas()
    shown = 0
    if all((asked.manifest.parent / p).is_file() for p in paths["cutout_path"].head(1)):
        shown = plots.gallery(suspects, paths, asked.manifest.parent, asked.out, survey)
    print(
        f"ensemble: cleaned.parquet has {rebuilt.num_rows} of {whole.num_rows} rows; {shown} "
        "suspects in the gallery"
    )


command: Verb[None] = Verb(
    name="ensemble",
    summary="Combines several finders, compares stacking with averaging, lists odd negatives.",
    work="classifiers.ensembles.verb:work",
)
