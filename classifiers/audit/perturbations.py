"""The nine perturbations of the audit's protocol as treatments: PSF width, source size and colours
both ways, and the lens's axis ratio."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import jax.numpy as jnp
import numpy as np

from classifiers.audit.campaign import Campaign
from classifiers.audit.case import Case, Treatment
from lensjax.prior import Prior

COLOUR, WIDTH, SIZE = 0.2, 0.1, 0.3
"""Steps of the perturbations: mag, and relative changes of the PSF's FWHM and the source's size."""


def perturbations(campaign: Campaign) -> Iterator[Treatment]:
    """The nine of the audit's protocol: PSF width, source size and two colours both ways, and the
    lens's axis ratio; one colour for every pair of neighbouring bands."""
    made = lambda name, sentence, change, why="": Treatment(
        name, "perturbation", "perturbation", sentence, change, why
    )
    kernel = campaign.hosts.kernels is not None
    why = "a measured kernel has no FWHM to change" if kernel else ""
    for step in (WIDTH, -WIDTH):
        change = lambda c, v=step: _nudged(c, log_psf=float(np.log1p(v)))
        words = f"the arcs' PSF is {abs(step):.0%} {'wider' if step > 0 else 'narrower'}"
        yield made(f"psf_{step:+.0%}", words, None if kernel else change, why)
    for step in (SIZE, -SIZE):
        change = lambda c, v=step: _nudged(c, log_size=float(np.log1p(v)))
        words = f"sources are {abs(step):.0%} {'larger' if step > 0 else 'smaller'}"
        yield made(f"size_{step:+.0%}", words, change)
    found = colours(campaign.prior)
    if not found:
        why = "the prior draws no colour"
        if len(campaign.survey.bands) == 1:
            why = "the survey has one band, so there is no colour"
        yield made("colours", "sources of another colour", None, why)
    for name in found:
        for step in (COLOUR, -COLOUR):
            words = f"source {name.replace('_', ' - ')} {step:+g} mag"
            yield made(f"{name}_{step:+g}", words, *_moved(campaign.prior, name, step))
    q = campaign.prior.blocks[0].flat("q") if campaign.prior.blocks[0].role == "lens" else None
    if q is None:
        yield made("lens_q", "rounder lenses", None, "the prior's lens has no axis ratio")
    else:
        yield made("lens_q", "rounder lenses: the upper half of the axis ratios", *_upper(q))


def colours(prior: Prior) -> list[str]:
    """Flat names of the colours of a prior's sources."""
    from lensjax.photometry import colour_bands

    return [
        flat
        for block in prior.blocks
        if block.role == "source"
        for own, flat in block.names
        if colour_bands(own) and not own.endswith("_mag")
    ]


def _nudged(case: Case, **changes: float) -> Case:
    moved = {name: getattr(case.nudge, name) + value for name, value in changes.items()}
    return replace(case, nudge=replace(case.nudge, **moved))


def _with_numbers(case: Case, name: str, numbers: tuple[Any, ...]) -> Case:
    """The case with other numbers in a distribution of its prior: nothing is compiled again."""
    prior = case.experiment.prior
    changed = {**prior.parameters, name: replace(prior.parameters[name], numbers=numbers)}
    return case.with_prior(replace(prior, parameters=changed))


def _moved(prior: Prior, name: str, step: float) -> tuple[Callable[[Case], Case] | None, str]:
    """A distribution moved by a step, or the reason why it cannot be."""
    own = prior.parameters[name]
    if own.kind not in ("normal", "uniform", "fixed"):
        return None, f"{name} is drawn from {own.kind}, which cannot be moved"
    moving = len(own.numbers) if own.kind == "uniform" else 1
    numbers = tuple(v + step if i < moving else v for i, v in enumerate(own.numbers))
    return (lambda c: _with_numbers(c, name, numbers)), ""


def _upper(name: str) -> tuple[Callable[[Case], Case], str]:
    """The upper half of a uniform distribution; of another one its upper quantiles."""

    def change(case: Case) -> Case:
        own = case.experiment.prior.parameters[name]
        if own.kind == "uniform":
            low, high = own.numbers
            return _with_numbers(case, name, ((low + high) / 2, high))
        value = case.resolved().batch.drawn[name]
        return case.holding(**{name: jnp.maximum(value, own.quantile(jnp.asarray(0.5)))})

    return change, ""
