"""Input validation: one line that names the parameter, its value and what it may be.

Values can only be looked at outside of jit, vmap and grad; shapes and types everywhere. Inside a compiled call nothing can be refused: there
`harmless` keeps bad values from becoming NaN, and `valid` says that there were some.
"""

from dataclasses import replace
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool

from lensjax.errors import InputError
from lensjax.grid import PixelGrid
from lensjax.light import SERSIC_N


class Domain(NamedTuple):
    """The interval that a parameter may lie in, in words too; what stands in for a bad value; which ends are part of it."""

    low: float
    high: float
    words: str
    stand_in: float = 0.0
    ends: Literal["[]", "(]", "()"] = "[]"

    def holds(self, value: Any) -> Any:
        """Whether each value is inside; NaN and infinity never are. NumPy or JAX, whatever `value` is."""
        above = value >= self.low if self.ends[0] == "[" else value > self.low
        below = value <= self.high if self.ends[1] == "]" else value < self.high
        return above & below & (abs(value) < np.inf)


POSITIVE = Domain(0.0, np.inf, "larger than 0", 1.0, "()")
ANY = Domain(-np.inf, np.inf, "finite")
DOMAINS: dict[str, Domain] = {
    "theta_e": Domain(0.0, np.inf, "0 or larger"),
    "q": Domain(0.0, 1.0, "larger than 0 and at most 1", 1.0, "(]"),
    "slope": Domain(1.0, 3.0, "between 1 and 3", 2.0, "()"),
    "flux": Domain(0.0, np.inf, "0 or larger"),
    "r_eff": POSITIVE,
    "sigma": POSITIVE,
    "size": POSITIVE,
    "scale": POSITIVE,
    "fwhm": POSITIVE,
    "n": Domain(*SERSIC_N, f"between {SERSIC_N[0]} and {SERSIC_N[1]}", 1.0),
    "beta": Domain(1.0, np.inf, "larger than 1", 3.5, "()"),
    "fraction": Domain(0.0, 1.0, "between 0 and 1"),
}
"""By the name of the field; every other one has to be finite."""


def valid(*things: Any) -> Bool[Array, ""]:
    """Whether every value in scenes, PSFs and images is in its domain; False if any is NaN or outside. For use inside jit and vmap, where
    nothing can be refused: of a batch, `jax.vmap(valid)(scenes, psfs, hosts)` (n,) are the ones whose images mean something."""
    flags = [
        jnp.all(_domain(path).holds(jnp.asarray(leaf)))
        for path, leaf in jax.tree_util.tree_leaves_with_path(things)
    ]
    return jnp.all(jnp.stack([*flags, *(jnp.all(total > 0) for total in _totals(things))]))


def harmless(thing: Any) -> Any:
    """The same scene or PSF with every value outside its domain replaced: fluxes and Einstein radii by 0, axis ratios by 1, NaN pixels by 0.
    Values inside are untouched, gradients with respect to them too; those to replaced ones are 0."""

    def number(path: Any, leaf: Any) -> Array:
        domain, leaf = _domain(path), jnp.asarray(leaf)
        return jnp.where(domain.holds(leaf), leaf, jnp.asarray(domain.stand_in, leaf.dtype))

    def image(found: Any) -> Any:
        name = _IMAGES.get(type(found).__name__)
        if name is None:
            return found
        pixels = getattr(found, name)
        return replace(
            found, **{name: jnp.where(jnp.sum(pixels, (-2, -1), keepdims=True) > 0, pixels, 1.0)}
        )

    return jax.tree.map(image, jax.tree_util.tree_map_with_path(number, thing), is_leaf=_has_image)


def check(scene: Any, grid: PixelGrid, psf: Any) -> None:
    """Refuses a scene or PSF outside the renderer's domain: see `render`. Raises InputError."""
    from lensjax.psf import PixelKernel

    if not isinstance(grid, PixelGrid):
        raise InputError(f"grid = {grid!r}: give PixelGrid(size, scale)")
    if not hasattr(psf, "transfer") or any(value is None for value in vars(psf).values()):
        raise InputError(
            f"psf = {psf!r}: give a Gaussian, Moffat or PixelKernel; a host whose PSF is not known cannot be injected into"
        )
    if not hasattr(scene, "light") or scene.source == () or scene.source is None:
        raise InputError(
            "Scene has no source: give Scene(source=Sersic(...)) or a tuple of profiles"
        )
    for path, leaf in jax.tree_util.tree_leaves_with_path((scene, psf)):
        _check_leaf(path, leaf)
    if isinstance(psf, PixelKernel):
        shape = np.shape(psf.kernel)
        if len(shape) != 3 or shape[1] != shape[2] or shape[1] % 2 == 0:
            raise InputError(f"PixelKernel kernel has shape {shape}: give (bands, K, K) with K odd")
        if shape[1] > grid.size:
            raise InputError(
                f"PixelKernel kernel is {shape[1]} pixels wide, the stamp {grid.size}: crop the kernel or enlarge the stamp"
            )
    _check_clumps(scene)
    bands = {
        name: np.shape(getattr(psf, name))
        for name in ("fwhm", "beta", "kernel")
        if hasattr(psf, name)
    }
    bands |= {f"{type(light).__name__} flux": np.shape(light.flux) for light in scene.light()}
    for name, shape in bands.items():
        if len(shape) > (3 if name == "kernel" else 1):
            raise InputError(
                f"{name} has shape {shape}: give one value per band, and a batch of scenes by jax.vmap"
            )
    counts = {name: shape[0] for name, shape in bands.items() if shape and shape[0] != 1}
    if len(set(counts.values())) > 1:
        raise InputError(
            "band counts differ: "
            + ", ".join(f"{name} has {n}" for name, n in counts.items())
            + "; give one value per band"
        )
    for total in _totals((scene, psf)):
        if not isinstance(total, jax.core.Tracer) and not (np.asarray(total) > 0).all():
            raise InputError(
                f"the sum of an image or kernel is {float(np.min(total)):g}: it should be larger than 0"
            )


def check_image(name: str, image: Any, shape: tuple[int, ...] | None = None) -> None:
    """Refuses what is not an image (N, N, B) in single or double precision, or not of `shape`, or (outside of jit) not finite. InputError."""
    if image is None or len(np.shape(image)) != 3 or np.shape(image)[0] != np.shape(image)[1]:
        raise InputError(
            f"{name} has shape {None if image is None else np.shape(image)}: give (N, N, bands)"
        )
    if shape is not None and np.shape(image) != shape:
        raise InputError(
            f"{name} has shape {np.shape(image)}, it should be {shape}: the same pixels and bands (an even stamp is not an odd one)"
        )
    _check_precision(name, image)
    if not isinstance(image, jax.core.Tracer):
        bad = np.argwhere(~np.isfinite(np.asarray(image)))
        if bad.size:
            row, column, band = bad[0]
            raise InputError(
                f"{name} has {len(bad)} pixels that are not finite, first row {row}, column {column}, band {band}: it should be finite"
            )


def check_value(label: str, value: Any, domain: Domain) -> None:
    """Refuses a value, or an array with one, outside of its domain, naming it. Raises InputError; inside jit only the precision is looked at."""
    _check_precision(label, value)
    if isinstance(value, jax.core.Tracer):
        return
    try:
        values = np.asarray(value, float)
    except (TypeError, ValueError):
        raise InputError(f"{label} = {value!r}: it should be a number, {domain.words}") from None
    bad = ~domain.holds(values)
    if bad.any():
        raise InputError(f"{label} = {values[bad].flat[0]:g}: it should be {domain.words}")


def _domain(path: Any) -> Domain:
    return DOMAINS.get(str(getattr(path[-1], "name", "")), ANY)


def _check_leaf(path: Any, leaf: Any) -> None:
    check_value(".".join(str(getattr(k, "name", k)) for k in path[1:]), leaf, _domain(path))


def _check_precision(label: str, value: Any) -> None:
    if str(getattr(value, "dtype", "")) in ("float16", "bfloat16"):
        raise InputError(
            f"{label} is {value.dtype}: give float32 or float64, half precision cannot hold an arc's dynamic range"
        )


def _check_clumps(scene: Any) -> None:
    if scene.clumps is None:
        return
    shapes = {
        name: np.shape(getattr(scene.clumps, name)) for name in ("fraction", "u", "v", "size")
    }
    if len(set(shapes.values())) > 1 or len(shapes["fraction"]) != 1:
        raise InputError(
            "Clumps shapes differ: "
            + ", ".join(f"{k} {v}" for k, v in shapes.items())
            + "; give (K,) each"
        )
    if (
        not isinstance(scene.clumps.fraction, jax.core.Tracer)
        and (total := float(np.sum(scene.clumps.fraction))) > 1 + 1e-6
    ):
        raise InputError(f"clumps.fraction sums to {total:g}: it should be at most 1")


_IMAGES = {"GalaxyImage": "image", "PixelKernel": "kernel"}
"""What is divided by its sum."""


def _has_image(thing: Any) -> bool:
    return type(thing).__name__ in _IMAGES


def _totals(things: Any) -> list[Any]:
    found = [t for t in jax.tree.leaves(things, is_leaf=_has_image) if _has_image(t)]
    return [jnp.sum(getattr(t, _IMAGES[type(t).__name__]), (-2, -1)) for t in found]
