"""Hosts weighted to the galaxies that the finder is meant to search.

The hosts of an audit do not represent any population: they are from the strata of the survey's
sample, and every cell of the grid gets equally many injections. For the completeness in the
population of galaxies that is searched, hosts are weighted. Hosts and population are sorted into
the same cells, for example of type, magnitude, PSF and depth; with P_c the share of the population
in cell c, every host counts

    host_weight = P_c / (number of hosts in c)

which is post-stratification (Holt & Smith 1979, Journal of the Royal Statistical Society A 142, 33)
with hosts as the units: within a cell each of them counts the same, however many injections it has.
In mode degraded a host stands for every condition that it was brought to, so that PSF and depth are
those of the stamp. The interval is that of all weighted means (`intervals.weighted`), which counts
the cells' shares among the hosts as random too; so it is a little too wide and never too narrow.

A part of the population in cells without a host is named and refused, or left out where the
settings allow it; then the interval of the whole population allows for it being found or not.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float, Int

from classifiers.audit.axes import Axis, equal_count_edges
from classifiers.audit.host_settings import POOL, AxisSettings, TargetSettings
from classifiers.audit.hosts import Hosts
from classifiers.audit.settings import KNOWN, MOST_WORDS, AuditSettings
from classifiers.intervals import FEW_GROUPS, weighted
from data.photometry import depth_m5, magnitude
from data.sampling import POOLS
from data.survey import Survey
from lensjax.errors import InputError, some

if TYPE_CHECKING:
    import pandas as pd

    from classifiers.audit.campaign import Campaign


@dataclass(frozen=True)
class Population:
    """A target population in cells. axes: what the cells are over. share: of the population in each
    cell, the last axis the fastest (c,). outside: share that lies in no cell. rows: of its table.
    name: of the table."""

    axes: tuple[Axis, ...]
    share: Float[np.ndarray, " c"]
    outside: float
    rows: int
    name: str

    def place(self, columns: Mapping[str, np.ndarray]) -> Int[np.ndarray, " n"]:
        """The cell of each row, -1 for none."""
        return placed(self.axes, columns)

    def cell(self, number: int) -> dict[str, str]:
        """Name of a cell along every axis."""
        where = np.unravel_index(number, [len(a) for a in self.axes])
        return {a.name: a.names()[int(i)] for a, i in zip(self.axes, where)}


@dataclass(frozen=True)
class Weighting:
    """Weights of injections for a target population. host_weight: mean 1 over all of them (n,).
    covered: share of the population in cells with hosts. hosts: number with weight. n_eff_hosts:
    how many equally weighted ones they are worth (Kish 1965). cells: a line for each cell, with its
    share, hosts and injections."""

    host_weight: Float[np.ndarray, " n"]
    covered: float
    hosts: int
    n_eff_hosts: float
    cells: pd.DataFrame
    population: Population


def placed(axes: tuple[Axis, ...], columns: Mapping[str, np.ndarray]) -> Int[np.ndarray, " n"]:
    """Number of the cell that each row lies in, the last axis the fastest; -1 where a value is
    missing or outside of all."""
    places = np.stack([axis.place(columns[axis.name]) for axis in axes])
    number = np.ravel_multi_index(tuple(np.maximum(places, 0)), [len(a) for a in axes])
    return np.where((places >= 0).all(0), number, -1)


def values(
    name: str, column: str, table: Mapping[str, Any] | pd.DataFrame, survey: Survey, where: str
) -> np.ndarray:
    """A column of a table of galaxies, by our name for it.

    psf_fwhm and depth_m5 are those of the survey's reference band, from psfsize_ and psfdepth_ of
    it; mag_BAND comes from flux_BAND (nanomaggies); a table that has a column of that very name is
    taken at its word. Numbers are float64 with NaN, words have None where a value is missing.
    Raises InputError, naming `where`, when there is no such column.
    """
    import pandas as pd

    band = survey.reference
    made = {
        "psf_fwhm": (f"psfsize_{band}", lambda v: v),
        "depth_m5": (f"psfdepth_{band}", depth_m5),
        **{f"mag_{b}": (f"flux_{b}", magnitude) for b in survey.bands},
    }
    if column not in table and column in made and made[column][0] in table:
        source, change = made[column]
        found = np.asarray(pd.to_numeric(pd.Series(table[source]), errors="coerce"), np.float64)
        return np.asarray(change(np.where(found > 0, found, np.nan)), np.float64)
    if column not in table:
        raise InputError(
            f"audit.target.axis.{name}: {where} has no column {column!r}; it has "
            f"{some([str(c) for c in table], 30)}"
        )
    column_values = pd.Series(table[column])
    if pd.api.types.is_numeric_dtype(column_values):
        return column_values.to_numpy(np.float64, na_value=np.nan)
    stripped = [v.strip() if isinstance(v, str) else v for v in column_values.astype(object)]
    return np.array([None if pd.isna(v) else v for v in stripped], object)


def population(out: Path, s: TargetSettings, survey: Survey) -> Population:
    """The target population of the settings, in cells. Raises InputError for a table that cannot be
    read, and for columns that are missing or make no cells."""
    table = _read(out, s.table)
    if not len(table):
        raise InputError(f"audit.target.table: {s.table} has no rows")
    if not s.axis:
        raise InputError(
            "audit.target.axis: name at least one property that hosts are weighted by, for "
            "example {type: {}, depth_m5: {cells: 3}}"
        )
    number = np.ones(len(table))
    if s.weight:
        number = values("weight", s.weight, table, survey, s.table)
        if number.dtype.kind != "f" or not (np.isfinite(number) & (number >= 0)).all():
            raise InputError(f"audit.target.weight: column {s.weight!r} should be 0 or larger")
    columns = {n: values(n, s.columns.get(n, n), table, survey, s.table) for n in s.axis}
    axes = tuple(_axis(name, one, columns[name]) for name, one in s.axis.items())
    place = placed(axes, columns)
    total = number.sum()
    if not total > 0:
        raise InputError(f"audit.target.weight: all of column {s.weight!r} is 0")
    cells = int(np.prod([len(a) for a in axes]))
    share = np.bincount(place[place >= 0], number[place >= 0], cells) / total
    name = "the run's own pool" if s.table == POOL else Path(s.table).name
    return Population(axes, share, float(number[place < 0].sum() / total), len(table), name)


def _read(out: Path, name: str) -> pd.DataFrame:
    """The table of the population: the run's pool, or a file."""
    import pandas as pd

    if name == POOL:
        from data import jobs

        if not (out / "pool" / "_job.json").is_file():
            raise InputError(
                f"audit.target.table: {out} has no pool, because its survey is a folder of "
                "cutouts; name a table of the galaxies that are to be searched"
            )
        parts = [pd.read_parquet(path) for path in jobs.outputs(out / "pool")]
        table = pd.concat(parts, ignore_index=True)
        return table[table["pool"].isin(POOLS)] if "pool" in table else table
    from classifiers.audit.choosing import read_table

    return read_table(Path(name), [], "audit.target.table")


def _axis(name: str, s: AxisSettings, found: np.ndarray) -> Axis:
    """Cells of one property: as given, else words as they occur, else quantiles of the target."""
    key = f"audit.target.axis.{name}"
    label, unit = KNOWN.get(name, (name.replace("_", " "), ""))
    label, unit = s.label or label, s.unit or unit
    made = lambda **cells: Axis(name, label, unit, "host", name, **cells)
    if s.points:
        raise InputError(f"{key}: points are for parameters of the prior; give edges or cells")
    words = np.asarray(found).dtype.kind == "O"
    if s.words or (words and not (s.edges or s.cells)):
        if not words:
            raise InputError(f"{key}: the table has numbers there; give edges or cells, not words")
        if s.words:
            return made(words=s.words)
        known = sorted({str(v) for v in found if v is not None})
        if not known or len(known) > MOST_WORDS:
            raise InputError(f"{key}: {len(known)} different words; list some in words")
        return made(words=tuple(known))
    if words:
        raise InputError(f"{key}: the table has words there; give words, not edges or cells")
    if s.edges:
        return made(edges=s.edges)
    finite = found[np.isfinite(found)]
    if not len(finite):
        raise InputError(f"{key}: the column is empty for every galaxy of the table")
    span = float(finite.max() - finite.min())
    digits = int(np.clip(3 - np.floor(np.log10(span)), 0, 12)) if span else 6
    return made(edges=equal_count_edges(finite, s.cells or 3, digits))


def of_campaign(campaign: Campaign, s: AuditSettings) -> Weighting:
    """Weights of all injections of a campaign, in the order of its plan; known before anything is
    rendered. Raises InputError as `population` and `of_injections` do."""
    import pandas as pd

    target = population(campaign.out, s.target, campaign.survey)
    parts = [pd.DataFrame(campaign.known(chunk)) for chunk in campaign.plan]
    known = pd.concat(parts, ignore_index=True)
    return of_injections(target, s.target, known, campaign.hosts, s.mode == "degraded")


def of_injections(
    target: Population,
    s: TargetSettings,
    known: pd.DataFrame,
    hosts: Hosts,
    degraded: bool,
) -> Weighting:
    """Weights of injections. known: a row for each with galaxy_id and the conditions of its stamp
    (`Campaign.known`). Raises InputError when more of the population has no host than the settings
    allow, naming the cells."""
    import pandas as pd

    number = {name: i for i, name in enumerate(hosts.ids)}
    place = np.array([number[name] for name in known["galaxy_id"]])
    stamp = {
        **{f"psfsize_{b}": known[f"psf_fwhm_{b}"].to_numpy() for b in hosts.survey.bands},
        **{f"psfdepth_{b}": known[f"psfdepth_{b}"].to_numpy() for b in hosts.survey.bands},
    }
    table = {name: column[place] for name, column in hosts.columns.items()} | stamp
    columns = {
        axis.name: values(
            axis.name,
            s.axis[axis.name].column or axis.name,
            table,
            hosts.survey,
            "the run's manifest",
        )
        for axis in target.axes
    }
    cell = target.place(columns)
    weight = host_weights(cell, place, _site(known) if degraded else None, target.share)
    used = weight > 0
    lines = []
    for i in range(len(target.share)):
        inside = cell == i
        n = len(np.unique(place[inside]))
        if not n and not target.share[i]:
            continue
        lines.append(
            {
                **target.cell(i),
                "target_share": float(target.share[i]),
                "hosts": n,
                "injections": int(inside.sum()),
                "injection_share": float(inside.mean()),
            }
        )
    cells = pd.DataFrame(lines)
    covered = float(target.share[np.unique(cell[cell >= 0])].sum())
    if 1 - covered > s.uncovered + 1e-9:
        raise InputError(_uncovered(target, cells, covered))
    summed = np.bincount(place[used], weight[used])
    n_eff = float(summed.sum() ** 2 / (summed**2).sum())
    return Weighting(weight, covered, len(np.unique(place[used])), n_eff, cells, target)


def host_weights(
    cell: Int[np.ndarray, " n"],
    host: Int[np.ndarray, " n"],
    site: Int[np.ndarray, " n"] | None,
    share: Float[np.ndarray, " c"],
) -> Float[np.ndarray, " n"]:
    """Weights of n injections, mean 1: their sum in a cell is that cell's share, and within it
    every host counts the same. cell: of the target, -1 for none. site: the condition that a host
    was degraded to, where it has several; then every host counts the same in each of them, and
    sites count the same. An injection in no cell has no weight; all are 0 where no cell has an
    injection."""
    _, unit, times = np.unique(
        np.stack([cell, host] if site is None else [cell, site, host]),
        axis=1,
        return_inverse=True,
        return_counts=True,
    )
    design = 1.0 / times[unit.ravel()]
    if site is not None:
        _, group = np.unique(np.stack([cell, site]), axis=1, return_inverse=True)
        group = group.ravel()
        design /= np.bincount(group, design)[group]
    inside = cell >= 0
    if not inside.any():
        return np.zeros(len(cell))
    total = np.bincount(cell[inside], design[inside], len(share))
    weight = np.where(inside, design * share[np.maximum(cell, 0)], 0.0)
    weight = weight / np.where(total > 0, total, 1.0)[np.maximum(cell, 0)]
    return weight * len(cell) / weight.sum() if weight.sum() > 0 else weight


def _site(known: pd.DataFrame) -> Int[np.ndarray, " n"]:
    """Number of the condition that each injection was made in."""
    names = [c for c in known if str(c).startswith("cell_")]
    if not names:
        return np.zeros(len(known), np.int64)
    return known.groupby(names, sort=False).ngroup().to_numpy()


def _uncovered(target: Population, cells: pd.DataFrame, covered: float) -> str:
    """The refusal of a population that hosts do not cover."""
    bare = cells[cells["hosts"] == 0].sort_values("target_share", ascending=False)
    names = [axis.name for axis in target.axes]
    parts = [
        f"{100 * line['target_share']:.1f} % at " + ", ".join(f"{n} {line[n]}" for n in names)
        for line in bare.head(3).to_dict("records")
    ]
    if target.outside > 0:
        parts.append(f"{100 * target.outside:.1f} % in no cell or without a value")
    return (
        f"audit.target: {100 * (1 - covered):.1f} % of the target population ({target.name}) has "
        f"no host: {'; '.join(parts)}; make the cells wider, add such hosts, or allow it with "
        "audit.target.uncovered"
    )


def figures(w: Weighting, rows: pd.DataFrame, threshold: float) -> dict[str, Any]:
    """For the summary: the completeness above a threshold in hosts of the target population, beside
    that in the hosts as they were sampled. rows: the injections, with `weight` of both and
    `prior_weight` of the prior alone."""
    found = rows["score"].to_numpy(np.float64) > threshold
    hosts = rows["galaxy_id"].to_numpy()
    own, before = (
        weighted(found, rows[name].to_numpy(np.float64), hosts)
        for name in ("weight", "prior_weight")
    )
    low, high = (float(end) for end in own.interval())
    part = lambda share: dict(
        zip(("value", "lo95", "hi95", "n_eff"), (share.value, *share.interval(), share.n_eff))
    )
    plainly = lambda d: {k: float(v) for k, v in d.items()}
    return {
        "table": w.population.name,
        "rows": w.population.rows,
        "axes": [axis.name for axis in w.population.axes],
        "covered": w.covered,
        "hosts": w.hosts,
        "n_eff_hosts": w.n_eff_hosts,
        "weighted": plainly(part(own)),
        "as_sampled": plainly(part(before)),
        "whole": {"lo95": low * w.covered, "hi95": high * w.covered + 1 - w.covered},
        "cells": w.cells.to_dict("records"),
    }


def finding(about: dict[str, Any]) -> str:
    """What the weights did, in one sentence or two."""
    percent = lambda v: f"{100 * v:.1f} %"
    part = lambda d: f"{percent(d['value'])} ({percent(d['lo95'])} to {percent(d['hi95'])})"
    words = (
        f"Hosts are weighted to {about['table']} ({about['rows']:,} galaxies) by "
        f"{', '.join(about['axes'])}: completeness {part(about['weighted'])}, of hosts as they "
        f"were sampled {part(about['as_sampled'])}; {about['hosts']} hosts have weight, worth "
        f"{about['n_eff_hosts']:.0f} equal ones."
    )
    if about["covered"] < 1 - 1e-9:
        whole = about["whole"]
        words += (
            f" {percent(1 - about['covered'])} of the population has no host: the number is that "
            f"of the rest, and of the whole it lies from {percent(whole['lo95'])} to "
            f"{percent(whole['hi95'])} (95 %)."
        )
    return words


def unsaid(about: dict[str, Any] | None) -> list[str]:
    """What the weights cannot support, or that there are none."""
    if about is None:
        return [
            "Hosts count as they were sampled, equally often in every cell of the grid; the "
            "galaxies that the finder is to search may be others (audit.target weights to them)."
        ]
    if about["n_eff_hosts"] >= FEW_GROUPS:
        return []
    return [
        f"The weights to {about['table']} rest on hosts worth {about['n_eff_hosts']:.1f} equal "
        "ones: its interval is a rough one."
    ]
