"""Are hosts that were made worse like hosts whose own images are as bad?

The comparison is made in pairs. One host, the native one, is left as it is. A better host, of the
same type and about the same magnitude, is degraded to exactly the PSF and depth that the native one
has in every band. Both get the same arcs: scene, random key, PSF
and dust are those of the native host, so that the stamps differ by the hosts alone. If degrading
is right, the finder finds as many arcs in the one as in the other, and the noise of both has the
same power spectrum. Each host is in one pair only, as one of both, and pairs are the
independent unit of the interval.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from classifiers.audit import noisepower
from classifiers.audit.axes import Grid, Site, key_data
from classifiers.audit.campaign import Campaign, described, padded
from classifiers.audit.case import photons
from classifiers.audit.hosts import Hosts
from classifiers.audit.injection import Batch, Experiment, observe, unchanged
from classifiers.audit.plan import Chunk
from classifiers.finders import scored
from data import jobs
from data.photometry import depth_m5, magnitude

if TYPE_CHECKING:
    import pandas as pd

BLUR, NOISE = 1.03, 0.05
"""A better host is sharper by this factor or deeper by so many magnitudes in the reference band;
less would be no test."""
SCENES = 4
"""Arcs that both hosts of a pair get."""
CALIPER = 0.3
"""Magnitudes in the reference band by which hosts of a pair may differ; they are of one type."""


@dataclass(frozen=True)
class Pairs:
    """Hosts by place: the native one of each pair and the better one (p,). matched: by what pairs
    are alike."""

    native: np.ndarray
    better: np.ndarray
    matched: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.native)


def worse(hosts: Hosts, native: np.ndarray, better: np.ndarray) -> Bool[np.ndarray, "p q"]:
    """Whether each of the hosts `native` (rows) can be reached from each of `better` (columns) by
    blurring and adding noise: the better one is at least as sharp and as deep in every band,
    clearly so in the reference band. native, better: places of hosts."""
    psf, depth, band = hosts.psf, hosts.psfdepth, hosts.survey.place
    reach = np.ones((len(native), len(better)), bool)
    for b in range(psf.shape[1]):
        reach &= psf[better][None, :, b] <= psf[native][:, None, b]
        reach &= depth[better][None, :, b] >= depth[native][:, None, b]
    blur = psf[native][:, None, band] >= BLUR * psf[better][None, :, band]
    m5 = depth_m5(depth[:, band])
    return reach & (blur | (m5[better][None, :] - m5[native][:, None] >= NOISE))


def pairs(hosts: Hosts, usable: Bool[np.ndarray, " n"], most: int) -> Pairs:
    """At most so many pairs, each host in one of them. usable: which may be native.

    Along the order of quality every second host may be native and the others may be better ones. As
    far as these are known, the hosts of a pair have the same type and magnitudes within `CALIPER`;
    of all assignments with the most pairs the one with the smallest differences is taken (Hungarian
    algorithm). If there are more pairs than are wanted, those are kept whose native host comes
    first by the hash of its name.
    """
    from scipy.optimize import linear_sum_assignment

    n = len(hosts)
    rank = lambda v: np.argsort(np.argsort(v, kind="stable"), kind="stable")
    quality = rank(hosts.fwhm) - rank(hosts.depth)
    order = np.lexsort((hosts.ids, quality))
    first = np.zeros(n, bool)
    first[order[1::2]] = True
    left, right = np.flatnonzero(first & usable), np.flatnonzero(~first)
    cost, matched = _unlike(hosts, left, right)
    able = worse(hosts, left, right) & np.isfinite(cost)
    none = np.empty(0, np.int64)
    if not able.any():
        return Pairs(none, none, matched)
    row, column = linear_sum_assignment(np.where(able, cost, 1e6))
    good = able[row, column]
    native, better = left[row[good]], right[column[good]]
    hashed = [tuple(key_data(hosts.ids[i], (), Site(0, (), ()), 0, 0)) for i in native]
    kept = sorted(range(len(native)), key=lambda i: hashed[i])[:most]
    return Pairs(native[kept], better[kept], matched)


def _unlike(
    hosts: Hosts, left: np.ndarray, right: np.ndarray
) -> tuple[Float[np.ndarray, "p q"], tuple[str, ...]]:
    """Difference of hosts in magnitude, infinite where they make no pair; and in what hosts of a
    pair are alike."""
    cost, matched = np.zeros((len(left), len(right))), []
    kind = hosts.columns.get("type")
    if kind is not None and any(k is not None for k in kind):
        text = np.array([str(k) for k in kind])
        cost[text[left][:, None] != text[right][None, :]] = np.inf
        matched.append("type")
    flux = hosts.columns.get(f"flux_{hosts.survey.reference}")
    if flux is not None and np.isfinite(mag := magnitude(np.asarray(flux, np.float64))).any():
        apart = np.abs(mag[left][:, None] - mag[right][None, :])
        cost += np.where(apart <= CALIPER, apart, np.inf)
        matched.append("magnitude")
    return cost, tuple(matched)


def chunk_of(hosts: Hosts, axes: Grid, found: Pairs, seed: int) -> Chunk:
    """`SCENES` arcs for the native host of every pair, in order; each pair starts at another cell
    of the drawn axes."""
    points = list(axes.points())
    nowhere = Site(0, (), ())
    place, drawn, keys, index = [], [], [], []
    for i in found.native:
        start = int(key_data(hosts.ids[i], (), nowhere, 0, seed)[0])
        for turn in range(SCENES):
            point = points[(start + turn) % len(points)]
            values = tuple(float(cell.value) for cell in point)
            key = key_data(f"{hosts.ids[i]}|native", values, nowhere, turn, seed)
            place.append(int(i))
            index.append(turn)
            keys.append(key)
            drawn.append([c.value_of(key, a.column) for c, a in zip(point, axes.drawn)])
    held = np.array(drawn, np.float64).reshape(len(place), len(axes.drawn))
    return Chunk(
        nowhere,
        int(hosts.size[found.native[0]]),
        float(hosts.pixel_scale[found.native[0]]),
        np.array(place),
        {axis.column: held[:, k] for k, axis in enumerate(axes.drawn)},
        np.array(index),
        np.stack(keys),
        False,
    )


def degraded(
    batch: Batch, hosts: Hosts, better: np.ndarray, stamps: Mapping[int, np.ndarray]
) -> Batch:
    """The batch with better hosts in place of its own, which are to be brought to the own hosts'
    conditions; everything about the arcs stays."""
    as32 = lambda a: jnp.asarray(a, jnp.float32)
    return replace(
        batch,
        host=as32(np.stack([stamps[int(j)] for j in better])),
        fwhm=as32(hosts.psf[better]),
        psfdepth=as32(hosts.psfdepth[better]),
    )


@jax.jit
def _hosts(experiment: Experiment, batch: Batch) -> Float[Array, "b h w c"]:
    return experiment.hosts(batch)


def injected(
    campaign: Campaign,
    host: Float[Array, "b h w c"],
    added: Float[Array, "b h w c"],
    batch: Batch,
) -> tuple[Float[Array, "b h w c"], Float[Array, "b h w c"]]:
    """Hosts, and hosts with what was added to others, with the photon noise of the same key."""
    if not campaign.gain:
        return host, host + added
    return host, photons(host, added, jnp.float32(campaign.gain), batch.key)


def looks(campaign: Campaign, chunk: Chunk, better: np.ndarray) -> dict[str, pd.DataFrame]:
    """What is found in native and in degraded hosts ("scores", a row for each arc) and the power of
    the noise of both ("noise", a row for each pair, band and bin of frequency)."""
    import pandas as pd

    hosts, size = campaign.hosts, campaign.batch
    plain = campaign.experiment(chunk)
    made = replace(plain, degrade=True, correlation=jnp.asarray(campaign.noise_correlation))
    own = campaign.stamps(chunk.host)
    others = campaign.stamps(better)
    lines, spectra = [], []
    for start in range(0, len(chunk), size):
        rows = np.arange(start, min(start + size, len(chunk)))
        batch = campaign.batch_of(chunk, padded(rows, size), own)
        worsened = degraded(batch, hosts, better[padded(rows, size)], others)
        found = observe(plain, batch, unchanged())
        images = {
            "native": (found["host"], found["stamp"]),
            "degraded": injected(campaign, _hosts(made, worsened), found["added"], batch),
        }
        columns: dict[str, Any] = {"pair": rows // SCENES}
        columns |= described(found, len(rows), campaign.survey)
        first = rows % SCENES == 0
        for name, pair in images.items():
            alone, stamps = (np.asarray(image)[: len(rows)] for image in pair)
            columns[f"score_{name}"] = scored(campaign.finder, stamps, batch=size).score
            columns[f"before_{name}"] = scored(campaign.finder, alone, batch=size).score
            if first.any():
                spectra.append((name, rows[first] // SCENES, noisepower.power(alone[first])))
        lines.append(pd.DataFrame(columns))
    noise = [
        {"pair": int(pair), "look": name, "bin": k, "band": band, "power": float(power[i, k, b])}
        for name, which, power in spectra
        for i, pair in enumerate(which)
        for k in range(power.shape[1])
        for b, band in enumerate(campaign.survey.bands)
    ]
    return {"scores": pd.concat(lines, ignore_index=True), "noise": pd.DataFrame(noise)}


def carry_out(
    campaign: Campaign, axes: Grid, found: Pairs, seed: int, folder: Path
) -> dict[str, pd.DataFrame]:
    """`looks` for all pairs; those that are in `folder` already are read."""
    import pandas as pd

    chunk = chunk_of(campaign.hosts, axes, found, seed)
    better = np.repeat(found.better, SCENES)
    done: dict[str, pd.DataFrame] = {}

    def work(name: str, path: Path) -> dict[str, Any]:
        if not done:
            done.update(looks(campaign, chunk, better))
        done[name].to_parquet(path, index=False)
        return {}

    items = [(name, name) for name in ("scores", "noise")]
    jobs.run(folder, items, work, ".parquet", "native and degraded hosts")
    return {name: pd.read_parquet(folder / f"{name}.parquet") for name, _ in items}
