"""What share of a population of lenses a finder finds, by re-weighting an injection set.

    injections = InjectionSet.load("runs/default/audit/injections.parquet")
    reweight(injections, "arclike", 0.5)                        # a prior's preset or YAML file
    reweight(injections, lambda p: ln_density(p["theta_e"]))    # a log density in JAX
    reweight(injections, "lenspop.csv", columns={"theta_e": "thetaE"})  # a table of lenses

Every injection counts p(parameters | population) / p_draw times. A population may say nothing about
some parameters; these keep the distribution that they were drawn from, and the answer names them
(`as_drawn`). A set whose hosts are weighted to a population of galaxies (`host_weight`) keeps these
weights. Where too few injections carry a population, or a part of it lies outside of what was
drawn, nothing is answered: InputError says which parameter to draw more of. `docs/populations.md`
has the formulas and an example of inference.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Float, Int

from classifiers.audit import coverage, matching
from classifiers.audit.injectionset import InjectionSet
from classifiers.audit.resampling import Draws, LnP, draws, found, ln_sum, threshold_of
from classifiers.intervals import weighted
from lensjax.errors import InputError

MINIMUM = 40
"""Smallest effective number of injections for which something is said, unless the number of
observed lenses asks for more: mu is then known to 16 %."""
PER_OBSERVED = 4
"""Effective injections for each observed lens, below which inference is biased (Farr 2019)."""
OUTSIDE = 1e-3
"""Share of a population that may lie outside of what was drawn, as tails of a normal do; the
interval's upper end holds it."""


class Expected(NamedTuple):
    """Detections to expect: their mean, its standard error from the injections (and from the number
    of lenses), the standard deviation of a count (Poisson's noise as well), and its interval."""

    mean: float
    standard_error: float
    deviation: float
    low: float
    high: float


@dataclass(frozen=True)
class Detection:
    """How much of a population is found.

    completeness: share found of what was drawn and could be injected, sum(w found) / sum(w). low,
    high: its interval of `level`, from hosts as the independent unit; a part of the population
    outside of what was drawn may be found or not, which the interval allows for. variance_hosts: of
    completeness, between hosts (linearised).
    mu, variance, n_eff: share found of all draws, its variance and effective number of injections,
    for independent injections (Farr 2019). n_eff_hosts: the same where those of a host are not
    independent. coverage: share of the population inside of what was drawn, NaN where the density
    is not normalised. normalised: whether the weights are those of a normalised density; if not, mu
    is self-normalised, as it is for a table of lenses. as_drawn: parameters that keep the draw's
    distribution. uneven: the parameter whose weights are the most uneven. injections, hosts: how
    many were used.
    """

    completeness: float
    low: float
    high: float
    level: float
    variance_hosts: float
    mu: float
    variance: float
    n_eff: float
    n_eff_hosts: float
    coverage: float
    normalised: bool
    as_drawn: tuple[str, ...]
    uneven: str
    threshold: float
    finder: str
    injections: int
    hosts: int

    def expected(self, lenses: float, lenses_sd: float = 0.0) -> Expected:
        """Detections among so many lenses (or so many a unit of time or area).

        lenses_sd: the standard error of that number. A count is Poisson about a mean which is a
        Gamma variable with the estimate's variance, so that it is negative-binomial. Raises
        InputError for numbers that are negative or not finite.
        """
        from scipy.stats import nbinom, poisson

        if not (0 <= lenses < np.inf and 0 <= lenses_sd < np.inf):
            raise InputError(f"{lenses} +- {lenses_sd} lenses: both should be 0 or larger")
        mean = lenses * self.completeness
        between = 0.0 if np.isnan(self.variance_hosts) else self.variance_hosts
        variance = lenses**2 * between + (self.completeness * lenses_sd) ** 2
        tails = [(1 - self.level) / 2, (1 + self.level) / 2]
        if variance > 0 and mean > 0:
            # Mean and variance of the negative binomial: mean and mean + variance.
            low, high = nbinom.ppf(tails, mean**2 / variance, mean / (mean + variance))
        else:
            low, high = poisson.ppf(tails, mean)
        deviation = float(np.sqrt(mean + variance))
        return Expected(mean, float(np.sqrt(variance)), deviation, float(low), float(high))

    def __str__(self) -> str:
        words = (
            f"completeness {100 * self.completeness:.2f} % (95 %: {100 * self.low:.2f}-"
            f"{100 * self.high:.2f}), threshold {self.threshold:g}, n_eff {self.n_eff:.0f} "
            f"({self.n_eff_hosts:.0f} by host), {self.injections} injections, {self.hosts} hosts"
        )
        words = words.replace("95 %", f"{100 * self.level:g} %")
        if self.as_drawn:
            words += f"; as drawn: {', '.join(self.as_drawn)}"
        return words if self.normalised else f"{words}; self-normalised"


class Weights(NamedTuple):
    """Weights (n,) of the injections, and what is said of the population."""

    weight: Float[np.ndarray, " n"]
    as_drawn: list[str]
    coverage: float
    normalised: bool


def reweight(
    injections: InjectionSet,
    population: Any,
    threshold: float | str = 0.5,
    finder: str = "",
    *,
    observed: int = 0,
    minimum: float = MINIMUM,
    normalised: bool = True,
    outside: float = OUTSIDE,
    columns: Mapping[str, str] | None = None,
    weight: str = "",
    level: float = 0.95,
) -> Detection:
    """How much of a population a finder finds, see `Detection`.

    population: a prior (preset, YAML file, mapping or `Prior`), a log density `ln_p(parameters)` in
    JAX, or a table of lenses (pandas, or a CSV or Parquet file).
    threshold: a score, or the name of one of the set's thresholds. finder: "" for the first.
    observed: number of observed lenses that the answer is for; n_eff must be 4 times as many
    (Farr 2019). minimum: n_eff below which nothing is said whatever is observed.
    normalised: whether a log density is; if not, the sums are divided by those of all injections,
    and the population is what the density says within what was drawn.
    outside: share of the population that may lie outside of what was drawn.
    columns: for a table, our names to its own. weight: for a table, its column of weights.

    The weights are computed in double precision. Raises InputError for a population outside of what
    was drawn, one of other components than the set's, one that too few injections carry, and for
    whatever cannot be read.
    """
    every, seen = draws(injections), found(injections, threshold, finder)
    if not len(injections):
        raise InputError("the injection set has no rows")
    known = _weights(injections, every, population, normalised, outside, columns or {}, weight)
    weights, n = known.weight, len(injections)
    if not weights.any():
        raise InputError(
            "the population has no density at any injection: it lies outside of what was drawn"
        )
    host = _hosts(injections)
    # Without a normalised density the weights are brought to a mean of 1, over what was injected.
    total = float(every.total) if known.normalised else float(n)
    scaled = weights if known.normalised else weights * n / weights.sum()
    with jax.enable_x64(), np.errstate(divide="ignore"):
        sums = ln_sum(np.log(np.where(seen, scaled, 0.0)), total)
        mu, variance, n_eff = float(np.exp(sums.ln_mu)), float(sums.variance), float(sums.n_eff)
    n_eff_hosts = _n_eff_hosts(scaled * seen, host)
    uneven, where = _uneven(weights, every)
    needed = max(minimum, PER_OBSERVED * observed)
    if min(n_eff, n_eff_hosts) < needed:
        by = "" if n_eff < needed else " by host"
        asked = f" for {observed} observed lenses" if observed and needed > minimum else ""
        raise InputError(
            f"too few injections carry this population: n_eff is {min(n_eff, n_eff_hosts):.1f}{by},"
            f" it should be {needed:g} or more{asked}; draw more injections with {uneven} {where}"
        )
    share = weighted(seen, weights, host)
    low, high = (float(end) for end in share.interval(level))
    inside = 1.0 if np.isnan(known.coverage) else min(known.coverage, 1.0)
    return Detection(
        completeness=share.value,
        low=low * inside,
        high=high * inside + 1 - inside,
        level=level,
        variance_hosts=share.variance,
        mu=mu,
        variance=variance,
        n_eff=n_eff,
        n_eff_hosts=n_eff_hosts,
        coverage=known.coverage,
        normalised=known.normalised,
        as_drawn=tuple(known.as_drawn),
        uneven=uneven,
        threshold=threshold_of(injections, threshold, finder),
        finder=finder,
        injections=n,
        hosts=int(host.max()) + 1,
    )


def _weights(
    injections: InjectionSet,
    every: Draws,
    population: Any,
    normalised: bool,
    outside: float,
    columns: Mapping[str, str],
    weight: str,
) -> Weights:
    """Weights for a population of any kind, refused where it lies outside of what was drawn."""
    if isinstance(population, str | Path) and Path(population).suffix in (".csv", ".parquet"):
        population = matching.read(Path(population))
    if hasattr(population, "columns") and hasattr(population, "to_numpy"):
        values, share = matching.lenses(population, every, columns, weight)
        table = matching.matched(values, share, every)
        _within(1 - table.within, table.outside, outside)
        name = max(table.distance, key=lambda k: table.distance[k])
        if table.distance[name] > matching.FAR:
            raise InputError(
                f"lenses of the table lie on average {table.distance[name]:.2f} of all draws away "
                f"from their nearest injections in {name}: draw more injections, or name fewer "
                "columns"
            )
        weight_of = table.weight * np.exp(every.ln_host)
        return Weights(weight_of, table.as_drawn, table.within, False)
    if columns or weight:
        raise InputError("columns and weight are for a table of lenses only")
    if callable(population):
        return _by_density(every, population, normalised, outside)
    prior = coverage.prior_of(population)
    laws, as_drawn = coverage.laws_of(prior, injections, every)
    beyond = {name: 1 - coverage.within(laws[name], name, every) for name in laws}
    inside = float(np.prod([1 - share for share in beyond.values()]))
    _within(1 - inside, beyond, outside)
    ln_p = sum(law.log_density(every.parameters[name]) for name, law in laws.items())
    ln_weight = ln_p - every.ln_p_draw_of(set(laws)) if laws else np.zeros(len(injections))
    return Weights(np.exp(ln_weight + every.ln_host), as_drawn, inside, True)


def _by_density(every: Draws, ln_p: LnP, normalised: bool, outside: float) -> Weights:
    """Weights of a log density; a normalised one has to have its mass inside of what was drawn."""
    with jax.enable_x64():
        given, as_drawn = every.ln_weights(ln_p)
        ln_weight = np.asarray(given, np.float64)
    if (bad := np.isnan(ln_weight) | (ln_weight == np.inf)).any():
        row = int(np.argmax(bad))
        raise InputError(
            f"the population's log density is not a number or infinite at row {row} of the "
            "injection set; outside of its support it should be -inf"
        )
    if not normalised:
        highest = ln_weight.max()
        relative = np.exp(ln_weight - highest) if np.isfinite(highest) else 0 * np.exp(ln_weight)
        return Weights(relative, as_drawn, np.nan, False)
    inside, error = coverage.integral(every, ln_p, ln_weight, as_drawn)
    if inside - 3 * error > 1 + outside:
        raise InputError(
            f"the population's density has the integral {inside:.4g} over what was drawn, so it "
            "is not normalised; normalise it, or say normalised=False"
        )
    if inside + 3 * error < 1 - outside:
        raise InputError(
            f"only {100 * inside:.4g} % of the population lies inside of what was drawn; draw "
            "injections where the rest is, or cut the population off and normalise it there "
            "(normalised=False does both)"
        )
    return Weights(np.exp(ln_weight), as_drawn, inside, True)


def _within(beyond: float, shares: Mapping[str, float], outside: float) -> None:
    """Refuses a population of which more than `outside` lies beyond what was drawn."""
    if beyond > outside:
        name = max(shares, key=lambda k: shares[k])
        raise InputError(
            f"{100 * beyond:.3g} % of the population lies outside of what was drawn, most of it in "
            f"{name} ({100 * shares[name]:.3g} %); draw injections there, or cut the population off"
        )


def _hosts(injections: InjectionSet) -> Int[np.ndarray, " n"]:
    """Number (n,) of every injection's host, from 0; each is its own where the set names none."""
    if "galaxy_id" not in injections.table:
        return np.arange(len(injections))
    import pandas as pd

    return pd.factorize(injections.table["galaxy_id"], use_na_sentinel=False)[0]


def _n_eff_hosts(value: Float[np.ndarray, " n"], host: Int[np.ndarray, " n"]) -> float:
    """Mean of `value` squared over its variance between hosts (Korn & Graubard 1999, equation
    2.4-1); 0 with one host or a mean of 0."""
    groups, mean = int(host.max()) + 1, value.mean()
    squares = (np.bincount(host, value - mean) ** 2).sum()
    if groups < 2 or mean == 0:
        return 0.0
    if squares == 0:
        return np.inf
    return float((mean * len(value)) ** 2 / (groups / (groups - 1) * squares))


def _uneven(weight: Float[np.ndarray, " n"], every: Draws) -> tuple[str, str]:
    """The parameter along which the weights are the most uneven, and where they are large: from the
    10 to the 90 % quantile of the weighted injections, in words."""
    cells = 20
    best, name = -1.0, ""
    for candidate, values in every.parameters.items():
        edges = np.quantile(values, np.arange(1, cells) / cells)
        share = np.bincount(np.searchsorted(edges, values), weight, cells) / weight.sum()
        if (spread := float((share**2).sum())) > best:
            best, name = spread, candidate
    order = np.argsort(every.parameters[name])
    summed = np.cumsum(weight[order]) / weight.sum()
    low, high = every.parameters[name][order][np.searchsorted(summed, [0.1, 0.9])]
    return name, f"from {low:.4g} to {high:.4g}"
