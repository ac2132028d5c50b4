"""The one function of an audit: key -> scene -> arc -> host + arc -> preprocessing -> classifier -> logit.

It is pure and has static shapes, so it is compiled once per stamp size; completeness, sensitivity and gallery are a loop or a derivative
around it.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, UInt32

import lensjax as lj
from lensjax.light import brighter, larger
from lensjax.prior import Distribution, Prior

R = 1  # place of the r band


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Batch:
    """Injections to be made. key: random key data (b, 2) · theta_e: arcsec (b,) · host: nanomaggies (b, H, W, 3) · psf: FWHM of the host,
    arcsec (b, 3) · psfdepth: of the host, nanomaggy^-2 (b, 3) · target_psf, target_psfdepth: what degraded hosts are brought to (b, 3),
    equal to the host's own otherwise."""

    key: UInt32[Array, "b 2"]
    theta_e: Float[Array, " b"]
    host: Float[Array, "b h w 3"]
    psf: Float[Array, "b 3"]
    psfdepth: Float[Array, "b 3"]
    target_psf: Float[Array, "b 3"]
    target_psfdepth: Float[Array, "b 3"]

    def __len__(self) -> int:
        return self.key.shape[0]


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Nudge:
    """Changes to the assumptions behind an injection. magnitude: added to the source's, mag · log_size: natural log of the factor on R_e ·
    theta_e: added, arcsec (the source keeps its offset in units of theta_e) · log_psf: natural log of the factor on the FWHM that the arc, not
    the host, is blurred with."""

    magnitude: Float[Array, ""]
    log_size: Float[Array, ""]
    theta_e: Float[Array, ""]
    log_psf: Float[Array, ""]


def audit_prior(name: str, magnitude: tuple[float, float]) -> Prior:
    """The registry's prior with the unlensed r magnitude uniform in this range."""
    return lj.priors(name).replaced(r_mag=Distribution(magnitude, "uniform"))


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Experiment:
    """What an audit keeps fixed. classifier: anything with `logits(raw stamps)`, a pytree · prior: of sources, shear and lens shapes · pixels:
    the stamps' grid · degrade: bring hosts to the target PSF and depth · gain: electrons per nanomaggy of the arc's Poisson noise,
    or None · beta: of a Moffat PSF; None: Gaussian."""

    classifier: Any
    prior: Prior
    pixels: lj.PixelGrid
    degrade: bool = field(default=False, metadata={"static": True})
    gain: Float[Array, ""] | float | None = None
    beta: Float[Array, ""] | float | None = None

    def psf(self, fwhm: Float[Array, " 3"]) -> lj.Gaussian | lj.Moffat:
        """PSF of this FWHM per band, arcsec."""
        return lj.Gaussian(fwhm) if self.beta is None else lj.Moffat(fwhm, self.beta)

    def scenes(self, batch: Batch, nudge: Nudge) -> lj.Scene:
        """One scene (leaves (b, ...)) for every key: the same whatever else is in the batch."""

        def one(key: Array, theta_e: Array) -> lj.Scene:
            drawn = self.prior.sample(_key(key, 0), 1, theta_e=theta_e + nudge.theta_e)
            return jax.tree.map(lambda leaf: leaf[0], drawn)

        scenes = jax.vmap(one)(batch.key, batch.theta_e)
        source = brighter(scenes.source, 10 ** (-0.4 * nudge.magnitude))
        return replace(scenes, source=larger(source, jnp.exp(nudge.log_size)))

    def hosts(self, batch: Batch) -> Float[Array, "b h w 3"]:
        """The images before injection: as they are, or degraded (missing pixels count as empty while degrading, and stay missing)."""
        if not self.degrade:
            return batch.host

        def one(
            key: Array,
            host: Array,
            psf: Array,
            depth: Array,
            target_psf: Array,
            target_depth: Array,
        ) -> Array:
            missing = jnp.isnan(host)
            filled = jnp.where(missing, 0.0, host)
            m5 = (lj.depth_m5(depth), lj.depth_m5(target_depth))
            worse = lj.degrade(filled, psf, target_psf, *m5, _key(key, 1), scale=self.pixels.scale)
            return jnp.where(missing, jnp.nan, worse)

        return jax.vmap(one)(
            batch.key,
            batch.host,
            batch.psf,
            batch.psfdepth,
            batch.target_psf,
            batch.target_psfdepth,
        )

    def arcs(self, scenes: lj.Scene, batch: Batch, nudge: Nudge) -> Float[Array, "b h w 3"]:
        """Lensed light of every scene through the PSF of its cell, nanomaggies."""
        fwhm = batch.target_psf * jnp.exp(nudge.log_psf)
        return jax.vmap(lambda scene, width: lj.render(scene, self.pixels, self.psf(width)))(
            scenes, fwhm
        )

    def observe(self, batch: Batch, nudge: Nudge) -> dict[str, Any]:
        """Everything about a batch of injections, arrays with a leading axis b: `scenes`, `host`, `arc` and `stamp` (b, H, W, 3), `logit` (b,),
        `logit_before` (b,) of the degraded host (matched hosts are scored once each, elsewhere), `arc_snr` (b,) in r within 4-16 pixels
        (lensjax.arc_snr), `snr` (b,) of the matched filter sqrt(sum(arc^2 / sigma^2)) over all pixels and bands against sky noise."""
        scenes, host = self.scenes(batch, nudge), self.hosts(batch)
        arc = self.arcs(scenes, batch, nudge)
        if self.gain is not None:
            stamp = jax.vmap(lambda k, h, a: lj.inject(h, a, gain=self.gain, key=_key(k, 2)))(
                batch.key, host, arc
            )
        else:
            stamp = jax.vmap(lj.inject)(host, arc)
        sigma = jax.vmap(lambda depth, width: lj.pixel_sigma(depth, self.psf(width), self.pixels))(
            batch.target_psfdepth, batch.target_psf
        )
        return {
            "scenes": scenes,
            "host": host,
            "arc": arc,
            "stamp": stamp,
            "logit": self.classifier.logits(stamp),
            **({"logit_before": self.classifier.logits(host)} if self.degrade else {}),
            "arc_snr": jax.vmap(lj.arc_snr)(arc, sigma)[:, R],
            "snr": jnp.sqrt(jnp.sum((arc / sigma[:, None, None, :]) ** 2, axis=(1, 2, 3))),
        }


def _key(data: UInt32[Array, " 2"], purpose: int) -> Array:
    """A typed key from key data; 0 scene, 1 sky noise of a degraded host, 2 photon noise of the arc."""
    return jax.random.fold_in(jax.random.wrap_key_data(data, impl="threefry2x32"), purpose)


@jax.jit
def observe(experiment: Experiment, batch: Batch, nudge: Nudge) -> dict[str, Any]:
    """`Experiment.observe`, compiled once for each shape of batch; `unchanged()` is the nudge that does nothing."""
    return experiment.observe(batch, nudge)


def unchanged() -> Nudge:
    """No change of the assumptions, as arrays, so that every nudge shares one compiled function."""
    return Nudge(*(jnp.zeros(()) for _ in fields(Nudge)))


@jax.jit
def logits(classifier: Any, stamps: Float[Array, "b h w 3"]) -> Float[Array, " b"]:
    """Logits (b,) of stamps as they are."""
    return classifier.logits(stamps)
