"""The verb `audit`: injections into held-out hosts, completeness, sensitivity; everything under audit/ of the run directory."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from classifiers.audit.settings import AuditSettings
from data.config import Invocation
from data.files import replacing, sha256, write_json
from data.verb import Done, Reads
from lensjax.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

    from classifiers.audit.hosts import Hosts

SNR_EDGES = (0.0, 3.0, 5.0, 10.0, 20.0, 50.0, 1e6)
OUTPUTS = (
    "injections.parquet",
    "completeness.parquet",
    "completeness.csv",
    "marginals.parquet",
    "marginals.csv",
    "summary.json",
)
OPTIONAL = ("sensitivity.csv", "sensitivity.parquet", "gallery.npz")


def work(call: Invocation[AuditSettings]) -> Done:
    """The step `audit`: everything below audit/ of the run directory."""
    folder = call.out / "audit"
    summary = run(call.out, call.settings)
    extra = [name for name in OPTIONAL if (folder / name).is_file()]
    return Done(
        [f"audit/{name}" for name in (*OUTPUTS, *extra)],
        {k: summary[k] for k in ("injections", "hosts", "completeness")},
        summary["words"],
        remove=[folder / "parts"],
    )


def reads(s: AuditSettings, out: Path) -> Reads:
    """The steps and the files outside the run directory that the audit depends on."""
    files = [Path(s.host_list)] if s.host_list else []
    if not s.classifier:
        return Reads(("survey", "train", "evaluate"), files)
    folder = Path(s.classifier)
    files += [folder / "classifier.json", folder.parent / "manifest.parquet"]
    return Reads(("survey", "evaluate"), files)


def choose_hosts(out: Path, s: AuditSettings, info: dict[str, Any]) -> Hosts:
    """The hosts of an audit, checked against what the classifier was trained on. Raises InputError as `hosts.refuse` does, and when nothing says
    what the classifier was trained on."""
    import pandas as pd

    from classifiers.audit import hosts
    from data.manifest import read

    path = out / "manifest.parquet"
    manifest = read(path).to_pandas()
    trained_path = Path(s.classifier).parent / "manifest.parquet" if s.classifier else path
    if not trained_path.is_file():
        raise InputError(
            f"{trained_path}: missing, so what the classifier was trained on is unknown; keep the manifest beside its training folder"
        )
    if info.get("manifest_sha256") not in (None, sha256(trained_path)):
        raise InputError(
            f"{trained_path}: not the manifest that the classifier was trained on (SHA-256 differs); use that run's, or train again"
        )
    trained = None
    if s.classifier:
        table = read(trained_path).to_pandas()
        trained = table.loc[table["split"] == "train", ["galaxy_id", "ra", "dec"]]
    if s.host_list:
        try:
            names = pd.read_csv(s.host_list, dtype=str)["galaxy_id"].dropna().tolist()
        except (OSError, ValueError, KeyError) as error:
            raise InputError(
                f"{s.host_list}: not a CSV file with a column galaxy_id ({error})"
            ) from None
        found = hosts.named(manifest, names, s.psf_fwhm)
    else:
        found = hosts.candidates(manifest, None if s.classifier else s.splits, s.psf_fwhm)
    if not len(found):
        raise InputError(
            f"{path}: no negative in split {' or '.join(s.splits)}, so there is nothing to inject into; make the survey larger"
        )
    hosts.refuse(found, trained, manifest[["galaxy_id", "ra", "dec"]])
    return found


def all_thresholds(out: Path, s: AuditSettings) -> dict[str, float]:
    """Name -> score: the settings' and those of evaluation/thresholds.csv that stand on enough negatives."""
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
    from classifiers import frozen
    from classifiers.audit import completeness, gallery, plan, sensitivity, summary
    from classifiers.audit.campaign import Campaign
    from classifiers.audit.hosts import with_depth
    from classifiers.audit.injection import audit_prior
    from classifiers.evaluation.thresholds import operating
    from classifiers.photometry import depth_m5

    folder = out / "audit"
    folder.mkdir(parents=True, exist_ok=True)
    classifier = frozen.load(Path(s.classifier) if s.classifier else out / "training")
    prior = audit_prior(s.prior, s.source_magnitude)
    hosts, measured = with_depth(choose_hosts(out, s, classifier.info), out)
    degrade = s.mode == "degraded"
    axes = s.axes(hosts.psf[:, 1], depth_m5(hosts.psfdepth[:, 1]))
    chunks = plan.chunks(hosts, axes, s.injections, s.per_host, degrade, s.seed)
    thresholds = all_thresholds(out, s)
    wanted = axes.cells() * s.injections
    print(
        f"audit: {sum(map(len, chunks))} injections of {wanted} asked, {axes.cells()} cells, {len(hosts)} hosts, {s.mode}, prior {s.prior}",
        flush=True,
    )
    campaign = Campaign(chunks, hosts, out, classifier, prior, s.gain, s.moffat_beta, s.batch)
    rows = campaign.carry_out(folder / "parts")
    if rows.empty:
        raise InputError(
            f"{out}: no host lies in any cell of the grid; widen audit.psf_edges and audit.depth_edges, or use mode degraded"
        )
    with replacing(folder / "injections.parquet") as temporary:
        rows.to_parquet(temporary, index=False, compression="zstd")
    cells = plan.cells(hosts, axes, degrade)
    table = completeness.table(rows, cells, thresholds, s.magnitude_edges, s.sufficient)
    write_table(table, folder, "completeness")
    marginal = completeness.marginals(
        rows, thresholds, s.magnitude_edges, SNR_EDGES, s.sufficient, s.seed
    )
    write_table(marginal, folder, "marginals")

    gradients = None
    sample = plan.sample(chunks, s.sensitivity_sample)
    if sample:
        gradients = sensitivity.table(
            campaign.experiment(chunks[sample[0][0]]), campaign.packed(sample)
        )
        write_table(gradients, folder, "sensitivity")
    middle = operating(thresholds.values())
    picks = gallery.chosen(rows, middle, s.gate_snr)
    gallery.write(folder / "gallery.npz", picks, rows, campaign)
    found = summary.summarise(
        out,
        s,
        axes,
        hosts,
        measured,
        classifier.info,
        rows,
        table,
        marginal,
        gradients,
        thresholds,
        middle,
    )
    write_json(folder / "summary.json", found)
    return found
