"""Strong lenses of a brick: red galaxies with an arc that a person would see in the picture.

The arcs are rendered by lensjax.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
from jaxtyping import Array, Float

import lensjax as lj
from data.simulate.pixels import AT_ONCE, psf_within
from data.simulate.population import fitted_types, red_galaxies, truncated_normal
from data.survey import Survey
from lensjax.prior import lens_like_host

PRESET = "arclike"
TRIES = 8
"""Sources drawn for each lens; the first visible one is taken."""
VISIBLE = 35.0
HOST_TOLERANCE = 0.15
BLUR = 0.655
"""Sigma (arcsec) of the blob that `visibility` does not count as an arc, against the host."""
SOURCE_R = (22.0, 24.6)
"""Unlensed r magnitudes: brighter than the prior's, because published candidates were found by
eye."""
BLUE = 0.7
"""Share of the sources with the colours of preset raw_notes, which are those of star-forming
galaxies. The others have the preset's own, redder ones."""
LARGEST = 3.0
"""Largest Einstein radius, arcsec."""
TYPES = {"SER": 0.62, "DEV": 0.18, "REX": 0.20}
"""Shares of the types that Tractor fits to published candidates (Stein et al. 2022: SER 54, DEV 30,
REX 10, EXP 6 %)."""
LIGHT_IN_FIT = 0.4
"""Share of an arc's flux that ends up in the galaxy's fit."""

_NAMES = {
    "r_mag": "source_r_mag",
    "g_r": "source_g_r",
    "r_z": "source_r_z",
    "r_eff": "source_r_eff",
    "n": "source_n",
    "beta": "beta_over_theta_e",
}
_PARAMETERS = (
    *("theta_e", "lens_q", "lens_phi", "lens_x", "lens_y", "gamma1", "gamma2"),
    *("source_r_mag", "source_g_r", "source_r_z", "source_r_eff", "source_n"),
    *("source_q", "source_phi", "beta_over_theta_e", "beta_phi"),
)


def truth_columns(survey: Survey) -> tuple[str, ...]:
    """Columns of `Arcs.truth`: the prior's parameters, the arc in the image, how visible it is."""
    per_band = survey.per_band("arc_flux", "arc_snr")
    return (*_PARAMETERS, *per_band, "magnification", "visibility")


def stamp(survey: Survey) -> int:
    """Side of an arc's stamp, pixels: the survey's own, made odd."""
    return survey.stamp | 1


@dataclass(frozen=True)
class Arcs:
    """Arcs of k lenses."""

    stamps: Float[np.ndarray, "k m m B"]
    """nanomaggies, with the lens at the middle pixel plus its sub-pixel offset"""
    truth: pd.DataFrame
    """a row of `truth_columns` for each"""


def hosts(rng: np.random.Generator, n: int) -> pd.DataFrame:
    """n lens galaxies.

    Their magnitudes are those of published candidates where they overlap with the negatives'.
    Everything else is as for any red galaxy.
    """
    z = truncated_normal(rng, 19.0, 0.65, 17.2, 20.15, n)
    frame = red_galaxies(rng, z)
    frame["n"] = np.clip(rng.normal(2.9, 0.8, n), 1.5, 6.0)
    return fitted_types(rng, frame.assign(kind="lens"), TYPES)


def einstein_radii(
    rng: np.random.Generator, z_mag: Float[np.ndarray, " n"]
) -> Float[np.ndarray, " n"]:
    """Einstein radii (arcsec), log-normal around 2.0 and larger for brighter galaxies, 0.7-3.0."""
    return np.exp(
        truncated_normal(
            rng, np.log(2.0) - 0.10 * (z_mag - 19.0), 0.35, np.log(0.7), np.log(LARGEST), len(z_mag)
        )
    )


_RINGS = lj.Bounds(theta_e=LARGEST)


@partial(jax.jit, static_argnames=("grid",))
def _render(
    parameters: dict[str, Array], flux: Array, dx: Array, dy: Array, psf: lj.PSF, grid: lj.PixelGrid
) -> Float[Array, "k size size B"]:
    there = parameters | {"lens_x": parameters["lens_x"] + dx, "lens_y": parameters["lens_y"] + dy}

    def one(p: lj.Scene, light: Array) -> Array:
        (source,) = p.source
        scene = replace(p, source=(replace(source, flux=light),))
        return lj.render(scene, grid, psf, bounds=_RINGS)

    return jax.vmap(one)(lj.priors(PRESET).scene(there), flux)


def _draw(
    key: Array, theta_e: np.ndarray, q: np.ndarray, phi: np.ndarray, rng: np.random.Generator
) -> dict[str, Array]:
    """Parameters (k,) of scenes: geometry of PRESET around the host's own shape, bright sources.

    The colours of the sources are of two kinds (BLUE).
    """
    k_host, k_scene, k_blue = jax.random.split(key, 3)
    n = len(theta_e)
    like_host = lens_like_host(k_host, jnp.asarray(q, jnp.float32), jnp.asarray(phi, jnp.float32))
    r_mag = rng.uniform(*SOURCE_R, n)
    p = lj.priors(PRESET).draw(
        k_scene,
        n,
        theta_e=jnp.asarray(theta_e, jnp.float32),
        r_mag=jnp.asarray(r_mag, jnp.float32),
        **like_host,
    )
    blue, is_blue = lj.priors("raw_notes").draw(k_blue, n), jnp.asarray(rng.random(n) < BLUE)
    return p | {name: jnp.where(is_blue, blue[name], p[name]) for name in ("g_r", "r_z")}


def unlensed(survey: Survey, parameters: dict[str, np.ndarray]) -> Float[np.ndarray, "k B"]:
    """Flux (nanomaggies) of the sources in the survey's bands, without lens and dust."""
    prior = lj.priors(PRESET).for_bands(survey.bands, survey.wavelength)
    (source,) = prior.scene({name: jnp.asarray(v) for name, v in parameters.items()}).source
    return np.asarray(source.flux, float)


def visibility(
    survey: Survey,
    arcs: Float[np.ndarray, "k m m B"],
    host: Float[np.ndarray, "k m m B"],
    sigma: Float[np.ndarray, " B"],
) -> Float[np.ndarray, " k"]:
    """How well an eye can tell an arc from its host, over all bands.

    It is the matched signal-to-noise ratio of what remains of the arc when the best multiples of
    the host, and of a blob half as wide again, are taken out of it. The sky and HOST_TOLERANCE of
    the host's own light are the noise. An arc that seeing melts into its host has little left,
    however bright it is.
    """
    weight = 1 / (sigma**2 + (HOST_TOLERANCE * host) ** 2)
    blob = np.stack([_blurred(h, survey.pixels(BLUR)) for h in host])
    templates = np.stack([host, blob])
    gram = np.einsum("akijb,ckijb,kijb->kbac", templates, templates, weight)
    projection = np.einsum("akijb,kijb,kijb->kba", templates, arcs, weight)
    best = np.linalg.solve(gram, projection[..., None])[..., 0]
    taken = np.einsum("kba,kba->k", projection, best)
    return np.sqrt(np.maximum(np.einsum("kijb,kijb->k", arcs**2, weight) - taken, 0))


def _blurred(image: Float[np.ndarray, "m m B"], width: float) -> Float[np.ndarray, "m m B"]:
    """An image smoothed by a Gaussian of sigma `width` pixels."""
    from scipy.ndimage import gaussian_filter

    return gaussian_filter(image, (width, width, 0))


def arcs(
    survey: Survey,
    seed: int,
    galaxies: pd.DataFrame,
    host: Float[np.ndarray, "k m m B"],
    dx: Float[np.ndarray, " k"],
    dy: Float[np.ndarray, " k"],
    transmission: Float[np.ndarray, " B"],
    psfsize: Float[np.ndarray, " B"],
    sigma: Float[np.ndarray, " B"],
) -> Arcs:
    """An arc for every lens galaxy.

    Of TRIES sources the first is taken whose `visibility` reaches VISIBLE, else the most visible
    one. host: the galaxies as the survey sees them, without noise. dx, dy (arcsec): where they lie
    in the middle pixel. sigma: sky noise of a pixel.
    """
    k, rng, size = len(galaxies), np.random.default_rng([seed, 1]), stamp(survey)
    if not k:
        return Arcs(np.empty((0, size, size, len(survey.bands)), np.float32), pd.DataFrame())
    theta_e = einstein_radii(rng, galaxies["mag_z"].to_numpy())
    every = lambda v: np.repeat(np.asarray(v, np.float64), TRIES)
    drawn = _draw(
        jax.random.key(seed), every(theta_e), every(galaxies["q"]), every(galaxies["phi"]), rng
    )
    parameters = {name: np.asarray(v) for name, v in drawn.items()}
    source = transmission * unlensed(survey, parameters)
    batches = _batches(survey, parameters, source, every(dx), every(dy), psfsize)
    stamps = np.concatenate(list(batches))[: k * TRIES]
    seen = visibility(survey, stamps, np.repeat(host, TRIES, 0), sigma).reshape(k, TRIES)
    best = np.where((seen >= VISIBLE).any(1), (seen >= VISIBLE).argmax(1), seen.argmax(1))
    index = np.arange(k) * TRIES + best
    chosen = stamps[index]
    truth = pd.DataFrame({_NAMES.get(n, n): v[index].astype(float) for n, v in parameters.items()})
    truth["visibility"] = seen[np.arange(k), best]
    snr = jax.vmap(lambda a: lj.arc_snr(a, jnp.asarray(sigma, jnp.float32)))(jnp.asarray(chosen))
    flux = chosen.sum((1, 2)).astype(float)
    truth[[*survey.per_band("arc_flux")]] = flux
    truth[[*survey.per_band("arc_snr")]] = np.asarray(snr, float)
    truth["magnification"] = flux[:, survey.place] / source[index, survey.place]
    return Arcs(chosen, truth)


def _batches(
    survey: Survey,
    parameters: dict[str, np.ndarray],
    flux: Float[np.ndarray, "k B"],
    dx: Float[np.ndarray, " k"],
    dy: Float[np.ndarray, " k"],
    psfsize: Float[np.ndarray, " B"],
) -> Iterator[Float[np.ndarray, "n m m B"]]:
    """Renders in batches of one size, so that one compiled function serves every brick."""
    n, grid = len(dx), lj.PixelGrid(stamp(survey), survey.pixel_scale)
    psf = psf_within(survey, psfsize, stamp(survey))
    for start in range(0, n, AT_ONCE):
        index = np.arange(start, start + AT_ONCE) % n
        some = {name: jnp.asarray(v[index], jnp.float32) for name, v in parameters.items()}
        others = (jnp.asarray(v[index], jnp.float32) for v in (flux, dx, dy))
        part = np.asarray(_render(some, *others, psf, grid))
        yield part[: n - start]
