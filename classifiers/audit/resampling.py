"""The share of a population that is found, from injections that were drawn from something else: the
sums, as pure functions of JAX that can be differentiated.

With weights w = p(parameters | population) / p_draw of the found injections, out of N draws,

    mu = sum(w) / N,    variance = sum(w^2) / N^2 - mu^2 / N,    n_eff = mu^2 / variance

(Farr 2019, arXiv:1904.10879; Essick & Farr 2022, arXiv:2204.00461; the same as `ResamplingVT` of
gwpopulation). All sums are of exponentials relative to the largest, so that no density over- or
underflows, in single precision either.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from classifiers.audit.injectionset import InjectionSet
from classifiers.audit.proposal import ROUNDING, Law, law
from lensjax.errors import InputError

LnP = Callable[[Mapping[str, Array]], Array]
"""Log density (n,) of a population at parameters (n,) by name. It may say nothing about some."""

CONSISTENT = 1e-3
"""How far `ln_p_draw` may be from the proposal that is said to have made it."""


class Sum(NamedTuple):
    """ln_mu: logarithm of the share found, -inf where nothing is. variance: of mu. n_eff: effective
    number of injections behind it, 0 where nothing is found. Scalars."""

    ln_mu: Float[Array, ""]
    variance: Float[Array, ""]
    n_eff: Float[Array, ""]


def ln_sum(ln_weight: Float[Array | np.ndarray, " n"], total: float) -> Sum:
    """The sums over the log weights of found injections, out of `total` draws. Gradients are finite
    where weights are 0 (-inf), also where all are."""
    ln_weight = jnp.asarray(ln_weight)
    if not ln_weight.shape[0]:
        return Sum(*(jnp.asarray(v, ln_weight.dtype) for v in (-jnp.inf, 0.0, 0.0)))
    largest = jax.lax.stop_gradient(jnp.max(ln_weight))
    largest = jnp.where(largest == -jnp.inf, 0.0, largest)
    relative = jnp.exp(ln_weight - largest)
    first, second = jnp.sum(relative), jnp.sum(relative**2)
    some = first > 0
    safe = jnp.where(some, first, 1.0)
    # 1 / n_eff: the ratio is formed of sums that are relative to the same largest weight.
    inverse = second / safe**2 - 1 / total
    ln_mu = jnp.log(safe) + largest - np.log(total)
    # Every draw found with one weight has no variance; rounding must not make it negative.
    known = some & (inverse > 0)
    inverse = jnp.where(known, inverse, 1.0)
    variance = jnp.where(known, jnp.exp(2 * ln_mu) * inverse, 0.0)
    n_eff = jnp.where(known, 1 / inverse, jnp.where(some, jnp.inf, 0.0))
    return Sum(jnp.where(some, ln_mu, -jnp.inf), variance, n_eff)


class Asked(Mapping[str, Any]):
    """Parameters by name that remember which of them were used. A function that goes through all of
    them, as `**parameters` does, counts as using them all."""

    def __init__(self, values: Mapping[str, Any]):
        self.all = dict(values)
        self.names: set[str] = set()

    def __getitem__(self, name: str) -> Any:
        if name not in self.all:
            known = ", ".join(self.all)
            raise InputError(f"the population asks for {name!r}; the draws are over {known}")
        self.names.add(name)
        return self.all[name]

    def __contains__(self, name: object) -> bool:
        return name in self.all

    def __iter__(self) -> Iterator[str]:
        self.names.update(self.all)
        return iter(self.all)

    def __len__(self) -> int:
        return len(self.all)


@dataclass(frozen=True)
class Draws:
    """Some of a set's injections, for weights. parameters: by name (n,). ln_p_draw: (n,), joint.
    laws: what each was drawn from, where that is known. total: number of all draws. ln_host: log of
    the weights of their hosts, where the set is weighted to a population of galaxies (`target`)."""

    parameters: dict[str, Float[np.ndarray, " n"]]
    ln_p_draw: Float[np.ndarray, " n"]
    laws: dict[str, Law]
    total: int
    ln_host: Float[np.ndarray, " n"] | float = 0.0

    def ln_p_draw_of(self, names: set[str]) -> Float[np.ndarray, " n"]:
        """Log density of the draws over some parameters alone. The rest is divided out, so that a
        population which says nothing about a parameter keeps the draw's distribution of it. Raises
        InputError where the set does not say what a parameter was drawn from."""
        rest = [name for name in self.parameters if name not in names]
        if unknown := [name for name in rest if name not in self.laws]:
            raise InputError(
                f"the population says nothing about {unknown[0]!r}, and the injection set does not "
                f"say what it was drawn from; give a density that uses {unknown[0]!r}"
            )
        known = [self.laws[name].log_density(self.parameters[name]) for name in rest]
        return self.ln_p_draw - sum(known)

    def ln_weights(self, ln_p: LnP) -> tuple[Float[Array, " n"], list[str]]:
        """Log weights (n,) of a population, and the parameters that it says nothing about."""
        asked = Asked({k: jnp.asarray(v) for k, v in self.parameters.items()})
        density = jnp.asarray(ln_p(asked))
        n = len(self.ln_p_draw)
        if density.shape not in ((), (n,)):
            raise InputError(
                f"the population's log density has shape {density.shape} for {n} injections; it "
                f"should be ({n},)"
            )
        as_drawn = [name for name in self.parameters if name not in asked.names]
        draw = jnp.asarray(self.ln_p_draw_of(asked.names))
        host = jnp.asarray(self.ln_host)
        return jnp.broadcast_to(density, (n,)) - draw + host, as_drawn

    def ln_mu(self, ln_p: LnP) -> Sum:
        """The share of a population that is found, for inference; call it on found injections.

        A pure function of what `ln_p` closes over: it may be compiled, differentiated, and used in
        numpyro or blackjax. `ln_p` must be a normalised density. Nothing can be refused inside of a
        compiled function, so the caller has to set the likelihood to 0 where n_eff is below 4 times
        the number of observed lenses.
        """
        return ln_sum(self.ln_weights(ln_p)[0], self.total)


def draws(injections: InjectionSet) -> Draws:
    """All of a set's injections. Raises InputError where the table or the proposal cannot be used,
    and where `ln_p_draw` is not the density of the proposal."""
    about = injections.about
    names = injections.density_over
    proposal = about.get("proposal") or {}
    if not isinstance(proposal, Mapping):
        raise InputError(f"proposal is {proposal!r}: it should map parameters to distributions")
    laws = {name: law(name, proposal[name]) for name in names if name in proposal}
    parameters = {name: inside(injections, name, laws.get(name)) for name in names}
    ln_p_draw = numbers(injections, "ln_p_draw")
    if laws and len(laws) == len(names) and len(injections):
        said = np.sum([laws[name].log_density(parameters[name]) for name in names], 0)
        wrong = ~(np.abs(said - ln_p_draw) <= CONSISTENT)
        # A value that single precision rounds over the edge of a bin is drawn from the other side.
        for factor in (1 - ROUNDING, 1 + ROUNDING):
            rows = np.flatnonzero(wrong)
            beside = {name: inside(injections, name, laws[name], rows, factor) for name in names}
            near = np.sum([laws[name].log_density(beside[name]) for name in names], 0)
            wrong[rows] = ~(np.abs(near - ln_p_draw[rows]) <= CONSISTENT)
        if wrong.any():
            row = int(np.argmax(wrong))
            raise InputError(
                f"row {row}: ln_p_draw is {ln_p_draw[row]:g}, but {said[row]:g} by the proposal; "
                "the injection set contradicts itself"
            )
    ln_host: Any = 0.0
    if "host_weight" in injections.table:
        with np.errstate(divide="ignore"):
            ln_host = np.log(numbers(injections, "host_weight"))
    return Draws(parameters, ln_p_draw, laws, injections.total, ln_host)


def inside(
    injections: InjectionSet,
    name: str,
    drawn: Law | None,
    rows: np.ndarray | slice = slice(None),
    factor: float = 1.0,
) -> Float[np.ndarray, " n"]:
    """A parameter's column, some rows of it and times a factor, within what it was drawn from:
    values that lie outside by the rounding of single precision are moved to the end. Raises
    InputError for one that lies farther outside."""
    values = numbers(injections, name)[rows] * factor
    if drawn is None:
        return values
    held = drawn.held(values)
    low, high = drawn.support
    far = (held < low) | (held > high)
    if far.any():
        row = int(np.argmax(far))
        raise InputError(
            f"row {row} of the injection set: {name} is {values[row]:g}, but it was drawn from "
            f"{low:g} to {high:g}; the injection set contradicts itself"
        )
    return held


def numbers(injections: InjectionSet, name: str) -> Float[np.ndarray, " n"]:
    """A column as finite numbers in double precision. Raises InputError, naming row and column."""
    try:
        values = injections.table[name].to_numpy(np.float64)
    except (TypeError, ValueError):
        raise InputError(f"column {name!r} of the injection set holds no numbers") from None
    if not np.isfinite(values).all():
        row = int(np.argmin(np.isfinite(values)))
        raise InputError(f"row {row} of the injection set: {name} is {values[row]}; remove the row")
    return values


def threshold_of(injections: InjectionSet, threshold: float | str, finder: str = "") -> float:
    """The score above which a lens counts as found: a number, or the name of one of the set's
    thresholds, which are those of a finder, the first without a name. Raises InputError for a name
    that the finder does not have: a rate of false positives is another score for every finder."""
    if isinstance(threshold, str):
        known = injections.thresholds(finder)
        if threshold not in known:
            named = ", ".join(map(str, known)) or "none by name"
            whose = f" of finder {finder!r}" if finder else ""
            raise InputError(f"no threshold {threshold!r}{whose} in this set; there are {named}")
        return float(known[threshold])
    if not np.isfinite(threshold):
        raise InputError(f"threshold is {threshold}: give a number")
    return float(threshold)


def found(
    injections: InjectionSet, threshold: float | str, finder: str = ""
) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Which injections (n,) score above the threshold. Raises InputError for a finder or threshold
    that the set does not have, and for scores that are missing."""
    score = injections.score(finder)
    if np.isnan(score).any():
        row = int(np.argmax(np.isnan(score)))
        raise InputError(f"row {row} of the injection set has no score; score it or remove it")
    return score > threshold_of(injections, threshold, finder)


def detection(injections: InjectionSet, threshold: float | str, finder: str = "") -> Draws:
    """The found injections of a finder, for inference: `detection(...).ln_mu(ln_p)`. threshold: a
    score or the name of one of the set's. Raises InputError as `draws` and `found` do."""
    every, seen = draws(injections), found(injections, threshold, finder)
    return Draws(
        {name: values[seen] for name, values in every.parameters.items()},
        every.ln_p_draw[seen],
        every.laws,
        every.total,
        every.ln_host[seen] if isinstance(every.ln_host, np.ndarray) else 0.0,
    )
