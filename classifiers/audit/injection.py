"""The one function of an audit: key -> scene -> arc -> host + arc.

It is pure and has static shapes, so it is compiled once per stamp size. Scoring is apart from it:
every finder, wherever it runs, sees the same stamps. `scored` joins the two for a finder that can
be differentiated.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, UInt32

import lensjax as lj
from data.survey import Survey
from lensjax.errors import InputError
from lensjax.injection import annulus
from lensjax.light import brighter, larger
from lensjax.prior import Distribution, Prior

SLACK = 1e-6
"""pixels by which a ring is widened, so that rounding does not move a pixel across its edge"""

EDGE = 2
"""Pixels along the edge of a stamp in which light is said to be at the edge."""


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Batch:
    """Injections to be made. key: random key data (b, 2). drawn: parameters of the prior that are
    held (b,). host: nanomaggies (b, H, W, B). fwhm: of the host, arcsec (b, B), and psfdepth,
    nanomaggy^-2 (b, B). target_fwhm, target_psfdepth: what degraded hosts are brought to (b, B),
    otherwise the host's own. psf: what the arc is blurred with, a PSF whose leaves have an axis b.
    dimming: share of the arc's light that dust lets through (b, B)."""

    key: UInt32[Array, "b 2"]
    drawn: dict[str, Float[Array, " b"]]
    host: Float[Array, "b h w c"]
    fwhm: Float[Array, "b c"]
    psfdepth: Float[Array, "b c"]
    target_fwhm: Float[Array, "b c"]
    target_psfdepth: Float[Array, "b c"]
    psf: Any
    dimming: Float[Array, "b c"]

    def __len__(self) -> int:
        return self.key.shape[0]


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Nudge:
    """Changes to the assumptions behind an injection. magnitude: added to the source's, mag.
    log_size: natural log of the factor on the source's size. theta_e: added, arcsec (the source
    keeps its offset in units of theta_e). log_psf: natural log of the factor on the FWHM that the
    arc, not the host, is blurred with. One number for all injections, or one for each (b,)."""

    magnitude: Float[Array, "*b"]
    log_size: Float[Array, "*b"]
    theta_e: Float[Array, "*b"]
    log_psf: Float[Array, "*b"]

    def of(self, n: int) -> Nudge:
        """The same with n numbers in every field."""
        return jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (n,)), self)


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Experiment:
    """What an audit keeps fixed. prior: of scenes. pixels: the stamps' grid. band: place of the
    reference band. ring: inner and outer radius in which arcs are measured, arcsec. degrade:
    whether hosts are brought to the target PSF and depth. correlation: of the survey's noise
    between neighbouring pixels, for degraded hosts (`noisepower.correlation`). gain: electrons per
    nanomaggy of the arc's Poisson noise, or None. bounds: of scenes and PSFs, see
    `lensjax.render`."""

    prior: Prior
    pixels: lj.PixelGrid
    band: int = field(metadata={"static": True})
    ring: tuple[float, float] = field(metadata={"static": True})
    degrade: bool = field(default=False, metadata={"static": True})
    correlation: Float[Array, "l l c"] | None = None
    gain: Float[Array, ""] | float | None = None
    bounds: lj.Bounds = field(default=lj.Bounds(), metadata={"static": True})

    def draw(self, batch: Batch, nudge: Nudge) -> tuple[dict[str, Array], lj.Scene]:
        """Parameters (b,) and scenes (leaves (b, ...)), the same whatever else is in the batch."""

        nudge = nudge.of(len(batch))

        def one(
            key: Array, held: dict[str, Array], wider: Array
        ) -> tuple[dict[str, Array], lj.Scene]:
            own = key_of(key, 0)
            drawn = self.prior.draw(own, 1, **held)
            if "theta_e" in drawn:
                drawn = {**drawn, "theta_e": drawn["theta_e"] + wider}
            # The key of clumps and images is that of `Prior.sample`.
            scene = self.prior.scene(drawn, jax.random.fold_in(own, 1))
            return jax.tree.map(lambda leaf: leaf[0], (drawn, scene))

        drawn, scenes = jax.vmap(one)(batch.key, batch.drawn, nudge.theta_e)
        source = brighter(scenes.source, 10 ** (-0.4 * nudge.magnitude[:, None]))
        source = larger(source, jnp.exp(nudge.log_size))
        return drawn, replace(scenes, source=source)

    def hosts(self, batch: Batch) -> Float[Array, "b h w c"]:
        """The images before injection: as they are, or degraded (missing pixels count as empty
        while degrading, and stay missing)."""
        if not self.degrade:
            return batch.host

        def one(key, host, fwhm, depth, target_fwhm, target_depth):
            missing = jnp.isnan(host)
            filled = jnp.where(missing, 0.0, host)
            m5 = (lj.depth_m5(depth), lj.depth_m5(target_depth))
            worse = lj.degrade(
                filled,
                fwhm,
                target_fwhm,
                *m5,
                key_of(key, 1),
                scale=self.pixels.scale,
                host_sigma=lj.fine_sky_sigma(host, self.correlation),
                correlation=self.correlation,
            )
            return jnp.where(missing, jnp.nan, worse)

        return jax.vmap(one)(
            batch.key,
            batch.host,
            batch.fwhm,
            batch.psfdepth,
            batch.target_fwhm,
            batch.target_psfdepth,
        )

    def observe(self, batch: Batch, nudge: Nudge) -> dict[str, Any]:
        """Everything about a batch of injections, arrays with a leading axis b.

        drawn: parameters of the prior. flux (b, B): of the unlensed source, nanomaggies. host, arc
        and stamp (b, H, W, B): before injection, the lensed source alone, and both (with the
        lens's own light, where the prior has any). added (b, H, W, B): what the host gets, before
        photon noise. arc_flux (b, B): of the arc, nanomaggies; edge_flux (b, B): the part of it
        within EDGE pixels of the stamp's edge. arc_snr (b,): in the reference band within the
        survey's ring (`lensjax.arc_snr`). snr (b,): of the matched filter sqrt(sum(arc^2/sigma^2))
        over all pixels and bands against sky noise; band_snr (b, B): of each band. valid (b,):
        whether scene and PSF are in their domain; missing (b,): see `missing`.
        """
        drawn, scenes = self.draw(batch, nudge)
        host, psf = self.hosts(batch), widened(batch.psf, nudge.log_psf)
        dimming = batch.dimming[:, None, None, :]
        lit = replace(scenes, lens_light=())
        image = lj.in_turn(lambda s, p: lj.render(s, self.pixels, p, bounds=self.bounds))
        arc = dimming * image(lit, psf)
        added = arc
        if scenes.lens_light:
            glow = lj.Scene(source=scenes.lens_light)
            added = arc + dimming * image(glow, psf)
        if self.gain is not None:
            stamp = jax.vmap(lambda k, h, a: lj.inject(h, a, gain=self.gain, key=key_of(k, 2)))(
                batch.key, host, added
            )
        else:
            stamp = jax.vmap(lj.inject)(host, added)
        sigma = jax.vmap(lambda depth, p: lj.pixel_sigma(depth, p, self.pixels))(
            batch.target_psfdepth, batch.psf
        )
        border = np.ones((self.pixels.size, self.pixels.size, 1), np.float32)
        border[EDGE:-EDGE, EDGE:-EDGE] = 0.0
        band_snr = jnp.sqrt(jnp.sum((arc / sigma[:, None, None, :]) ** 2, axis=(1, 2)))
        return {
            "drawn": drawn,
            "valid": jax.vmap(lj.valid)(scenes, psf),
            "missing": self.missing(host),
            "flux": sum(jnp.reshape(s.flux, batch.fwhm.shape) for s in scenes.source),
            "host": host,
            "arc": arc,
            "added": added,
            "stamp": stamp,
            "arc_flux": jnp.sum(arc, axis=(1, 2)),
            "edge_flux": jnp.sum(arc * border, axis=(1, 2)),
            "arc_snr": self.arc_snr(arc, sigma),
            "band_snr": band_snr,
            "snr": jnp.sqrt(jnp.sum(band_snr**2, axis=1)),
        }

    def missing(self, host: Float[Array, "b h w c"]) -> Bool[Array, " b"]:
        """Whether a host lacks pixels in the ring for arcs, in any band."""
        inner, outer = (radius / self.pixels.scale for radius in self.ring)
        ring = jnp.asarray(annulus(self.pixels.size, inner - SLACK, outer + SLACK), bool)
        return jnp.any(jnp.isnan(host) & ring[..., None], axis=(1, 2, 3))

    def arc_snr(
        self, arc: Float[Array, "b h w c"], sigma: Float[Array, "b c"]
    ) -> Float[Array, " b"]:
        """Summed flux within the survey's ring for arcs over the noise of as many sky pixels, in
        the reference band."""
        inner, outer = (radius / self.pixels.scale for radius in self.ring)
        ring = annulus(self.pixels.size, inner - SLACK, outer + SLACK)
        band = self.band
        signal = jnp.sum(arc[..., band] * jnp.asarray(ring, arc.dtype), axis=(1, 2))
        return signal / (sigma[:, band] * np.sqrt(ring.sum()))


def widened(psf: Any, log_factor: Float[Array, "*b"]) -> Any:
    """PSFs (leaves (b, ...)) with their FWHM multiplied by exp(log_factor); those without a FWHM
    stay as they are."""
    if not hasattr(psf, "fwhm"):
        return psf
    return replace(psf, fwhm=psf.fwhm * jnp.exp(log_factor)[..., None])


def audit_prior(
    source: str | dict[str, Any], magnitude: tuple[float, ...] = (), survey: Survey | None = None
) -> Prior:
    """The prior of an audit.

    source: the name of a shipped prior, a YAML file, or the file's contents. magnitude: range that
    the unlensed magnitude of the source is uniform in; empty: as the prior has it. survey: whose
    bands the scenes have. Raises InputError when there is no such prior, when one of its components
    does not exist, and when it has no magnitude to replace.
    """
    if isinstance(source, dict):
        prior = lj.prior_from("audit.prior", source)
    else:
        prior = lj.priors(source)
    if magnitude:
        names = [n for n in prior.parameters if n.endswith("_mag") and not n.startswith("light")]
        if not names:
            raise InputError(
                f"audit.source_magnitude: prior {prior.name!r} draws no magnitude; set it to []"
            )
        prior = prior.replaced(**{names[0]: Distribution(tuple(magnitude), "uniform")})
    return prior if survey is None else prior.for_bands(survey.bands, survey.wavelength)


def key_of(data: UInt32[Array, " 2"], purpose: int) -> Array:
    """A typed key from key data; 0 scene, 1 sky noise of a degraded host, 2 photon noise, 3 shape
    of a lens that follows its host."""
    return jax.random.fold_in(jax.random.wrap_key_data(data, impl="threefry2x32"), purpose)


def observe(experiment: Experiment, batch: Batch, nudge: Nudge) -> dict[str, Any]:
    """`Experiment.observe`, compiled once for each shape of batch; `unchanged()` is the nudge that
    does nothing. Nudges of all injections and of each share the compiled function."""
    return _observe(experiment, batch, nudge.of(len(batch)))


@jax.jit
def _observe(experiment: Experiment, batch: Batch, nudge: Nudge) -> dict[str, Any]:
    return experiment.observe(batch, nudge)


@jax.jit
def resolved(experiment: Experiment, batch: Batch) -> Batch:
    """The batch with every parameter of the prior held at the value that its key draws."""
    return replace(batch, drawn=experiment.draw(batch, unchanged())[0])


def unchanged() -> Nudge:
    """No change of the assumptions."""
    return Nudge(*(jnp.zeros(()) for _ in fields(Nudge)))
