"""What has to be alike for two completenesses to be of one thing: the arcs and how they are put
into galaxies, and the cells of an axis."""

from __future__ import annotations

from typing import Any

from classifiers.audit.axes import Axis
from classifiers.report.changes.pair import Pair, Side
from classifiers.report.changes.settings import different

SETTINGS = {
    "source_magnitude": "range of unlensed source magnitudes",
    "mode": "host mode",
    "gain": "photon noise of the arcs (gain)",
    "moffat_beta": "PSF of the arcs (Moffat's beta)",
    "extinction": "extinction of the arcs",
}
"""Settings of an audit that change which arcs there are, or what they look like."""


def apart(pair: Pair) -> list[tuple[str, str, str]]:
    """Why the completenesses of two audits are not of one population: what differs, and what it is
    in each. Empty where they are. Galaxies may be other ones of the same survey."""
    return different(*(facts(side) for side in pair))


def facts(side: Side) -> dict[str, Any]:
    """What decides over the population of an audit's injections, by what it is called."""
    assert side.injections is not None and side.run.audit is not None
    about, audit = side.injections.about, side.run.audit
    found = {"survey": about.get("survey"), "prior of the arcs": about.get("prior")}
    found |= {name: about.get("settings", {}).get(key) for key, name in SETTINGS.items()}
    found |= {"PSF": audit.get("psf"), "population of hosts": about.get("target")}
    drawn = {f"range of {axis.label}": domain(axis) for axis in side.axes if axis.kind == "drawn"}
    return found | drawn


def domain(axis: Axis) -> list[Any]:
    """The ends of the bins of an axis, or its points or words."""
    return [axis.edges[0], axis.edges[-1]] if axis.edges else [*axis.points, *axis.words]


def axes(pair: Pair) -> tuple[list[Axis], list[tuple[str, str, str]]]:
    """The axes that both audits have with the same cells; and for every other the axis and its
    cells in each."""
    one, two = ({axis.name: axis for axis in side.axes} for side in pair)
    same = [axis for name, axis in one.items() if name in two and _cells(axis) == _cells(two[name])]
    names = {axis.name for axis in same}
    return same, [
        (name, _named(one.get(name)), _named(two.get(name)))
        for name in {**one, **two}
        if name not in names
    ]


def _cells(axis: Axis) -> tuple[Any, ...]:
    return axis.kind, axis.column, axis.points, axis.edges, axis.words


def _named(axis: Axis | None) -> str:
    return "no such axis" if axis is None else f"{axis.kind}: {', '.join(axis.names())}"
