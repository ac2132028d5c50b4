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
