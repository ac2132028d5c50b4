"""Survey → shards: the negative pool, the positives, the sample, their cutouts, the manifest and the TFRecord shards, in one Spark session.

The steps are pool, crossmatch, sample, cutouts, validation, manifest, shards. Each has its own record and is skipped while what it was made from is the same;
`--steps pool crossmatch` runs only those. What was refused, with the reason, is in quarantine.csv; what every cut removed in counts/.

On a cluster: `spark-submit --master … lensjax/cli.py survey CONFIG --out DIR`, with this environment on every machine and DIR on storage they share.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args

from pydantic import Field

from data import lenses, shards
from data.config import Invocation, data_directory, settings
from data.files import replacing
from data.folder import Folder, take_in
from data.record import Step
from data.selection import Selection
from data.survey import OF_A_RUN, Survey, chosen, default, plain
from data.survey import write as write_definition
from data.verb import Done, Reads, Verb
from lensjax.errors import InputError
from spark.crossmatch import CrossmatchSettings, crossmatch
from spark.cutouts import CutoutSettings, make_cutouts
from spark.jobs import outputs
from spark.manifest import write_manifest
from spark.pool import OnBadFile, negative_pool
from spark.sampling import SampleSettings, sample
from spark.session import session
from spark.shards import ShardSettings, write_shards
from spark.validation import validate

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

StepName = Literal["pool", "crossmatch", "sample", "cutouts", "validation", "manifest", "shards"]
STEPS: tuple[StepName, ...] = get_args(StepName)
Refused = Iterable[tuple[str, object, str]]
"""(path, row or object, reason)"""


@settings
class SurveySettings:
    """What is read, what is selected from it, and how it is packed."""

    definition: str = ""
    """which survey it is: a name or the path of a definition; empty for the one that root's
    definition.yaml defines, else ls_dr10"""
    root: str = ""
    """folder of the survey; empty for the simulated one of this run, LENSJAX_DATA for the folder that environment variable names"""
    sweeps: tuple[str, ...] = ("sweep/sweep-*.fits",)
    """patterns of the catalogue files, relative to root"""
    lenses: str = "lenses.csv"
    """lens list in lenscat's format, relative to root"""
    given: tuple[str, ...] = ()
    """patterns of existing NPZ cutouts, relative to root; they stand in for slicing, and their metadata for a catalogue row"""
    on_bad_file: OnBadFile = "stop"
    """a file that cannot be used stops the step, or is listed in quarantine.csv"""
    test_limit: Annotated[int, Field(ge=0)] = 0
    """read only this many catalogue files, and as many existing cutouts; 0 for all"""
    steps: tuple[StepName, ...] = STEPS
    """which steps to run"""
    memory: str = "1g"
    """heap of Spark's driver in local mode"""
    cores: Annotated[int, Field(ge=0)] = 0
    """of this machine in local mode; 0 for all"""
    folder: Folder = Folder()
    """in place of a catalogue: a folder of cutouts (root) with a table; the steps pool and
    crossmatch do not run then"""
    pool: Selection = Selection()
    crossmatch: CrossmatchSettings = CrossmatchSettings()
    sample: SampleSettings = SampleSettings()
    cutouts: CutoutSettings = CutoutSettings()
    shards: ShardSettings = ShardSettings()


@dataclass(frozen=True)
class Inputs:
    """Where everything is: catalogues and given cutouts relative to root; external: files outside the run; after: steps before this one."""

    root: Path
    catalogues: list[str]
    given: list[str]
    lens_list: str
    external: list[Path]
    after: tuple[str, ...]
    survey: Survey = field(default_factory=default)


@dataclass(frozen=True)
class Part:
    """One of the steps: what it depends on, what it owns and writes, and the work, which returns (refused, figures)."""

    name: str
    depends: dict[str, Any]
    after: tuple[str, ...]
    owns: tuple[str, ...]
    outputs: tuple[str, ...]
    work: Callable[[Callable[[], SparkSession]], tuple[Refused, dict[str, Any]]]
    external: list[Path] = field(default_factory=list)


@dataclass(frozen=True)
class Depends:
    """What a step's record depends on besides the steps before it."""

    values: dict[str, Any]


command = Verb(
    name="survey",
    summary="Sweeps to negative pool, positives, sample, cutouts, manifest and shards (Spark).",
    settings=SurveySettings,
    after=("simulate",),
    reads="spark.survey:reads",
    work="spark.survey:work",
    description=__doc__ or "",
)


def reads(s: SurveySettings, out: Path) -> Reads:
    """The simulated survey of this run, or the files of `root`. Raises InputError as `locate` does."""
    inputs = locate(out.absolute(), s)
    return Reads(inputs.after, inputs.external)


def work(call: Invocation[SurveySettings]) -> Done | None:
    """The step `survey`; None when only some of its own steps were asked for."""
    s, out = call.settings, call.out.absolute()
    inputs = locate(out, s)
    catalogue = (
        f"{len(inputs.catalogues)} catalogue files, {len(inputs.given)} existing cutouts, "
        f"lens list {inputs.lens_list}"
    )
    read = f"table {s.folder.table} of cutouts" if s.folder.table else catalogue
    print(f"survey: {read}, in {inputs.root}; {inputs.survey.title}")
    write_definition(out / OF_A_RUN, inputs.survey)
    with ExitStack() as stack:
        figures = run(out, s, inputs, call.force, stack)
    if set(s.steps) != set(STEPS):
        return None
    written = [o for part in parts(out, s, inputs) for o in part.outputs]
    return Done([*written, "quarantine.csv", OF_A_RUN], figures)


def run(
    out: Path, s: SurveySettings, inputs: Inputs, force: bool, stack: ExitStack
) -> dict[str, Any]:
    """Runs the chosen steps that are not up to date, in order, and gathers quarantine.csv; returns every step's figures."""
    opened: list[SparkSession] = []

    def spark() -> SparkSession:
        if not opened:
            opened.append(stack.enter_context(session("lensjax survey", s.memory, s.cores or None)))
        return opened[0]

    figures: dict[str, Any] = {}
    for part in parts(out, s, inputs):
        if part.name not in s.steps:
            continue
        missing = [
            o
            for o in part.after
            if o.startswith("survey-") and not (out / "records" / f"{o}.json").is_file()
        ]
        if missing:
            first = missing[0].removeprefix("survey-")
            raise InputError(
                f"{out}: step {first!r} of the survey has not finished; run `lensjax survey --steps {first} {part.name} --out {out}`"
            )
        step = Step(
            out,
            f"survey-{part.name}",
            Depends(part.depends),
            after=part.after,
            owns=part.owns,
            external=part.external,
        )
        if step.current() and not force:
            print(f"  {part.name}: up to date")
            continue
        if force:
            step.restart()
        with step:
            refused, figures[part.name] = part.work(spark)
            figures[part.name]["refused"] = _quarantine(out, inputs.root, part.name, refused)
            step.finish([*part.outputs, f"counts/quarantine-{part.name}.csv"], **figures[part.name])
        print(
            f"  {part.name}: "
            + ", ".join(
                f"{key.replace('_', ' ')} {value}" for key, value in figures[part.name].items()
            ),
            flush=True,
        )
    _gather(out)
    return figures


def parts(out: Path, s: SurveySettings, i: Inputs) -> list[Part]:
    """The steps in order."""
    source = {
        "root": str(i.root) if i.external else "",
        "catalogues": i.catalogues,
        "lenses": i.lens_list,
        "on_bad_file": s.on_bad_file,
    }

    def listed() -> tuple[lenses.Lenses, list[tuple[str, object, str]]]:
        found, bad = lenses.read(i.root / i.lens_list)
        if bad and s.on_bad_file == "stop":
            line, reason = bad[0]
            raise InputError(
                f"{i.root / i.lens_list}, line {line}: {reason}; mend the row, or set survey.on_bad_file to quarantine"
            )
        return found, [(i.lens_list, line, reason) for line, reason in bad]

    def pool(spark: Callable[[], SparkSession]) -> tuple[Refused, dict[str, Any]]:
        import pandas as pd

        found, _ = listed()
        refused = negative_pool(spark(), out, i.root, i.catalogues, found, s.pool, s.on_bad_file)
        total = pd.read_csv(out / "counts" / "pool.csv").iloc[-1]
        return _whole(refused), {
            "files": len(i.catalogues),
            **{name: int(total[name]) for name in ("rows", "kept", "N1", "N2")},
        }

    def positives(spark: Callable[[], SparkSession]) -> tuple[Refused, dict[str, Any]]:
        import pandas as pd

        found, bad = listed()
        refused = crossmatch(
            spark(), out, i.root, i.catalogues, i.given, found, s.crossmatch, s.on_bad_file
        )
        table: dict[str, str] = dict(
            pd.read_csv(out / "counts" / "crossmatch.csv", dtype=str).to_numpy().tolist()
        )
        shown = ("listed", "selected by name", "matched", "tier A", "tier B")
        return [*bad, *_whole(refused)], {name: int(table[name]) for name in shown if name in table}

    def sampled(spark: Callable[[], SparkSession]) -> tuple[Refused, dict[str, Any]]:
        figures = sample(spark(), out, outputs(out / "pool"), s.sample)
        shown = (
            "wanted",
            "sampled",
            "n2_fraction",
            "shortfall",
            "borrowed",
            "unfilled",
            "counts",
            "positives",
            "fractions_ok",
            "pool",
        )
        return [], {name: figures[name] for name in shown}

    def cut(spark: Callable[[], SparkSession]) -> tuple[Refused, dict[str, Any]]:
        refused = make_cutouts(spark(), out, i.root, s.cutouts, s.on_bad_file, i.survey, s.folder)
        return refused, {}

    def validated(spark: Callable[[], SparkSession]) -> tuple[Refused, dict[str, Any]]:
        return validate(spark(), out, s.cutouts.side(i.survey), i.survey), {}

    def manifest(spark: Callable[[], SparkSession]) -> tuple[Refused, dict[str, Any]]:
        figures = write_manifest(out, s.sample.scheme)
        return [], {
            name: figures[name]
            for name in (
                "rows",
                "quality_ok",
                "rejected",
                "hosts",
                "cells",
                "counts",
                "positives",
                "fractions",
                "fractions_ok",
            )
        }

    def packed(spark: Callable[[], SparkSession]) -> tuple[Refused, dict[str, Any]]:
        figures, left_out = write_shards(
            spark(), out, s.cutouts.side(i.survey), s.shards, s.sample.seed
        )
        return [], figures | {"of another size": len(left_out)}

    folder = f"shards/{shards.NAME}/{shards.VERSION}"
    described = tuple(
        f"{folder}/{name}" for name in (shards.INDEX, "dataset_info.json", "features.json")
    )
    tables = [i.root / c for c in i.catalogues] if i.external else []
    defined = plain(i.survey)
    cutting = {"cutouts": asdict(s.cutouts), "root": source["root"], "on_bad_file": s.on_bad_file}
    cutting |= {"survey": defined, "folder": asdict(s.folder)}
    hosts = [p for p in i.external if p not in tables]
    matching = {**source, "given": i.given, "crossmatch": asdict(s.crossmatch)}
    counted = ("counts/crossmatch.csv", "counts/unmatched.csv")
    written = ("positives/positives.parquet", "positives/given.parquet")

    def taken(_: Callable[[], SparkSession]) -> tuple[Refused, dict[str, Any]]:
        figures, refused = take_in(
            out,
            i.root,
            s.folder,
            i.survey,
            scheme=s.sample.scheme,
            seed=s.sample.seed,
            on_bad_file=s.on_bad_file,
        )
        return refused, figures

    first = [
        Part(
            "pool",
            {**source, "pool": asdict(s.pool)},
            i.after,
            ("pool", "counts/pool.csv"),
            ("pool/_job.json", "counts/pool.csv"),
            pool,
            i.external,
        ),
        Part(
            "crossmatch",
            matching,
            i.after,
            ("positives", *counted),
            (*written, *counted),
            positives,
            i.external,
        ),
        Part(
            "sample",
            asdict(s.sample),
            ("survey-pool", "survey-crossmatch"),
            ("sample", "counts/sample.csv"),
            ("sample/sample.parquet", "counts/sample.csv"),
            sampled,
        ),
    ]
    if s.folder.table:
        chosen_by = {key: asdict(s.sample)[key] for key in ("scheme", "seed")}
        depends = {**source, **chosen_by, "survey": defined, "folder": asdict(s.folder)}
        made = ("sample/sample.parquet",)
        first = [Part("sample", depends, i.after, ("sample",), made, taken, i.external)]
    return [
        *first,
        Part(
            "cutouts",
            cutting,
            (*i.after, "survey-sample"),
            ("cutouts",),
            ("cutouts/_job.json",),
            cut,
            hosts,
        ),
        Part(
            "validation",
            {"size": s.cutouts.side(i.survey), "survey": defined},
            ("survey-cutouts",),
            ("validation",),
            ("validation/_job.json",),
            validated,
        ),
        Part(
            "manifest",
            {"scheme": s.sample.scheme},
            ("survey-sample", "survey-validation"),
            ("manifest.parquet",),
            ("manifest.parquet",),
            manifest,
        ),
        Part(
            "shards",
            {"shards": asdict(s.shards), "seed": s.sample.seed},
            ("survey-manifest", "survey-cutouts"),
            ("shards",),
            described,
            packed,
        ),
    ]


def locate(out: Path, s: SurveySettings) -> Inputs:
    """Finds the files the settings name. Raises InputError naming the folder, pattern or list that is not there."""
    if s.root:
        name = s.root.removeprefix("${").removesuffix("}") if s.root.startswith("${") else s.root
        root = Path(data_directory() if name == "LENSJAX_DATA" else s.root).expanduser().absolute()
        if name == "LENSJAX_DATA" and not data_directory():
            raise InputError(
                "survey.root is LENSJAX_DATA, but that environment variable is not set: export LENSJAX_DATA=/path/to/survey/data"
            )
    else:
        root = out / "survey"
    if not root.is_dir():
        cure = (
            "set survey.root to the survey's folder"
            if s.root
            else f"run `lensjax simulate --out {out}` first, or set survey.root"
        )
        raise InputError(f"{root}: no such folder; {cure}")
    survey = chosen(s.definition, root)
    if s.folder.table:
        table = root / s.folder.table
        external = [table, *sorted(p for p in root.rglob("*") if p.is_dir()), root]
        after = () if s.root else ("simulate",)
        return Inputs(root, [], [], "", external, after, survey)
    catalogues, given = (
        list(_matching(root, s.sweeps, "sweeps")),
        list(_matching(root, s.given, "given")),
    )
    if s.test_limit:
        catalogues, given = catalogues[: s.test_limit], given[: s.test_limit]
    if not (root / s.lenses).is_file():
        raise InputError(f"{root / s.lenses}: no such lens list; set survey.lenses")
    if not s.root:
        return Inputs(root, catalogues, given, s.lenses, [], ("simulate",), survey)
    folders = sorted({(root / path).parent for path in (*catalogues, *given)})
    hosts = [root / path for path in (*s.cutouts.stamps, *s.cutouts.cubes)]
    external = [*(root / path for path in (*catalogues, *given, s.lenses)), *hosts, *folders]
    return Inputs(root, catalogues, given, s.lenses, external, (), survey)


def _matching(root: Path, patterns: Iterable[str], key: str) -> Iterator[str]:
    """Paths relative to root that match the patterns, in the order of the patterns, each once."""
    seen: set[str] = set()
    for pattern in patterns:
        found = sorted(os.path.relpath(p, root) for p in root.glob(pattern) if p.is_file())
        if not found:
            raise InputError(f"{root / pattern}: no file matches; correct survey.{key}")
        yield from (p for p in found if p not in seen)
        seen.update(found)


def _whole(refused: Iterable[tuple[str, str]]) -> list[tuple[str, object, str]]:
    """Refusals of whole files, without a row."""
    return [(path, "", reason) for path, reason in refused]


def _quarantine(out: Path, root: Path, stage: str, refused: Refused) -> int:
    """Writes counts/quarantine-<stage>.csv, with paths relative to the survey or the run; returns its number of rows."""
    rows = [
        (stage, path, row, reason.replace(f"{root}/", "").replace(f"{out}/", ""))
        for path, row, reason in refused
    ]
    with (
        replacing(out / "counts" / f"quarantine-{stage}.csv") as temporary,
        open(temporary, "w", newline="") as handle,
    ):
        csv.writer(handle, lineterminator="\n").writerows(rows)
    return len(rows)


def _gather(out: Path) -> None:
    """quarantine.csv: what every step refused, in the order of the steps."""
    with replacing(out / "quarantine.csv") as temporary, open(temporary, "w", newline="") as handle:
        handle.write("stage,path,row,reason\n")
        for stage in STEPS:
            path = out / "counts" / f"quarantine-{stage}.csv"
            handle.write(path.read_text() if path.is_file() else "")
