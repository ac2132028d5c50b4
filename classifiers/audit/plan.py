"""Which host gets which injection: decided from names and numbers alone, before anything is rendered.

A chunk is one observing condition and one stamp size: the unit that is computed, written and resumed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from classifiers.audit.grid import Axes, Site, key_data
from classifiers.audit.hosts import Hosts
from classifiers.photometry import depth_m5

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Chunk:
    """Injections of one site into hosts of one stamp size. host: place in the host table (n,) · theta_e: arcsec (n,) · index: of the
    injection within host and cell (n,) · key: random key data (n, 2) · degrade: to the site's centre."""

    site: Site
    size: int
    pixel_scale: float
    host: np.ndarray
    theta_e: np.ndarray
    index: np.ndarray
    key: np.ndarray
    degrade: bool

    @property
    def name(self) -> str:
        return f"site-{self.site.number:03d}-{self.size}px-{self.pixel_scale:.4f}"

    def __len__(self) -> int:
        return len(self.host)


def eligible(hosts: Hosts, site: Site, degrade: bool) -> np.ndarray:
    """Which hosts may stand for a site: matched, those whose own PSF and depth (r) lie in it; degraded, those at least as good in r as
    its centre, so that only blurring and adding noise is needed."""
    m5 = depth_m5(hosts.psfdepth[:, 1])
    if not degrade:
        return site.holds(hosts.psf[:, 1], m5)
    return (hosts.psf[:, 1] <= site.psf_fwhm) & (m5 >= site.depth_m5)


def chunks(
    hosts: Hosts, axes: Axes, injections: int, per_host: int, degrade: bool, seed: int
) -> list[Chunk]:
    """Every injection of the grid. Hosts of a cell are taken in the order of their keys, round after round, at most per_host times each; a cell
    with too few hosts stays short."""
    made = []
    for site in axes.sites():
        chosen = np.flatnonzero(eligible(hosts, site, degrade))
        rows: list[tuple[int, float, int, np.ndarray]] = []
        for theta_e in axes.theta_e:
            first = {int(h): key_data(hosts.ids[h], theta_e, site, 0, seed) for h in chosen}
            order = sorted(first, key=lambda h: (tuple(first[h]), hosts.ids[h]))
            for i in range(min(injections, per_host * len(order))):
                place, turn = order[i % len(order)], i // len(order)
                rows.append(
                    (
                        place,
                        theta_e,
                        turn,
                        first[place]
                        if turn == 0
                        else key_data(hosts.ids[place], theta_e, site, turn, seed),
                    )
                )
        if not rows:
            continue
        host, theta, index = (np.array([r[i] for r in rows]) for i in range(3))
        key = np.stack([r[3] for r in rows])
        for size, scale in sorted(
            {(int(hosts.size[h]), float(hosts.pixel_scale[h])) for h in host}
        ):
            own = (hosts.size[host] == size) & (hosts.pixel_scale[host] == scale)
            made.append(
                Chunk(site, size, scale, host[own], theta[own], index[own], key[own], degrade)
            )
    return made


def sample(plan: Sequence[Chunk], wanted: int) -> list[tuple[int, np.ndarray]]:
    """A fixed sample for the sensitivity: the injections with the smallest keys among the chunks of the commonest stamp size, as
    (place of the chunk, rows)."""
    if not plan or not wanted:
        return []
    sizes = [(c.size, c.pixel_scale) for c in plan]
    common = max(
        set(sizes), key=lambda s: (sum(len(c) for c in plan if (c.size, c.pixel_scale) == s), s)
    )
    every = [
        (tuple(c.key[row]), place, row)
        for place, c in enumerate(plan)
        if (c.size, c.pixel_scale) == common
        for row in range(len(c))
    ]
    taken = sorted(every)[:wanted]
    return [
        (place, np.array(sorted(row for _, p, row in taken if p == place)))
        for place in sorted({p for _, p, _ in taken})
    ]


def cells(hosts: Hosts, axes: Axes, degrade: bool) -> pd.DataFrame:
    """Every cell of the grid: theta_e, psf_fwhm, depth_m5, the edges psf_lo .. depth_hi, and hosts_available."""
    import pandas as pd

    rows = []
    for site in axes.sites():
        available = int(eligible(hosts, site, degrade).sum())
        edges = {
            "psf_lo": site.psf[0],
            "psf_hi": site.psf[1],
            "depth_lo": site.depth[0],
            "depth_hi": site.depth[1],
        }
        rows += [
            {
                "theta_e": t,
                "psf_fwhm": site.psf_fwhm,
                "depth_m5": site.depth_m5,
                **edges,
                "hosts_available": available,
            }
            for t in axes.theta_e
        ]
    return pd.DataFrame(rows)
