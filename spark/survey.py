"""Survey to shards: the negative pool, the positives, the sample, their cutouts, the manifest and
the TFRecord shards, in one Spark session.

The steps are pool, crossmatch, sample, maps, cutouts, validation, manifest and shards. Each has its
own record and is skipped while what it was made from is the same; `--steps pool crossmatch` runs
only those. Where somebody's cutouts and their table are given (`folder`), the sample comes from the
table, there is no pool and no cross-match, and fewer than 5,000 objects are read in this process,
because that takes less time than it takes to start Spark. quarantine.csv lists what was refused and
why, and counts/ has what every cut removed. survey.yaml is the survey's definition and
known_lenses.parquet the lens list, for the verbs after this one.

On a cluster: `spark-submit --master URL lensjax/cli.py survey CONFIG --out DIR`, with this
environment on every machine and DIR on storage that they share.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from data import folder, hats, lenses, progress, shardforms, shards
from data.config import Invocation
from data.publishing import publish
from data.record import Step
from data.stores import Place, on_disk
from data.survey import OF_A_RUN, plain
from data.survey import write as write_definition
from data.verb import Done, Reads, Verb
from lensjax.errors import InputError
from spark import maps, quarantine
from spark.crossmatch import crossmatch
from spark.cutouts import make_cutouts
from spark.inputs import STEPS, Inputs, SurveySettings, listed_lenses, locate
from spark.jobs import outputs
from spark.manifest import write_manifest
from spark.pool import NEAR, checksums, negative_pool, refused_rows
from spark.quarantine import Refused
from spark.sampling import sample
from spark.session import session
from spark.shards import write_shards
from spark.validation import validate

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    Session = Callable[[], SparkSession | None]

FEW = 5000
"""Objects of a table, below which Spark is not started."""


@dataclass(frozen=True)
class Part:
    """One of the steps: what it depends on, what it owns and writes, and the work, which returns
    (refused, figures). may_be_empty: whether the outputs may be missing because there was nothing
    to make them of."""

    name: str
    depends: dict[str, Any]
    after: tuple[str, ...]
    owns: tuple[str, ...]
    outputs: tuple[str, ...]
    work: Callable[[Session], tuple[Refused, dict[str, Any]]]
    external: list[Place] = field(default_factory=list)
    may_be_empty: bool = False

    def written(self, out: Path) -> list[str]:
        """The outputs, those that are there where they may be missing."""
        return [o for o in self.outputs if not self.may_be_empty or (out / o).is_file()]

    def step(self, out: Path) -> Step:
        """The step in the records of a run."""
        depends = Depends(self.depends)
        name, after = f"survey-{self.name}", self.after
        return Step(out, name, depends, after=after, owns=self.owns, external=self.external)


@dataclass(frozen=True)
class Depends:
    """What a step's record depends on besides the steps before it."""

    values: dict[str, Any]


command = Verb(
    name="survey",
    summary="Catalogues, or your own cutouts, to a sample, cutouts, manifest and shards (Spark).",
    settings=SurveySettings,
    after=("simulate",),
    owns=(OF_A_RUN, lenses.OF_A_RUN),
    reads="spark.survey:reads",
    instead="spark.again:instead",
    work="spark.survey:work",
    description=__doc__ or "",
)


def reads(s: SurveySettings, out: Path) -> Reads:
    """The simulated survey of this run, or the files of `root`. Raises InputError as `locate`
    does."""
    inputs = locate(out.absolute(), s)
    return Reads(inputs.after, inputs.external)


def work(call: Invocation[SurveySettings]) -> Done | None:
    """The step `survey`; None when only some of its own steps were asked for."""
    s, out = call.settings, call.out.absolute()
    inputs = locate(out, s)
    what = (
        f"table {s.folder.table}"
        if s.folder.table
        else f"{len(inputs.catalogues)} catalogue files, {len(inputs.given)} existing cutouts, "
        f"lens list {inputs.lens_list}"
    )
    print(f"survey: {inputs.survey.name}, {what}, in {inputs.root}")
    write_definition(out / OF_A_RUN, inputs.survey)
    known: list[str] = []
    if inputs.lens_list:
        lenses.write(out / lenses.OF_A_RUN, listed_lenses(inputs, s.on_bad_file)[0])
        known.append(lenses.OF_A_RUN)
    else:
        (out / lenses.OF_A_RUN).unlink(missing_ok=True)
    with ExitStack() as stack:
        figures = run(out, s, inputs, call.force, stack)
    if set(s.steps) != set(STEPS):
        return None
    written = [o for part in parts(out, s, inputs) for o in part.written(out)]
    if s.publish:
        figures["publish"] = publish(out, published(out, s, inputs), s.publish)
        print("  publish: " + ", ".join(f"{k} {v:,}" for k, v in figures["publish"].items()))
    return Done([*written, "quarantine.csv", OF_A_RUN, *known], figures)


def published(out: Path, s: SurveySettings, i: Inputs) -> list[str]:
    """Files and folders of a run that are published, relative to it. Records stay at home: they
    name the machine and its paths."""
    owned = [o for part in parts(out, s, i) for o in part.owns]
    return [*owned, "counts", "quarantine.csv", OF_A_RUN, lenses.OF_A_RUN]


def run(
    out: Path, s: SurveySettings, inputs: Inputs, force: bool, stack: ExitStack
) -> dict[str, Any]:
    """Runs the chosen steps that are not up to date, in order, and gathers quarantine.csv; returns
    the figures of every step."""
    opened: list[SparkSession] = []

    def spark() -> SparkSession | None:
        if s.folder.table and inputs.objects < FEW:
            return None
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
                f"{out}: step {first!r} of the survey has not finished; run `lensjax survey "
                f"--steps {first} {part.name} --out {out}`"
            )
        step = part.step(out)
        if step.current() and not force:
            print(f"  {part.name}: up to date")
            continue
        if force:
            step.restart()
        with step:
            refused, figures[part.name] = part.work(spark)
            figures[part.name]["refused"] = quarantine.write(out, inputs.root, part.name, refused)
            step.finish(
                [*part.written(out), f"counts/quarantine-{part.name}.csv"], **figures[part.name]
            )
        print(f"  {part.name}: {progress.figures(figures[part.name])}", flush=True)
    quarantine.gather(out)
    return figures


def parts(out: Path, s: SurveySettings, i: Inputs) -> list[Part]:
    """The steps in order."""
    source = {
        "root": str(i.root) if i.external else "",
        "catalogues": i.catalogues,
        "lenses": i.lens_list,
        "on_bad_file": s.on_bad_file,
    }
    survey, side = i.survey, s.cutouts.side(i.survey)

    def pool(spark: Session) -> tuple[Refused, dict[str, Any]]:
        import pandas as pd

        found, _ = listed_lenses(i, s.on_bad_file)
        refused = negative_pool(
            spark(),
            out,
            i.root,
            i.catalogues,
            found,
            s.pool,
            s.on_bad_file,
            survey,
            horizon=s.crossmatch.horizon,
        )
        counts = pd.read_csv(out / "counts" / "pool.csv")
        total = counts.iloc[-1]
        if not (refused or s.test_limit):
            rows = dict(zip(i.catalogues, counts["rows"], strict=False))
            refused = hats.short(i.root, s.sweeps, rows)
            if refused and s.on_bad_file == "stop":
                raise InputError(refused[0][1])
        return [*quarantine.whole(refused), *refused_rows(out, i.catalogues)], {
            "files": len(i.catalogues),
            **{name: int(total[name]) for name in ("rows", "kept", "N1", "N2")},
            "checksums": checksums(out),
        }

    def positives(spark: Session) -> tuple[Refused, dict[str, Any]]:
        import pandas as pd

        found, bad = listed_lenses(i, s.on_bad_file)
        refused = crossmatch(
            spark(),
            out,
            i.root,
            i.catalogues,
            i.given,
            found,
            s.crossmatch,
            s.on_bad_file,
            survey,
            out / "pool" if parts(out, s, i)[0].step(out).current() else None,
        )
        table: dict[str, str] = dict(
            pd.read_csv(out / "counts" / "crossmatch.csv", dtype=str).to_numpy().tolist()
        )
        shown = ("listed", "selected by name", "matched", "tier A", "tier B")
        figures = {name: int(table[name]) for name in shown if name in table}
        return [*bad, *quarantine.whole(refused)], figures

    def sampled(spark: Session) -> tuple[Refused, dict[str, Any]]:
        figures = sample(spark(), out, outputs(out / "pool"), s.sample, survey)
        shown = (
            "wanted sampled n2_fraction shortfall borrowed unfilled counts positives fractions_ok"
        )
        return [], {name: figures[name] for name in (*shown.split(), "pool")}

    def mapped(spark: Session) -> tuple[Refused, dict[str, Any]]:
        pool = [out / "sample" / "sample.parquet"] if s.folder.table else outputs(out / "pool")
        return [], maps.make_maps(spark(), out, pool, s.maps, survey)

    def taken_in(spark: Session) -> tuple[Refused, dict[str, Any]]:
        figures, refused = folder.take_in(
            out,
            on_disk(i.root, "survey.root"),
            s.folder,
            survey,
            scheme=s.sample.scheme,
            seed=s.sample.seed,
            on_bad_file=s.on_bad_file,
        )
        unplaced = listed_lenses(i, s.on_bad_file)[1] if i.lens_list else []
        return [*unplaced, *refused], figures

    def cut(spark: Session) -> tuple[Refused, dict[str, Any]]:
        return make_cutouts(spark(), out, i.root, s.cutouts, s.on_bad_file, survey, s.folder), {}

    def validated(spark: Session) -> tuple[Refused, dict[str, Any]]:
        return validate(spark(), out, side, survey), {}

    def manifest(spark: Session) -> tuple[Refused, dict[str, Any]]:
        figures = write_manifest(out, s.sample.scheme, survey)
        shown = "rows quality_ok rejected hosts cells counts positives fractions fractions_ok"
        return [], {name: figures[name] for name in shown.split()}

    def packed(spark: Session) -> tuple[Refused, dict[str, Any]]:
        figures, left_out = write_shards(spark(), out, side, s.shards, s.sample.seed, survey)
        return [], figures | {"of another size": len(left_out)}

    below = f"shards/{shards.NAME}/{shards.VERSION}"
    described = tuple(
        f"{below}/{name}" for name in (shards.INDEX, "dataset_info.json", "features.json")
    )
    described += tuple(f"shards/{form}/{shardforms.INDEX}" for form in s.shards.formats)
    tables = [i.root / c for c in i.catalogues] if i.external else []
    cutting = {"cutouts": asdict(s.cutouts), "root": source["root"], "on_bad_file": s.on_bad_file}
    table = asdict(s.folder)
    cutting |= {"folder": table} if s.folder.table else {}
    hosts = [p for p in i.external if p not in set(tables)]
    matching = {**source, "given": i.given, "crossmatch": asdict(s.crossmatch)}
    counted = ("counts/crossmatch.csv", "counts/unmatched.csv")
    written = ("positives/positives.parquet", "positives/given.parquet")
    drawn = ("sample", "counts/sample.csv")
    start = [
        Part(
            "pool",
            {**source, "pool": asdict(s.pool), "horizon": s.crossmatch.horizon},
            i.after,
            ("pool", "counts/pool.csv"),
            ("pool/_job.json", f"pool/{NEAR}/_job.json", "counts/pool.csv"),
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
            drawn,
            ("sample/sample.parquet", "counts/sample.csv"),
            sampled,
        ),
    ]
    if s.folder.table:
        of_table = {**source, "folder": table, "sample": asdict(s.sample)}
        start = [
            Part(
                "sample",
                of_table,
                i.after,
                drawn,
                ("sample/sample.parquet",),
                taken_in,
                i.external,
            )
        ]
    known = {"survey": plain(survey)}
    every = [
        *start,
        Part(
            "maps",
            asdict(s.maps),
            ("survey-sample",) if s.folder.table else ("survey-pool",),
            ("maps", maps.HATS, maps.TABLES),
            maps.written(s.maps),
            mapped,
        ),
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
            {"size": s.cutouts.size},
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
            may_be_empty=True,
        ),
    ]
    return [replace(part, depends=part.depends | known) for part in every]
