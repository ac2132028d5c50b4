"""Native and degraded hosts beside one another, in tables and in words: what is found in both, the
power spectrum of their noise, and the image of a point source."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

import lensjax as lj
from classifiers.audit import density, native, noisepower, psfshape
from classifiers.audit.axes import ALL, Grid, columns_of, inside
from classifiers.audit.campaign import Campaign
from classifiers.audit.hosts import Hosts
from classifiers.audit.native import Pairs
from classifiers.audit.paired import compared, in_points
from classifiers.audit.settings import AuditSettings
from lensjax.prior import Prior

if TYPE_CHECKING:
    import pandas as pd

FEW = 10
"""Pairs below which nothing is said."""
STAMP = 63
"""Side of the images of point sources, pixels."""
EXAMPLES = 16
"""About so many pairs show the image of a point source."""


def ask(
    campaign: Campaign, axes: Grid, s: AuditSettings, prior: Prior, threshold: float, folder: Path
) -> tuple[dict[str, Any] | None, dict[str, pd.DataFrame]]:
    """The comparison for the summary, with its sentence under "words" and whether it is a
    limitation under "limits", and its tables by name. None where it was not asked for.
    folder: for finished looks."""
    if not s.native_sample:
        return None, {}
    hosts = campaign.hosts
    if campaign.exchange is not None:
        return _without("the finder's scores come back in a table, so it cannot be asked again")
    if hosts.kernels is not None:
        return _without("hosts with PSF kernels have no FWHM to be degraded to")
    sides = list(zip(hosts.size.tolist(), hosts.pixel_scale.tolist()))
    common = max(sorted(Counter(sides)), key=Counter(sides).__getitem__)
    same = np.flatnonzero([side == common for side in sides])
    own = hosts.take(same)
    usable = np.ones(len(own), bool)
    for axis in axes.host:
        usable &= inside(axis, own.values(axis))
    found = native.pairs(own, usable, max(s.native_sample // native.SCENES, 1))
    if len(found) < FEW:
        return _without(
            f"only {len(found)} pairs in which one host is clearly sharper or deeper than the "
            f"other, and in no band worse ({FEW} are needed)"
        )
    found = replace(found, native=same[found.native], better=same[found.better])
    made = native.carry_out(campaign, axes, found, s.seed, folder)
    drawn = density.distributions(campaign.prior, axes)
    wanted = density.distributions(prior, axes, drawn=False)
    columns = {name: made["scores"][name] for name in {*drawn, *wanted}}
    weight = np.exp(density.ln_density(wanted, columns) - density.ln_density(drawn, columns))
    weight = np.broadcast_to(weight, len(made["scores"]))
    betas = (0.0, s.moffat_beta or campaign.survey.conditions.moffat_beta)
    tables = {
        "native": table(made["scores"], weight, hosts, found, axes, threshold),
        "native_noise": spectrum(made["noise"], campaign.survey.bands),
        "native_psf": point_sources(hosts, found, betas),
    }
    return said(tables, found, threshold), tables


def _without(why: str) -> tuple[dict[str, Any], dict[str, pd.DataFrame]]:
    words = f"Native and degraded hosts were not compared: {why}."
    return {"agree": None, "words": words, "limits": True}, {}


def said(tables: dict[str, pd.DataFrame], found: Pairs, threshold: float) -> dict[str, Any]:
    """The comparison in figures and in words."""
    line = tables["native"].iloc[0]
    low, high = float(line["lo95"]), float(line["hi95"])
    agree = bool(low <= 0 <= high)
    noise = tables["native_noise"]
    apart = np.abs(noise["ratio"] - 1) / noise["error"]
    worst = noise.iloc[int(np.nanargmax(apart))] if apart.notna().any() else None
    like = f"alike in {' and '.join(found.matched)}" if found.matched else "not matched in anything"
    words = (
        f"{len(found)} native hosts beside as many better ones that were degraded to their PSF and "
        f"depth ({like}; median factor {line['blur']:.2f} on the FWHM, {line['noise']:.2f} mag of "
        f"depth), same arcs: above {threshold:g} the finder finds "
        f"{100 * line['completeness_native']:.1f} % and "
        f"{100 * line['completeness_degraded']:.1f} %, a difference of {line['change']:+.1f} "
        f"points (95 %: {low:+.1f} to {high:+.1f}), "
        + ("which agrees." if agree else "which disagrees: mode degraded is biased here.")
    )
    if worst is not None:
        words += (
            f" Power of the noise, degraded over native: {noise['ratio'].min():.2f} to "
            f"{noise['ratio'].max():.2f}, the largest deviation {worst['ratio']:.2f} ± "
            f"{worst['error']:.2f} ({worst['band']}, {worst['frequency_lo']:g} to "
            f"{worst['frequency_hi']:g} cycles per pixel)."
        )
    numbers = {k: float(line[k]) for k in ("change", "lo95", "hi95", "blur", "noise")}
    return {
        "agree": agree,
        "pairs": len(found),
        "matched": list(found.matched),
        **numbers,
        "words": words,
        "limits": not agree,
    }


def table(
    scores: pd.DataFrame,
    weight: Float[np.ndarray, " n"],
    hosts: Hosts,
    found: Pairs,
    axes: Grid,
    threshold: float,
) -> pd.DataFrame:
    """Completeness in native and in degraded hosts, first of all pairs (axis values "all"), then in
    every cell of the host axes that a native host lies in. change, lo95 and hi95 are percentage
    points, degraded less native. blur and noise: medians of how much worse the better hosts were
    made, the factor on the FWHM and magnitudes of depth in the reference band."""
    import pandas as pd

    pair = scores["pair"].to_numpy()
    plain, other = (scores[f"score_{k}"].to_numpy() > threshold for k in ("native", "degraded"))
    bare = {k: scores[f"before_{k}"].to_numpy() > threshold for k in ("native", "degraded")}
    blur = hosts.fwhm[found.native] / hosts.fwhm[found.better]
    deeper = hosts.depth[found.better] - hosts.depth[found.native]
    whole: dict[str, Any] = {axis.name: ALL for axis in axes.host}
    cells: list[tuple[dict[str, Any], np.ndarray]] = [(whole, np.ones(len(found), bool))]
    places = [axis.place(hosts.values(axis)[found.native]) for axis in axes.host]
    for site in axes.sites():
        held = np.ones(len(found), bool)
        for own, number in zip(places, site.place):
            held &= own == number
        if held.any() and axes.host:
            chosen = [a.cells[i] for a, i in zip(site.axes, site.place)]
            named = {a.name: cell.text for a, cell in zip(site.axes, chosen)}
            cells.append((columns_of(site.axes, chosen) | named, held))
    lines = []
    for names, held in cells:
        rows = held[pair]
        change = in_points(compared(plain[rows], other[rows], weight[rows], pair[rows]))
        enough = int(held.sum()) >= FEW
        lines.append(
            {
                **names,
                "pairs": change.pop("hosts"),
                "injections": change.pop("n"),
                "completeness_native": change.pop("completeness_before"),
                "completeness_degraded": change.pop("completeness_after"),
                **change,
                "found_without_arc_native": int(bare["native"][rows].sum()),
                "found_without_arc_degraded": int(bare["degraded"][rows].sum()),
                "blur": float(np.median(blur[held])),
                "noise": float(np.median(deeper[held])),
                "status": "sufficient" if enough else "insufficient",
            }
        )
    return pd.DataFrame(lines)


def spectrum(noise: pd.DataFrame, bands: tuple[str, ...]) -> pd.DataFrame:
    """Power of degraded hosts' noise over that of native ones, by band and bin of frequency (cycles
    per pixel), with its standard error over pairs."""
    import pandas as pd

    lines = []
    for band in bands:
        for k, (low, high) in enumerate(pairwise(noisepower.EDGES)):
            own = noise[(noise["band"] == band) & (noise["bin"] == k)].sort_values("pair")
            looks = [own[own["look"] == name] for name in ("native", "degraded")]
            plain, other = (look["power"].to_numpy(np.float64) for look in looks)
            value, error = noisepower.ratio(plain, other)
            lines.append(
                {
                    "band": band,
                    "frequency_lo": low,
                    "frequency_hi": high,
                    "pairs": len(plain),
                    "power_native": float(np.nanmean(plain)),
                    "power_degraded": float(np.nanmean(other)),
                    "ratio": float(value),
                    "error": float(error),
                }
            )
    return pd.DataFrame(lines)


@jax.jit
def _worsened(
    images: Float[Array, "p s s b"], sharp: Float[Array, "p b"], wanted: Float[Array, "p b"]
) -> Float[Array, "p s s b"]:
    """Images of point sources of FWHM `sharp` degraded to `wanted`, pixels, without noise."""
    deep = jnp.full(images.shape[-1], 40.0)
    one = lambda i, a, b: lj.degrade(i, a, b, deep, deep, jax.random.key(0), scale=1.0)
    return jax.vmap(one)(images, sharp, wanted)


def point_sources(hosts: Hosts, found: Pairs, betas: tuple[float, ...]) -> pd.DataFrame:
    """The image of a point source in degraded hosts beside that in native ones, by band: if the
    survey's PSF is a Gaussian (beta 0) or a Moffat of some beta. fwhm_ratio and peak_ratio:
    degraded over native, mean over some pairs and the largest deviation from 1."""
    import pandas as pd

    some = slice(None, None, max(len(found) // EXAMPLES, 1))
    sharp, wanted = (
        hosts.psf[i[some]] / hosts.pixel_scale[i[some]][:, None]
        for i in (found.better, found.native)
    )
    as32 = lambda a: jnp.asarray(a, jnp.float32)
    lines = []
    for beta in betas:
        before, truth = (_stars(width, beta) for width in (sharp, wanted))
        made = np.asarray(_worsened(as32(before), as32(sharp), as32(wanted)), np.float64)
        for b, band in enumerate(hosts.survey.bands):
            size = np.array([[psfshape.fwhm(v[..., b]) for v in of] for of in (truth, made)])
            peak = made[..., b].max((1, 2)) / truth[..., b].max((1, 2))
            of_size = size[1] / size[0]
            lines.append(
                {
                    "psf": f"Moffat, beta {beta:g}" if beta else "Gaussian",
                    "band": band,
                    "pairs": len(sharp),
                    "fwhm_ratio": float(of_size.mean()),
                    "fwhm_ratio_most": float(of_size[np.argmax(np.abs(of_size - 1))]),
                    "peak_ratio": float(peak.mean()),
                    "peak_ratio_most": float(peak[np.argmax(np.abs(peak - 1))]),
                }
            )
    return pd.DataFrame(lines)


def _stars(fwhm: Float[np.ndarray, "p b"], beta: float) -> Float[np.ndarray, "p s s b"]:
    """Images of point sources of unit flux, FWHM in pixels; beta 0: a Gaussian."""
    grid = lj.PixelGrid(STAMP, 1.0)
    psfs = [lj.Moffat(jnp.asarray(w), beta) if beta else lj.Gaussian(jnp.asarray(w)) for w in fwhm]
    return np.stack([np.asarray(psf.stamp(grid), np.float64) for psf in psfs])
