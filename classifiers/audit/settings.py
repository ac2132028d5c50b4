"""What an audit is asked: the finder, the grid, the hosts, the prior, the thresholds."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import field, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
import tyro
from pydantic import Field, model_validator

from classifiers.audit.axes import Axis, Grid
from classifiers.audit.axes import equal_count_edges as equal_count_edges
from classifiers.audit.host_settings import AxisSettings, HostPsf, TargetSettings
from data.config import settings
from data.survey import Survey, default
from lensjax.component import ANY, Domain
from lensjax.errors import InputError

if TYPE_CHECKING:
    from classifiers.audit.hosts import Hosts

Positive = Annotated[float, Field(gt=0, le=100)]
Depth = Annotated[float, Field(ge=10, le=35)]
Probability = Annotated[float, Field(gt=0, lt=1)]
Count = Annotated[int, Field(ge=1)]
SNR_EDGES = (0.0, 3.0, 5.0, 10.0, 20.0, 50.0, 1e6)
MOST_WORDS = 24
"""Different words of a column that may become cells without being listed."""


def _steps(first: float, last: float, step: float) -> tuple[float, ...]:
    return tuple(round(float(v), 6) for v in np.arange(first, last + step / 2, step))


SPEC_GRID = {
    "theta_e": _steps(0.5, 3.0, 0.25),
    "psf_edges": _steps(0.825, 1.875, 0.15),
    "depth_edges": _steps(22.25, 24.75, 0.5),
}

KNOWN = {
    "theta_e": ("Einstein radius", "arcsec"),
    "psf_fwhm": ("PSF FWHM", "arcsec"),
    "depth_m5": ("5-sigma depth", "mag"),
    "source_mag": ("unlensed source magnitude", "mag"),
    "arc_mag": ("arc magnitude", "mag"),
    "ebv": ("E(B-V)", "mag"),
    "slope": ("density slope", ""),
}
"""Label and unit of well-known axes; of others they are the name and nothing, unless given."""


@settings
class AuditSettings:
    """Settings of the audit. Angles and FWHM are in arcsec; depths are 5-sigma AB magnitudes of a
    point source in the survey's reference band."""

    finder: str = ""
    """what is audited: a folder `training` of another run, a file *.onnx or *.yaml, a Python
    function `module:function`, or `scores:FOLDER`, to which stamps go out and scores come back;
    empty: this run's own classifier"""
    more_finders: dict[str, str] = field(default_factory=dict)
    """other finders that score the same stamps, by a name of yours: `{onnx: resnet.onnx}`; each as
    in `finder`, tables of scores excepted; a name is part of the name of a column"""
    compare_at: tuple[Probability, ...] = (0.05, 0.01)
    """several finders are compared at the thresholds, and at those that such shares of the hosts
    pass as they are, without an arc"""
    trained_on: str = ""
    """what a finder from outside was trained on: `none` of these galaxies, `train`, the training
    split of this run, or a table (CSV or Parquet) with galaxy_id, ra and dec, whose objects are
    then no hosts"""
    stamp_files: Literal["npz", "fits"] = "npz"
    """format of the stamps that go out to a folder of scores"""
    grid: Literal["small", "spec_grid"] = "small"
    """small: the axes below. spec_grid: 11 Einstein radii, 7 PSF widths and 5 depths, whatever the
    axes below say."""
    theta_e: tuple[Positive, ...] = (0.5, 1.0, 1.5, 2.0, 2.5, 3.0)
    """Einstein radii of the grid, arcsec: the middles of its bins, each of which reaches half way
    to its neighbours"""
    psf_edges: tuple[Positive, ...] = ()
    """edges of the PSF FWHM cells, arcsec; empty: three cells of equally many hosts"""
    depth_edges: tuple[Depth, ...] = ()
    """edges of the depth cells, AB mag; empty: two cells of equally many hosts"""
    axis: dict[str, AxisSettings | tuple[float, ...] | None] = field(default_factory=dict)
    """more axes by name, or other cells for the usual ones: `host_mag: {column: mag_r, cells: 3}`,
    `type: {cells: 2}`, `slope: [1.8, 2.0, 2.2]`, `psf_fwhm: null` to leave one out"""
    injections: Count = 200
    """injections per cell of the grid"""
    per_host: Count = 4
    """at most so many injections per host and cell: 200 injections into three hosts would say
    nothing about hosts"""
    sufficient: Count = 200
    """cells and bins with fewer injections are marked insufficient"""
    merge: tuple[str, ...] = ()
    """axes along which insufficient cells are joined with a neighbour, the first before the others,
    in a table of its own (merged.csv): `[depth_m5, psf_fwhm]`; empty: none are joined"""
    prior: Annotated[str | dict[str, Any], tyro.conf.arg(constructor=str)] = "arclike"
    """prior that scenes are drawn from: the name of a shipped one, a YAML file, or its contents"""
    proposal: dict[str, Any] = field(default_factory=dict)
    """distributions that injections are drawn from in place of the prior's, so that rare regions
    are filled: `{n: {uniform: [0.5, 4]}}`; weights make the injections a sample of the prior"""
    source_magnitude: Annotated[tuple[float, ...], Field(max_length=2)] = (23.0, 26.0)
    """range of the unlensed magnitude of the source in the band that the prior gives, uniform;
    empty: as the prior has it"""
    magnitude_edges: tuple[float, ...] = (23.0, 24.0, 25.0, 26.0)
    """edges of the source magnitude bins of the table"""
    extinction: bool = True
    """dust of the Milky Way dims the arc, where the host's E(B-V) is known"""
    mode: Literal["matched", "degraded"] = "matched"
    """matched: hosts whose own PSF and depth fall in the cell. degraded: better hosts that are
    convolved and noised to the cell's centre."""
    splits: tuple[Literal["val", "test"], ...] = ("val", "test")
    """splits whose negatives are hosts. With a finder that was trained elsewhere, every negative of
    this run that it was not trained on, unlabelled objects included."""
    host_list: str = ""
    """CSV with a column galaxy_id: use only these hosts. It is refused when one of them was trained
    on."""
    lens_radius: Annotated[float, Field(ge=0, le=3600)] = 11.0
    """hosts within this radius of a known lens of any grade are left out, arcsec; 0: none is"""
    lens_lists: tuple[str, ...] = ()
    """lists of known lenses beside that of the survey: files in lenscat's format (CSV, TSV or
    Parquet with name, RA, DEC, and perhaps grading)"""
    target: TargetSettings = TargetSettings()
    """the galaxies to be searched, which hosts are weighted to"""
    classifier: str = ""
    """folder `training` of another run whose classifier is audited; the same as `finder`, but the
    manifest beside the folder says what it was trained on"""
    psf_files: dict[str, HostPsf] = field(default_factory=dict)
    """measured PSFs by id of hosts, where * stands for any letters: `{des_*: {files:
    psf/{band}.fits, of: another field}}`; arcs are then blurred with these kernels, and the FWHM of
    the hosts is theirs"""
    psf_fwhm: tuple[Positive, ...] = ()
    """FWHM, one for each band, assumed for hosts whose table has none, arcsec; empty: such hosts
    are refused"""
    thresholds: tuple[Probability, ...] = (0.3, 0.5, 0.7)
    """score thresholds, beside those of evaluation/thresholds.csv"""
    moffat_beta: Annotated[float, Field(ge=0)] = 0.0
    """beta of the Moffat PSF that arcs are blurred with; 0: a Gaussian of the same FWHM"""
    gain: Annotated[float, Field(ge=0)] = 0.0
    """electrons per nanomaggy for the Poisson noise of the arc; 0: none"""
    treatment_gain: Annotated[float, Field(gt=0)] = 150.0
    """electrons per nanomaggy of the treatment that gives arcs photon noise; the default is that of
    a DR10 coadd"""
    gate_snr: Annotated[float, Field(ge=0)] = 10.0
    """an injection counts as observable when the matched-filter SNR of its arc, all bands together,
    is at least this"""
    realism_sample: Annotated[int, Field(ge=0)] = 480
    """injections that are made again and set beside labelled lenses and random galaxies; 0: none"""
    gate_rate: Annotated[float, Field(gt=0, le=0.5)] = 0.05
    """share of random galaxies that the detectability gate lets pass"""
    sensitivity_sample: Annotated[int, Field(ge=0)] = 192
    """injections over which the sensitivity is taken; 0: no sensitivity"""
    treatment_sample: Annotated[int, Field(ge=0)] = 192
    """injections made again under every other assumption (treatments); 0: no treatments"""
    treatments: tuple[str, ...] = ()
    """names of the treatments to apply; empty: all that can be"""
    native_sample: Annotated[int, Field(ge=0)] = 0
    """arcs that are put both into hosts that have some PSF and depth by nature and into better
    hosts that are degraded to them, to see whether these are alike; 0: none"""
    counterfactuals: Annotated[int, Field(ge=0)] = 48
    """missed injections for which the smallest change is sought that makes the finder find them"""
    source_library: str = ""
    """NPZ file with `images` (n, H, W) of real galaxies, the sources of one of the treatments"""
    batch: Count = 48
    """injections rendered and scored together"""
    seed: int = 42

    @model_validator(mode="after")
    def _ordered(self) -> AuditSettings:
        for name in ("theta_e", "psf_edges", "depth_edges", "magnitude_edges", "source_magnitude"):
            values = getattr(self, name)
            if any(b <= a for a, b in pairwise(values)):
                raise ValueError(f"{name}: {list(values)} must increase")
        if not self.theta_e or len(self.magnitude_edges) < 2 or not self.splits:
            raise ValueError("theta_e and splits need a value, magnitude_edges two")
        if len(self.psf_edges) == 1 or len(self.depth_edges) == 1:
            raise ValueError("psf_edges and depth_edges need two values or none")
        if len(self.source_magnitude) == 1:
            raise ValueError("source_magnitude needs two values or none")
        if 0 < self.moffat_beta <= 1:
            raise ValueError(
                "moffat_beta: a Moffat PSF needs beta above 1 (0 for a Gaussian), "
                f"got {self.moffat_beta}"
            )
        for name in self.more_finders:
            if not re.fullmatch(r"[\w.-]+", name) or name.startswith("before"):
                raise ValueError(
                    f"more_finders: {name!r} becomes part of the name of a column; use letters, "
                    "digits, _, . and -, and do not begin with `before`"
                )
            if name in ("audited", "common"):
                raise ValueError(f"more_finders: {name!r} has a meaning in the tables; rename it")
        if self.finder and self.classifier:
            raise ValueError("finder and classifier name the same thing; give one of them")
        return self

    @property
    def prior_name(self) -> str:
        """What the prior is called."""
        return self.prior if isinstance(self.prior, str) else "of the settings"

    def axes(
        self,
        psf: np.ndarray,
        depth: np.ndarray,
        hosts: Hosts | None = None,
        parameters: Collection[str] | Mapping[str, Domain] = ("theta_e",),
        survey: Survey | None = None,
    ) -> Grid:
        """The grid. psf, depth: FWHM and depth of the hosts in the reference band (n,), from which
        the edges follow where the settings leave them open. hosts: whose columns may be axes.
        parameters: of the prior, with their domains where these are known. Raises InputError for an
        axis over a column that is not there or does not vary, and for a parameter that the prior
        does not have."""
        spec = SPEC_GRID if self.grid == "spec_grid" else {}
        usual: dict[str, AxisSettings] = {
            "theta_e": AxisSettings(points=spec.get("theta_e", self.theta_e)),
            "psf_fwhm": _bins(spec.get("psf_edges", self.psf_edges), 3),
            "depth_m5": _bins(spec.get("depth_edges", self.depth_edges), 2),
            "source_mag": AxisSettings(edges=self.magnitude_edges),
        }
        asked = {
            name: one if isinstance(one, AxisSettings | None) else AxisSettings(points=one)
            for name, one in (usual | self.axis).items()
        }
        band = (survey or default()).reference
        own = {"psf_fwhm": np.asarray(psf), "depth_m5": np.asarray(depth)}
        made: dict[str, list[Axis]] = {"drawn": [], "host": [], "measured": []}
        for name, one in asked.items():
            if one is not None:
                axis = _axis(name, one, own, hosts, parameters, band, name in usual)
                made[axis.kind].append(axis)
        snr = Axis("arc_snr_bin", f"arc SNR in {band}", "", "measured", "arc_snr", edges=SNR_EDGES)
        return Grid(tuple(made["drawn"]), tuple(made["host"]), (*made["measured"], snr))


def _bins(edges: tuple[float, ...], cells: int) -> AxisSettings:
    return AxisSettings(edges=edges) if edges else AxisSettings(cells=cells)


MEASURED = ("source_mag", "arc_mag", "magnification", "snr", "arc_snr")
"""Columns of every injection that can be binned, beside the parameters of the prior."""


def _axis(
    name: str,
    s: AxisSettings,
    own: dict[str, np.ndarray],
    hosts: Hosts | None,
    parameters: Collection[str] | Mapping[str, Domain],
    band: str,
    usual: bool,
) -> Axis:
    """One axis from its settings."""
    key, column = f"audit.axis.{name}", s.column or name
    label, unit = KNOWN.get(name, (name.replace("_", " "), ""))
    if name in ("psf_fwhm", "depth_m5", "source_mag"):
        label = f"{label} in {band}"
    label, unit = s.label or label, s.unit or unit
    columns = {} if hosts is None else hosts.columns
    if s.points:
        if column not in parameters:
            raise InputError(
                f"{key}: the prior has no parameter {column!r} to hold at points; it has "
                f"{', '.join(sorted(parameters))}; name one of them"
                + (f", or set {key} to null" if usual else ", or give edges, cells or words")
            )
        domain = parameters[column] if isinstance(parameters, Mapping) else ANY
        if outside := [p for p in s.points if not domain.holds(p)]:
            raise InputError(f"{key}: {outside[0]:g}: {column} should be {domain.words}")
        axis = Axis(name, label, unit, "drawn", column, points=s.points)
        edges = tuple(float(np.clip(e, domain.low, domain.high)) for e in axis.edges)
        return replace(axis, edges=edges)
    if column in MEASURED or (column in parameters and column not in columns):
        if not s.edges:
            raise InputError(f"{key}: {column} is known after drawing only; give edges")
        return Axis(name, label, unit, "measured", column, edges=s.edges)
    if column in own:
        values: Any = own[column]
    elif column in columns:
        values = columns[column]
    else:
        known = ", ".join(sorted(columns)[:40]) or "none"
        raise InputError(
            f"{key}: no column {column!r} in manifest.parquet and no such parameter of the prior; "
            f"name one with {key}.column (columns: {known})"
        )
    return _host_axis(name, label, unit, column, s, values, usual)


def _host_axis(
    name: str, label: str, unit: str, column: str, s: AxisSettings, values: Any, usual: bool
) -> Axis:
    key = f"audit.axis.{name}"
    if s.edges:
        _number(key, column, values)
        return Axis(name, label, unit, "host", column, edges=s.edges)
    if s.words:
        return Axis(name, label, unit, "host", column, words=s.words)
    if np.asarray(values).dtype.kind in "OUSb":
        found = sorted({str(v) for v in values if v is not None and v == v})
        if len(found) < 2 or len(found) > MOST_WORDS:
            raise InputError(
                f"{key}: column {column!r} has {len(found)} different words among the hosts; "
                f"{'name another column' if len(found) < 2 else 'list some in words'}"
            )
        return Axis(name, label, unit, "host", column, words=tuple(found))
    numbers = _number(key, column, values)
    if not usual and numbers.min() == numbers.max():
        raise InputError(
            f"{key}: column {column!r} is {numbers[0]:g} for every host, so it is no axis; name "
            "another column"
        )
    span = float(numbers.max() - numbers.min())
    digits = 2 if usual else int(np.clip(2 - np.floor(np.log10(span)), 0, 12))
    return Axis(
        name, label, unit, "host", column, edges=equal_count_edges(numbers, s.cells or 3, digits)
    )


def _number(key: str, column: str, values: Any) -> np.ndarray:
    """The finite values of a column. Raises InputError when there are none."""
    try:
        found = np.asarray(values, np.float64)
    except (TypeError, ValueError):
        raise InputError(f"{key}: column {column!r} holds words; give words, not edges") from None
    found = found[np.isfinite(found)]
    if not len(found):
        raise InputError(f"{key}: column {column!r} is empty for every host; name another column")
    return found
