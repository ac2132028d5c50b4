"""Input validation: one line that names the parameter, its value and what it may be.

Values can only be looked at outside of jit, vmap and grad; shapes and types everywhere.
"""

from typing import Any

import jax
import numpy as np

from lensjax.errors import InputError
from lensjax.grid import PixelGrid
from lensjax.light import SERSIC_N

POSITIVE = (0.0, np.inf, "larger than 0")
ANY = (-np.inf, np.inf, "finite")
RANGES: dict[str, tuple[float, float, str]] = {
    "theta_e": (0.0, np.inf, "0 or larger"),
    "q": (0.0, 1.0, "larger than 0 and at most 1"),
    "slope": (1.0, 3.0, "between 1 and 3"),
    "flux": (0.0, np.inf, "0 or larger"),
    "r_eff": POSITIVE,
    "sigma": POSITIVE,
    "size": POSITIVE,
    "scale": POSITIVE,
    "fwhm": POSITIVE,
    "n": (*SERSIC_N, f"between {SERSIC_N[0]} and {SERSIC_N[1]}"),
    "beta": (1.0, np.inf, "larger than 1"),
    "fraction": (0.0, 1.0, "between 0 and 1"),
}
STRICT = {"q", "r_eff", "sigma", "size", "scale", "fwhm", "beta", "slope"}
"""Parameters whose lower end is not allowed itself."""


def check(scene: Any, grid: PixelGrid, psf: Any) -> None:
    """Refuses a scene or PSF outside the renderer's domain: see `render`. Raises InputError."""
    from lensjax.psf import PixelKernel

    if scene.source == () or scene.source is None:
        raise InputError("Scene has no source: give Scene(source=Sersic(...)) or a tuple of profiles")
    for path, leaf in jax.tree_util.tree_leaves_with_path((scene, psf)):
        _check_leaf(path, leaf)
    if isinstance(psf, PixelKernel):
        shape = np.shape(psf.kernel)
        if len(shape) != 3 or shape[1] != shape[2] or shape[1] % 2 == 0:
            raise InputError(f"PixelKernel kernel has shape {shape}: give (bands, K, K) with K odd")
        if shape[1] > grid.size:
            raise InputError(f"PixelKernel kernel is {shape[1]} pixels wide, the stamp {grid.size}: crop the kernel or enlarge the stamp")
    bands = {name: np.shape(getattr(psf, name)) for name in ("fwhm", "beta", "kernel") if hasattr(psf, name)}
    bands |= {f"{type(light).__name__} flux": np.shape(light.flux) for light in scene.light()}
    for name, shape in bands.items():
        if len(shape) > (3 if name == "kernel" else 1):
            raise InputError(f"{name} has shape {shape}: give one value per band, and a batch of scenes by jax.vmap")
    counts = {name: shape[0] for name, shape in bands.items() if shape and shape[0] != 1}
    if len(set(counts.values())) > 1:
        raise InputError("band counts differ: " + ", ".join(f"{name} has {n}" for name, n in counts.items()) + "; give one value per band")


def _check_leaf(path: Any, leaf: Any) -> None:
    name = str(getattr(path[-1], "name", path[-1]))
    label = ".".join(str(getattr(k, "name", k)) for k in path[1:])
    dtype = np.result_type(leaf) if not hasattr(leaf, "dtype") else leaf.dtype
    if str(dtype) in ("float16", "bfloat16"):
        raise InputError(f"{label} is {dtype}: give float32 or float64, half precision cannot hold an arc's dynamic range")
    if isinstance(leaf, jax.core.Tracer):
        return
    values = np.asarray(leaf, float)
    low, high, words = RANGES.get(name, ANY)
    bad = ~np.isfinite(values) | (values < low) | (values > high) | ((values == low) & (name in STRICT))
    if bad.any():
        raise InputError(f"{label} = {values[bad].flat[0]:g}: it should be {words}")
