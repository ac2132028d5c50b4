"""A few injections to look at, before and after: found, missed, barely there, ordinary."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from classifiers.audit.campaign import Campaign, padded
from classifiers.audit.injection import observe, unchanged
from data.files import replacing

if TYPE_CHECKING:
    import pandas as pd

KINDS = ("found", "missed although bright", "barely there", "ordinary")
IMAGES = ("host", "arc", "stamp")


def chosen(
    rows: pd.DataFrame, threshold: float, gate: float, each: int = 4
) -> dict[str, list[int]]:
    """Places in `rows` per kind. Found: the largest gain in score. Missed: the highest SNR among
    those not found. Barely there: the highest SNR below the gate. Ordinary: nearest the median SNR.
    One per host; ties are broken by place."""
    taken: set[str] = set()
    names = rows["galaxy_id"].astype(str).tolist()

    def first(order: np.ndarray) -> list[int]:
        picked: list[int] = []
        for place in order:
            if names[place] not in taken and len(picked) < each:
                taken.add(names[place])
                picked.append(int(place))
        return picked

    score, snr = rows["score"].to_numpy(), rows["snr"].to_numpy()
    gain = np.where(score > threshold, score - rows["score_before"].to_numpy(), -np.inf)
    missed = np.where(score > threshold, -np.inf, snr)
    faint = np.where(snr < gate, snr, -np.inf)
    ordered = lambda value: np.array(
        [i for i in np.argsort(-value, kind="stable") if np.isfinite(value[i])], int
    )
    orders = (
        ordered(gain),
        ordered(missed),
        ordered(faint),
        np.argsort(np.abs(np.log(snr + 1e-9) - np.log(np.median(snr) + 1e-9)), kind="stable"),
    )
    return {kind: first(order) for kind, order in zip(KINDS, orders)}


def write(path: Path, picks: dict[str, list[int]], rows: pd.DataFrame, campaign: Campaign) -> None:
    """Makes the picked injections again (same keys, same function) and writes host, arc and stamp
    (n, s, s, B) with what the table says of them; stamps of different sizes are cropped to the
    smallest. Writes nothing when nothing is picked."""
    starts = np.cumsum([0] + [len(c) for c in campaign.plan])
    kinds, stamps = [], []
    for kind, places in picks.items():
        for place in places:
            number = int(np.searchsorted(starts, place, side="right") - 1)
            chunk, row = campaign.plan[number], np.array([place - starts[number]])
            batch = campaign.batch_of(
                chunk, padded(row, campaign.batch), campaign.stamps(chunk.host[row])
            )
            made = observe(campaign.experiment(chunk), batch, unchanged())
            stamps.append([np.asarray(made[name][0]) for name in IMAGES])
            kinds.append(kind)
    if not stamps:
        return
    side = min(s[0].shape[0] for s in stamps)
    crop = lambda a: a[(a.shape[0] - side) // 2 :][:side, (a.shape[1] - side) // 2 :][:, :side]
    every = rows.iloc[[p for places in picks.values() for p in places]]
    columns: dict[str, Any] = {
        c: every[c].to_numpy()
        for c in (
            *campaign.plan[0].drawn,
            "source_mag",
            "arc_mag",
            "snr",
            "arc_snr",
            "score_before",
            "score",
            "host_psf_fwhm",
        )
    }
    columns |= {
        name: np.stack([crop(s[i]) for s in stamps]).astype(np.float32)
        for i, name in enumerate(IMAGES)
    }
    buffer = io.BytesIO()
    np.savez_compressed(
        buffer, kind=np.array(kinds), galaxy_id=every["galaxy_id"].to_numpy().astype(str), **columns
    )
    with replacing(path) as temporary:
        temporary.write_bytes(buffer.getvalue())
