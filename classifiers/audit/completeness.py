"""Completeness: the fraction of injected arcs that score above a threshold, with Jeffreys intervals, cell by cell.

Nothing is smoothed or filled: a cell with fewer injections than asked says "insufficient" and keeps its own counts. `SelectionFunction` loads the
table again and interpolates it, answering NaN wherever that would need an insufficient cell.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from classifiers.intervals import jeffreys
from lensjax.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

ALL = "all"
CELL = ["theta_e", "psf_fwhm", "depth_m5"]


def magnitude_bin(magnitude: Float[np.ndarray, " n"], edges: tuple[float, ...]) -> np.ndarray:
    """Name of each source magnitude's bin, for example "23-24"; "outside" beyond the edges. The last bin includes its upper edge."""
    names = np.array([f"{a:g}-{b:g}" for a, b in pairwise(edges)] + ["outside"])
    place = np.searchsorted(edges, magnitude, side="right") - 1
    place = np.where(magnitude == edges[-1], len(edges) - 2, place)
    return names[np.where((place < 0) | (place > len(edges) - 2), len(names) - 1, place)]


def counts(rows: pd.DataFrame, threshold: float, sufficient: int) -> dict[str, object]:
    """Counts of a set of injections at one threshold (a score above it is a detection); `with_intervals` adds the fractions.

    k_before counts the injections whose host already scored so high without an arc.
    """
    n = len(rows)
    snr = np.quantile(rows["arc_snr"], [0.1, 0.5, 0.9]) if n else [np.nan] * 3
    return {
        "n": n,
        "k": int((rows["score"] > threshold).sum()),
        "hosts": int(rows["galaxy_id"].nunique()),
        "k_before": int((rows["score_before"] > threshold).sum()),
        "snr_p10": float(snr[0]),
        "snr_p50": float(snr[1]),
        "snr_p90": float(snr[2]),
        "status": "sufficient" if n >= sufficient else "insufficient",
    }


def with_intervals(lines: pd.DataFrame) -> pd.DataFrame:
    """The lines with completeness and its Jeffreys 68 and 95 % intervals after n and k."""
    n, k = lines["n"].to_numpy(np.float64), lines["k"].to_numpy(np.float64)
    found = {"completeness": np.divide(k, n, out=np.full(len(lines), np.nan), where=n > 0)}
    for level in (68, 95):
        found[f"lo{level}"], found[f"hi{level}"] = jeffreys(k, n, level / 100)
    place = list(lines.columns).index("k") + 1
    for i, (name, values) in enumerate(found.items()):
        lines.insert(place + i, name, values)
    return lines


def table(
    rows: pd.DataFrame,
    cells: pd.DataFrame,
    thresholds: dict[str, float],
    edges: tuple[float, ...],
    sufficient: int,
) -> pd.DataFrame:
    """The selection function: one line per cell, threshold and source magnitude bin, empty cells included.

    rows: injections (galaxy_id, theta_e, cell_psf_fwhm, cell_depth_m5, source_mag, arc_snr, score, score_before) · cells: every cell of the grid
    (theta_e, psf_fwhm, depth_m5 and anything to carry along) · thresholds: name -> score.
    """
    import pandas as pd

    groups = dict(
        list(
            rows.assign(bin=magnitude_bin(rows["source_mag"].to_numpy(), edges)).groupby(
                ["theta_e", "cell_psf_fwhm", "cell_depth_m5"]
            )
        )
    )
    nothing = rows.iloc[:0].assign(bin="")
    names = [ALL, *(f"{a:g}-{b:g}" for a, b in pairwise(edges))]
    lines = []
    for cell in cells.to_dict("records"):
        inside = groups.get(tuple(cell[c] for c in CELL), nothing)
        for label, threshold in thresholds.items():
            for name in names:
                chosen = inside if name == ALL else inside[inside["bin"] == name]
                named = {"threshold_name": label, "threshold": threshold, "source_mag_bin": name}
                lines.append(
                    {
                        **{str(c): v for c, v in cell.items()},
                        **named,
                        **counts(chosen, threshold, sufficient),
                    }
                )
    return with_intervals(pd.DataFrame(lines))


def host_interval(
    rows: pd.DataFrame, threshold: float, seed: int, resamples: int = 1000
) -> tuple[float, float]:
    """95 % interval of the completeness when whole hosts are resampled: injections into one host share its light and are not independent."""
    grouped = (rows["score"] > threshold).groupby(rows["galaxy_id"].to_numpy()).agg(["sum", "size"])
    if len(grouped) < 2:
        return np.nan, np.nan
    k, n = grouped["sum"].to_numpy(np.float64), grouped["size"].to_numpy(np.float64)
    weights = np.random.default_rng(seed).multinomial(
        len(k), np.full(len(k), 1 / len(k)), size=resamples
    )
    low, high = np.quantile(weights @ k / (weights @ n), [0.025, 0.975])
    return float(low), float(high)


def marginals(
    rows: pd.DataFrame,
    thresholds: dict[str, float],
    edges: tuple[float, ...],
    snr_edges: tuple[float, ...],
    sufficient: int,
    seed: int,
) -> pd.DataFrame:
    """Completeness along one axis at a time, the rest summed as drawn: all, theta_e, psf_fwhm, depth_m5, source magnitude, arc SNR.

    lo95_hosts and hi95_hosts resample hosts (`host_interval`); every other column is as in `table`.
    """
    import pandas as pd

    snr_names = [f"{a:g}-{b:g}" for a, b in pairwise(snr_edges)]
    binned = rows.assign(
        all=ALL,
        psf_fwhm=rows["cell_psf_fwhm"],
        depth_m5=rows["cell_depth_m5"],
        source_mag=magnitude_bin(rows["source_mag"].to_numpy(), edges),
        arc_snr_bin=magnitude_bin(rows["arc_snr"].to_numpy(), snr_edges),
    )
    order = {"source_mag": [f"{a:g}-{b:g}" for a, b in pairwise(edges)], "arc_snr_bin": snr_names}
    lines = []
    for axis in ("all", "theta_e", "psf_fwhm", "depth_m5", "source_mag", "arc_snr_bin"):
        for value in order.get(axis) or sorted(binned[axis].unique()):
            chosen = binned[binned[axis] == value]
            for label, threshold in thresholds.items():
                low, high = (
                    host_interval(chosen, threshold, seed) if len(chosen) else (np.nan, np.nan)
                )
                found = counts(chosen, threshold, sufficient)
                lines.append(
                    {
                        "axis": axis,
                        "value": str(value),
                        "threshold_name": label,
                        "threshold": threshold,
                        **found,
                        "lo95_hosts": low,
                        "hi95_hosts": high,
                    }
                )
    return with_intervals(pd.DataFrame(lines))


@dataclass(frozen=True)
class SelectionFunction:
    """A completeness table that can be asked: `SelectionFunction.load("audit/completeness.parquet")(1.3, 1.2, 23.6)`."""

    table: pd.DataFrame

    @classmethod
    def load(cls, path: str | Path) -> SelectionFunction:
        """Reads completeness.parquet or .csv. Raises InputError when the file is missing or lacks a column."""
        import pandas as pd

        path = Path(path)
        if not path.is_file():
            raise InputError(f"{path}: no such completeness table; run `lensjax audit`")
        found = pd.read_csv(path) if path.suffix == ".csv" else pd.read_parquet(path)
        missing = [
            c
            for c in [*CELL, "threshold_name", "source_mag_bin", "completeness", "status"]
            if c not in found
        ]
        if missing:
            raise InputError(f"{path}: not a completeness table, column {missing[0]!r} is missing")
        return cls(found)

    def __call__(
        self,
        theta_e: Float[np.ndarray, "*n"] | float,
        psf_fwhm: Float[np.ndarray, "*n"] | float,
        depth_m5: Float[np.ndarray, "*n"] | float,
        threshold_name: str = "p0.5",
        source_mag_bin: str = ALL,
    ) -> Float[np.ndarray, "*n"]:
        """Completeness between cell centres, linear in each axis; NaN outside the centres and where a sufficient cell is missing.

        An axis with a single cell is constant over that cell's bin. Raises InputError when threshold or bin is not in the table.
        """
        from scipy.interpolate import RegularGridInterpolator

        chosen = self.table[
            (self.table["threshold_name"].astype(str) == threshold_name)
            & (self.table["source_mag_bin"] == source_mag_bin)
        ]
        if chosen.empty:
            known = ", ".join(map(str, self.table["threshold_name"].unique()))
            raise InputError(
                f"no completeness for threshold {threshold_name!r} and source magnitudes {source_mag_bin!r}; thresholds: {known}"
            )
        axes = [np.unique(chosen[c]) for c in CELL]
        values = np.full([len(a) for a in axes], np.nan)
        good = chosen[chosen["status"] == "sufficient"]
        values[tuple(np.searchsorted(a, good[c]) for a, c in zip(axes, CELL))] = good[
            "completeness"
        ]
        points = np.stack(
            np.broadcast_arrays(
                *(np.asarray(v, np.float64) for v in (theta_e, psf_fwhm, depth_m5))
            ),
            axis=-1,
        )
        wide = [i for i, a in enumerate(axes) if len(a) > 1]
        inside = np.all([_inside(chosen, c, points[..., i]) for i, c in enumerate(CELL)], axis=0)
        if not wide:
            return np.where(inside, values.ravel()[0], np.nan)
        values = values.reshape([len(axes[i]) for i in wide])
        linear = lambda grid: RegularGridInterpolator(
            [axes[i] for i in wide], grid, bounds_error=False
        )(points[..., wide]).reshape(inside.shape)
        usable = inside & (linear(np.isnan(values).astype(float)) < 1e-9)
        return np.where(usable, linear(np.nan_to_num(values)), np.nan)


def _inside(chosen: pd.DataFrame, column: str, value: np.ndarray) -> np.ndarray:
    """Whether a value lies on a single-cell axis's bin; axes with more cells are bounded by the interpolation itself."""
    stem = column.split("_")[0]
    if chosen[column].nunique() > 1:
        return np.ones(value.shape, bool)
    if f"{stem}_lo" in chosen:
        return (value >= chosen[f"{stem}_lo"].iloc[0]) & (value < chosen[f"{stem}_hi"].iloc[0])
    return np.isclose(value, chosen[column].iloc[0])
