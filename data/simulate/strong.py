"""Strong lenses of a brick: red galaxies with an arc rendered by lensjax, kept when a person looking at the picture would see it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
from jaxtyping import Array, Float

import lensjax as lj
from data.simulate.bricks import PIXEL
from data.simulate.pixels import psf_of
from data.simulate.population import fitted_types, red_galaxies, truncated_normal
from lensjax.prior import lens_like_host, scene

PRESET = "arclike"
SIZE = 101  # pixels of an arc's stamp
TRIES = 8  # sources drawn for each lens; the first visible one is taken
BATCH = 64  # arcs rendered at once
VISIBLE = 35.0
HOST_TOLERANCE = 0.15
SOURCE_R = (
    22.0,
    24.6,
)  # unlensed r mag: brighter than the prior's, because published candidates were found by eye
BLUE = 0.7  # share of the sources with the colours of preset raw_notes, star-forming galaxies; the others have the preset's own, redder ones
TYPES = {
    "SER": 0.62,
    "DEV": 0.18,
    "REX": 0.20,
}  # of published candidates' Tractor fits (Stein et al. 2022: SER 54, DEV 30, REX 10, EXP 6 %)
LIGHT_IN_FIT = 0.4  # share of an arc's flux that ends up in the galaxy's fit

_NAMES = {
    "r_mag": "source_r_mag",
    "g_r": "source_g_r",
    "r_z": "source_r_z",
    "r_eff": "source_r_eff",
    "n": "source_n",
    "beta": "beta_over_theta_e",
}
TRUTH = (
    *("theta_e", "lens_q", "lens_phi", "lens_x", "lens_y", "gamma1", "gamma2"),
    *(
        "source_r_mag",
        "source_g_r",
        "source_r_z",
        "source_r_eff",
        "source_n",
        "source_q",
        "source_phi",
        "beta_over_theta_e",
        "beta_phi",
    ),
    *(f"{name}_{band}" for name in ("arc_flux", "arc_snr") for band in "grz"),
    *("magnification", "visibility"),
)
"""Columns of `Arcs.truth`: the prior's parameters, what the arc amounts to in the image, and how visible it is."""


@dataclass(frozen=True)
class Arcs:
    """Arcs of k lenses: stamps (k, SIZE, SIZE, 3) nanomaggies with the lens at the middle pixel plus its sub-pixel offset, and a row of truth each."""

    stamps: Float[np.ndarray, "k m m 3"]
    truth: pd.DataFrame


def hosts(rng: np.random.Generator, n: int) -> pd.DataFrame:
    """n lens galaxies: magnitudes of published candidates where they overlap with the negatives', everything else as for any red galaxy."""
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
            rng, np.log(2.0) - 0.10 * (z_mag - 19.0), 0.35, np.log(0.7), np.log(3.0), len(z_mag)
        )
    )


@partial(jax.jit, static_argnames=("size",))
def _render(
    parameters: dict[str, Array], dx: Array, dy: Array, fwhm: Array, size: int
) -> Float[Array, "k size size 3"]:
    there = parameters | {"lens_x": parameters["lens_x"] + dx, "lens_y": parameters["lens_y"] + dy}
    return jax.vmap(lambda p: lj.render(scene(p), lj.PixelGrid(size, PIXEL), psf_of(fwhm)))(there)


def _draw(
    key: Array, theta_e: np.ndarray, q: np.ndarray, phi: np.ndarray, rng: np.random.Generator
) -> dict[str, Array]:
    """Parameters (k,) of scenes: geometry of PRESET around the host's own shape, bright sources, colours of two kinds."""
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


def visibility(
    arcs: Float[np.ndarray, "k m m 3"],
    host: Float[np.ndarray, "k m m 3"],
    sigma: Float[np.ndarray, " 3"],
) -> Float[np.ndarray, " k"]:
    """How well an eye can tell an arc from its host, over the three bands: the matched signal-to-noise ratio of what remains of the arc when the best
    multiples of the host and of a blob half as wide again are taken out of it, the sky and HOST_TOLERANCE of the host's own light being the noise.

    An arc that seeing melts into its host has little left, however bright it is.
    """
    weight = 1 / (sigma**2 + (HOST_TOLERANCE * host) ** 2)
    blob = np.stack([_blurred(h) for h in host])
    templates = np.stack([host, blob])
    gram = np.einsum("akijb,ckijb,kijb->kbac", templates, templates, weight)
    projection = np.einsum("akijb,kijb,kijb->kba", templates, arcs, weight)
    taken = np.einsum(
        "kba,kba->k", projection, np.linalg.solve(gram, projection[..., None])[..., 0]
    )
    return np.sqrt(np.maximum(np.einsum("kijb,kijb->k", arcs**2, weight) - taken, 0))


def _blurred(image: Float[np.ndarray, "m m 3"], width: float = 2.5) -> Float[np.ndarray, "m m 3"]:
    """An image smoothed by a Gaussian of sigma `width` pixels."""
    from scipy.ndimage import gaussian_filter

    return gaussian_filter(image, (width, width, 0))


def arcs(
    seed: int,
    galaxies: pd.DataFrame,
    host: Float[np.ndarray, "k m m 3"],
    dx: Float[np.ndarray, " k"],
    dy: Float[np.ndarray, " k"],
    transmission: Float[np.ndarray, " 3"],
    psfsize: Float[np.ndarray, " 3"],
    sigma: Float[np.ndarray, " 3"],
) -> Arcs:
    """An arc for every lens galaxy: of TRIES sources the first whose `visibility` reaches VISIBLE, else the most visible one.

    host: the galaxies as the survey sees them, without noise; dx, dy (arcsec): where they lie in the middle pixel; sigma: sky noise of a pixel.
    """
    k, rng = len(galaxies), np.random.default_rng([seed, 1])
    if not k:
        return Arcs(np.empty((0, SIZE, SIZE, 3), np.float32), pd.DataFrame())
    theta_e = einstein_radii(rng, galaxies["mag_z"].to_numpy())
    every = lambda v: np.repeat(np.asarray(v, np.float64), TRIES)
    parameters = {
        n: np.asarray(v)
        for n, v in _draw(
            jax.random.key(seed), every(theta_e), every(galaxies["q"]), every(galaxies["phi"]), rng
        ).items()
    }
    stamps = np.concatenate(list(_batches(parameters, every(dx), every(dy), psfsize)))[
        : k * TRIES
    ] * transmission.astype(np.float32)
    seen = visibility(stamps, np.repeat(host, TRIES, 0), sigma).reshape(k, TRIES)
    best = np.where((seen >= VISIBLE).any(1), (seen >= VISIBLE).argmax(1), seen.argmax(1))
    index = np.arange(k) * TRIES + best
    chosen = stamps[index]
    truth = pd.DataFrame({_NAMES.get(n, n): v[index].astype(float) for n, v in parameters.items()})
    truth["visibility"] = seen[np.arange(k), best]
    snr = np.asarray(
        jax.vmap(lambda a: lj.arc_snr(a, jnp.asarray(sigma, jnp.float32)))(jnp.asarray(chosen))
    )
    for b, band in enumerate("grz"):
        truth[f"arc_flux_{band}"], truth[f"arc_snr_{band}"] = (
            chosen[..., b].sum((1, 2)).astype(float),
            snr[:, b].astype(float),
        )
    truth["magnification"] = truth["arc_flux_r"] / (
        transmission[1] * 10 ** (0.4 * (22.5 - truth["source_r_mag"]))
    )
    return Arcs(chosen, truth)


def _batches(
    parameters: dict[str, np.ndarray], dx: np.ndarray, dy: np.ndarray, psfsize: np.ndarray
):
    """Renders in batches of one size, so that one compiled function serves every brick."""
    n = len(dx)
    for start in range(0, n, BATCH):
        index = np.arange(start, start + BATCH) % n
        some = {name: jnp.asarray(v[index], jnp.float32) for name, v in parameters.items()}
        part = np.asarray(
            _render(
                some,
                jnp.asarray(dx[index], jnp.float32),
                jnp.asarray(dy[index], jnp.float32),
                jnp.asarray(psfsize, jnp.float32),
                SIZE,
            )
        )
        yield part[: n - start]
