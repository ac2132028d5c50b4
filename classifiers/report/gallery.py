"""Stamps to look at: lenses, confusers, ordinary galaxies, and injections before and after."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from classifiers.report.collect import Run
from classifiers.report.images import SIDE, png
from classifiers.report.page import Gallery, Stamp, Words
from data.cutouts import read_npz
from lensjax.errors import InputError

if TYPE_CHECKING:
    import pandas as pd


def gallery(run: Run, number: int) -> list[Any]:
    """Galleries of the manifest's objects, each with its score where there is one, and of the
    audit's injections."""
    survey = run.survey
    bands = ", ".join(survey.rgb.bands)
    across = SIDE * survey.pixel_scale
    blocks: list[Any] = [
        Words(
            [
                f"{bands} as red, green, blue, one stretch for all, at most {SIDE} pixels "
                f"({across:.0f}″) across; missing pixels are purple. Scores are the finder's, 1 "
                "lens-like."
            ]
        )
    ]
    for title, rows in kinds(run).items():
        stamps = [
            s for _, row in rows.head(number).iterrows() if (s := stamp(run, row)) is not None
        ]
        if stamps:
            blocks.append(Gallery(f"{title} ({len(rows):,} in all)", stamps))
    return [*blocks, *injections(run, number)]


def kinds(run: Run) -> dict[str, pd.DataFrame]:
    """Objects per title: of the test split where there is one, spread evenly over the score."""
    table = run.manifest
    scores = run.table("scores", ["galaxy_id", "score"])
    table = (
        table.merge(scores[["galaxy_id", "score"]], on="galaxy_id", how="left")
        if scores is not None
        else table.assign(score=np.nan)
    )
    injected = run.table("injections", ["galaxy_id", "score_before"])
    # Hosts from outside the survey are scored by the audit only.
    if injected is not None and (run.audit or {}).get("mode") == "matched":
        table["score"] = table["score"].fillna(
            table["galaxy_id"].map(injected.groupby("galaxy_id")["score_before"].first())
        )
    usable = table[table["quality_ok"].fillna(True).astype(bool)]
    host = usable["cutout_type"].eq("host").fillna(False)
    survey = usable[~host]
    trained = "train" in run.records and (survey["split"] == "test").any()
    held = survey[survey["split"] == "test"] if trained else survey
    negatives = held[held["label"] == 0]
    category = negatives["confuser_category"].fillna("")
    where = ", test split" if trained else ""
    lenses = (
        held[held["label"] == 1] if (held["label"] == 1).any() else survey[survey["label"] == 1]
    )
    found = {f"Lenses{where}" if run.simulated else f"Lens candidates{where}": lenses}
    for name in sorted(set(category) - {""}):
        found[f"Confusers: {name.replace('_', ' ')}{where}"] = negatives[category == name]
    found[f"Ordinary galaxies{where}"] = negatives[category == ""]
    found["Hosts from outside the survey"] = usable[host]
    return {title: spread(rows) for title, rows in found.items() if len(rows)}


def spread(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows in an order whose first few span the scores, highest first: quantiles 1, 0, 1/2 and
    so on of the ranking; by name without scores."""
    ranked = rows.sort_values(
        ["score", "galaxy_id"], ascending=[False, True], kind="stable"
    ).reset_index(drop=True)
    n = len(ranked)
    picked = list(dict.fromkeys(round(float(q) * (n - 1)) for q in np.linspace(0, 1, min(n, 8))))
    return ranked.iloc[[*picked, *sorted(set(range(n)) - set(picked))]]


def stamp(run: Run, row: pd.Series[Any]) -> Stamp | None:
    """One object; None when its cutout cannot be read (the survey's quarantine says why)."""
    try:
        image, _ = read_npz(run.out / row["cutout_path"])
    except InputError:
        return None
    score = f"score {row['score']:.2f}" if row["score"] == row["score"] else "not scored"
    caption = f"{row['galaxy_id']} · {score}"
    return Stamp([(png(image, run.survey), f"Galaxy {row['galaxy_id']}, {score}")], caption)


def injections(run: Run, number: int) -> list[Any]:
    """Injections of audit/gallery.npz: host, arc alone, both."""
    path = run.out / "audit" / "gallery.npz"
    if not path.is_file():
        return []
    with np.load(path, allow_pickle=False) as found:
        data = {name: found[name] for name in found.files}
    blocks = []
    for kind in dict.fromkeys(data["kind"].tolist()):
        stamps = []
        for i in np.flatnonzero(data["kind"] == kind)[:number]:
            before, after = data["score_before"][i], data["score"][i]
            name = data["galaxy_id"][i]
            pictures = [
                (
                    png(data["host"][i], run.survey),
                    f"Host {name} before injection, score {before:.2f}",
                ),
                (
                    png(np.where(np.isfinite(data["host"][i]), data["arc"][i], np.nan), run.survey),
                    "The injected arc alone",
                ),
                (png(data["stamp"][i], run.survey), f"Host {name} with the arc, score {after:.2f}"),
            ]
            band, held = run.survey.reference, data.get("theta_e")
            first = "" if held is None else f"θ_E {held[i]:.2g}″, "
            line = (
                f"{first}source {band} {data['source_mag'][i]:.1f}, arc {band} "
                f"{data['arc_mag'][i]:.1f}, SNR {data['snr'][i]:.0f}"
            )
            stamps.append(Stamp(pictures, f"{line}, score {before:.2f} → {after:.2f}"))
        blocks.append(Gallery(f"Injections, {kind}: host, arc, both", stamps))
    return blocks
