"""Injections of a calibration: fixed hosts, fixed keys, and uniform noise behind every moved
parameter, so that two priors differ by their numbers only (common random numbers).

The observables of an injection depend on its own parameters. Their derivatives come from pushing a
change of each moved parameter forward through scene, renderer, PSF, host and measurement
(`observables.measured`); a change of the prior's numbers then is a change of the draws.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from classifiers.audit.calibration.numbers import Numbers
from classifiers.audit.calibration.observables import (
    THETA_E,
    Ruler,
    Still,
    measure,
    measured_with_change,
)
from classifiers.audit.injection import Batch, Experiment, resolved, unchanged
from lensjax.prior import Distribution


class Looks(NamedTuple):
    """n injections: stamps (n, H, H, B), nanomaggies, all observables as they are compared (n, d),
    and the logarithm of the share by which each is seen (n,)."""

    stamps: Float[np.ndarray, "n h h b"]
    values: Float[np.ndarray, "n d"]
    ln_seen: Float[np.ndarray, " n"]


@dataclass(frozen=True)
class Answers:
    """What is measured of n injections, and how it answers to their m moved parameters. values
    (n, d): observables as they are compared. ln_seen (n,): logarithm of the share by which each is
    seen. drawn (m, n): the parameters. d_values (m, n, d), d_ln_seen (m, n): derivatives."""

    values: Float[np.ndarray, "n d"]
    ln_seen: Float[np.ndarray, " n"]
    drawn: Float[np.ndarray, "m n"]
    d_values: Float[np.ndarray, "m n d"]
    d_ln_seen: Float[np.ndarray, "m n"]


@dataclass(frozen=True)
class Injected:
    """n injections. experiment: what makes them. batches: (how many count, batch), every parameter
    of the prior held at its draw. numbers: that are moved. noise (m, n): uniform, behind the
    parameters of these. group (n,): the host's name. theta_e: whether the prior draws the Einstein
    radius, which then is the last observable."""

    experiment: Experiment
    batches: Sequence[tuple[int, Batch]]
    numbers: Numbers
    noise: Float[np.ndarray, "m n"]
    group: np.ndarray
    theta_e: bool

    @classmethod
    def of(
        cls,
        experiment: Experiment,
        batches: Sequence[tuple[int, Batch]],
        numbers: Numbers,
        group: np.ndarray,
    ) -> Injected:
        """From batches of which nothing is held yet. The parameters are those that the keys give,
        as in an audit."""
        own = experiment.prior.parameters
        noise = [(n, b, _noise(experiment, b)) for n, b in batches]
        held = [
            (n, replace(b, drawn={k: d.quantile(u[k]) for k, d in own.items()}))
            for n, b, u in noise
        ]
        moved = [
            np.concatenate([np.asarray(u[name])[:n] for n, _, u in noise])
            for name in numbers.parameters
        ]
        plain = _with_all(experiment, Distribution((0.0,), "fixed"))
        return cls(plain, held, numbers, np.stack(moved), group, THETA_E in own)

    def __len__(self) -> int:
        return len(self.group)

    def held(self, x: Float[np.ndarray, " k"]) -> list[tuple[int, Batch]]:
        """The batches with the moved parameters as drawn after steps x (k,)."""
        drawn = np.asarray(self.numbers.drawn(jnp.asarray(x, jnp.float32), self.noise))
        made, start = [], 0
        for n, batch in self.batches:
            rows = start + np.minimum(np.arange(len(batch)), n - 1)
            own = {
                name: jnp.asarray(values[rows], jnp.float32)
                for name, values in zip(self.numbers.parameters, drawn)
            }
            made.append((n, replace(batch, drawn={**batch.drawn, **own})))
            start += n
        return made

    def looks(self, x: Float[np.ndarray, " k"], ruler: Ruler) -> Looks:
        """Stamps and observables after steps x (k,)."""
        batches = self.held(x)
        size = len(batches[0][1])
        parts = [(n, b, _made(self.experiment, b, _change(b))[0]) for n, b in batches]
        stamps = np.concatenate([np.asarray(made)[:n] for n, _, made in parts])
        values, ln_seen = measure(stamps, ruler, size)
        if self.theta_e:
            radii = [np.asarray(b.drawn[THETA_E], np.float64)[:n] for n, b, _ in parts]
            values = np.concatenate([values, np.log(np.concatenate(radii))[:, None]], 1)
        return Looks(stamps, values, ln_seen)

    def answers(self, x: Float[np.ndarray, " k"], ruler: Ruler) -> Answers:
        """Everything measured after steps x (k,), with derivatives."""
        parts = [self._answers(batch, n, ruler) for n, batch in self.held(x)]
        along = {"values": 0, "ln_seen": 0}
        joined = {
            f.name: np.concatenate([getattr(p, f.name) for p in parts], along.get(f.name, 1))
            for f in fields(Answers)
        }
        return Answers(**joined)

    def _answers(self, batch: Batch, n: int, ruler: Ruler) -> Answers:
        """Of the first n of a batch. An injection answers to its own parameters only, so that all
        of a batch are changed together."""
        names = self.numbers.parameters
        values, ln_seen, slopes = None, None, []
        still: Still | None = None
        for name in names:
            stamps, change = _made(self.experiment, batch, _change(batch, name))
            if still is None:
                still = Still.of(np.asarray(stamps), ruler)
            (values, ln_seen), slope = measured_with_change(stamps, change, still, ruler)
            if self.theta_e:
                theta_e = batch.drawn[THETA_E][:, None]
                values = jnp.concatenate([values, jnp.log(theta_e)], 1)
                own = (1.0 if name == THETA_E else 0.0) / theta_e
                slope = jnp.concatenate([slope[0], own], 1), slope[1]
            slopes.append(slope)
        drawn = np.stack([np.asarray(batch.drawn[name])[:n] for name in names])
        d_values, d_ln_seen = (np.stack([np.asarray(a)[:n] for a in p]) for p in zip(*slopes))
        # What is never seen has no slope.
        d_ln_seen = np.where(np.isfinite(d_ln_seen), d_ln_seen, 0.0)
        assert values is not None and ln_seen is not None
        return Answers(np.asarray(values)[:n], np.asarray(ln_seen)[:n], drawn, d_values, d_ln_seen)


def _with_all(experiment: Experiment, one: Distribution) -> Experiment:
    """The experiment with the same distribution of all parameters. Where every parameter is held
    the distributions do not matter, and one compiled function serves all priors of the same
    components."""
    prior = experiment.prior
    parameters = dict.fromkeys(prior.parameters, one)
    return replace(experiment, prior=replace(prior, parameters=parameters, name=""))


def _noise(experiment: Experiment, batch: Batch) -> dict[str, Array]:
    """The uniform noise (0 to 1) from which the keys of a batch draw every parameter (b,)."""
    uniform = _with_all(experiment, Distribution((0.0, 1.0), "uniform"))
    return resolved(uniform, replace(batch, drawn={})).drawn


def _change(batch: Batch, name: str = "") -> dict[str, Array]:
    """A change of every held parameter: one of the named, none of the others."""
    return {k: jnp.ones_like(v) if k == name else jnp.zeros_like(v) for k, v in batch.drawn.items()}


@jax.jit
def _made(experiment: Experiment, batch: Batch, change: dict[str, Array]) -> tuple[Array, Array]:
    """Stamps (b, H, W, B) of a batch whose parameters are all held, and by how much they change
    with a change of the parameters, to first order."""

    def stamps(drawn: dict[str, Array]) -> Array:
        return experiment.observe(replace(batch, drawn=drawn), unchanged())["stamp"]

    return jax.jvp(stamps, (batch.drawn,), (change,))
