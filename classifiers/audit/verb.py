"""The verb `audit`: injections into held-out hosts, completeness and sensitivity, all of it under
audit/ of the run directory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from classifiers.audit.settings import AuditSettings
from classifiers.selection.products import FOLDERS
from data import record
from data.config import Invocation
from data.files import replacing, sha256, write_json
from data.verb import Done, Reads
from lensjax.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

    from classifiers.audit.axes import Grid
    from classifiers.audit.campaign import Campaign
    from classifiers.audit.hosts import Hosts
    from classifiers.audit.injectionset import InjectionSet
    from classifiers.finders import Finder
    from data.survey import Survey
    from lensjax.prior import Prior

NOTHING, TRAIN = "none", "train"
"""what `trained_on` says of a finder that saw none of these galaxies, and of one that saw the
training split of this run"""
OUTPUTS = (
    "injections.parquet",
    *(
        f"{name}.{kind}"
        for name in ("completeness", "marginals")
        for kind in ("parquet", "csv", "ecsv", "fits")
    ),
    "summary.json",
)
OPTIONAL = (
    *(
        f"{name}.{kind}"
        for name in ("sensitivity", "sensitivity_prior", "treatments", "counterfactuals", "causes")
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
    return Done(
        [f"audit/{name}" for name in (*OUTPUTS, *extra)],
        {k: summary[k] for k in ("injections", "hosts", "completeness")},
        summary["words"],
        remove=[folder / "parts"],
    )


def reads(s: AuditSettings, out: Path) -> Reads:
    """The steps and the files outside the run directory that the audit depends on."""
    from classifiers import finders
    from classifiers.audit.realism import panel

    files = [Path(s.host_list)] if s.host_list else []
    files += panel.given(out)
    if s.trained_on not in ("", NOTHING, TRAIN):
        files.append(Path(s.trained_on))
    files += [
        Path(name)
        for name in (s.prior, s.source_library)
        if isinstance(name, str) and Path(name).is_file()
    ]
    if not _finder(s):
        return Reads(("survey", "train", "evaluate"), files)
    files += finders.files(_finder(s), out)
    if (beside := _beside(s)) is not None:
        files.append(beside)
    done = ("evaluate",) if record.read(out, "evaluate") is not None else ()
    return Reads(("survey", *done), files)


def _finder(s: AuditSettings) -> str:
    """The finder as `finders.load` takes it."""
    return s.finder or s.classifier


def _beside(s: AuditSettings) -> Path | None:
    """The manifest that says what the classifier of another run was trained on; None for finders of
    other kinds."""
    folder = Path(_finder(s))
    other = _finder(s) and (folder.is_dir() or s.classifier)
    return folder.parent / "manifest.parquet" if other else None


def trained_on(out: Path, s: AuditSettings, info: dict[str, Any]) -> pd.DataFrame | None:
    """What the finder was trained on: None where it is this run's training split; else a
    table with galaxy_id, ra and dec, which is empty where the user says that it was none of these.
    Raises InputError when nobody says it."""
    import pandas as pd

    from data.manifest import read

    columns = ["galaxy_id", "ra", "dec"]
    beside = _beside(s)
    said = s.trained_on or str(info.get("trained_on", ""))
    if Path(said).name == TRAIN:
        return None
    if Path(said).name == NOTHING:
        return pd.DataFrame({c: [] for c in columns})
    if said:
        table = _table(Path(said), columns)
        return table[table["split"] == "train"] if "split" in table else table
    if beside is None and _finder(s):
        raise InputError(
            f"finder {_finder(s)}: nothing says what it was trained on; set audit.trained_on to "
            f"`{NOTHING}` (of these galaxies), to `{TRAIN}` (this run's training split), or to a "
            "table with galaxy_id, ra and dec"
        )
    path = beside or out / "manifest.parquet"
    if not path.is_file():
        raise InputError(
            f"{path}: missing, so what the classifier was trained on is unknown; keep the manifest "
            "beside its training folder, or set audit.trained_on"
        )
    if info.get("manifest_sha256") not in (None, sha256(path)):
        raise InputError(
            f"{path}: not the manifest that the classifier was trained on (SHA-256 differs); use "
            "that run's, or train again"
        )
    if beside is None:
        return None
    table = read(path).to_pandas()
    return table.loc[table["split"] == "train", columns]


def _table(path: Path, columns: list[str]) -> pd.DataFrame:
    """A table from a CSV or Parquet file. Raises InputError when it lacks a column."""
    import pandas as pd

    try:
        read = pd.read_parquet if path.suffix == ".parquet" else pd.read_csv
        table = read(path)
    except (OSError, ValueError) as error:
        said = " ".join(str(error).split())[:120]
        raise InputError(f"audit.trained_on: {path}: cannot be read ({said})") from None
    if missing := [c for c in columns if c not in table]:
        raise InputError(f"audit.trained_on: {path}: no column {missing[0]!r}; add it")
    return table


def choose_hosts(
    out: Path,
    s: AuditSettings,
    info: dict[str, Any],
    survey: Survey,
    more: Mapping[str, Finder] | None = None,
) -> Hosts:
    """The hosts of an audit, checked against what the finder and those of `more_finders` were
    trained on. Raises InputError as `trained_on` and `hosts.refuse` do."""
    import pandas as pd

    from classifiers.audit import hosts
    from data.manifest import read

    path = out / "manifest.parquet"
    trained = trained_on(out, s, info)
    manifest = read(path).to_pandas()
    if s.host_list:
        try:
            names = pd.read_csv(s.host_list, dtype=str)["galaxy_id"].dropna().tolist()
        except (OSError, ValueError, KeyError) as error:
            raise InputError(
                f"{s.host_list}: not a CSV file with a column galaxy_id ({error})"
            ) from None
        found = hosts.named(manifest, names, s.psf_fwhm, survey)
    else:
        outside = trained is not None
        splits = None if outside else s.splits
        found = hosts.candidates(manifest, splits, s.psf_fwhm, survey, unlabelled=outside)
    if not len(found):
        raise InputError(
            f"{path}: no negative in split {' or '.join(s.splits)}, so there is nothing to inject "
            "into; make the survey larger"
        )
    positions = manifest[["galaxy_id", "ra", "dec"]]
    hosts.refuse(found, trained, positions)
    for name, other in (more or {}).items():
        own = replace(s, finder=s.more_finders[name], classifier="")
        hosts.refuse(found, trained_on(out, own, other.info), positions)
    return found


def injection_set(
    rows: pd.DataFrame, s: AuditSettings, campaign: Campaign, axes: Grid, prior: Prior
) -> InjectionSet:
    """The injections with the density that each was drawn from, and the weight that makes them a
    sample of the prior."""
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
    return InjectionSet(rows.assign(ln_p_draw=ln_p_draw, weight=np.exp(own - ln_p_draw)), about)


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
        plan,
        sensitivity,
        standing,
        summary,
    )
    from classifiers.audit.campaign import Campaign
    from classifiers.audit.density import proposed
    from classifiers.audit.hosts import with_depth
    from classifiers.audit.injection import audit_prior
    from classifiers.audit.realism import comparison
    from classifiers.evaluation.thresholds import operating
    from classifiers.selection import products
    from data.survey import of_run

    folder = out / "audit"
    folder.mkdir(parents=True, exist_ok=True)
    survey = of_run(out)
    finder = finders.load(_finder(s), out)
    more = {name: finders.load(text, out) for name, text in s.more_finders.items()}
    prior = audit_prior(s.prior, s.source_magnitude, survey)
    proposal = proposed(prior, s.proposal)
    hosts, measured = with_depth(choose_hosts(out, s, finder.info, survey, more), out)
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
    injections = injection_set(
        campaign.with_scores(campaign.carry_out(folder / "parts")), s, campaign, axes, prior
    )
    rows = injections.table
    injections.save(folder / "injections.parquet")
    table = completeness.table(
        rows, plan.cells(hosts, axes, degrade), thresholds, axes, s.sufficient
    )
    marginal = completeness.marginals(rows, thresholds, axes, s.sufficient)

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
    shown = (*axes.axes, *axes.measured)
    found |= comparison.compare(campaign, rows, shown, middle, s, folder)
    found["limitations"].append(comparison.sentence(found["realism"]))
    said = products.about(
        injections.about, [asdict(axis) for axis in shown], sha256(folder / "injections.parquet")
    )
    products.write(folder, table, marginal, tables.get("treatments"), found, said)
    write_json(folder / "summary.json", found)
    return found
