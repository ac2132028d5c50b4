"""PSF kernels of hosts, from the files that the column `psf_path` of the manifest names.

A path is relative to the run directory. Three kinds of file are read:

- NPZ with an array `kernel` (or only one array), axes (band, row, column);
- FITS with such an image;
- one file for each band, where the path holds `{band}`: an NPZ or FITS image (row, column), or a
  PsfEx model, for which the columns `psf_x` and `psf_y` say at which pixel of the detector the host
  lies. The model is placed there.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from classifiers.audit.hosts import KERNEL, Hosts
from data.cutouts import LARGEST_SIDE
from data.names import inside
from lensjax.errors import InputError, said

PLACE = ("psf_x", "psf_y")


def of_host(hosts: Hosts, place: int, out: Path) -> Float[np.ndarray, "b k k"]:
    """Kernels (B, K, K) of a host. Raises InputError as `read` and `of_bands` do."""
    names, bands = hosts.kernels, hosts.survey.bands
    assert names is not None
    name = str(names[place])
    if "{band}" not in name:
        return read(_path(out, name), len(bands))
    missing = [c for c in PLACE if c not in hosts.columns]
    at = None if missing else tuple(float(hosts.columns[c][place]) for c in PLACE)
    paths = [_path(out, name.replace("{band}", band)) for band in bands]
    cure = f"add columns {' and '.join(PLACE)} to the manifest"
    return of_bands(paths, at, f"host {hosts.ids[place]}", cure)


def of_bands(
    paths: Sequence[Path], at: tuple[float, ...] | None, who: str, cure: str
) -> Float[np.ndarray, "b k k"]:
    """Kernels from one file for each band, as wide as the widest. at: x and y of PsfEx models, the
    pixel of the detector. who, cure: of the error when models have no such place. Raises InputError
    as `read` does."""
    found = []
    for path in paths:
        if not _is_psfex(path):
            found.append(read(path, 1)[0])
        elif at is None or not np.isfinite(at).all():
            raise InputError(
                f"{who}: {path.name} is a PsfEx model and needs a place on the detector; {cure}"
            )
        else:
            found.append(_psfex(path, at[0], at[1]))
    side = max(kernel.shape[-1] for kernel in found)
    return np.stack([fitted(kernel[None], side)[0] for kernel in found])


def read(path: Path, bands: int) -> Float[np.ndarray, "b k k"]:
    """Kernels from one file, float32, K odd; of one band the file may hold a plain image. Raises
    InputError when the file is missing or holds something else."""
    try:
        if path.suffix == ".npz":
            with np.load(path, allow_pickle=False) as found:
                files = found.files
                kernel: Any = found["kernel" if "kernel" in files else files[0]]
        else:
            from astropy.io import fits

            with fits.open(path) as opened:
                kernel = next(h.data for h in opened if h.data is not None)
        kernel = np.asarray(kernel, np.float32)
    except Exception as error:  # two readers with their own families of errors on damaged bytes
        raise InputError(f"{path}: no PSF kernels can be read from it ({said(error)})") from None
    if bands == 1 and kernel.ndim == 2:
        kernel = kernel[None]
    return _checked(path, kernel, bands)


def _checked(path: Path, kernel: np.ndarray, bands: int) -> Float[np.ndarray, "b k k"]:
    """The kernels, if they can be those of so many bands."""
    k = kernel.shape[-1] if kernel.ndim == 3 else 0
    if kernel.shape != (bands, k, k) or k % 2 == 0 or not np.isfinite(kernel).all():
        raise InputError(
            f"{path}: kernels of shape {kernel.shape}; give finite ones, ({bands}, K, K) with K odd"
        )
    if (kernel.sum((1, 2)) <= 0).any():
        raise InputError(f"{path}: a PSF kernel whose sum is not positive; give the PSF itself")
    return kernel


def fitted(kernel: np.ndarray, side: int) -> np.ndarray:
    """Kernels (B, K, K) with zeros around them, or cut, to an odd side."""
    k = kernel.shape[-1]
    if k > side:
        cut = (k - side) // 2
        return kernel[:, cut : cut + side, cut : cut + side]
    edge = (side - k) // 2
    return np.pad(kernel, [(0, 0), (edge, edge), (edge, edge)])


def _path(out: Path, name: str) -> Path:
    return inside(Path(out), name, f"manifest.parquet, column {KERNEL}")


def _is_psfex(path: Path) -> bool:
    """Whether a file is a FITS table with a PsfEx model. False where it cannot be read."""
    from astropy.io import fits

    if path.suffix == ".npz":
        return False
    try:
        with fits.open(path) as opened:
            return any(_has_model(hdu) for hdu in opened)
    except Exception:  # damaged, which `read` says
        return False


def _has_model(hdu: Any) -> bool:
    columns = getattr(hdu, "columns", None)
    return columns is not None and "psf_mask" in {n.lower() for n in columns.names}


def _psfex(path: Path, x: float, y: float) -> Float[np.ndarray, "k k"]:
    """The kernel of a PsfEx file at a pixel of the detector, as wide as the model. The model's
    numbers are in the header, as PsfEx writes them, or in columns of the same names, as the Legacy
    Surveys do."""
    import jax.numpy as jnp
    from astropy.io import fits

    import lensjax as lj

    try:
        with fits.open(path) as opened:
            table = next(h for h in opened if _has_model(h))
            if len(table.data) != 1:
                raise ValueError(f"{len(table.data)} models; give a file with one")
            known = {str(k).upper(): v for k, v in table.header.items()}
            for name in table.columns.names:
                value = table.data[name][0]
                if np.ndim(value) == 0:
                    known[name.upper()] = value
            mask = next(n for n in table.columns.names if n.lower() == "psf_mask")
            basis = np.asarray(table.data[mask][0], np.float32)
        zero = [float(known.get(f"POLZERO{i}", 0.0)) for i in (1, 2)]
        scale = [float(known.get(f"POLSCAL{i}", 1.0)) for i in (1, 2)]
        sampling = float(known["PSF_SAMP"])
    except Exception as error:  # whatever astropy raises on damaged bytes, or a key is not there
        raise InputError(f"{path}: no PsfEx model can be read from it ({error!r})") from None
    told = {"POLZERO1": zero[0], "POLZERO2": zero[1], "POLSCAL1": scale[0], "POLSCAL2": scale[1]}
    for name, value in {**told, "PSF_SAMP": sampling}.items():
        if not np.isfinite(value) or (value <= 0 and not name.startswith("POLZERO")):
            raise InputError(f"{path}: {name} is {value:g}; fetch or make the PsfEx model again")
    size = 2 * int(basis.shape[-1] // 2 * sampling) + 1
    if size > LARGEST_SIDE:
        raise InputError(
            f"{path}: with PSF_SAMP {sampling:g} its kernel has {size} pixels a side, at most "
            f"{LARGEST_SIDE}; fetch or make the PsfEx model again"
        )
    try:
        model = lj.PsfEx(jnp.asarray(basis), zero[0], scale[0], zero[1], scale[1], sampling)
        kernel = np.asarray(model.kernel(x, y, size), np.float32)
    except (ValueError, TypeError) as error:
        raise InputError(f"{path}: no PsfEx model can be read from it ({said(error)})") from None
    return _checked(path, kernel[None], 1)[0]
