"""Which host gets which injection: decided from names and numbers, before anything is rendered.

A chunk is one observing condition and one stamp size: the unit that is computed, written and
resumed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Bool

from classifiers.audit.axes import Cell, Grid, Site, columns_of, key_data
from classifiers.audit.hosts import Hosts

if TYPE_CHECKING:
    import pandas as pd

REACHED = {"psf_fwhm": 1, "depth_m5": -1}
"""Axes that a host can be degraded along, and the sign of the value that grows on the way."""


@dataclass(frozen=True)
class Chunk:
    """Injections of one site into hosts of one stamp size. host: place in the host table (n,).
    drawn: parameters of the prior that axes are over, each (n,). index: of the injection within
    host and cell (n,). key: random key data (n, 2). degrade: whether hosts are brought to the
    site's centre."""

    site: Site
    size: int
    pixel_scale: float
    host: np.ndarray
    drawn: dict[str, np.ndarray]
    index: np.ndarray
    key: np.ndarray
    degrade: bool

    @property
    def name(self) -> str:
        """Name of its file."""
        return f"site-{self.site.number:03d}-{self.size}px-{self.pixel_scale:.4f}"

    @property
    def ids(self) -> list[str]:
        """One name for every injection: its key in hexadecimal."""
        return ["".join(f"{word:08x}" for word in key) for key in self.key]

    def __len__(self) -> int:
        return len(self.host)


def eligible(hosts: Hosts, site: Site, degrade: bool) -> Bool[np.ndarray, " n"]:
    """Which hosts may stand for a site. Matched: those whose own values lie in its cells. Degraded:
    those whose PSF and depth are at least as good as its centre, so that blurring and adding noise
    is all that is needed, and whose other values lie in its cells."""
    good = np.ones(len(hosts), bool)
    for axis, place in zip(site.axes, site.place):
        values = hosts.values(axis)
        if degrade and (sign := REACHED.get(axis.name)):
            good &= sign * np.asarray(values) <= sign * float(axis.cells[place].value)
        else:
            good &= axis.place(values) == place
    return good


def chunks(
    hosts: Hosts, axes: Grid, injections: int, per_host: int, degrade: bool, seed: int
) -> list[Chunk]:
    """Every injection of the grid. Hosts of a cell are taken in the order of their keys, round
    after round, at most per_host times each; a cell with too few hosts stays short."""
    made = []
    for site in axes.sites():
        chosen = np.flatnonzero(eligible(hosts, site, degrade))
        rows: list[tuple[int, int, np.ndarray]] = []
        points: list[tuple[Cell, ...]] = []
        for point in axes.points():
            values = tuple(float(cell.value) for cell in point)
            first = {int(h): key_data(hosts.ids[h], values, site, 0, seed) for h in chosen}
            order = sorted(first, key=lambda h: (tuple(first[h]), hosts.ids[h]))
            for i in range(min(injections, per_host * len(order))):
                place, turn = order[i % len(order)], i // len(order)
                key = first[place]
                if turn:
                    key = key_data(hosts.ids[place], values, site, turn, seed)
                rows.append((place, turn, key))
                points.append(point)
        if not rows:
            continue
        host, index = (np.array([r[i] for r in rows]) for i in range(2))
        keys = np.stack([r[2] for r in rows])
        drawn = {
            axis.column: np.array([p[i].value_of(k, axis.column) for p, k in zip(points, keys)])
            for i, axis in enumerate(axes.drawn)
        }
        for size, scale in sorted(
            {(int(hosts.size[h]), float(hosts.pixel_scale[h])) for h in host}
        ):
            own = (hosts.size[host] == size) & (hosts.pixel_scale[host] == scale)
            held = {name: values[own] for name, values in drawn.items()}
            made.append(Chunk(site, size, scale, host[own], held, index[own], keys[own], degrade))
    return made


def sample(plan: Sequence[Chunk], wanted: int) -> list[tuple[int, np.ndarray]]:
    """A fixed sample for the sensitivity, as (place of the chunk, rows): the injections with the
    smallest keys among the chunks of the commonest stamp size."""
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


def places(plan: Sequence[Chunk], sample: Sequence[tuple[int, np.ndarray]]) -> np.ndarray:
    """Places of a sample's injections, in its order, in a table of all injections in the order of
    the plan."""
    start = np.cumsum([0, *(len(c) for c in plan)])
    return np.concatenate([start[i] + rows for i, rows in sample])


def cells(hosts: Hosts, axes: Grid, degrade: bool) -> pd.DataFrame:
    """Every cell of the grid: a column for every axis, the edges of bins, and hosts_available."""
    import pandas as pd

    rows = []
    for site in axes.sites():
        available = int(eligible(hosts, site, degrade).sum())
        for point in axes.points():
            own = columns_of(axes.drawn, point)
            rows.append({**own, **site.columns(), "hosts_available": available})
    return pd.DataFrame(rows)
