"""The verb `audit`: injections into held-out hosts, completeness and sensitivity, all of it under
audit/ of the run directory."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from classifiers.audit.choosing import (
    NOTHING,
    TRAIN,
    beside_finder,
    choose,
    finder_of,
    trained_on,
)
from classifiers.audit.choosing import choose_hosts as choose_hosts
from classifiers.audit.host_settings import POOL
from classifiers.audit.settings import AuditSettings
from data import record
from data.config import Invocation
from data.files import replacing, sha256, write_json
from data.verb import Done, Reads
from lensjax.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

    from classifiers.audit.axes import Grid
    from classifiers.audit.campaign import Campaign
    from classifiers.audit.injectionset import InjectionSet
    from classifiers.audit.target import Weighting
    from classifiers.finders import Finder
    from lensjax.prior import Prior

OUTPUTS = (
    "injections.parquet",
    "completeness.parquet",
    "completeness.csv",
    "marginals.parquet",
    "marginals.csv",
    "summary.json",
)
OPTIONAL = (
    *(
        f"{name}.{kind}"
        for name in (
            *("sensitivity", "sensitivity_prior", "treatments", "counterfactuals", "causes"),
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
    rows: pd.DataFrame,
    s: AuditSettings,
    campaign: Campaign,
    axes: Grid,
    prior: Prior,
    weighting: Weighting | None = None,
) -> InjectionSet:
    """The injections with the density that each was drawn from, and the weight that makes them a
    sample of the prior, in hosts of the target population where there is one."""
    from classifiers.audit import density, redraw
    from classifiers.audit.injectionset import InjectionSet

    drawn = density.distributions(campaign.prior, axes)
    population = density.distributions(prior, axes, drawn=False)
    columns = {name: rows[name] for name in {*drawn, *population}}
    ln_p_draw = density.ln_density(drawn, columns)
    own = density.ln_density(population, columns)
    about = {
        "total_generated": len(rows),
        "density_over": list(drawn),
        "proposal": drawn,
        "population": population,
        "thresholds": all_thresholds(campaign.out, s),
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


def all_thresholds(out: Path, s: AuditSettings) -> dict[str, float]:
    """Name to score: the settings' and those of evaluation/thresholds.csv that stand on enough
    negatives."""
    import pandas as pd

    found = {f"p{t:g}": float(t) for t in s.thresholds}
    path = out / "evaluation" / "thresholds.csv"
    if path.is_file():
        table = pd.read_csv(path)
        good = table[(table["status"] == "ok") & np.isfinite(table["threshold"])]
        found |= {str(name): float(t) for name, t in zip(good["name"], good["threshold"])}
    return found


def write_table(table: pd.DataFrame, folder: Path, name: str) -> None:
    """The table as Parquet and as CSV."""
    with replacing(folder / f"{name}.parquet") as temporary:
        table.to_parquet(temporary, index=False, compression="zstd")
    with replacing(folder / f"{name}.csv") as temporary:
        table.to_csv(temporary, index=False, float_format="%.8g")


def run(out: Path, s: AuditSettings) -> dict[str, Any]:
    """Does the audit and writes its files; returns the summary."""
    from classifiers import finders
    from classifiers.audit import (
        causes,
        completeness,
        gallery,
        limits,
        native_tables,
        plan,
        sensitivity,
        standing,
        summary,
        target,
    )
    from classifiers.audit.campaign import Campaign
    from classifiers.audit.density import proposed
    from classifiers.audit.hosts import with_depth
    from classifiers.audit.injection import audit_prior
    from classifiers.audit.realism import comparison
    from classifiers.evaluation.thresholds import operating
    from data.survey import of_run

    folder = out / "audit"
    folder.mkdir(parents=True, exist_ok=True)
    survey = of_run(out)
    finder = finders.load(finder_of(s), out)
    more = {name: finders.load(text, out) for name, text in s.more_finders.items()}
    prior = audit_prior(s.prior, s.source_magnitude, survey)
    proposal = proposed(prior, s.proposal)
    chosen, vetoed = choose(out, s, finder.info, survey, more)
    hosts, measured = with_depth(chosen, out)
    degrade = s.mode == "degraded"
    if degrade and hosts.kernels is not None:
        raise InputError(
            "audit.mode degraded: hosts with PSF kernels have no FWHM to be degraded to; use "
            "matched, or leave the column psf_path out"
        )
    domains = {name: prior.domain(name) for name in prior.parameters}
    axes = s.axes(hosts.fwhm, hosts.depth, hosts, domains, survey)
    chunks = plan.chunks(hosts, axes, s.injections, s.per_host, degrade, s.seed)
    thresholds = all_thresholds(out, s)
    wanted = axes.cells() * s.injections
    print(
        f"audit: {sum(map(len, chunks))} injections of {wanted} asked, {axes.cells()} cells, "
        f"{len(hosts)} hosts, {s.mode}, prior {s.prior_name}",
        flush=True,
    )
    if not chunks:
        raise InputError(
            f"{out}: no host lies in any cell of the grid; widen "
            f"{', '.join(f'audit.axis.{a.name}' for a in axes.host)}, or use mode degraded"
        )
    campaign = Campaign(
        chunks,
        hosts,
        out,
        finder,
        proposal,
        s.gain,
        s.moffat_beta,
        s.batch,
        s.extinction,
        s.stamp_files,
        more,
    )
    weighting = target.of_campaign(campaign, s) if s.target.table else None
    rows = campaign.with_scores(campaign.carry_out(folder / "parts"))
    injections = injection_set(rows, s, campaign, axes, prior, weighting)
    rows = injections.table
    injections.save(folder / "injections.parquet")
    table = completeness.table(
        rows, plan.cells(hosts, axes, degrade), thresholds, axes, s.sufficient
    )
    write_table(table, folder, "completeness")
    marginal = completeness.marginals(rows, thresholds, axes, s.sufficient)
    write_table(marginal, folder, "marginals")

    gradients = None
    middle = operating(thresholds.values())
    sample = plan.sample(chunks, s.sensitivity_sample)
    if sample and campaign.exchange is None:
        packed, experiment = campaign.packed(sample), campaign.experiment(chunks[sample[0][0]])
        known = None
        if finder.differentiable:
            known = sensitivity.all_slopes(finder, experiment, packed)
            of_prior = sensitivity.of_the_prior(experiment, packed, known, middle)
            write_table(of_prior, folder, "sensitivity_prior")
        gradients = sensitivity.table(finder, experiment, packed, middle, known)
        write_table(gradients, folder, "sensitivity")
    standings, tables = standing.ask(campaign, rows, axes, s, middle, folder)
    for name, made in tables.items():
        write_table(made, folder, name)
    parts = folder / "parts" / "native"
    compared, tables = native_tables.ask(campaign, axes, s, prior, middle, parts)
    for name, made in tables.items():
        write_table(made, folder, name)
    picks = gallery.chosen(rows, middle, s.gate_snr)
    picks |= causes.picks(rows, causes.cause_of(rows, middle, s.gate_snr, hosts), picks)
    gallery.write(folder / "gallery.npz", picks, rows, campaign)
    found = summary.summarise(
        out,
        s,
        axes,
        hosts,
        measured,
        finder.info,
        rows,
        table,
        marginal,
        gradients,
        thresholds,
        middle,
    )
    first, *others = standings.pop("said")
    found |= standings | {"words": [first, *found["words"], *others]}
    if len(vetoed.left_out):
        write_table(vetoed.left_out, folder, "hosts_left_out")
    found["target"] = None if weighting is None else target.figures(weighting, rows, middle)
    found["words"] += [] if weighting is None else [target.finding(found["target"])]
    found["limitations"] += target.unsaid(found["target"])
    found["native"] = compared
    if compared is not None:
        found["limitations" if compared["limits"] else "words"].append(compared["words"])
    found["lens_veto"] = vetoed.figures()
    found["words"] += vetoed.finding()
    trained = trained_on(out, s, finder.info)
    found["limitations"] += limits.of_the_run(out, s, hosts, trained)
    found["limitations"] += vetoed.unsaid()
    shown = (*axes.axes, *axes.measured)
    found |= comparison.compare(campaign, rows, shown, middle, s, folder)
    found["limitations"].append(comparison.sentence(found["realism"]))
    write_json(folder / "summary.json", found)
    return found
