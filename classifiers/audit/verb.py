"""The verb `audit`: injections into held-out hosts, completeness and sensitivity, all of it under
audit/ of the run directory."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from classifiers.audit.choosing import NOTHING, TRAIN, beside_finder, finder_of, trained_on
from classifiers.audit.host_settings import POOL
from classifiers.audit.question import Question, question
from classifiers.audit.settings import AuditSettings
from classifiers.selection.products import FOLDERS
from classifiers.selection.tablefile import ENDINGS
from data import record
from data.config import Invocation
from data.files import replacing, sha256, write_csv, write_json
from data.verb import Done, Reads

if TYPE_CHECKING:
    import pandas as pd

    from classifiers.audit.injectionset import InjectionSet
    from classifiers.audit.target import Weighting
    from classifiers.finders import Finder

OUTPUTS = (
    "injections.parquet",
    *(f"{name}{kind}" for name in ("completeness", "marginals") for kind in ENDINGS),
    "thresholds.parquet",
    "thresholds.csv",
    "summary.json",
)
OPTIONAL = (
    *(
        f"{name}.{kind}"
        for name in (
            *("sensitivity", "sensitivity_prior", "treatments", "counterfactuals", "causes"),
            *("host_effects", "merged", "finders", "finder_shapes"),
            *("hosts_left_out", "native", "native_noise", "native_psf"),
        )
        for kind in ("csv", "parquet")
    ),
    "gallery.npz",
    "panel.html",
    "panel_key.json",
)


def work(call: Invocation[AuditSettings]) -> Done:
    """The step `audit`: everything below audit/ of the run directory."""
    folder = call.out / "audit"
    summary = run(call.out, call.settings)
    extra = [name for name in OPTIONAL if (folder / name).is_file()]
    made = [path for name in FOLDERS for path in sorted((folder / name).glob("*.*"))]
    extra += [path.relative_to(folder).as_posix() for path in made]
    extra += sorted(f"psf/{path.name}" for path in (folder / "psf").glob("*.npz"))
    return Done(
        [f"audit/{name}" for name in (*OUTPUTS, *extra)],
        {k: summary[k] for k in ("injections", "hosts", "completeness")},
        summary["words"],
        remove=[folder / "parts"],
    )


def reads(s: AuditSettings, out: Path) -> Reads:
    """The steps and the files outside the run directory that the audit depends on."""
    from classifiers import finders
    from classifiers.audit import psffiles
    from classifiers.audit.realism import panel
    from data.survey import of_run

    files = [Path(s.host_list)] if s.host_list else []
    files += panel.given(out)
    if s.trained_on not in ("", NOTHING, TRAIN):
        files.append(Path(s.trained_on))
    files += [Path(name) for name in s.lens_lists]
    if s.psf_files:
        files += psffiles.files(s.psf_files, of_run(out))
    if s.target.table not in ("", POOL):
        files.append(Path(s.target.table))
    files += [
        Path(name)
        for name in (s.prior, s.source_library)
        if isinstance(name, str) and Path(name).is_file()
    ]
    if not finder_of(s):
        return Reads(("survey", "train", "evaluate"), files)
    files += finders.files(finder_of(s), out)
    if (beside := beside_finder(s)) is not None:
        files.append(beside)
    done = ("evaluate",) if record.read(out, "evaluate") is not None else ()
    return Reads(("survey", *done), files)


def injection_set(
    rows: pd.DataFrame, s: AuditSettings, ask: Question, weighting: Weighting | None = None
) -> InjectionSet:
    """The injections with the density that each was drawn from, and the weight that makes them a
    sample of the prior, in hosts of the target population where there is one."""
    from classifiers.audit import density, overlap, redraw
    from classifiers.audit.injectionset import InjectionSet

    campaign, axes, prior = ask.campaign, ask.axes, ask.prior
    drawn = density.distributions(campaign.prior, axes)
    population = density.distributions(prior, axes, drawn=False)
    columns = {name: rows[name] for name in {*drawn, *population}}
    ln_p_draw = density.ln_density(drawn, columns)
    own = density.ln_density(population, columns)
    looks = []
    if campaign.more:
        asked = campaign.finder.name, list(campaign.more), s.thresholds, s.compare_at
        looks = overlap.of_audit(rows, *asked)[1]
    about = {
        "total_generated": len(rows),
        "density_over": list(drawn),
        "proposal": drawn,
        "population": population,
        "thresholds": dict(ask.numbers),
        "finder_thresholds": overlap.of_finders(looks),
        "finders": {"": described_finder(campaign.finder)}
        | {name: described_finder(finder) for name, finder in campaign.more.items()},
        "hosts": {
            "number": int(rows["galaxy_id"].nunique()),
            "identity": campaign.identity(),
            "manifest_sha256": sha256(campaign.out / "manifest.parquet"),
        },
        **redraw.recipe(s, campaign, axes),
    }
    weight = np.exp(own - ln_p_draw)
    rows = rows.assign(ln_p_draw=ln_p_draw, weight=weight)
    if weighting is not None:
        factor = weighting.host_weight
        rows = rows.assign(weight=weight * factor, prior_weight=weight, host_weight=factor)
        about["target"] = {**asdict(s.target), "table": weighting.population.name}
    return InjectionSet(rows, about)


def described_finder(finder: Finder) -> dict[str, Any]:
    """Name and plain facts of a finder."""
    plain = {k: v for k, v in finder.info.items() if isinstance(v, str | int | float | bool)}
    return {"name": finder.name, **plain}


def write_table(table: pd.DataFrame, folder: Path, name: str) -> None:
    """The table as Parquet and as CSV."""
    with replacing(folder / f"{name}.parquet") as temporary:
        table.to_parquet(temporary, index=False, compression="zstd")
    write_csv(folder / f"{name}.csv", table)


def run(out: Path, s: AuditSettings) -> dict[str, Any]:
    """Does the audit and writes its files; returns the summary."""
    from classifiers.audit import (
        causes,
        completeness,
        gallery,
        limits,
        merging,
        native_tables,
        plan,
        standing,
        summary,
        target,
        thresholds,
    )
    from classifiers.audit.realism import comparison, gates
    from classifiers.evaluation.thresholds import operating
    from classifiers.selection import products

    folder = out / "audit"
    folder.mkdir(parents=True, exist_ok=True)
    ask = question(out, s)
    axes, campaign, asked = ask.axes, ask.campaign, ask.asked
    hosts = campaign.hosts
    weighting = target.of_campaign(campaign, s) if s.target.table else None
    rows = campaign.with_scores(campaign.carry_out(folder / "parts"))
    injections = injection_set(rows, s, ask, weighting)
    rows = injections.table
    injections.save(folder / "injections.parquet")

    cells = plan.cells(hosts, axes, s.mode == "degraded")
    table = completeness.table(rows, cells, asked, axes, s.sufficient)
    marginal = completeness.marginals(rows, asked, axes, s.sufficient)
    score, weight = rows["score"].to_numpy(), completeness.weights(rows)
    at_thresholds = thresholds.table(asked, score, weight, rows["galaxy_id"].to_numpy())
    middle = operating(ask.numbers.values())
    at = next(t for t in asked if t.value == middle)
    made: dict[str, pd.DataFrame] = {"thresholds": at_thresholds}
    made |= slopes(ask, rows, middle, s)
    standings, tables = standing.ask(campaign, rows, axes, s, at, folder)
    made |= tables
    parts = folder / "parts" / "native"
    compared, tables = native_tables.ask(campaign, axes, s, ask.prior, middle, parts)
    made |= tables
    picks = gallery.chosen(rows, middle, s.gate_snr)
    picks |= causes.picks(rows, causes.cause_of(rows, middle, s.gate_snr, hosts), picks)
    gallery.write(folder / "gallery.npz", picks, rows, campaign)

    found = summary.summarise(
        out,
        s,
        axes,
        hosts,
        ask.measured,
        campaign.finder.info,
        rows,
        table,
        marginal,
        made.get("sensitivity"),
        at_thresholds,
        middle,
    )
    first, *others = standings.pop("said")
    found |= standings | {"words": [first, *found["words"], *others]}
    if s.merge:
        made["merged"] = merging.table(rows, asked, axes, s.sufficient, s.merge)
        found["merged"] = merging.summary(made["merged"], s.merge)
        found["limitations"].append(merging.in_words(found["merged"]))
    if len(ask.vetoed.left_out):
        made["hosts_left_out"] = ask.vetoed.left_out
    found["target"] = None if weighting is None else target.figures(weighting, rows, middle)
    found["words"] += [] if weighting is None else [target.finding(found["target"])]
    found["limitations"] += target.unsaid(found["target"])
    found["native"] = compared
    if compared is not None:
        found["limitations" if compared["limits"] else "words"].append(compared["words"])
    found["lens_veto"] = ask.vetoed.figures()
    found["words"] += ask.vetoed.finding()
    trained = trained_on(out, s, campaign.finder.info)
    found["limitations"] += limits.of_the_run(out, s, hosts, trained)
    found["limitations"] += ask.vetoed.unsaid()
    shown = (*axes.axes, *axes.measured)
    found |= comparison.compare(campaign, rows, shown, middle, s, folder)
    found["limitations"].append(gates.sentence(found["realism"]))
    found["words"][2:2] = gates.finding(found["realism"])
    for name, one in made.items():
        write_table(one, folder, name)
    identity = sha256(folder / "injections.parquet")
    said = products.about(injections.about, [asdict(axis) for axis in shown], identity)
    products.write(folder, table, marginal, made.get("treatments"), found, said)
    write_json(folder / "summary.json", found)
    return found


def slopes(
    ask: Question, rows: pd.DataFrame, middle: float, s: AuditSettings
) -> dict[str, pd.DataFrame]:
    """The tables of sensitivities, by name: none where no sample is asked for, or where scores come
    from a file."""
    from classifiers.audit import completeness, plan, sensitivity

    campaign, sample = ask.campaign, plan.sample(ask.chunks, s.sensitivity_sample)
    if not sample or campaign.exchange is not None:
        return {}
    finder, packed = campaign.finder, campaign.packed(sample)
    experiment = campaign.experiment(ask.chunks[sample[0][0]])
    places, known = plan.places(ask.chunks, sample), None
    own = completeness.weights(rows)[places], rows["galaxy_id"].to_numpy()[places]
    made = {}
    if finder.differentiable:
        known = sensitivity.all_slopes(finder, experiment, packed)
        made["sensitivity_prior"] = sensitivity.of_the_prior(
            experiment, packed, known, middle, *own, proposed=tuple(s.proposal)
        )
    made["sensitivity"] = sensitivity.table(finder, experiment, packed, middle, known, *own)
    return made
