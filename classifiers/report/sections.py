"""What the page says, in order.

A part whose step did not run says so in a sentence; a number that the data cannot support is a
sentence too.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from classifiers.report import assumed, audited, decisions, results, together
from classifiers.report.collect import STEPS, Run
from classifiers.report.gallery import gallery
from classifiers.report.hosts import hosts
from classifiers.report.page import Details, Section, Table, Tile, Tiles, Words, cell

if TYPE_CHECKING:
    import pandas as pd

    from classifiers.report.settings import ReportSettings

PROGRAM = ("cli.py", "__main__.py")
"""Files that Python runs as the command `lensjax`."""
CUTS = {
    "not_primary": "not the brick's own",
    "not_finite_position": "position not finite",
    "declination": "declination outside −18° to 32°",
    "type": "type not SER, DEV or REX",
    "maskbits": "masked",
    "nobs": "fewer than 3 exposures in some band",
    "flux_z_not_positive": "z flux not positive",
    "z_mag": "z fainter than the limit",
    "near_lens": "near a known lens",
}


def title(run: Run, wanted: str = "") -> tuple[str, str, bool]:
    """Heading, the line under it, and whether the survey is simulated."""
    kind = "a simulated survey" if run.simulated else "real data"
    heading = (
        wanted
        or f"What a lens finder detects and misses: {kind}{' (SIMULATED)' if run.simulated else ''}"
    )
    model = (
        (run.metrics or {}).get("classifier", {}).get("model")
        or (run.audit or {}).get("classifier", {}).get("model")
        or "no classifier"
    )
    labels = run.manifest["label"]
    parts = [
        f"{int((labels == 1).sum()):,} lenses or candidates and "
        f"{int((labels == 0).sum()):,} other galaxies",
        str(model),
    ]
    if run.audit:
        parts.append(f"{run.audit['injections']:,} injected arcs")
    return heading, " · ".join(parts), run.simulated


def sections(run: Run, s: ReportSettings) -> list[Section]:
    """The sections of the page."""
    return [
        Section("verdict", "Verdict", verdict(run)),
        Section("run", "What was run", what_was_run(run)),
        Section("survey", "Survey", survey(run)),
        Section("gallery", "Gallery", gallery(run, s.stamps)),
        Section("training", "Training", results.training(run)),
        Section("evaluation", "Evaluation", results.evaluation(run)),
        Section("completeness", "Completeness", audited.completeness(run)),
        *together.section(run),
        Section("hosts", "Hosts", hosts(run)),
        Section("assumptions", "Assumptions", assumed.assumptions(run)),
        Section("sensitivity", "Sensitivity", audited.sensitivity(run)),
        *decisions.section(run),
        Section("limitations", "Limitations", limitations(run)),
    ]


def verdict(run: Run) -> list[Any]:
    """What it misses and how sure we are, in a few numbers and sentences."""
    tiles = [*results.tiles(run), *audited.tiles(run)]
    words = []
    if run.metrics:
        words.append(results.in_words(run))
    if run.audit:
        words += run.audit["words"]
    else:
        words.append(
            "No injections were made, so what the finder misses is not known (`lensjax audit`)."
        )
    return [*([Tiles(tiles)] if tiles else []), Words(words, listed=True)]


def what_was_run(run: Run) -> list[Any]:
    """Steps with times and memory; settings, versions, commit and machine behind summaries."""
    import pandas as pd

    rows = [
        {
            "step": name,
            "seconds": float(r["seconds"]),
            "peak_memory_mb": r["peak_memory_mb"],
            "started_utc": r["started"][:19].replace("T", " "),
            "outputs": len(r["outputs"]),
            "commit": r["commit"][:10] + ("+" if r["commit"].endswith("+") else ""),
        }
        for name, r in run.records.items()
    ]
    absent = [name for name in STEPS if name not in run.records]
    last = list(run.records.values())[-1]
    blocks: list[Any] = [Table("steps", "Steps", pd.DataFrame(rows))]
    if absent:
        blocks.append(Words([f"Not part of this run: {', '.join(absent)}."]))
    settings = {name: r["config"] for name, r in run.records.items()}
    machine = {**last["machine"], **last["versions"]}
    blocks += [
        Details("Settings of every step", json.dumps(settings, indent=2, default=str)),
        Details("Machine and versions", "\n".join(f"{k}: {v}" for k, v in machine.items())),
        Details(
            "Commands",
            "\n".join(f"{name}: {_typed(r['command'])}" for name, r in run.records.items()),
        ),
    ]
    return blocks


def _typed(command: Sequence[str]) -> str:
    """A recorded command as one types it: the program's name rather than its file, and arguments
    without the folders above them."""
    bare = [word.rsplit("/", 1)[-1] if word.startswith("/") else word for word in command]
    return " ".join("lensjax" if word in PROGRAM and not i else word for i, word in enumerate(bare))


def survey(run: Run) -> list[Any]:
    """What the cuts removed, the cross-match, the sample and its shortfalls, what was refused."""
    import pandas as pd

    manifest = run.manifest
    host = (
        manifest["cutout_type"].eq("host").fillna(False)
        if "cutout_type" in manifest
        else pd.Series(False, index=manifest.index)
    )
    by = manifest[~host].assign(kind=manifest["label"].map({1: "lenses", 0: "others"}))
    blocks: list[Any] = [
        Words(
            [
                "The survey is simulated: galaxies, lenses, noise and catalogue are invented, in "
                f"the formats of {run.survey.title}."
                if run.simulated
                else "The survey is real data as given; nothing was simulated but the injected "
                "arcs."
            ],
            note=run.simulated,
        )
    ]
    pool = run.table("pool", ["file", "rows", "kept"])
    if pool is not None:
        blocks += _pool(pool)
    for name, caption in (
        ("crossmatch", "Cross-match of the lens list with the catalogue"),
        ("sample", "Sample: wanted, got, short, borrowed per stratum"),
    ):
        found = run.table(name)
        if found is not None:
            blocks.append(Table(name, caption, found, folded=name == "sample"))
    unmatched = run.table("unmatched")
    if unmatched is not None:
        blocks.append(
            Table(
                "unmatched",
                "Entries of the lens list without a catalogue row, with the reason",
                unmatched,
                on_page=False,
            )
        )
    sample = run.table("sample", ["shortfall", "type_bin"])
    if sample is not None:
        total = sample[sample.iloc[:, 0] == "total"]
        if len(total) and total["shortfall"].iloc[0] > 0:
            t = total.iloc[0]
            blocks.append(
                Words(
                    [
                        f"{cell(t['shortfall'])} of {cell(t['wanted'])} wanted negatives were not "
                        "available in their own stratum; "
                        f"{cell(t['borrowed'])} were borrowed."
                    ]
                )
            )
    blocks.append(_numbers(run, by))
    if host.any():
        blocks.append(
            Words(
                [
                    f"{int(host.sum())} galaxies from outside the survey serve as hosts for "
                    "injections only."
                ]
            )
        )
    refused = run.table("quarantine", ["stage", "reason"])
    if refused is None:
        blocks.append(Words(["Nothing was refused."]))
    else:
        kinds = (
            refused.assign(
                reason=refused["reason"]
                .astype(str)
                .str.replace(r"(?<![\w/.-])\d+(\.\d+)?(?![\w/.-])", "N", regex=True)
            )
            .groupby(["stage", "reason"])
            .size()
        )
        blocks.append(
            Table(
                "refused",
                f"{len(refused)} files or rows were refused",
                kinds.rename("number").reset_index(),
            )
        )
        blocks.append(Table("quarantine", "Every refusal", refused, folded=True))
    return blocks


def _numbers(run: Run, by: pd.DataFrame) -> Table:
    """Numbers of cutouts by kind; and by split, unless the splits are of no use in this run, where
    a finder that was trained elsewhere is judged on all objects."""
    if "train" not in run.records and (run.metrics or {}).get("on") in (None, "all"):
        kinds = by["kind"].fillna("without a label").value_counts()
        return Table("cutouts", "Cutouts", kinds.rename("number").reset_index())
    splits = by.groupby(["split", "kind"]).size().unstack(fill_value=0)
    splits = splits.reindex(["train", "val", "test"]).dropna(how="all").astype(int)
    return Table("splits", "Cutouts by split", splits.reset_index())


def _pool(pool: pd.DataFrame) -> list[Any]:
    import pandas as pd

    total = pool[pool["file"] == "total"]
    if total.empty:
        return [Table("pool", "Negative pool per file", pool, folded=True)]
    t = total.iloc[0]
    rows = [
        {"cut": words, "removed": int(t[name]), "share_percent": 100 * t[name] / max(t["rows"], 1)}
        for name, words in CUTS.items()
        if name in pool
    ]
    rows.append(
        {
            "cut": "kept",
            "removed": int(t["kept"]),
            "share_percent": 100 * t["kept"] / max(t["rows"], 1),
        }
    )
    caption = f"What each cut removed of {int(t['rows']):,} catalogue rows, in order"
    return [
        Table("cuts", caption, pd.DataFrame(rows).rename(columns={"removed": "rows"})),
        Table("pool", "Every cut, per catalogue file", pool, folded=True),
    ]


def limitations(run: Run) -> list[Any]:
    """What the numbers above cannot support."""
    words = []
    if run.simulated:
        words.append(
            "The survey, its lenses and its look-alikes are simulated: the figures test the chain "
            "and show what an audit looks like, "
            "not how a finder does on the sky."
        )
    words += results.limitations(run)
    words += (run.audit or {}).get("limitations", ["There was no audit."])
    return [Words(words, listed=True)]


def tile(
    value: float | None, label: str, low: float | None, high: float | None, detail: str = ""
) -> Tile | None:
    """A tile with a 95 % interval, or none when there is no number."""
    if value is None:
        return None
    interval = f"95 %: {low:.3g} to {high:.3g}" if low is not None and high is not None else ""
    return Tile(f"{value:.3g}", label, " · ".join(p for p in (interval, detail) if p))
