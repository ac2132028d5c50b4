"""Slopes of a finder's logit with respect to everything behind an injection, in one backward pass.

An injection's logit depends on its own parameters only. The gradient of the sum over a batch is
therefore every injection's own gradient, and one backward pass through network, preprocessing, PSF,
light and ray tracing gives the slopes in all parameters at once.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from classifiers import processor
from classifiers.audit.injection import Batch, Experiment, Nudge, unchanged
from classifiers.finders import Finder

if TYPE_CHECKING:
    from collections.abc import Callable


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Slopes:
    """logit (b,), and its derivatives: drawn, with respect to every parameter of the prior, in the
    parameter's unit (b,); nudge, with respect to each change (b,); log_dimming, with respect to the
    natural log of the share of light that dust lets through, (b, B)."""

    logit: Float[Array, " b"]
    drawn: dict[str, Float[Array, " b"]]
    nudge: Nudge
    log_dimming: Float[Array, "b c"]


def slopes(finder: Finder, experiment: Experiment, batch: Batch, nudge: Nudge) -> Slopes:
    """Slopes of a batch whose parameters are all held (`injection.resolved`), for a finder that can
    be differentiated. nudge: where they are taken. Compiled once for each shape of batch."""
    return _compiled()(finder, experiment, batch, nudge.of(len(batch)))


@cache
def _compiled() -> Callable[..., Slopes]:
    return processor.jit(_slopes)


def _slopes(finder: Any, experiment: Experiment, batch: Batch, nudge: Nudge) -> Slopes:
    def total(drawn: dict[str, Array], change: Nudge, dust: Array) -> tuple[Array, Array]:
        changed = replace(batch, drawn=drawn, dimming=batch.dimming * jnp.exp(dust))
        logit = finder.logits(experiment.observe(changed, change)["stamp"])
        return jnp.sum(logit), logit

    start = batch.drawn, nudge, jnp.zeros_like(batch.dimming)
    found, logit = jax.grad(total, argnums=(0, 1, 2), has_aux=True)(*start)
    return Slopes(logit, *found)


NUMBERS = {
    "uniform": ("low", "high"),
    "area": ("low", "high"),
    "normal": ("mean", "sigma"),
    "half_normal": ("sigma",),
    "fixed": ("value",),
}
"""What the numbers of a distribution are called."""


@jax.jit
def responses(experiment: Experiment, batch: Batch) -> list[dict[str, Float[Array, " b"]]]:
    """Derivative of every drawn value with respect to the first number of its distribution, and to
    the second (b,). Parameters that the batch holds do not answer."""

    def drawn(parameters: Any) -> dict[str, Array]:
        prior = replace(experiment.prior, parameters=parameters)
        return replace(experiment, prior=prior).draw(batch, unchanged())[0]

    start = jax.tree.map(lambda v: jnp.asarray(v, jnp.float32), experiment.prior.parameters)
    found = []
    for place in range(2):
        toward = {
            name: replace(d, numbers=tuple(jnp.float32(i == place) for i in range(len(d.numbers))))
            for name, d in start.items()
        }
        found.append(jax.jvp(drawn, (start,), (toward,))[1])
    return found


def width(numbers: tuple[Any, ...], kind: str) -> float:
    """How wide a distribution is: high - low, sigma, or the size of a fixed value (1 for 0)."""
    if kind in ("uniform", "area"):
        return float(numbers[1] - numbers[0])
    return abs(float(numbers[-1])) or 1.0


def fraction_slope(
    logit: Float[np.ndarray, " n"], slope: Float[np.ndarray, " n"], at: float
) -> tuple[float, float]:
    """Derivative of the share of injections above a threshold, and its standard error.

    The share changes by those that cross: the density of logits at the threshold times the mean
    slope there, sum(slope K((logit - at) / h)) / (n h) with a Gaussian kernel K (a kernel estimate
    of E[slope delta(logit - at)]). The bandwidth h is Silverman's (1986, Density Estimation,
    equation 3.31). NaN with fewer than two injections or when all logits are the same.
    """
    n = len(logit)
    if n < 2:
        return np.nan, np.nan
    quartiles = np.subtract(*np.quantile(logit, [0.75, 0.25])) / 1.349
    spread = min(s for s in (logit.std(ddof=1), quartiles or np.inf) if s >= 0)
    if not spread > 0:
        return np.nan, np.nan
    h = 0.9 * spread * n**-0.2
    kernel = np.exp(-0.5 * ((logit - at) / h) ** 2) / (np.sqrt(2 * np.pi) * h)
    own = slope * kernel
    return float(own.mean()), float(own.std(ddof=1) / np.sqrt(n))
