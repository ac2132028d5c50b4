"""Whether a population lies inside of what was drawn: a prior by its distributions, a log density
by integrating it over the draws."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jaxtyping import Float

from classifiers.audit.injectionset import InjectionSet
from classifiers.audit.proposal import Law, law_of
from classifiers.audit.resampling import Draws, LnP
from lensjax.errors import InputError
from lensjax.prior import Prior, prior_from, priors

SCRAMBLES, POINTS = 4, 2**12
"""Independent sets of quasi-random points that a density is integrated over, and points of each."""


def prior_of(population: Any, name: str = "population") -> Prior:
    """A prior from a preset's name, a YAML file or a mapping. Raises InputError as `priors` does,
    and for what can be no population."""
    if isinstance(population, Prior):
        return population
    if isinstance(population, str | Path):
        return priors(str(population))
    if isinstance(population, Mapping):
        return prior_from(name, population)
    raise InputError(
        f"a population of type {type(population).__name__}: give a prior (preset, YAML file or "
        "mapping), a log density in JAX, or a table of lenses"
    )


def laws_of(
    prior: Prior, injections: InjectionSet, every: Draws
) -> tuple[dict[str, Law], list[str]]:
    """Distributions of the parameters that the draws are over, by a population's prior, and the
    names of those that it says nothing about.

    Raises InputError, naming it, for a component, parametrisation or clumps that the set's own
    prior does not have, and for a parameter that is no part of the draw's density but is
    distributed otherwise than it was drawn.
    """
    own = injections.about.get("prior")
    drawn = prior_of(own, "of the injection set") if own else None
    if drawn is not None:
        _same_components(prior, drawn)
    laws = {}
    for name, distribution in prior.parameters.items():
        before = drawn.parameters.get(name) if drawn is not None else None
        if name not in every.parameters:
            if before != distribution:
                raise InputError(
                    f"prior {prior.name!r} distributes {name!r} otherwise than it was drawn, and "
                    f"the density of the draws is not over {name!r}; draw injections for it"
                )
            continue
        found = law_of(distribution)
        if found is None:
            raise InputError(
                f"prior {prior.name!r} fixes {name!r}, which was drawn from a distribution; give "
                "a narrow one, for example {normal: [value, sigma]}"
            )
        laws[name] = found
    return laws, [name for name in every.parameters if name not in laws]


def _same_components(prior: Prior, drawn: Prior) -> None:
    for role in ("lens", "source", "lens_light"):
        ours = [b for b in drawn.blocks if b.role == role]
        theirs = [b for b in prior.blocks if b.role == role]
        if [b.component for b in ours] != [b.component for b in theirs]:
            have, wanted = (
                " and ".join(b.component for b in blocks) or "nothing" for blocks in (theirs, ours)
            )
            raise InputError(
                f"prior {prior.name!r} has {have} as {role}, the injections were drawn with "
                f"{wanted}: they are no sample of it"
            )
        for a, b in zip(theirs, ours):
            if other := sorted({n for _, n in a.names} ^ {n for _, n in b.names}):
                raise InputError(
                    f"prior {prior.name!r}, {role} {a.component}: has another parametrisation than "
                    f"the injections, which differs in {', '.join(other)}"
                )
    if repr(prior.extras) != repr(drawn.extras):
        raise InputError(
            f"prior {prior.name!r} has other clumps or images than the injections were drawn with; "
            "these have no density to re-weight by"
        )


def within(law: Law, name: str, every: Draws) -> float:
    """Share of a parameter's distribution inside of what it was drawn from; where the set does not
    say that, inside of the values drawn."""
    if name in every.laws:
        return law.mass_within(*every.laws[name].support)
    return law.mass_within(every.parameters[name].min(), every.parameters[name].max())


def integral(
    every: Draws, ln_p: LnP, ln_weight: Float[np.ndarray, " n"], as_drawn: list[str]
) -> tuple[float, float]:
    """Integral of a population's density over what was drawn, and its standard error.

    Over quasi-random points drawn from the proposal (Sobol's, scrambled; the error is that between
    scrambles), which are many more than the injections; over the injections themselves where the
    set does not say what they were drawn from.
    """
    from scipy.stats import qmc

    names = [name for name in every.parameters if name not in as_drawn]
    if not names or any(name not in every.laws for name in names):
        weight = np.exp(ln_weight)
        return float(weight.mean()), float(weight.std() / np.sqrt(len(weight)))
    means = []
    for seed in range(SCRAMBLES):
        u = np.clip(qmc.Sobol(len(names), rng=seed).random(POINTS), 1e-12, 1 - 1e-12)
        values = {name: every.laws[name].quantile(u[:, i]) for i, name in enumerate(names)}
        ln_p_draw = sum(every.laws[name].log_density(values[name]) for name in names)
        points = Draws(values, np.asarray(ln_p_draw), {}, POINTS)
        with jax.enable_x64():
            ln_ratio, _ = points.ln_weights(ln_p)
            means.append(float(np.exp(np.asarray(ln_ratio, np.float64)).mean()))
    return float(np.mean(means)), float(np.std(means, ddof=1) / np.sqrt(SCRAMBLES))
