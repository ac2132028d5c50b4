"""The verb `judge`: what a table of predictions says of one or several finders."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import tyro

from data.verb import Verb


@dataclass(frozen=True)
class Table:
    """Metrics, calibration and comparison of finders from a table of their scores, with intervals;
    see docs/metrics.md. With `calibrate` or a column of splits, figures are of the test objects
    only."""

    table: tyro.conf.Positional[Path]
    """Parquet or CSV: a row for every object with id, label (1 for a lens, 0 for others), scores"""
    other: Path | None = None
    """a table of the same objects with the scores of another finder"""
    scores: tuple[str, ...] = ("score",)
    """columns of scores in the table, one a finder"""
    other_scores: tuple[str, ...] = ()
    """columns of scores in the other table"""
    output: Literal["score", "logit"] = "score"
    """whether scores are probabilities or logits"""
    id: str = "id"
    label: str = "label"
    columns: tuple[str, ...] = ()
    """columns to break figures down by"""
    cell: str | None = None
    """column of the cell that an object lies in, or healpix: from ra and dec; cells are drawn whole
    by the bootstrap"""
    split: str = ""
    """column of splits"""
    validation: str = "val"
    """split that a calibration is fitted to"""
    test: str = "test"
    """split that figures are of"""
    trained_on: tuple[Path, ...] = ()
    """lists of the lenses that the finder was trained on: test and validation objects near one of
    them, by the columns ra and dec, are removed and listed; without, nothing is called
    independent"""
    apart: float = 10.0
    """arcsec from a training positive within which an object is removed"""
    calibrate: Literal["", "temperature", "platt", "isotonic", "beta"] = ""
    """fit probabilities on the validation split"""
    prevalence: float | None = None
    """share of lenses in the survey, to which calibrated probabilities are brought"""
    coverage: float | None = None
    """give every test object the set of labels that holds the true one with this probability, for
    lenses and for others"""
    false_discovery: float | None = None
    """list the test objects of which at most this share is expected to be others"""
    scenarios: Path | None = None
    """CSV with scenario, kind, share: what surveys consist of"""
    kind: str = ""
    """column with the kind of the objects that are no lenses"""
    objects: float = 0
    """objects of the survey that scenarios are about"""
    budgets: tuple[int, ...] = ()
    """lengths of lists for inspection"""
    threshold: float = 0.5
    """score at which recall and false positives of strata are counted"""
    minimum: int = 10
    """lenses, others, or expected false positives below which a figure is insufficient"""
    resamples: int = 10_000
    seed: int = 42
    out: Path | None = None
    """folder for the tables, one CSV each, their figures (PDF, PNG), latex/, and
    calibrators.json"""


def work(argv: list[str]) -> int:
    """Prints the main figures and writes every table to `out`. Raises InputError for a table or a
    choice that cannot be used."""
    import pandas as pd

    from classifiers.evaluation import independence, judging, latex, plots, predictions
    from data.files import write_csv, write_json
    from data.tables import read_csv
    from lensjax.errors import InputError

    asked = tyro.cli(Table, args=argv, prog="lensjax judge", description=Table.__doc__)
    if asked.resamples < 20 or asked.minimum < 2 or not 0 < asked.threshold < 1:
        raise InputError(
            "expected at least 20 resamples, a minimum of at least 2, 0 < threshold < 1"
        )
    levels = (asked.coverage, asked.false_discovery)
    if (asked.calibrate or levels != (None, None)) and not asked.split:
        raise InputError(
            "calibrations and sets are made by validation objects; name the column of --split"
        )
    if asked.prevalence is not None and not asked.calibrate:
        raise InputError("--prevalence needs probabilities; set --calibrate")
    if asked.scenarios and not (asked.kind and asked.objects >= 1 and asked.budgets):
        raise InputError("scenarios need --kind, --objects (at least 1) and --budgets")
    position = ("ra", "dec") if asked.trained_on else ()
    extra = [name for name in (asked.kind, asked.split, *position) if name]
    kept = tuple(dict.fromkeys([*asked.columns, *extra]))
    read = partial(predictions.read, output=asked.output, id=asked.id, label=asked.label)
    table = read(asked.table, asked.scores, columns=kept, cell=asked.cell)
    if asked.other is not None:
        second = read(asked.other, asked.other_scores or asked.scores)
        table = predictions.together(table, second)
    fitted = bool(asked.calibrate) or levels != (None, None)
    splits = [asked.test, *([asked.validation] if fitted else [])]
    parts = [table.only(asked.split, name) for name in splits] if asked.split else [table]
    said, removed = [independence.NOT_FREED], []
    if asked.trained_on:
        done = [independence.freed(part, asked.trained_on, asked.apart) for part in parts]
        parts, said = [left for left, _ in done], [str(freed) for _, freed in done]
        if asked.split:
            said = [f"of the split {name}, {words}" for name, words in zip(splits, said)]
        removed = [freed.removed.assign(split=name) for name, (_, freed) in zip(splits, done)]
    test, validation = parts[0], parts[-1]
    q = judging.Question(asked.threshold, asked.budgets, asked.minimum, asked.resamples, asked.seed)
    tables = judging.judged(test.keeping(asked.columns), q)
    if asked.calibrate:
        maps, more = judging.calibrated(validation, test, asked.calibrate, q, asked.prevalence)
        tables |= more
        if asked.out is not None:
            write_json(asked.out / "calibrators.json", {k: m.state() for k, m in maps.items()})
    if levels != (None, None):
        tables |= judging.conformal_tables(validation, test, q, *levels)
    if asked.scenarios is not None:
        if not asked.scenarios.is_file():
            raise InputError(f"{asked.scenarios}: no such file")
        scenarios = read_csv(asked.scenarios, text=False)
        tables |= judging.listed(test, asked.kind, scenarios, asked.objects, q)
    if removed:
        tables["removed"] = pd.concat([t for t in removed if len(t)] or removed[:1])
    lenses = int(test.label.sum())
    print(f"judge: {lenses} lenses, {len(test) - lenses} non-lenses")
    for words in said:
        print(f"judge: {words}")
    for name in ("figures", "comparison"):
        for line in judging.lines(tables[name]) if name in tables else ():
            print(f"judge: {line}")
    if asked.out is not None:
        for name, found in tables.items():
            write_csv(asked.out / f"{name}.csv", found)
        plots.draw(tables, asked.out)
        latex.write(tables, asked.out)
        print(f"judge: {asked.out}")
    return 0


command: Verb[None] = Verb(
    name="judge",
    summary="Measures, calibrates and compares finders from a table of their scores.",
    work="classifiers.evaluation.judge_verb:work",
)
