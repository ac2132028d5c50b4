"""What is compared between real lenses and injections: observables of the arc in a stamp.

They are measured on what an azimuthal model of the galaxy leaves (`realism.azimuthal`), in the lit
pixels of the survey's ring for arcs, by the same function for both. It is the measurement of the
realism gates with its two steps made smooth, so that it has derivatives: a pixel is lit by a share
(a logistic function of its standard deviations, SOFT wide) and a stamp passes the detectability
gate by a share. Sky level, noise, and the shape of the galaxy's core are taken from the stamp as
constants (`Still`), because an arc hardly reaches them; the brightness of the rings is not, because
an arc does reach it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from classifiers.audit.realism import azimuthal, detectable
from data.survey import Survey
from lensjax.grid import PixelGrid
from lensjax.units import ZERO_POINT

SOFT = 0.5
"""standard deviations over which a pixel becomes lit"""
SOFT_GATE = 0.1
"""width of the step of the detectability gate, in standard deviations of random galaxies"""
SOFT_COHERENCE = 0.05
TINY = 1e-6
THETA_E = "theta_e"
"""the Einstein radius is no observable of a stamp, but it is compared where it is known"""


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Ruler:
    """How stamps of a survey are measured. weights (2,), threshold, coherence: of the detectability
    gate (`realism.detectable.Gate`). soft: width of the gate's step, in its score. side: of the
    central pixels that are looked at. scale: arcsec per pixel. fwhm: of the survey's PSF, and ring:
    inner and outer radius, arcsec. bands: names. band: place of the reference band."""

    weights: Float[np.ndarray, " 2"]
    threshold: float
    coherence: float
    soft: float
    side: int = field(metadata={"static": True})
    scale: float = field(metadata={"static": True})
    fwhm: float = field(metadata={"static": True})
    ring: tuple[float, float] = field(metadata={"static": True})
    bands: tuple[str, ...] = field(metadata={"static": True})
    band: int = field(metadata={"static": True})


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Still:
    """What of n stamps stays as it is while their arcs change. sky, sigma (n, B): level and scatter
    of the background, nanomaggies. q, phi (n,), centre (n, 2): shape (rad) and centre (pixels) of
    the galaxy's rings."""

    sky: Float[Array, "n b"]
    sigma: Float[Array, "n b"]
    q: Float[Array, " n"]
    phi: Float[Array, " n"]
    centre: Float[Array, "n 2"]

    @classmethod
    def of(cls, stamps: Float[np.ndarray, "n h h b"], ruler: Ruler) -> Still:
        """Of stamps, nanomaggies."""
        found = azimuthal.core(
            np.asarray(stamps, np.float32), ruler.scale, ruler.fwhm, ruler.band, ruler.side
        )
        sky, sigma, q, phi, centre = (jnp.asarray(a, jnp.float32) for a in found)
        return cls(sky, sigma, q, phi, centre / ruler.scale)


def measurable(survey: Survey) -> tuple[str, ...]:
    """Names of all observables of a stamp of this survey: magnitude of the arc in the reference
    band, colours of neighbouring bands, arc-annulus SNR, and mean radius, radial width (arcsec) and
    area (arcsec^2) of the arc."""
    colours = [f"arc_{blue}_{red}" for blue, red in pairwise(survey.bands)]
    shape = ("arc_snr", "arc_radius", "arc_width", "arc_area")
    return (f"arc_mag_{survey.reference}", *colours, *shape)


def is_magnitude(name: str) -> bool:
    """Whether an observable is compared as it is (magnitudes and colours); the others are compared
    by their natural logarithm."""
    return name not in ("arc_snr", "arc_radius", "arc_width", "arc_area", THETA_E)


def plain(values: Float[np.ndarray, "n d"], names: Sequence[str]) -> dict[str, np.ndarray]:
    """Compared values as tables have them, by name (n,)."""
    return {n: v if is_magnitude(n) else np.exp(v) for n, v in zip(names, np.asarray(values).T)}


def compared(table: dict[str, np.ndarray], names: Sequence[str]) -> Float[np.ndarray, "n d"]:
    """Values of tables as they are compared; the inverse of `plain`."""
    return np.stack([table[n] if is_magnitude(n) else np.log(table[n]) for n in names], 1)


def measured(
    stamps: Float[Array, "n h h b"], still: Still, ruler: Ruler
) -> tuple[Float[Array, "n d"], Float[Array, " n"]]:
    """All observables (n, d) in the order of `measurable`, as they are compared, and the natural
    logarithm of the share by which each stamp is seen (n,). stamps: nanomaggies, NaN where there is
    no data. All values and derivatives are finite, but that a stamp without data in a band is not
    seen (-inf)."""
    part = azimuthal.middle(jnp.asarray(stamps), ruler.side) - still.sky[:, None, None]
    model = azimuthal.ring_model(part, still.q, still.phi, still.centre, jnp)
    residual = part - model
    z, together = detectable.in_deviations(
        residual, model, still.sigma, ruler.scale, ruler.fwhm, jnp
    )
    light = jnp.where(jnp.isfinite(residual), residual, 0.0)
    return _lit(light, together, still.sigma, ruler), _seen(z, together, still.sigma, ruler)


@jax.jit
def measured_with_change(
    stamps: Float[Array, "n h h b"], change: Float[Array, "n h h b"], still: Still, ruler: Ruler
) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
    """What `measured` returns, and by how much both change with a change of the stamps, to first
    order. One compiled function serves lenses and injections."""
    return jax.jvp(lambda s: measured(s, still, ruler), (stamps,), (change,))


def _radius(ruler: Ruler) -> Float[np.ndarray, "s s"]:
    return PixelGrid(ruler.side, ruler.scale).radius() * ruler.scale


def _within(ruler: Ruler, inner: float, outer: float) -> np.ndarray:
    slack = 1e-6 * ruler.scale
    radius = _radius(ruler)
    return (radius >= inner - slack) & (radius <= outer + slack)


def _lit(residual: Array, together: Array, sigma: Array, ruler: Ruler) -> Array:
    """Every observable (n, d), in the order of `measurable`."""
    ring, radius = _within(ruler, *ruler.ring), jnp.asarray(_radius(ruler), jnp.float32)
    share = jax.nn.sigmoid((together - detectable.LIT) / SOFT) * ring
    flux = jnp.einsum("nij,nijb->nb", share, residual)
    sigma = jnp.where(detectable.known(sigma), sigma, 1.0)
    noise = sigma * jnp.sqrt(share.sum((1, 2)) + 1.0)[:, None]
    # The asinh magnitude (Lupton, Gunn & Szalay 1999, AJ 118, 1406), softened by half the noise.
    ln_flux = jnp.arcsinh(flux / noise) + jnp.log(0.5 * noise)
    magnitude = ZERO_POINT - 2.5 / np.log(10) * ln_flux
    weight = share * jnp.maximum(together, 0.0) + TINY * ring
    total = weight.sum((1, 2))
    mean = (weight * radius).sum((1, 2)) / total
    variance = (weight * (radius - mean[:, None, None]) ** 2).sum((1, 2)) / total
    area = total**2 / (weight**2).sum((1, 2)) * ruler.scale**2
    sky = jnp.log(sigma[:, ruler.band]) + 0.5 * np.log(ring.sum())
    shape = [
        ln_flux[:, ruler.band] - sky,
        jnp.log(mean),
        0.5 * jnp.log(variance + (0.1 * ruler.scale) ** 2),
        jnp.log(area),
    ]
    colours = [magnitude[:, i] - magnitude[:, i + 1] for i in range(len(ruler.bands) - 1)]
    return jnp.stack([magnitude[:, ruler.band], *colours, *shape], -1)


def _seen(z: Array, together: Array, sigma: Array, ruler: Ruler) -> Array:
    """Logarithm of the share (n,) by which the detectability gate lets a stamp pass."""
    good, outer = detectable.known(sigma), ruler.ring[1]
    inside = np.nonzero(_within(ruler, *ruler.ring))
    near = _radius(ruler) <= detectable.SURROUNDINGS * outer
    around = np.nonzero(_within(ruler, outer, np.inf) & near)
    energy = detectable.light(together[:, *inside], jnp)
    unrest = detectable.light(together[:, *around], jnp) if len(around[0]) else 0.0
    score = ruler.weights[0] * energy + ruler.weights[1] * unrest
    passed = jax.nn.log_sigmoid((score - ruler.threshold) / ruler.soft)
    if good.shape[1] > 1:
        coherence = detectable.agreement(z[:, *inside], good, jnp)
        known = jnp.isfinite(coherence)
        agreed = jnp.where(known, coherence, 1.0) - ruler.coherence
        passed = passed + jax.nn.log_sigmoid(agreed / SOFT_COHERENCE)
    return jnp.where(good.all(1), passed, -jnp.inf)


def ruler_of(
    survey: Survey, random: detectable.Signs, gate: detectable.Gate, side: int, scale: float
) -> Ruler:
    """The ruler of a survey. random: signs of random galaxies, whose scatter sets the width of the
    gate's step. side: of the residuals (pixels). scale: arcsec per pixel."""
    scatter = float(np.nanstd(gate.score(random)))
    return Ruler(
        np.array(gate.weights, np.float32),
        gate.threshold,
        gate.coherence,
        SOFT_GATE * (scatter or 1.0),
        side,
        scale,
        survey.typical_fwhm,
        survey.radii.arc,
        survey.bands,
        survey.place,
    )


def measure(
    stamps: Float[np.ndarray, "n h h b"], ruler: Ruler, batch: int
) -> tuple[Float[np.ndarray, "n d"], Float[np.ndarray, " n"]]:
    """`measured` of any number of stamps, so many at a time; float64."""
    n = len(stamps)
    if not n:
        return np.empty((0, 4 + len(ruler.bands))), np.empty(0)
    parts = []
    for start in range(0, n, batch):
        some = stamps[np.minimum(np.arange(start, start + batch), n - 1)].astype(np.float32)
        found, _ = measured_with_change(some, np.zeros_like(some), Still.of(some, ruler), ruler)
        parts.append([np.asarray(a, np.float64)[: n - start] for a in found])
    values, seen = (np.concatenate(p) for p in zip(*parts))
    return values, seen
