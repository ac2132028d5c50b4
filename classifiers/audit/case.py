"""One batch of injections together with all that is assumed of it: what a treatment changes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, UInt32

import lensjax as lj
from classifiers.audit.campaign import Campaign, Sample, padded
from classifiers.audit.hosts import Hosts
from classifiers.audit.injection import (
    Batch,
    Experiment,
    Nudge,
    key_of,
    observe,
    resolved,
    unchanged,
)
from classifiers.finders import Finder, Scores, scored
from lensjax.prior import Prior

Kind = Literal["assumption", "population", "perturbation", "finder"]
"""What a treatment is about, see `treatments`."""


@dataclass(frozen=True)
class Case:
    """A full batch. count: how many of its injections count. place: of their hosts in `hosts` (b,).
    core: share of the Einstein radius within which the arc has no light, 0 for all of the arc.
    gain: electrons per nanomaggy of the photon noise of what is added, 0 for none, None for what
    the experiment says."""

    experiment: Experiment
    batch: Batch
    finder: Finder
    hosts: Hosts
    place: np.ndarray
    count: int
    nudge: Nudge = field(default_factory=unchanged)
    core: float = 0.0
    gain: float | None = None

    def holding(self, **values: Any) -> Case:
        """The case with parameters of the prior held at values (b,), the others as they were."""
        held = {name: jnp.asarray(value, jnp.float32) for name, value in values.items()}
        return replace(self, batch=replace(self.batch, drawn={**self.batch.drawn, **held}))

    def with_prior(self, prior: Prior) -> Case:
        """The case with scenes of another prior, drawn from the same keys."""
        return replace(self, experiment=replace(self.experiment, prior=prior))

    def resolved(self) -> Case:
        """The case with every parameter held at the value that its key draws."""
        return replace(self, batch=resolved(self.experiment, self.batch))

    def observed(self) -> dict[str, Any]:
        """What `injection.observe` returns, b injections, with photon noise as `gain` and without
        the inner images as `core` says. Both are done to what was rendered, so that neither
        needs the renderer compiled again."""
        found = observe(self.experiment, self.batch, self.nudge)
        if self.gain is not None:
            gain = jnp.float32(self.gain)
            noisy = photons(found["host"], found["added"], gain, self.batch.key)
            found = {**found, "stamp": noisy if self.gain else found["host"] + found["added"]}
        if not self.core:
            return found
        stamp = without_core(
            found["stamp"],
            found["arc"],
            self.core * found["drawn"]["theta_e"] / self.experiment.pixels.scale,
        )
        return {**found, "stamp": stamp}

    def scores(self) -> Scores:
        """Logits and scores of the injections that count."""
        stamps = np.asarray(self.observed()["stamp"])
        found = scored(self.finder, stamps, batch=len(stamps))
        return Scores(found.logit[: self.count], found.score[: self.count])


@dataclass(frozen=True)
class Treatment:
    """One changed assumption. group: what it is about, for example "PSF". sentence: what changes.
    change: from a case to the changed case; None where it cannot be applied, and `why_not` says
    why."""

    name: str
    kind: Kind
    group: str
    sentence: str
    change: Callable[[Case], Case] | None
    why_not: str = ""


@jax.jit
def without_core(
    stamp: Float[Array, "b h w c"], arc: Float[Array, "b h w c"], radius: Float[Array, " b"]
) -> Float[Array, "b h w c"]:
    """Stamps without the arc's light within a radius (pixels) of the middle
    (`lensjax.suppress_core`)."""
    return stamp - arc + jax.vmap(lj.suppress_core)(arc, radius)


@jax.jit
def photons(
    host: Float[Array, "b h w c"],
    added: Float[Array, "b h w c"],
    gain: Float[Array, ""],
    key: UInt32[Array, "b 2"],
) -> Float[Array, "b h w c"]:
    """Hosts with an arc and its photon noise, as `Experiment.observe` makes them."""
    return jax.vmap(lambda h, a, k: lj.inject(h, a, gain=gain, key=key_of(k, 2)))(host, added, key)


def cases(campaign: Campaign, sample: Sample) -> list[Case]:
    """The injections of a sample as cases, as the campaign makes them. The sample is of one stamp
    size."""
    packed = campaign.packed(sample)
    place = np.concatenate([campaign.plan[i].host[rows] for i, rows in sample])
    experiment = campaign.experiment(campaign.plan[sample[0][0]])
    made, start = [], 0
    for count, batch in packed:
        own = place[padded(np.arange(start, start + count), campaign.batch)]
        made.append(Case(experiment, batch, campaign.finder, campaign.hosts, own, count))
        start += count
    return made
