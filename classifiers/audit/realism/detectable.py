"""A gate that needs no truth: is there something like an arc in this stamp?

It looks at the stamp alone, after the central galaxy is taken away (`azimuthal`), and uses three
signs: light in the ring in which the survey's arcs are; whether the bands agree on it; and whether
the surroundings are as calm as they should be, because what reaches in from outside is a neighbour
and no arc. The gate is set so that a stated share of random galaxies passes. The injections that
pass can be seen in the data; those of them that are missed are missed by the finder. No such gate
can do better than the matched filter of the known arc.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Bool, Float, Shaped

from classifiers.audit.realism import fraction, share
from classifiers.audit.realism.azimuthal import Residuals, subtracted
from lensjax.errors import InputError

if TYPE_CHECKING:
    from data.survey import Survey

SMOOTHING = 0.87
"""FWHM of the Gaussian that residuals are smoothed with, in units of the survey's PSF"""
TOLERANCE = 0.03
"""share of the model's brightness by which a galaxy may differ from an azimuthal model"""
MOST = 5.0
"""standard deviations that a pixel counts with at most, so that a bright neighbour in a few pixels
does not outweigh an arc in many"""
LIT = 3.0
"""standard deviations above which a pixel belongs to an arc that is measured"""
SURROUNDINGS = 1.6
"""outer radius of the surroundings, in units of the arc ring's"""
FEWEST = 30
"""lenses, and random galaxies, without which nothing is calibrated on them"""
FOLDS = 5
NOISE_FIELDS = 400


@dataclass(frozen=True)
class Signs:
    """What the gate looks at in n stamps. energy (n,): natural log of the root mean square of the
    light in the arc ring, in standard deviations, about 0 for noise. coherence (n,): mean
    correlation of neighbouring bands over the ring; NaN where fewer than two bands have data.
    unrest (n,): as energy, in the surroundings of the ring. All NaN where a stamp has no data.
    scale: arcsec per pixel, ring: radii, and fwhm: of the PSF (both arcsec), for which the
    coherence of noise is known."""

    energy: Float[np.ndarray, " n"]
    coherence: Float[np.ndarray, " n"]
    unrest: Float[np.ndarray, " n"]
    bands: int
    scale: float
    ring: tuple[float, float]
    fwhm: float

    def __len__(self) -> int:
        return len(self.energy)

    def take(self, which: np.ndarray) -> Signs:
        """The signs at these places."""
        own = {k: getattr(self, k)[which] for k in ("energy", "coherence", "unrest")}
        return replace(self, **own)


def residuals(stamps: Float[np.ndarray, "n h h b"], survey: Survey, scale: float) -> Residuals:
    """Residuals out to the surroundings of the survey's arc ring. Raises InputError as
    `azimuthal.subtracted` does."""
    half = scale * stamps.shape[1] / 2
    outer = min(SURROUNDINGS * survey.radii.arc[1], max(half, survey.radii.arc[1]))
    return subtracted(stamps, scale, outer, survey.typical_fwhm, survey.place)


def deviations(
    found: Residuals,
) -> tuple[Float[np.ndarray, "n s s b"], Float[np.ndarray, "n s s"]]:
    """Residuals of every band, and of all bands together, in standard deviations; see
    `in_deviations`."""
    return in_deviations(found.residual, found.model, found.sigma, found.scale, found.fwhm)


def in_deviations(
    residual: Any, model: Any, sigma: Any, scale: float, fwhm: float, xp: Any = np
) -> tuple[Any, Any]:
    """Residuals (n, s, s, B) of every band, and (n, s, s) of all bands together, in standard
    deviations. Arguments as the fields of `Residuals`; xp: numpy or jax.numpy.

    Every band is smoothed (SMOOTHING) and divided by its standard deviation, which is that of
    smoothed white sky noise, sigma / sqrt(4 pi s^2) with s in pixels, and TOLERANCE of the model,
    in quadrature. Bands add up to one image of unit variance on the empty sky. Missing pixels
    count as empty, bands without a background as 0.
    """
    s = fwhm * SMOOTHING / 2.3548 / scale
    good = known(sigma)
    usable = xp.isfinite(residual) & good[:, None, None]
    matrix = _smoothing(residual.shape[1], s)
    filled = xp.where(usable, residual, 0.0)
    smooth = xp.einsum("ik,nklb,jl->nijb", matrix, filled, matrix, optimize=True)
    white = xp.where(good, sigma, 1.0) / np.sqrt(4 * np.pi * s**2)
    noise = xp.sqrt(white[:, None, None] ** 2 + (TOLERANCE * model) ** 2)
    z = xp.where(good[:, None, None], smooth / noise, 0.0)
    return z, z.sum(-1) / xp.sqrt(xp.maximum(good.sum(1), 1))[:, None, None]


def _smoothing(side: int, sigma: float) -> Float[np.ndarray, "s s"]:
    """Gaussian smoothing along one axis as a matrix, pixels beyond the edge being empty."""
    from scipy.ndimage import gaussian_filter1d

    return gaussian_filter1d(np.eye(side), sigma, axis=0, mode="constant").astype(np.float32)


def lit(found: Residuals, ring: tuple[float, float]) -> Bool[np.ndarray, "n s s"]:
    """The pixels of the ring in which all bands together are more than LIT standard deviations
    above the model: where an arc is measured, in every band alike."""
    return (deviations(found)[1] > LIT) & found.ring(*ring)


def known(sigma: Any) -> Any:
    """Which bands have a background (n, B); sigma (n, B): its scatter; numpy or jax.numpy."""
    return (sigma > 0) & (sigma < np.inf)


def signs(found: Residuals, ring: tuple[float, float]) -> Signs:
    """The signs of residuals. ring: inner and outer radius (arcsec) in which arcs are looked
    for."""
    z, together = deviations(found)
    good, inside = known(found.sigma), found.ring(*ring)
    around = found.ring(ring[1], np.inf) & (found.radius <= SURROUNDINGS * ring[1])
    some = (np.isfinite(found.residual[:, inside]) & good[:, None]).any((1, 2))
    nothing = lambda values: np.where(some, values, np.nan)
    return Signs(
        nothing(light(together[:, inside])),
        nothing(agreement(z[:, inside], good)),
        nothing(light(together[:, around]) if around.any() else np.zeros(len(z))),
        found.sigma.shape[1],
        found.scale,
        ring,
        found.fwhm,
    )


def light(z: Any, xp: Any = np) -> Any:
    """Log of the root mean square of what is above 0 in z (n, p), each pixel up to MOST, (n,). The
    half that noise has is added, so that it is about 0 for noise and no stamp earns credit by
    having less. xp: numpy or jax.numpy."""
    return 0.5 * xp.log((xp.clip(z, 0.0, MOST) ** 2).mean(1) + 0.5)


def agreement(z: Any, good: Any, xp: Any = np) -> Any:
    """Mean correlation over the pixels of z (n, p, B) of neighbouring bands that both have data,
    good (n, B); (n,), NaN where no two have. xp: numpy or jax.numpy."""
    away = z - z.mean(1, keepdims=True)
    away = away / xp.sqrt(xp.maximum((away**2).sum(1, keepdims=True), 1e-30))
    pairs = (away[..., 1:] * away[..., :-1]).sum(1)
    both = good[:, 1:] & good[:, :-1]
    total, count = xp.where(both, pairs, 0.0).sum(1), both.sum(1)
    return xp.where(count > 0, total / xp.maximum(count, 1), np.nan)


def coherence_of_noise(
    bands: int,
    scale: float,
    ring: tuple[float, float],
    fwhm: float,
    share: float = 0.05,
    seed: int = 0,
) -> float:
    """The coherence that `share` of empty stamps with white noise exceed; minus infinity for one
    band. Noise has few independent patches in the ring, so it agrees by chance."""
    from scipy.ndimage import gaussian_filter

    if bands < 2:
        return -np.inf
    side = 2 * int(np.ceil(ring[1] / scale)) + 9
    rng = np.random.default_rng([seed, bands])
    noise = rng.normal(size=(NOISE_FIELDS, side, side, bands)).astype(np.float32)
    s = fwhm * SMOOTHING / 2.3548 / scale
    from lensjax.grid import PixelGrid

    radius = PixelGrid(side, scale).radius() * scale
    inside = (radius >= ring[0]) & (radius <= ring[1])
    z = gaussian_filter(noise, (0, s, s, 0))[:, inside]
    return float(np.quantile(agreement(z, np.ones((len(z), bands), bool)), 1 - share))


@dataclass(frozen=True)
class Gate:
    """What passes: score above `threshold` and coherence above `coherence`. The score is
    weights . (energy, unrest); from a logistic regression of lenses against random galaxies where
    there are FEWEST of both (`fitted`), else energy minus unrest. rate: the share of random
    galaxies that the threshold lets pass. lenses, random: (how many passed, of how many) in folds
    that were not used for the calibration."""

    weights: tuple[float, float]
    threshold: float
    coherence: float
    rate: float
    fitted: bool
    lenses: tuple[int, int]
    random: tuple[int, int]

    def score(self, found: Signs) -> Float[np.ndarray, " n"]:
        """Score (n,), NaN where there is no data."""
        return self.weights[0] * found.energy + self.weights[1] * found.unrest

    def passes(self, found: Signs) -> Bool[np.ndarray, " n"]:
        """Which stamps pass; those without data do not, and one band cannot disagree."""
        coherent = ~(found.coherence <= self.coherence)
        return (np.nan_to_num(self.score(found), nan=-np.inf) > self.threshold) & coherent

    def described(self) -> dict[str, Any]:
        """As JSON values."""
        found = asdict(self)
        for name in ("lenses", "random"):
            found[name] = fraction(*found[name])
        if not np.isfinite(self.coherence):
            found["coherence"] = None
        return found


def calibrated(lenses: Signs, random: Signs, rate: float = 0.05, seed: int = 0) -> Gate:
    """The gate that about `rate` of random galaxies pass.

    lenses: labelled ones, which may be none. Stamps without data are left out. Raises InputError
    when there are fewer than FEWEST random galaxies, because their share that passes would be
    unknown.
    """
    lenses, random = (s.take(np.flatnonzero(np.isfinite(s.energy))) for s in (lenses, random))
    if len(random) < FEWEST:
        raise InputError(
            f"{len(random)} random galaxies to calibrate the gate on; give {FEWEST} or more"
        )
    chance = coherence_of_noise(random.bands, random.scale, random.ring, random.fwhm)
    whole = _fitted(lenses, random, rate, chance)
    folds = np.random.default_rng(seed)
    passed = {"lenses": 0, "random": 0}
    a, b = (folds.permutation(len(s)) % FOLDS for s in (lenses, random))
    for fold in range(FOLDS):
        gate = _fitted(
            lenses.take(np.flatnonzero(a != fold)),
            random.take(np.flatnonzero(b != fold)),
            rate,
            chance,
            whole.fitted,
        )
        passed["lenses"] += int(gate.passes(lenses.take(np.flatnonzero(a == fold))).sum())
        passed["random"] += int(gate.passes(random.take(np.flatnonzero(b == fold))).sum())
    own = {k: getattr(whole, k) for k in ("weights", "threshold", "coherence", "rate", "fitted")}
    return Gate(
        **own, lenses=(passed["lenses"], len(lenses)), random=(passed["random"], len(random))
    )


def _fitted(
    lenses: Signs, random: Signs, rate: float, coherence: float, fit: bool | None = None
) -> Gate:
    weights = (1.0, -1.0)
    fit = len(lenses) >= FEWEST if fit is None else fit
    if fit:
        from sklearn.linear_model import LogisticRegression

        x = np.concatenate([np.stack([s.energy, s.unrest], 1) for s in (lenses, random)])
        y = np.r_[np.ones(len(lenses)), np.zeros(len(random))]
        found = LogisticRegression(class_weight="balanced").fit(x, y).coef_[0]
        # A gate for which light in the ring speaks against an arc would be none.
        if found[0] > 0:
            weights = (float(found[0]), float(found[1]))
    gate = Gate(weights, -np.inf, coherence, rate, fit, (0, 0), (0, 0))
    score = np.where(gate.passes(random), gate.score(random), -np.inf)
    # At most this share passes, the veto of incoherent ones included.
    ordered = np.sort(score)[::-1]
    threshold = float(ordered[int(np.floor(rate * len(score)))])
    return Gate(weights, threshold, coherence, rate, fit, (0, 0), (0, 0))


def stages(
    passes: Bool[np.ndarray, " n"],
    found: Bool[np.ndarray, " n"],
    host: Shaped[np.ndarray, " n"],
    bound: Bool[np.ndarray, " n"] | None = None,
    weight: Float[np.ndarray, " n"] | None = None,
) -> dict[str, Any]:
    """Completeness as observable x found given observable + not observable x found given not.

    found: by the finder. host: names, injections of one of which are not independent. bound: which
    reach the limit of the matched filter. weight: of each, 1 if not given. Each is a dict
    with k, n, value and a 95 % interval (`intervals.weighted`, over hosts); value None where n is
    0.
    """
    every = np.ones(len(passes), bool)
    asked = {
        "completeness": (found, every),
        "observable": (passes, every),
        "found_observable": (found, passes),
        "found_unobservable": (found, ~passes),
    }
    if bound is not None:
        asked |= {"bound": (bound, every), "observable_in_bound": (passes, bound)}
    weight = np.ones(len(passes)) if weight is None else weight
    return {name: share(hit[of], host[of], weight[of]) for name, (hit, of) in asked.items()}
