"""Input validation: one line that names the parameter, its value and what it may be.

Values can only be looked at outside of jit, vmap and grad; shapes and types everywhere. Inside a
compiled call nothing can be refused: there `harmless` keeps bad values from becoming NaN, and
`valid` says that there were some. The domain of a value is written beside its field
(`lensjax.component.parameter`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import Field, fields, is_dataclass, replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool

from lensjax.component import ANY, Component, Domain, domain_of
from lensjax.errors import InputError
from lensjax.grid import PixelGrid
from lensjax.light import Light
from lensjax.mass import Mass


class _Leaf(NamedTuple):
    """A value somewhere in a scene or PSF: how messages call it, its domain, the value, and whether
    it is an image that is divided by its sum."""

    label: str
    domain: Domain
    value: Any
    normalised: bool


def valid(*things: Any) -> Bool[Array, ""]:
    """Whether every value in scenes, PSFs and images is in its domain; False if any is NaN or
    outside. For use inside jit and vmap, where nothing can be refused. For a batch,
    `jax.vmap(valid)(scenes, psfs, hosts)` (n,) says whose images mean something."""
    flags = [jnp.asarray(True)]
    for leaf in _leaves(things):
        flags.append(jnp.all(leaf.domain.holds(jnp.asarray(leaf.value))))
        if leaf.normalised:
            flags.append(jnp.all(_total(leaf.value) > 0))
    return jnp.all(jnp.stack(flags))


def harmless(thing: Any) -> Any:
    """The same scene or PSF with every value outside its domain replaced: fluxes and Einstein radii
    by 0, axis ratios by 1, NaN pixels by 0. Values inside keep their values and gradients;
    gradients with respect to replaced ones are 0."""
    return _rebuilt(thing, ANY, False)


def _rebuilt(thing: Any, domain: Domain, normalised: bool) -> Any:
    if thing is None or isinstance(thing, PixelGrid):
        return thing
    if is_dataclass(thing) and not isinstance(thing, type):
        parts = {f.name: getattr(thing, f.name) for f in _dynamic(thing)}
        kept = {f.name: (_domain(thing, f), _is_image(f)) for f in _dynamic(thing)}
        return replace(thing, **{name: _rebuilt(p, *kept[name]) for name, p in parts.items()})
    if isinstance(thing, tuple | list):
        return type(thing)(_rebuilt(part, domain, normalised) for part in thing)
    leaf = jnp.asarray(thing)
    leaf = jnp.where(domain.holds(leaf), leaf, jnp.asarray(domain.stand_in, leaf.dtype))
    return jnp.where(_total(leaf, True) > 0, leaf, 1.0) if normalised else leaf


def check(scene: Any, grid: PixelGrid, psf: Any) -> None:
    """Refuses a scene or PSF outside the renderer's domain: see `render`. Raises InputError."""
    if not hasattr(psf, "transfer") or any(value is None for value in vars(psf).values()):
        raise InputError(
            f"psf = {psf!r}: give a Gaussian, Moffat or PixelKernel; a host whose PSF is not known "
            "cannot be injected into"
        )
    check_scene(scene, grid)
    _check_values(psf)
    if hasattr(psf, "check"):
        psf.check(grid)
    _check_bands(scene, psf)


def check_scene(scene: Any, grid: PixelGrid) -> None:
    """Refuses a scene outside the renderer's domain, and anything that is no grid. Raises
    InputError."""
    if not isinstance(grid, PixelGrid):
        raise InputError(f"grid = {grid!r}: give PixelGrid(size, scale)")
    if not hasattr(scene, "lens_light") or not (scene.source or scene.lens_light):
        raise InputError("Scene has no source: give Scene(source=Sersic(...)) or a tuple of lights")
    for name, base in (("lens", Mass), ("source", Light), ("lens_light", Light)):
        for part in getattr(scene, name):
            if not isinstance(part, base):
                raise InputError(
                    f"Scene {name} holds a {type(part).__name__}, which is no {base.__name__}: "
                    "give Scene(lens=(masses), source=(lights), lens_light=(lights))"
                )
    _check_values(scene)
    for name in ("lens", "source", "lens_light"):
        for i, component in enumerate(getattr(scene, name)):
            component.check(_numbered(name, i, len(getattr(scene, name))))
    _check_bands(scene)


def _check_values(thing: Any) -> None:
    """Refuses values outside their domains, and images and kernels that cannot be normalised."""
    for leaf in _leaves(thing):
        check_value(leaf.label, leaf.value, leaf.domain)
        total = _total(leaf.value) if leaf.normalised else 1.0
        if not isinstance(total, jax.core.Tracer) and not (np.asarray(total) > 0).all():
            raise InputError(
                f"{leaf.label}: the sum of an image or kernel is {float(np.min(total)):g}: "
                "it should be larger than 0"
            )


def _check_bands(scene: Any, psf: Any = None) -> None:
    """Every band needs its own flux and PSF, or one for all."""
    names = [] if psf is None else [f.name for f in _dynamic(psf)]
    bands = {name: np.shape(getattr(psf, name)) for name in names}
    lights = (*scene.source, *scene.lens_light)
    for i, light in enumerate(lights):
        name = _numbered(type(light).__name__, i, len(lights))
        bands[f"{name} flux"] = np.shape(light.flux)
    for name, shape in bands.items():
        if len(shape) > (3 if name == "kernel" else 1):
            raise InputError(
                f"{name} has shape {shape}: give one value per band, and a batch of scenes by "
                "jax.vmap"
            )
    counts = {name: shape[0] for name, shape in bands.items() if shape and shape[0] != 1}
    if len(set(counts.values())) > 1:
        said = ", ".join(f"{name} has {n}" for name, n in counts.items())
        raise InputError(f"band counts differ: {said}; give one value per band")


def check_image(name: str, image: Any, shape: tuple[int, ...] | None = None) -> None:
    """Refuses what is not an image (N, N, B) in single or double precision, or not of `shape`, or
    (outside of jit) not finite. Raises InputError."""
    found = None if image is None else np.shape(image)
    if found is None or len(found) != 3 or found[0] != found[1]:
        raise InputError(f"{name} has shape {found}: give (N, N, bands)")
    if shape is not None and found != shape:
        raise InputError(
            f"{name} has shape {found}, it should be {shape}: the same pixels and bands (an even "
            "stamp is not an odd one)"
        )
    _check_precision(name, image)
    if not isinstance(image, jax.core.Tracer):
        bad = np.argwhere(~np.isfinite(np.asarray(image)))
        if bad.size:
            row, column, band = bad[0]
            raise InputError(
                f"{name} has {len(bad)} pixels that are not finite, first row {row}, column "
                f"{column}, band {band}: it should be finite"
            )


def check_value(label: str, value: Any, domain: Domain) -> None:
    """Refuses a value, or an array with one, outside of its domain, naming it. Raises InputError;
    inside jit only the precision is looked at."""
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


def _check_precision(label: str, value: Any) -> None:
    if str(getattr(value, "dtype", "")) in ("float16", "bfloat16"):
        raise InputError(
            f"{label} is {value.dtype}: give float32 or float64, half precision cannot hold an "
            "arc's dynamic range"
        )


def _leaves(thing: Any, label: str = "", domain: Domain = ANY, image: bool = False) -> Iterator:
    """Every value in a structure of dataclasses, tuples and arrays."""
    if thing is None or isinstance(thing, PixelGrid):
        return
    if is_dataclass(thing) and not isinstance(thing, type):
        for f in _dynamic(thing):
            name = f"{label}.{f.name}" if label else f.name
            yield from _leaves(getattr(thing, f.name), name, _domain(thing, f), _is_image(f))
    elif isinstance(thing, tuple | list):
        for i, part in enumerate(thing):
            yield from _leaves(part, _numbered(label, i, len(thing)), domain, image)
    else:
        yield _Leaf(label, domain, thing, image)


def _numbered(label: str, i: int, count: int) -> str:
    """Name of one of several components; alone it goes by the name of its tuple."""
    return f"{label}[{i}]" if label and count > 1 else label


def _dynamic(thing: Any) -> list[Field]:
    """Fields that hold values; the others are part of a compiled function's shape."""
    return [f for f in fields(thing) if not f.metadata.get("static")]


def _domain(thing: Any, part: Field) -> Domain:
    domain = domain_of(part)
    if isinstance(thing, Component):
        return thing.narrowed(part.name, domain, vars(thing))
    return domain


def _is_image(part: Field) -> bool:
    return bool(part.metadata.get("normalised"))


def _total(pixels: Any, keepdims: bool = False) -> Array:
    return jnp.sum(jnp.asarray(pixels), (-2, -1), keepdims=keepdims)
