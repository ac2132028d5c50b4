"""A completeness table that can be asked: `SelectionFunction.load(path)(1.3, 1.2, 23.6)`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from classifiers.audit.axes import ALL
from classifiers.audit.completeness import strata_columns
from lensjax.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

NEEDED = ("threshold_name", "completeness", "status")
STEMS = {"psf_fwhm": "psf", "depth_m5": "depth"}
NO_AXES = ("hosts_available",)


@dataclass(frozen=True)
class SelectionFunction:
    """The selection function of an audit. Its axes are those of the table, in their order."""

    table: pd.DataFrame

    @classmethod
    def load(cls, path: str | Path) -> SelectionFunction:
        """Reads completeness.parquet or .csv. Raises InputError when the file is missing or lacks a
        column."""
        import pandas as pd

        path = Path(path)
        if not path.is_file():
            raise InputError(f"{path}: no such completeness table; run `lensjax audit`")
        found = pd.read_csv(path) if path.suffix == ".csv" else pd.read_parquet(path)
        if missing := [c for c in NEEDED if c not in found]:
            raise InputError(f"{path}: not a completeness table, column {missing[0]!r} is missing")
        return cls(found)

    @property
    def axes(self) -> list[str]:
        """Names of the axes, in order."""
        names = [str(c) for c in self.table.columns]
        before = names[: names.index("threshold_name")]
        return [n for n in before if n not in NO_AXES and not n.endswith(("_lo", "_hi"))]

    def __call__(
        self, *values: Any, threshold_name: str = "p0.5", **named: Any
    ) -> Float[np.ndarray, "*n"]:
        """Completeness between cell centres, linear in each axis; NaN outside the centres and where
        a sufficient cell is missing.

        values: along the axes of the table, in their order, numbers or arrays that broadcast.
        named: the same by name. An axis of words takes a word. `source_mag_bin="23-24"` asks for
        one bin of a measured axis, all of them together otherwise. An axis with a single cell is
        constant over that cell's bin. Raises InputError when the threshold, a bin or a word is not
        in the table, and when an axis is missing.
        """
        given: dict[str, Any] = dict(zip(self.axes, values)) | named
        strata = {c: given.pop(c, ALL) for c in strata_columns(self.table)}
        if len(values) > len(self.axes) or set(given) != set(self.axes):
            raise InputError(f"completeness: give a value for each of {', '.join(self.axes)}")
        chosen = self.table[self.table["threshold_name"].astype(str) == threshold_name]
        for column, name in strata.items():
            chosen = chosen[chosen[column] == name]
        if chosen.empty:
            known = ", ".join(map(str, self.table["threshold_name"].unique()))
            raise InputError(
                f"no completeness for threshold {threshold_name!r} and {strata}; the thresholds "
                f"are {known}"
            )
        numbers = []
        for axis in self.axes:
            if chosen[axis].dtype.kind in "fiu":
                numbers.append(axis)
                continue
            chosen = chosen[chosen[axis] == given[axis]]
            if chosen.empty:
                words = ", ".join(map(str, self.table[axis].unique()))
                raise InputError(f"no completeness for {axis} {given[axis]!r}; there are {words}")
        return _interpolated(chosen, numbers, [given[axis] for axis in numbers])


def _interpolated(chosen: pd.DataFrame, names: list[str], values: list[Any]) -> np.ndarray:
    """Linear interpolation of the completeness between the sufficient cells of `chosen`."""
    from scipy.interpolate import RegularGridInterpolator

    points = np.stack(
        np.broadcast_arrays(*(np.asarray(v, np.float64) for v in values)) or [np.zeros(())], axis=-1
    )
    axes = [np.unique(chosen[c]) for c in names]
    grid = np.full([len(a) for a in axes], np.nan)
    good = chosen[chosen["status"] == "sufficient"]
    place = tuple(np.searchsorted(a, good[c]) for a, c in zip(axes, names))
    grid[place] = good["completeness"].to_numpy() if names else good["completeness"].sum()
    wide = [i for i, a in enumerate(axes) if len(a) > 1]
    held = [_held(chosen, c, points[..., i]) for i, c in enumerate(names)]
    inside = np.all(held, axis=0) if held else np.ones(points.shape[:-1], bool)
    if not wide:
        return np.where(inside, grid.ravel()[0], np.nan)
    grid = grid.reshape([len(axes[i]) for i in wide])

    def linear(of: np.ndarray) -> np.ndarray:
        asked = RegularGridInterpolator([axes[i] for i in wide], of, bounds_error=False)
        return asked(points[..., wide]).reshape(inside.shape)

    usable = inside & (linear(np.isnan(grid).astype(float)) < 1e-9)
    return np.where(usable, linear(np.nan_to_num(grid)), np.nan)


def _held(chosen: pd.DataFrame, column: str, value: np.ndarray) -> np.ndarray:
    """Whether a value lies on a single-cell axis's bin; axes with more cells are bounded by the
    interpolation itself."""
    stem = STEMS.get(column, column)
    if chosen[column].nunique() > 1:
        return np.ones(value.shape, bool)
    if f"{stem}_lo" in chosen:
        return (value >= chosen[f"{stem}_lo"].iloc[0]) & (value <= chosen[f"{stem}_hi"].iloc[0])
    return np.isclose(value, chosen[column].iloc[0])
