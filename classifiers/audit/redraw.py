"""Making an injection of a set once more, to the last bit, from the file and the cutouts it names.

The injection is made in the batch that it was made in, because a batch shares decisions of the
renderer (`lensjax.psf`). On the same platform with the same versions nothing then differs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Float
from pydantic import ValidationError

import lensjax as lj
from classifiers.audit.axes import Axis, Grid, Site
from classifiers.audit.campaign import OF_THE_HOST, Campaign, described
from classifiers.audit.density import proposed
from classifiers.audit.hosts import Hosts, digest
from classifiers.audit.injection import audit_prior
from classifiers.audit.injectionset import InjectionSet
from classifiers.audit.plan import Chunk
from classifiers.audit.settings import AuditSettings
from data.config import validated
from data.survey import Survey, plain
from lensjax import prior_entries
from lensjax.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

MADE_WITH = ("jax", "jaxlib", "numpy", "lensjax")


class Redrawn(NamedTuple):
    """An injection made again. host, arc, stamp: nanomaggies (H, W, B). differs: names of the
    measured columns whose value is not exactly that of the file."""

    host: Float[np.ndarray, "h w b"]
    arc: Float[np.ndarray, "h w b"]
    stamp: Float[np.ndarray, "h w b"]
    differs: list[str]


def recipe(s: AuditSettings, campaign: Campaign, grid: Grid) -> dict[str, Any]:
    """What a set has to keep so that its injections can be made again, for `about`: nothing in it
    refers to a file but the images of a library."""
    survey = campaign.survey
    prior = s.prior if isinstance(s.prior, dict) else prior_entries(s.prior)
    kept = ("source_magnitude", "proposal", "gain", "moffat_beta", "batch", "extinction", "mode")
    return {
        "prior": dict(prior),
        "prior_name": s.prior_name,
        "settings": {name: plainly(getattr(s, name)) for name in kept},
        "survey": plain(survey),
        "kernel_side": 0 if campaign.hosts.kernels is None else campaign.kernel_size,
        "correlation": campaign.noise_correlation.tolist() if s.mode == "degraded" else None,
        "bounds": asdict(campaign.holds),
        "axes": [asdict(axis) for axis in grid.axes],
        "versions": versions(),
    }


def bounds_of(kept: Mapping[str, Any]) -> lj.Bounds:
    """What `recipe` keeps of the bounds of scenes and PSFs."""
    fwhm = kept["fwhm"]
    return lj.Bounds(kept["theta_e"], None if fwhm is None else (fwhm[0], fwhm[1]))


def versions() -> dict[str, str]:
    """Versions of what decides over bits, and the platform."""
    device = jax.devices()[0]
    return {name: version(name) for name in MADE_WITH} | {"device": device.device_kind}


def plainly(value: Any) -> Any:
    """A setting as JSON has it."""
    return list(value) if isinstance(value, tuple) else value


def other_versions(about: Mapping[str, Any]) -> list[str]:
    """What a set was made with, where that differs from here."""
    return [
        f"{name} {about.get('versions', {}).get(name, 'unknown')} (here {here})"
        for name, here in versions().items()
        if about.get("versions", {}).get(name) != here
    ]


def redraw(injections: InjectionSet, row: int, out: Path) -> Redrawn:
    """Makes the injection in a row (0 is the first) of a set again. out: the run directory, under
    which the cutouts lie. Raises InputError for a row that is not there, for a set that lacks what
    is needed, and for cutouts that are missing or have changed."""
    table = injections.table
    if not 0 <= row < len(table):
        raise InputError(f"row {row}: the set has rows 0 to {len(table) - 1}")
    about = injections.about
    try:
        survey = validated(Survey, about["survey"], "survey of the set")
        settings = about["settings"]
        prior = proposed(
            audit_prior(dict(about["prior"]), tuple(settings["source_magnitude"]), survey),
            settings["proposal"],
        )
        axes = [Axis(**{k: plural(v) for k, v in axis.items()}) for axis in about["axes"]]
        part = np.flatnonzero((table["part"] == table["part"].iloc[row]).to_numpy())
        own = table.iloc[part]
        hosts, size = hosts_of(own, survey), int(settings["batch"])
        chunk = chunk_of(own, axes, settings["mode"] == "degraded")
        bounds = bounds_of(about["bounds"])
    except (KeyError, TypeError, ValidationError) as error:
        raise InputError(
            f"the set does not hold all that redrawing needs ({error}); it was made by another "
            "version"
        ) from None
    campaign = Campaign(
        [chunk],
        hosts,
        out,
        NoFinder(),
        prior,
        settings["gain"],
        settings["moffat_beta"],
        size,
        settings["extinction"],
        kernel_side=about["kernel_side"],
        correlation=about["correlation"],
        bounds=bounds,
    )
    number, slot = divmod(int(np.searchsorted(part, row)), size)
    rows = np.arange(number * size, min((number + 1) * size, len(chunk)))
    stamps = campaign.stamps(chunk.host[rows])
    check_hosts(own.iloc[rows], stamps)
    found = campaign.observed(chunk, rows, stamps)
    measured = described(found, len(rows), survey)
    differs = [
        name
        for name, values in measured.items()
        if name in table and not _same(values[slot], table[name].iloc[row])
    ]
    host, arc, stamp = (np.asarray(found[name][slot]) for name in ("host", "arc", "stamp"))
    return Redrawn(host, arc, stamp, differs)


def hosts_of(rows: pd.DataFrame, survey: Survey) -> Hosts:
    """The hosts of injections, one for each, as the set tells of them."""
    text = lambda name: rows[name].astype(str).to_numpy()
    bands = lambda stem: np.stack(
        [rows[f"host_{stem}_{b}"].to_numpy(np.float64) for b in survey.bands], 1
    )
    columns = {"ebv": rows["host_ebv"].to_numpy(np.float64)}
    columns |= {name: rows[name].to_numpy() for name in OF_THE_HOST if name in rows}
    return Hosts(
        text("galaxy_id"),
        text("split"),
        np.zeros(len(rows), np.int64),
        text("cutout_path"),
        bands("psf_fwhm"),
        bands("psfdepth"),
        text("psf_source"),
        rows["stamp_size"].to_numpy(np.int64),
        rows["pixel_scale"].to_numpy(np.float64),
        columns,
        survey,
    )


def chunk_of(rows: pd.DataFrame, axes: list[Axis], degrade: bool) -> Chunk:
    """The chunk that injections of one part were made in, one host for each."""
    host = tuple(axis for axis in axes if axis.kind == "host")
    cells = {axis: rows[f"cell_{axis.name}"].iloc[0] for axis in host}
    place = tuple([c.value for c in axis.cells].index(cells[axis]) for axis in host)
    keys = [[int(key[:8], 16), int(key[8:], 16)] for key in rows["key"]]
    drawn = {a.column: rows[a.column].to_numpy(np.float64) for a in axes if a.kind == "drawn"}
    return Chunk(
        Site(0, host, place),
        int(rows["stamp_size"].iloc[0]),
        float(rows["pixel_scale"].iloc[0]),
        np.arange(len(rows)),
        drawn,
        rows["index"].to_numpy(np.int64),
        np.array(keys, np.uint32),
        degrade,
    )


def check_hosts(rows: pd.DataFrame, stamps: Mapping[int, np.ndarray]) -> None:
    """Refuses, by InputError, cutouts that are not those that the set was made of."""
    for (_, row), stamp in zip(rows.iterrows(), stamps.values()):
        if digest(stamp) != row["host_sha256"]:
            raise InputError(
                f"{row['cutout_path']}: not the cutout that the set was made of (its pixels "
                "differ); use the run directory of the set"
            )


def plural(value: Any) -> Any:
    """Lists of JSON as the tuples that they were."""
    return tuple(value) if isinstance(value, list) else value


def _same(a: Any, b: Any) -> bool:
    return bool(np.asarray(a) == np.asarray(b)) or bool(np.isnan(a) and np.isnan(b))


class NoFinder:
    """Stands in for a finder where nothing is scored."""

    name = "none"
    info: dict[str, Any] = {}
    differentiable = False

    def logits(self, stamps: Any) -> Any:
        """Raises NotImplementedError: nothing is scored when an injection is only drawn."""
        raise NotImplementedError
