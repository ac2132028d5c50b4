"""Which features of the completeness are common to several finders, and which are a finder's own.

Along an axis the shape of a finder's completeness is its log odds in every bin, less their mean
over the bins: if one finder's odds are larger by the same factor in all bins, both have the same
shape. The mean over finders is the common shape, and the difference between a finder's shape and
the common one is its own:

    logit C_f(b) = level_f + common(b) + own_f(b),

where `common` and `own_f` have mean 0 over the bins (by weight), and `own` has mean 0 over the
finders. Log odds have half an injection added to finds and misses (Haldane 1956, Annals of Human
Genetics 20, 309). Their covariances, over finders and bins at once, are those of sums over hosts,
linearised, so that finders which look at the same stamps are compared by their difference. Whether
a shape is more than noise is Hotelling's test with hosts as the independent unit, and the false
discovery rate over all axes and finders is held as in Benjamini & Hochberg (1995).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from classifiers.audit import completeness
from classifiers.audit.axes import ALL, Grid
from classifiers.audit.overlap import Look, bins, logits
from classifiers.audit.thresholds import OK

if TYPE_CHECKING:
    import pandas as pd

FEWEST = 8.0
"""Effective finds, and misses, of every finder in a bin, below which the bin is left out: from
there on an interval holds what it says (`classifiers.intervals`)."""
COMMON = "common"
SIGNIFICANT = 0.05


def table(
    rows: pd.DataFrame,
    finders: Mapping[str, str],
    asked: Sequence[Look],
    grid: Grid,
    sufficient: int,
) -> pd.DataFrame:
    """Lines per look, axis, and shape (`common` or a finder): one for the axis as a whole (value
    "all"), then one for every bin.

    log_odds with lo95 and hi95: of the bins, relative to the mean over the bins. size: root mean
    square of the shape over the bins, what noise adds to it taken off. p, q: that it is noise alone
    (q is corrected for the number of shapes). status: why a bin is left out, or an axis with fewer
    than two bins left.
    """
    import pandas as pd

    weight, number = completeness.weights(rows), pd.factorize(rows["galaxy_id"])[0]
    lines: list[dict[str, Any]] = []
    for one in asked:
        if one.status != OK:
            continue
        found = np.stack(
            [rows[f"score{e}"].to_numpy() > one.at[n].value for n, e in finders.items()]
        )
        cut: dict[str, list[tuple[str, np.ndarray]]] = {}
        for axis, value, own in bins(rows, grid):
            if axis != ALL:
                cut.setdefault(axis, []).append((value, own))
        for axis, parts in cut.items():
            where: dict[str, Any] = {"look": one.name, "axis": axis}
            lines += [
                where | line
                for line in _axis(found, list(finders), parts, weight, number, sufficient)
            ]
    made = pd.DataFrame(lines)
    if len(made) and made["p"].notna().any():
        from scipy.stats import false_discovery_control

        tested = made[made["p"].notna()]
        for look in tested["look"].unique():
            index = tested.index[tested["look"] == look]
            made.loc[index, "q"] = false_discovery_control(made.loc[index, "p"].to_numpy())
    return made


def _axis(
    found: np.ndarray,
    names: list[str],
    parts: Sequence[tuple[str, np.ndarray]],
    weight: Float[np.ndarray, " n"],
    host: np.ndarray,
    sufficient: int,
) -> list[dict[str, Any]]:
    """The lines of one axis."""
    used, reasons = [], {}
    for value, own in parts:
        reasons[value] = why = _left_out(found[:, own], weight[own], sufficient)
        if not why:
            used.append((value, own))
    empty = {"log_odds": np.nan, "lo95": np.nan, "hi95": np.nan, "size": np.nan, "p": np.nan}
    left_out = [
        {"shape": COMMON, "value": value, **empty, "q": np.nan, "status": why}
        for value, why in reasons.items()
        if why
    ]
    if len(used) < 2:
        why = f"insufficient: {len(used)} of {len(parts)} bins have enough finds and misses"
        return [{"shape": COMMON, "value": ALL, **empty, "q": np.nan, "status": why}, *left_out]
    shape, parted, share = shapes(found, [own for _, own in used], weight, host)
    lines = []
    for i, name in enumerate((COMMON, *names)):
        size, p = _whole(shape[i], parted[:, i], share)
        whole = {**empty, "size": size, "p": p, "q": np.nan, "status": OK}
        lines.append({"shape": name, "value": ALL, **whole})
        for b, (value, _) in enumerate(used):
            low, high = _interval(float(shape[i, b]), parted[:, i, b])
            bin_ = {**empty, "log_odds": float(shape[i, b]), "lo95": low, "hi95": high}
            lines.append({"shape": name, "value": value, **bin_, "q": np.nan, "status": OK})
    return lines + left_out


def _left_out(found: np.ndarray, weight: np.ndarray, sufficient: int) -> str:
    """Why a bin is left out; empty where it is not."""
    enough = completeness.enough(weight)
    if enough < sufficient:
        return f"insufficient: {enough:.0f} injections, {sufficient} needed"
    share = (found * weight).sum(1) / weight.sum()
    least = float(enough * np.minimum(share, 1 - share).min())
    if least < FEWEST:
        return f"insufficient: {least:.1f} finds or misses of a finder, {FEWEST:g} needed"
    return ""


def shapes(
    found: np.ndarray,
    parts: Sequence[np.ndarray],
    weight: Float[np.ndarray, " n"],
    host: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The common shape and every finder's own, (1 + F, B) in log odds; what every host adds to the
    error of each, (hosts, 1 + F, B); and the bins' shares of the weight, (B,).

    found: which injections every finder finds, (F, n). parts: which lie in every bin, each (n,).
    """
    hosts = int(host.max()) + 1
    share = np.array([weight[own].sum() for own in parts])
    share = share / share.sum()
    level = np.empty((len(found), len(parts)))
    part = np.empty((hosts, len(found), len(parts)))
    for b, own in enumerate(parts):
        w, n = weight[own], completeness.enough(weight[own])
        c = (found[:, own] * w).sum(1) / w.sum()
        level[:, b] = logits((c * n + 0.5) / (n + 1))
        for f in range(len(found)):
            away = np.bincount(host[own], w * (found[f, own] - c[f]), hosts)
            part[:, f, b] = away / (w.sum() * c[f] * (1 - c[f]))
    return _split(level, share), _split(part, share), share


def _split(
    values: Float[np.ndarray, "*h f b"], share: Float[np.ndarray, " b"]
) -> Float[np.ndarray, "*h g b"]:
    """Mean over finders, and every finder's difference from it, less their means over the bins."""
    common = values.mean(-2, keepdims=True)
    every = np.concatenate([common, values - common], axis=-2)
    return every - (every @ share)[..., None]


def _interval(value: float, part: Float[np.ndarray, " h"]) -> tuple[float, float]:
    """95 % interval of a number from what every host adds to its error."""
    from scipy.stats import t

    hosts = int((part != 0).sum())
    if hosts < 2:
        return np.nan, np.nan
    error = float(np.sqrt(hosts / (hosts - 1) * (part**2).sum()))
    half = float(t.ppf(0.975, hosts - 1)) * error
    return value - half, value + half


def _whole(
    shape: Float[np.ndarray, " b"], part: Float[np.ndarray, "h b"], share: Float[np.ndarray, " b"]
) -> tuple[float, float]:
    """Size of a shape with the noise's part taken off, and the p of Hotelling's test (Anderson
    2003, An Introduction to Multivariate Statistical Analysis, section 5.2) that all of it is 0.
    The last bin follows from the others, and is left out of the test."""
    from scipy.stats import f as fisher

    hosts, free = int((part != 0).any(1).sum()), len(shape) - 1
    covariance = hosts / max(hosts - 1, 1) * part.T @ part
    size = float(share @ (shape**2 - np.diag(covariance)))
    root = float(np.sqrt(max(size, 0.0)))
    if hosts <= free or np.linalg.matrix_rank(covariance[:-1, :-1]) < free:
        # Finders that do the same differ by nothing; few hosts say nothing.
        return root, 1.0 if not shape.any() else np.nan
    squared = shape[:-1] @ np.linalg.solve(covariance[:-1, :-1], shape[:-1])
    scaled = squared * (hosts - free) / (free * (hosts - 1))
    return root, float(fisher.sf(scaled, free, hosts - free))


def in_words(table: pd.DataFrame, look: str, grid: Grid) -> list[str]:
    """What is common and what is a finder's own, a sentence each where there is any."""
    if table.empty:
        return []
    whole = table[(table["look"] == look) & (table["value"] == ALL) & (table["status"] == OK)]
    clear = whole[whole["q"] < SIGNIFICANT]
    labels = {axis.name: axis.label for axis in (*grid.axes, *grid.measured)}
    listed = lambda lines: ", ".join(
        f"{labels[r['axis']]} ({r['size']:.2f})" for r in lines.to_dict("records")
    )
    words = []
    if len(common := clear[clear["shape"] == COMMON]):
        words.append(
            "Common to all finders, by the root mean square of the log odds along an axis: "
            f"{listed(common)}."
        )
    own = clear[clear["shape"] != COMMON]
    for name in dict.fromkeys(own["shape"]):
        words.append(f"{name}'s own, beyond what is common: {listed(own[own['shape'] == name])}.")
    if len(whole) and own.empty:
        words.append("No finder has a shape of its own along any axis that is more than noise.")
    return words
