"""Which galaxies arcs may be injected into, with what is known of them.

They are real negatives that the finder was never trained on. A host that would make the answer
wrong is refused and not silently left out: an object of the training split, a labelled lens, or an
object that the finder's own manifest says it was trained on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Bool, Float

from classifiers.audit.axes import Axis
from data.photometry import depth_m5
from data.survey import Survey, default
from lensjax.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

SAME_OBJECT = 2.0
"""arcsec"""
UNLABELLED = "unlabelled"
"""`cutout_type` of an object of which nobody has said whether it is a lens"""
MEASURED_ON = "psf_measured_on"
"""column that `psffiles` gives hosts whose PSF was measured: on what, "" for their own images"""
KERNEL = "psf_path"
"""column of the manifest with the file of a host's PSF kernels, see `kernels`"""


@dataclass(frozen=True)
class Hosts:
    """A table of n hosts of a survey. paths: of the cutouts, relative to the run directory. psf:
    FWHM in every band, arcsec (n, B). psfdepth: nanomaggy^-2 (n, B), NaN where unknown. psf_source:
    how each FWHM became known (n,), see `completed_psf`; "kernel" where it is that of a measured
    PSF. size: pixels. pixel_scale: arcsec.
    columns: of the manifest, each (n,)."""

    ids: np.ndarray
    split: np.ndarray
    label: np.ndarray
    paths: np.ndarray
    psf: Float[np.ndarray, "n b"]
    psfdepth: Float[np.ndarray, "n b"]
    psf_source: np.ndarray
    size: np.ndarray
    pixel_scale: np.ndarray
    columns: Mapping[str, np.ndarray] = field(default_factory=dict)
    survey: Survey = field(default_factory=default)

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, which: np.ndarray) -> Hosts:
        """The hosts at these places (indices or mask)."""
        plain = [f.name for f in fields(self) if f.name not in ("columns", "survey")]
        own = {name: getattr(self, name)[which] for name in plain}
        return replace(self, **own, columns={k: v[which] for k, v in self.columns.items()})

    @property
    def fwhm(self) -> Float[np.ndarray, " n"]:
        """PSF FWHM in the survey's reference band, arcsec."""
        return self.psf[:, self.survey.place]

    @property
    def depth(self) -> Float[np.ndarray, " n"]:
        """5-sigma depth of a point source in the survey's reference band, AB mag."""
        return depth_m5(self.psfdepth[:, self.survey.place])

    @property
    def ebv(self) -> Float[np.ndarray, " n"]:
        """E(B-V) of the Milky Way, mag; NaN where it is unknown."""
        found = self.columns.get("ebv", np.full(len(self), np.nan))
        return np.asarray(found, np.float64)

    @property
    def kernels(self) -> np.ndarray | None:
        """Files of PSF kernels, one for each host, relative to the run directory; or None."""
        found = self.columns.get(KERNEL)
        given = found is not None and all(isinstance(v, str) and v for v in found)
        return found if given else None

    def values(self, axis: Axis) -> np.ndarray:
        """What the hosts have along a host axis (n,)."""
        own = {"psf_fwhm": lambda: self.fwhm, "depth_m5": lambda: self.depth}
        return own[axis.column]() if axis.column in own else self.columns[axis.column]


def _column(table: pd.DataFrame, name: str) -> np.ndarray:
    """A column as floats where it is numeric, as it is where not; missing numbers are NaN."""
    import pandas as pd

    values = table[name]
    if pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values):
        return values.to_numpy(np.float64, na_value=np.nan)
    return values.astype(object).where(values.notna(), None).to_numpy()


def _bands(table: pd.DataFrame, stem: str, survey: Survey) -> Float[np.ndarray, "n b"]:
    missing = np.full(len(table), np.nan)
    found = [
        table[name].to_numpy(np.float64, na_value=np.nan) if name in table else missing
        for name in survey.per_band(stem)
    ]
    values = np.stack(found, axis=1)
    return np.where(values > 0, values, np.nan)


def completed_psf(
    psf: Float[np.ndarray, "n b"], assumed: Sequence[float], survey: Survey | None = None
) -> tuple[Float[np.ndarray, "n b"], np.ndarray]:
    """FWHM in every band with gaps filled by the survey's ratios, and how they became known:
    "catalogue"; "from r" (or what the reference band is called); "from other bands"; "assumed" (the
    setting). NaN where nothing is known and nothing is assumed."""
    survey = survey or default()
    ratio, place = np.array(survey.fwhm_ratio), survey.place
    known = np.isfinite(psf)
    first = np.argmax(known, axis=1)
    other = np.take_along_axis(psf, first[:, None], 1)[:, 0] / ratio[first]
    reference = np.where(known[:, place], psf[:, place], other)
    full = np.where(known, psf, reference[:, None] * ratio)
    some = np.where(known[:, place], f"from {survey.reference}", "from other bands")
    source = np.where(known.all(1), "catalogue", np.where(known.any(1), some, "assumed"))
    if len(assumed):
        full = np.where(known.any(1)[:, None], full, np.asarray(assumed, np.float64))
    return full, source


def candidates(
    manifest: pd.DataFrame,
    splits: Sequence[str] | None,
    assumed_psf: Sequence[float] = (),
    survey: Survey | None = None,
    unlabelled: bool = False,
) -> Hosts:
    """The negatives (label 0) of these splits (None: of any), sorted by galaxy_id.

    unlabelled: whether objects that nobody has labelled count as negatives. Raises InputError when
    the manifest lacks a column. Where no PSF is known it is NaN, see `require_psf`.
    """
    for name in ("galaxy_id", "cutout_path", "label", "split"):
        if name not in manifest:
            raise InputError(
                f"manifest.parquet: column {name!r} is missing, so hosts cannot be chosen; run "
                "`lensjax survey` again"
            )
    chosen = manifest[(manifest["label"] == 0).fillna(False)]
    if not unlabelled and "cutout_type" in chosen:
        chosen = chosen[~chosen["cutout_type"].eq(UNLABELLED).fillna(False)]
    if "quality_ok" in chosen:
        chosen = chosen[chosen["quality_ok"].fillna(True).astype(bool)]
    if splits is not None:
        chosen = chosen[chosen["split"].isin(list(splits))]
    return _hosts(chosen.sort_values("galaxy_id"), assumed_psf, survey or default())


def named(
    manifest: pd.DataFrame,
    ids: Sequence[str],
    assumed_psf: Sequence[float] = (),
    survey: Survey | None = None,
) -> Hosts:
    """The hosts with these names, whatever they are: `refuse` decides. Raises InputError for a name
    that the manifest lacks."""
    found = manifest.set_index("galaxy_id", drop=False)
    unknown = [i for i in ids if i not in found.index]
    if unknown:
        raise InputError(
            f"host list: {unknown[0]} is not in the manifest ({len(unknown)} such); remove it from "
            "the list"
        )
    return _hosts(found.loc[sorted(set(ids))], assumed_psf, survey or default())


def require_psf(hosts: Hosts) -> None:
    """Raises InputError naming the first host of which no PSF is known or assumed."""
    unknown = ~np.isfinite(hosts.psf).all(1)
    if unknown.any():
        raise InputError(
            f"host {hosts.ids[unknown][0]} has no psfsize in any band ({unknown.sum()} such "
            f"hosts); name files of measured PSFs in audit.psf_files, or set audit.psf_fwhm to the "
            f"FWHM to assume in {', '.join(hosts.survey.bands)}"
        )


def _hosts(table: pd.DataFrame, assumed_psf: Sequence[float], survey: Survey) -> Hosts:
    if len(assumed_psf) not in (0, len(survey.bands)):
        raise InputError(
            f"audit.psf_fwhm has {len(assumed_psf)} values; give one for each of "
            f"{', '.join(survey.bands)}"
        )
    psf, source = completed_psf(_bands(table, "psfsize", survey), assumed_psf, survey)
    if MEASURED_ON in table:
        source = np.where(table[MEASURED_ON].notna().to_numpy(), "kernel", source)
    every = lambda name, value: (
        table[name].to_numpy() if name in table else np.full(len(table), value)
    )
    text = lambda name: table[name].astype(str).to_numpy()
    return Hosts(
        text("galaxy_id"),
        text("split"),
        table["label"].to_numpy(np.int64),
        text("cutout_path"),
        psf,
        _bands(table, "psfdepth", survey),
        source,
        every("size", survey.stamp).astype(np.int64),
        every("pixel_scale", survey.pixel_scale).astype(np.float64),
        {str(name): _column(table, name) for name in table.columns},
        survey,
    )


def refuse(
    hosts: Hosts, trained_on: pd.DataFrame | None = None, positions: pd.DataFrame | None = None
) -> None:
    """Raises InputError naming the first host that must not be one.

    trained_on: None when the hosts' own split tells (the finder was trained on this manifest);
    otherwise the rows (galaxy_id, ra, dec) that the finder was trained on, and then `positions`
    gives galaxy_id, ra, dec of the hosts, compared within 2 arcsec.
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
            f"host {hosts.ids[wrong][0]} {what} ({int(wrong.sum())} such hosts); use negatives "
            "that the classifier was not trained on"
        )


def _near(here: pd.DataFrame, there: pd.DataFrame) -> Bool[np.ndarray, " n"]:
    """Which positions lie within 2 arcsec of one of the others; unknown positions do not."""
    from data.sky import SkyTree

    def degrees(table: pd.DataFrame) -> np.ndarray:
        return np.stack([table[c].to_numpy(np.float64, na_value=np.nan) for c in ("ra", "dec")])

    a, b = degrees(here), degrees(there)
    known, other = np.isfinite(a).all(0), np.isfinite(b).all(0)
    found = np.zeros(len(known), bool)
    found[known] = SkyTree(*b[:, other]).separation(*a[:, known]) < SAME_OBJECT
    return found


def read_stamp(path: Path, size: int, bands: int) -> Float[np.ndarray, "h w b"]:
    """A host's stamp, nanomaggies float32, NaN where there is no data. Raises InputError when it
    cannot be read or has another shape."""
    from data.cutouts import read_npz

    stamp = np.asarray(read_npz(path)[0], np.float32)
    if stamp.shape != (size, size, bands):
        raise InputError(
            f"{path}: stamp of shape {stamp.shape}, the manifest and the survey say "
            f"({size}, {size}, {bands}); run `lensjax survey --force`"
        )
    return np.where(np.isfinite(stamp), stamp, np.nan)


def digest(stamp: Float[np.ndarray, "h w b"]) -> str:
    """SHA-256 of the pixels of a host."""
    return sha256(np.ascontiguousarray(stamp, np.float32).tobytes()).hexdigest()


def measured_depth(
    stamp: Float[np.ndarray, "h w b"],
    psf_fwhm: Float[np.ndarray, " b"],
    pixel_scale: float,
    kernel: Float[np.ndarray, "b k k"] | None = None,
) -> Float[np.ndarray, " b"]:
    """psfdepth (nanomaggy^-2) of a stamp whose table has none: sum(psf^2) / sigma^2 with the PSF's
    kernel, or a Gaussian of its FWHM (arcsec), and the sky's scatter from the stamp's own outer
    pixels (lensjax.sky_sigma)."""
    import jax.numpy as jnp

    import lensjax as lj

    psf: Any = lj.Gaussian(jnp.asarray(psf_fwhm, jnp.float32))
    if kernel is not None:
        psf = lj.PixelKernel(jnp.asarray(kernel, jnp.float32))
    grid = lj.PixelGrid(stamp.shape[0], float(pixel_scale))
    return np.asarray(_depth()(jnp.asarray(stamp), psf, grid), np.float64)


@cache
def _depth() -> Callable[[Any, Any, Any], Any]:
    """The compiled part of `measured_depth`. Uncompiled it takes near a second for each host."""
    import jax

    import lensjax as lj

    return jax.jit(lambda s, psf, grid: (lj.pixel_sigma(1.0, psf, grid) / lj.sky_sigma(s)) ** 2)


def with_depth(hosts: Hosts, out: Path) -> tuple[Hosts, np.ndarray]:
    """Hosts with psfdepth known in every band, and which of them had to be measured on the stamp
    (n,)."""
    from classifiers.audit import kernels

    unknown = ~np.isfinite(hosts.psfdepth).all(1)
    depth, bands = hosts.psfdepth.copy(), len(hosts.survey.bands)
    for i in np.flatnonzero(unknown):
        stamp = read_stamp(Path(out) / hosts.paths[i], hosts.size[i], bands)
        kernel = None if hosts.kernels is None else kernels.of_host(hosts, int(i), Path(out))
        own = measured_depth(stamp, hosts.psf[i], hosts.pixel_scale[i], kernel)
        depth[i] = np.where(np.isfinite(depth[i]), depth[i], own)
    return replace(hosts, psfdepth=depth), unknown
