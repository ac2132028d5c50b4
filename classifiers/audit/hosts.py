"""Which galaxies arcs may be injected into: real negatives that the classifier was never trained on, with their PSF and depth.

Being a host is refused, not filtered, when it would make the answer wrong: an object of the training split, a labelled lens, or an object the
classifier's own manifest says it was trained on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from lensjax.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

BANDS = ("g", "r", "z")
RATIO_TO_R = np.array(
    [1.05, 1.0, 0.94]
)  # FWHM of g and z over that of r, where only r is known (spec section 11)
SAME_OBJECT = 2.0  # arcsec


@dataclass(frozen=True)
class Hosts:
    """A table of n hosts. paths: of the cutouts, relative to the run directory · psf: FWHM in g, r, z, arcsec (n, 3) · psfdepth: nanomaggy^-2
    (n, 3), NaN unknown · psf_source: how each FWHM became known (n,), see `completed_psf` · size: pixels · pixel_scale: arcsec."""

    ids: np.ndarray
    split: np.ndarray
    label: np.ndarray
    paths: np.ndarray
    psf: Float[np.ndarray, "n 3"]
    psfdepth: Float[np.ndarray, "n 3"]
    psf_source: np.ndarray
    size: np.ndarray
    pixel_scale: np.ndarray

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, which: np.ndarray) -> Hosts:
        """The hosts at these places (indices or mask)."""
        return Hosts(**{name: getattr(self, name)[which] for name in self.__dataclass_fields__})


def _columns(table: pd.DataFrame, stem: str) -> np.ndarray:
    missing = np.full(len(table), np.nan)
    found = [
        table[f"{stem}_{b}"].to_numpy(np.float64, na_value=np.nan)
        if f"{stem}_{b}" in table
        else missing
        for b in BANDS
    ]
    values = np.stack(found, axis=1)
    return np.where(values > 0, values, np.nan)


def completed_psf(
    psf: Float[np.ndarray, "n 3"], assumed: Sequence[float]
) -> tuple[Float[np.ndarray, "n 3"], np.ndarray]:
    """FWHM per band with gaps filled, and how: "catalogue"; "from r" (g, z = 1.05, 0.94 of r); "from other bands" (r from g or z by the
    same ratios); "assumed" (the setting). NaN where nothing is known and nothing assumed."""
    known = np.isfinite(psf)
    with np.errstate(all="ignore"):
        r_guess = np.where(
            known[:, 1],
            psf[:, 1],
            np.where(known[:, 0], psf[:, 0] / RATIO_TO_R[0], psf[:, 2] / RATIO_TO_R[2]),
        )
    full = np.where(known, psf, r_guess[:, None] * RATIO_TO_R)
    source = np.where(
        known.all(1),
        "catalogue",
        np.where(known[:, 1], "from r", np.where(known.any(1), "from other bands", "assumed")),
    )
    if len(assumed):
        full = np.where(known.any(1)[:, None], full, np.asarray(assumed, np.float64))
    return full, source


def candidates(
    manifest: pd.DataFrame, splits: Sequence[str] | None, assumed_psf: Sequence[float] = ()
) -> Hosts:
    """The negatives (label 0) of these splits (None: of any), sorted by galaxy_id.

    Raises InputError when the manifest lacks a column, or a host has no PSF and none is assumed.
    """
    for name in ("galaxy_id", "cutout_path", "label", "split"):
        if name not in manifest:
            raise InputError(
                f"manifest.parquet: column {name!r} is missing, so hosts cannot be chosen; run `lensjax survey` again"
            )
    chosen = manifest[manifest["label"] == 0]
    if "quality_ok" in chosen:
        chosen = chosen[chosen["quality_ok"].fillna(True).astype(bool)]
    if splits is not None:
        chosen = chosen[chosen["split"].isin(list(splits))]
    return _hosts(chosen.sort_values("galaxy_id"), assumed_psf)


def named(manifest: pd.DataFrame, ids: Sequence[str], assumed_psf: Sequence[float] = ()) -> Hosts:
    """The hosts with these names, whatever they are: `refuse` decides. Raises InputError for a name the manifest lacks."""
    found = manifest.set_index("galaxy_id", drop=False)
    unknown = [i for i in ids if i not in found.index]
    if unknown:
        raise InputError(
            f"host list: {unknown[0]} is not in the manifest ({len(unknown)} such); remove it from the list"
        )
    return _hosts(found.loc[sorted(set(ids))], assumed_psf)


def _hosts(table: pd.DataFrame, assumed_psf: Sequence[float]) -> Hosts:
    psf, source = completed_psf(_columns(table, "psfsize"), assumed_psf)
    unknown = ~np.isfinite(psf).all(1)
    if unknown.any():
        name = table["galaxy_id"].to_numpy()[unknown][0]
        raise InputError(
            f"host {name} has no psfsize in any band ({unknown.sum()} such hosts); set audit.psf_fwhm to the FWHM to assume in g, r, z"
        )
    size = table["size"].to_numpy(np.int64) if "size" in table else np.full(len(table), 101)
    scale = (
        table["pixel_scale"].to_numpy(np.float64)
        if "pixel_scale" in table
        else np.full(len(table), 0.262)
    )
    text = lambda name: table[name].astype(str).to_numpy()
    label = table["label"].to_numpy(np.int64)
    return Hosts(
        text("galaxy_id"),
        text("split"),
        label,
        text("cutout_path"),
        psf,
        _columns(table, "psfdepth"),
        source,
        size,
        scale,
    )


def refuse(
    hosts: Hosts, trained_on: pd.DataFrame | None = None, positions: pd.DataFrame | None = None
) -> None:
    """Raises InputError naming the first host that must not be one.

    trained_on: None when the hosts' own split tells (the classifier was trained on this manifest); otherwise the rows (galaxy_id, ra, dec) that
    another run's classifier was trained on, and then `positions` gives galaxy_id, ra, dec of the hosts, compared within 2 arcsec.
    """
    _stop(hosts, hosts.label != 0, "is a lens (label 1)")
    if trained_on is None:
        _stop(hosts, hosts.split == "train", "is in the training split")
        return
    _stop(
        hosts,
        np.isin(hosts.ids, trained_on["galaxy_id"].astype(str)),
        "was in the classifier's training split",
    )
    if positions is not None and len(trained_on):
        here = positions.set_index("galaxy_id").loc[hosts.ids]
        _stop(
            hosts,
            _near(here, trained_on),
            "lies within 2\" of an object of the classifier's training split",
        )


def _stop(hosts: Hosts, wrong: np.ndarray, what: str) -> None:
    if wrong.any():
        raise InputError(
            f"host {hosts.ids[wrong][0]} {what} ({int(wrong.sum())} such hosts); use negatives that the classifier was not trained on"
        )


def _near(here: pd.DataFrame, there: pd.DataFrame) -> np.ndarray:
    """Which positions lie within 2 arcsec of one of the others; unknown positions do not."""
    from data.sky import SkyTree

    def degrees(table: pd.DataFrame) -> np.ndarray:
        return np.stack([table[c].to_numpy(np.float64, na_value=np.nan) for c in ("ra", "dec")])

    a, b = degrees(here), degrees(there)
    known, other = np.isfinite(a).all(0), np.isfinite(b).all(0)
    found = np.zeros(len(known), bool)
    found[known] = SkyTree(*b[:, other]).separation(*a[:, known]) < SAME_OBJECT
    return found


def read_stamp(path: Path, size: int) -> Float[np.ndarray, "h w 3"]:
    """A host's stamp, nanomaggies float32, NaN where there is no data. Raises InputError when it cannot be read or has another size."""
    from data.cutouts import read_npz

    stamp = np.asarray(read_npz(path)[0], np.float32)
    if stamp.shape != (size, size, 3):
        raise InputError(
            f"{path}: stamp of shape {stamp.shape}, the manifest says ({size}, {size}, 3); run `lensjax survey --force`"
        )
    return np.where(np.isfinite(stamp), stamp, np.nan)


def measured_depth(
    stamp: Float[np.ndarray, "h w 3"], psf_fwhm: Float[np.ndarray, " 3"], pixel_scale: float
) -> Float[np.ndarray, " 3"]:
    """psfdepth (nanomaggy^-2) of a stamp whose table has none: sum(psf^2) / sigma^2 with a Gaussian PSF and the sky's scatter from the stamp's
    own outer pixels (lensjax.sky_sigma)."""
    import jax.numpy as jnp

    import lensjax as lj

    norm = lj.pixel_sigma(
        1.0,
        lj.Gaussian(jnp.asarray(psf_fwhm, jnp.float32)),
        lj.PixelGrid(stamp.shape[0], pixel_scale),
    )
    return np.asarray((norm / lj.sky_sigma(jnp.asarray(stamp))) ** 2, np.float64)


def with_depth(hosts: Hosts, out: Path) -> tuple[Hosts, np.ndarray]:
    """Hosts with psfdepth known in every band, and which of them had to be measured on the stamp (n,)."""
    unknown = ~np.isfinite(hosts.psfdepth).all(1)
    depth = hosts.psfdepth.copy()
    for i in np.flatnonzero(unknown):
        own = measured_depth(
            read_stamp(Path(out) / hosts.paths[i], hosts.size[i]),
            hosts.psf[i],
            hosts.pixel_scale[i],
        )
        depth[i] = np.where(np.isfinite(depth[i]), depth[i], own)
    return replace(hosts, psfdepth=depth), unknown
