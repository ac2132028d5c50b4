"""The axes of a selection function, and the grid that they span.

An axis is data: a name, what it is called, its unit, and its cells. There are three kinds:

- "drawn": a parameter of the prior, for example `theta_e`, is drawn uniformly within each of some
  bins, the same number of times in every bin (an axis of a single point holds it there);
- "host": a property of the host galaxy lies in one of some bins or is one of some words;
- "measured": a property of the finished injection is sorted into bins afterwards.

Drawn and host axes span the grid: every cell gets its own injections. Measured axes split each cell
once more when counting. Everything that plans, counts, interpolates or draws loops over axes, so a
new axis is a line of configuration.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise, product
from typing import Any, Literal

import numpy as np
from jaxtyping import Bool, Int, UInt32

Kind = Literal["drawn", "host", "measured"]
OUTSIDE = "outside"
"""What a value beyond all bins is called."""
ALL = "all"
STEMS = {"psf_fwhm": "psf", "depth_m5": "depth"}
"""What the columns of edges of well-known axes begin with; queries may say these names too."""
"""What stands for every bin of a measured axis together."""


def stem_of(name: str) -> str:
    """What the columns of edges of an axis begin with."""
    return STEMS.get(name, name)


@dataclass(frozen=True)
class Cell:
    """One cell of an axis. value: the point, the middle of the bin, or the word that names it.
    edges: lower and upper edge of a bin."""

    value: float | str
    edges: tuple[float, float] | None = None

    def value_of(self, key: UInt32[np.ndarray, " 2"], column: str) -> float:
        """The value that an injection of this cell has: uniform within the bin, from the key and
        the name of the parameter, rounded to float32 inside the bin; the point where there is no
        bin."""
        if self.edges is None:
            return float(self.value)
        low, high = self.edges
        digest = hashlib.sha256(column.encode() + np.asarray(key, ">u4").tobytes()).digest()
        share = (int.from_bytes(digest[:6], "big") + 0.5) / 2**48
        value = np.float32(low + (high - low) * share)
        least = np.nextafter(np.float32(low), np.float32(np.inf))
        most = np.nextafter(np.float32(high), np.float32(-np.inf))
        return float(np.clip(value, least, most))

    @property
    def text(self) -> str:
        """The value as text, as names of keys have it."""
        return self.value if isinstance(self.value, str) else f"{self.value:.6g}"


@dataclass(frozen=True)
class Axis:
    """An axis; see the module's docstring. column: where its values are: a parameter of the prior,
    a column of the manifest, or a column of the injections. Of points (numbers), edges (of bins, of
    which there is one fewer) and words exactly one is given; several points become the names of
    bins whose edges lie midway between them, unless edges are given too."""

    name: str
    label: str
    unit: str
    kind: Kind
    column: str
    points: tuple[float, ...] = ()
    edges: tuple[float, ...] = ()
    words: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if len(self.points) > 1 and not self.edges:
            p = np.array(self.points)
            middle = 0.5 * (p[1:] + p[:-1])
            ends = [2 * p[0] - middle[0], *middle, 2 * p[-1] - middle[-1]]
            object.__setattr__(self, "edges", tuple(round(float(v), 9) for v in ends))

    @property
    def stem(self) -> str:
        """What the columns of its edges begin with."""
        return stem_of(self.name)

    @property
    def title(self) -> str:
        """Label and unit, for the axis of a figure."""
        return f"{self.label}, {self.unit}" if self.unit else self.label

    @cached_property
    def cells(self) -> tuple[Cell, ...]:
        """The cells in order."""
        bins = list(pairwise(self.edges))
        if not bins:
            return (*(Cell(p) for p in self.points), *(Cell(w) for w in self.words))
        names = self.points or [round((a + b) / 2, 4) for a, b in bins]
        return tuple(Cell(name, edges) for name, edges in zip(names, bins))

    def __len__(self) -> int:
        return len(self.cells)

    def place(self, values: Any) -> Int[np.ndarray, " n"]:
        """Number of the cell that each value lies in, or -1. A bin holds its lower edge, the last
        bin both of its edges."""
        if self.words:
            number = {word: i for i, word in enumerate(self.words)}
            return np.array([number.get(str(v), -1) for v in values], np.int64)
        values = np.asarray(values, np.float64)
        if not self.edges:
            same = np.isclose(values[:, None], np.array(self.points))
            return np.where(same.any(1), same.argmax(1), -1)
        place = np.searchsorted(self.edges, values, side="right") - 1
        place = np.where(values == self.edges[-1], len(self.edges) - 2, place)
        return np.where((place > len(self.edges) - 2) | np.isnan(values), -1, place)

    def names(self) -> list[str]:
        """What the cells are called in tables of one axis: "23-24", "1.5" or a word."""
        if self.edges and not self.points:
            return [f"{low:g}-{high:g}" for low, high in pairwise(self.edges)]
        return [str(c.value) for c in self.cells]

    def named(self, values: Any) -> np.ndarray:
        """Name of the cell that each value lies in, "outside" where there is none."""
        return np.array([*self.names(), OUTSIDE])[self.place(values)]


def columns_of(axes: Sequence[Axis], cells: Sequence[Cell]) -> dict[str, Any]:
    """Columns that name a cell of each axis: its value by the axis's name, then the edges of
    bins."""
    edges: dict[str, float] = {}
    for axis, cell in zip(axes, cells):
        if cell.edges:
            edges |= {f"{axis.stem}_lo": cell.edges[0], f"{axis.stem}_hi": cell.edges[1]}
    return {axis.name: cell.value for axis, cell in zip(axes, cells)} | edges


@dataclass(frozen=True)
class Site:
    """One observing condition: a cell of every host axis. number: its place in the grid."""

    number: int
    axes: tuple[Axis, ...]
    place: tuple[int, ...]

    def cell(self, name: str) -> Cell | None:
        """The cell of an axis; None when the grid has no such axis."""
        for axis, i in zip(self.axes, self.place):
            if axis.name == name:
                return axis.cells[i]
        return None

    def centre(self, name: str) -> float | None:
        """The middle of the bin of an axis; None when the grid has no such axis."""
        cell = self.cell(name)
        return None if cell is None else float(cell.value)

    def columns(self) -> dict[str, Any]:
        """Values of the axes by name, then the edges of bins."""
        return columns_of(self.axes, [a.cells[i] for a, i in zip(self.axes, self.place)])


@dataclass(frozen=True)
class Grid:
    """The axes of an audit, by kind and in order."""

    drawn: tuple[Axis, ...]
    host: tuple[Axis, ...]
    measured: tuple[Axis, ...] = ()

    @property
    def axes(self) -> tuple[Axis, ...]:
        """The axes that span the grid."""
        return (*self.drawn, *self.host)

    def sites(self) -> Iterator[Site]:
        """Every observing condition; the first host axis is the outer loop."""
        for number, place in enumerate(product(*(range(len(a)) for a in self.host))):
            yield Site(number, self.host, place)

    def points(self) -> Iterator[tuple[Cell, ...]]:
        """Every combination of cells of the drawn axes."""
        yield from product(*(a.cells for a in self.drawn))

    def cells(self) -> int:
        """Cells of the whole grid."""
        return int(np.prod([len(a) for a in self.axes], dtype=np.int64))


def key_data(
    host: str, point: Sequence[float], site: Site, index: int, seed: int
) -> UInt32[np.ndarray, " 2"]:
    """Random key of one injection from its name: SHA-256 of host, cell, index and seed, so that
    order and batching do not matter."""
    cells = [axis.cells[i].text for axis, i in zip(site.axes, site.place)]
    name = "|".join([host, *(f"{p:.6g}" for p in point), *cells, str(index), str(seed)])
    return np.frombuffer(hashlib.sha256(name.encode()).digest()[:8], dtype=">u4").astype(np.uint32)


def equal_count_edges(values: Any, cells: int, digits: int = 2) -> tuple[float, ...]:
    """Edges with so many decimals that part `values` (n,) into cells of about equally many; every
    value lies in a cell. There are fewer cells where values coincide."""
    values = np.asarray(values, np.float64)
    unit = 10.0**digits
    # A product such as 1.15 * 100 = 114.99999999999999 is rounded before it is cut off.
    whole = lambda value: float(np.floor(np.round(value * unit, 6)))
    low, high = whole(values.min()) / unit, (whole(values.max()) + 1) / unit
    if low > values.min():
        low = (whole(values.min()) - 1) / unit
    inner = np.round(np.quantile(values, np.arange(1, cells) / cells), digits)
    return tuple(float(v) for v in np.unique(np.round([low, *inner, high], digits)))


def inside(axis: Axis, values: Any) -> Bool[np.ndarray, " n"]:
    """Which values lie in a cell of an axis."""
    return axis.place(values) >= 0
