"""A selection function that answers queries: `SelectionFunction.load(path).query(theta_e=1.3)`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from classifiers.audit.axes import ALL
from classifiers.selection import summing, tablefile
from classifiers.selection.answer import Answer, words
from classifiers.selection.axis import TableAxis, axes_of, by_name
from classifiers.selection.interpolation import Cells
from data.skymap import SkyMaps, positions
from lensjax.errors import InputError

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class SelectionFunction:
    """The completeness of one finder above one threshold, cell by cell.

    table: lines of a completeness table (`classifiers.audit.completeness.table`) at the threshold.
    threshold, threshold_name: score above which an injection counts as found. about: what the
    table's file says of all of it. name: for figures and errors. maps: of the sky, for queries by
    position.
    """

    table: pd.DataFrame
    threshold: float
    threshold_name: str
    about: Mapping[str, Any] = field(default_factory=dict)
    name: str = "selection function"
    maps: SkyMaps | None = None

    @classmethod
    def load(
        cls,
        path: str | Path,
        threshold: float | str = 0.5,
        maps: str | Path | Mapping[str, str | Path] | None = None,
    ) -> SelectionFunction:
        """From a run directory, the folder of an audit, or a completeness table in Parquet, CSV,
        ECSV or FITS; also from the published table of Balaji & Johnson (`selection.published`).

        threshold: a score, or the name of one of the table's thresholds. maps: as
        `data.skymap.SkyMaps.load` takes them; those of the run where the table is in one. Raises
        InputError when there is no such file, when it is no completeness table, and for another
        threshold.
        """
        path = tablefile.located(path)
        found, about = tablefile.read(path)
        own = path.parent.parent / "maps"
        if maps is None and path.parent.name == "audit" and own.is_dir():
            maps = own
        sky = None if maps is None else SkyMaps.load(maps)
        return replace(cls.of(found, threshold, about, str(path)), maps=sky)

    @classmethod
    def of(
        cls,
        table: pd.DataFrame,
        threshold: float | str = 0.5,
        about: Mapping[str, Any] | None = None,
        name: str = "selection function",
    ) -> SelectionFunction:
        """From a completeness table of any number of thresholds. Raises InputError as `load`
        does."""
        first = table.drop_duplicates("threshold_name")
        names, scores = first["threshold_name"].astype(str), first["threshold"].astype(float)
        known: dict[str, float] = dict(zip(names.tolist(), scores.tolist()))
        if isinstance(threshold, str):
            own = [n for n in known if n == threshold]
        else:
            own = [n for n, t in known.items() if np.isclose(t, threshold, rtol=1e-6, atol=0)]
        if not own:
            listed = ", ".join(f"{n} ({t:g})" for n, t in known.items())
            raise InputError(f"{name}: no threshold {threshold!r}; there are {listed}")
        lines = table[table["threshold_name"].astype(str) == own[0]].reset_index(drop=True)
        return cls(lines, known[own[0]], own[0], about or {}, name)

    @cached_property
    def axes(self) -> tuple[TableAxis, ...]:
        """The axes that a query names: those that span the cells, then the measured ones."""
        return axes_of(self.table, self.about)

    @property
    def needed(self) -> tuple[TableAxis, ...]:
        """Axes that every query has to name."""
        return tuple(axis for axis in self.axes if axis.kind != "measured")

    def query(
        self, *, level: float = 0.95, ra: Any = None, dec: Any = None, **values: Any
    ) -> Answer:
        """Completeness at points: value, interval and flag (`answer.FLAGS`) of each.

        values: along the axes of the table by their names (`psf` and `depth` stand for `psf_fwhm`
        and `depth_m5`), in the axes' units: numbers, words, arrays that broadcast, or quantities of
        astropy. A measured axis, such as `source_mag`, may be left out, and is then summed over as
        it was drawn. level: of the interval. How it comes about: `classifiers.selection.
        interpolation`. ra, dec: positions in degrees, at which the maps of the sky give the values
        of the axes that are not named; outside of their footprint the flag is `outside`. Raises
        InputError for an axis that is missing or unknown, for values that are NaN, no numbers or in
        another unit, for shapes that do not broadcast, and for positions where there are no maps.
        """
        if not 0 < level < 1:
            raise InputError(f"level is {level}: it should lie between 0 and 1")
        given = by_name(values, [axis.name for axis in self.axes], "axis", self.name)
        off_map = self._from_maps(given, ra, dec)
        if missing := [axis.name for axis in self.needed if axis.name not in given]:
            raise InputError(
                f"no value for {', '.join(missing)}: this selection function is one of "
                f"{', '.join(axis.name for axis in self.needed)}"
            )
        axes = [axis for axis in self.axes if axis.name in given]
        numbers = [axis.numbers(given[axis.name]) for axis in axes]
        try:
            shape = np.broadcast_shapes(off_map.shape, *(v.shape for v in numbers))
        except ValueError:
            shapes = ", ".join(f"{a.name} {v.shape}" for a, v in zip(axes, numbers))
            raise InputError(f"shapes do not broadcast: {shapes}") from None
        places = [axis.place(np.broadcast_to(v, shape)) for axis, v in zip(axes, numbers)]
        value, low, high, short = self._cells(tuple(axes), level).at(places)
        outside = np.any([p.outside for p in places], axis=0) | off_map
        between = np.any([p.between for p in places], axis=0)
        severity = np.where(outside, 3, np.where(short, 2, np.where(between, 1, 0)))
        return Answer(
            np.where(outside, np.nan, value),
            np.where(outside, 0.0, low),
            np.where(outside, 1.0, high),
            words(severity),
        )

    def summed(self, *names: str) -> SelectionFunction:
        """The same over these axes alone, every cell of the others counting as its injections;
        without names, all in one. `classifiers.selection.summing` says what intervals it has.
        Raises InputError for an axis that is not one of `needed`."""
        own = [axis.name for axis in self.needed]
        if unknown := [name for name in names if name not in own]:
            raise InputError(f"no axis {unknown[0]!r} in {self.name}; there are {', '.join(own)}")
        if set(names) == set(own):
            return self
        return replace(self, table=summing.summed(self.table, self.axes, names, self.about))

    def with_known_threshold(self) -> SelectionFunction:
        """The same with intervals that do not allow for an uncertain threshold."""
        known = self.table.drop(columns=["lo95_total", "hi95_total"], errors="ignore")
        return replace(self, table=known)

    def _from_maps(self, given: dict[str, Any], ra: Any, dec: Any) -> np.ndarray:
        """Fills in the axes that are not named from the maps; returns which positions lie outside
        of the footprint, and gives them the middle of the axis."""
        if ra is None and dec is None:
            return np.zeros((), bool)
        if ra is None or dec is None:
            raise InputError("a position is ra and dec, in degrees; give both")
        if self.maps is None:
            raise InputError(
                f"{self.name}: no maps of the sky, so nothing is known of a position; load it from "
                "a run directory that has maps/, or name them: load(..., maps=...)"
            )
        wanted = [axis for axis in self.needed if axis.name not in given]
        known = [axis for axis in wanted if axis.name in self.maps]
        if not known:
            names = ", ".join(axis.name for axis in wanted) or "an axis that is not given"
            raise InputError(f"no map of {names}; there are maps of {', '.join(self.maps)}")
        outside = np.zeros(positions(ra, dec)[0].shape, bool)
        for axis in known:
            values = self.maps[axis.name].at(ra, dec)
            if (unit := str(self.maps[axis.name].about.get("UNIT", axis.unit))) != axis.unit:
                raise InputError(
                    f"{self.maps[axis.name].path}: in {unit}, and axis {axis.name} in {axis.unit}"
                )
            outside |= np.isnan(values)
            given[axis.name] = np.where(np.isnan(values), axis.centres[0], values)
        return outside

    def lines(self, axes: tuple[TableAxis, ...]) -> pd.DataFrame:
        """The lines of the table that are about these measured axes' bins, and all bins of the
        others. Raises InputError where the table was not split along them together."""
        asked = {axis.name for axis in axes}
        chosen = np.ones(len(self.table), bool)
        for axis in self.axes:
            if axis.kind == "measured":
                chosen &= (self.table[axis.column] == ALL).to_numpy() ^ (axis.name in asked)
        if not chosen.any():
            names = " and ".join(a.name for a in axes if a.kind == "measured")
            raise InputError(f"{self.name}: not split along {names} together; give one of them")
        return self.table[chosen]

    def _cells(self, axes: tuple[TableAxis, ...], level: float) -> Cells:
        return Cells.of(self.lines(axes), axes, level)
