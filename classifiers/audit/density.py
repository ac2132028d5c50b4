"""The density that injections are drawn from, and the weight that makes them a sample of the prior.

An injection's parameters are drawn independently: those of the grid's axes uniformly within bins,
each bin equally often, the others from the proposal. The density is the product over these. What
follows from a galaxy's key alone (clumps, which image of a library) is not part of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from jaxtyping import Float

from classifiers.audit.axes import Grid
from lensjax.errors import InputError
from lensjax.prior import Distribution, Prior, read_distribution

BINS = "bins"
"""Kind of a distribution that is uniform in each of some bins, with equally many draws in each; its
numbers are the edges of the bins."""

Law = dict[str, dict[str, list[float]]]
"""Distribution of each parameter, as the YAML of a prior has it, or `{bins: edges}`."""


def proposed(prior: Prior, proposal: Mapping[str, Any]) -> Prior:
    """The prior with the distributions of the setting `audit.proposal`. Raises InputError, naming
    the parameter, for one that the prior does not have and for what is no distribution."""
    found: dict[str, Distribution] = {}
    for name, entry in proposal.items():
        try:
            wider = prior.replaced(**{name: Distribution((0.0,), "fixed")})
            found[name] = read_distribution(entry, wider.domain(name))
        except (ValueError, InputError) as error:
            raise InputError(f"audit.proposal.{name}: {error}") from None
    return prior.replaced(**found)


def law_of(prior: Prior, grid: Grid, drawn: bool = True) -> Law:
    """The distribution of every parameter that varies. drawn: as the grid draws its axes; otherwise
    an axis is uniform over all of its bins."""
    law: Law = {
        name: {d.kind: [float(v) for v in d.numbers]}
        for name, d in prior.parameters.items()
        if d.kind != "fixed"
    }
    for axis in grid.drawn:
        law.pop(axis.column, None)
        if axis.edges:
            ends = [axis.edges[0], axis.edges[-1]]
            law[axis.column] = {BINS: list(axis.edges)} if drawn else {"uniform": ends}
    return law


def ln_density(law: Law, columns: Mapping[str, Any]) -> Float[np.ndarray, " n"]:
    """Natural logarithm of the density at parameters (n,), float64; -inf where it is zero. Rounding
    to float32 does not put a draw outside of its distribution."""
    total: Any = 0.0
    with jax.enable_x64(True):
        for name, entry in law.items():
            ((kind, numbers),) = entry.items()
            values = np.asarray(columns[name], np.float64)
            total = total + (
                _of_bins(values, numbers)
                if kind == BINS
                else np.asarray(Distribution(tuple(numbers), kind).log_prob(_held(values, entry)))
            )
    return np.asarray(total, np.float64)


def _of_bins(values: np.ndarray, edges: list[float]) -> np.ndarray:
    widths = np.diff(edges)
    place = np.clip(np.searchsorted(edges, values, side="right") - 1, 0, len(widths) - 1)
    inside = (values >= edges[0]) & (values <= edges[-1])
    return np.where(inside, -np.log(len(widths) * widths[place]), -np.inf)


def _held(values: np.ndarray, entry: Mapping[str, list[float]]) -> Any:
    """Values that lie outside of an interval by no more than float32's rounding, put on its end."""
    import jax.numpy as jnp

    ((kind, numbers),) = entry.items()
    if kind in ("uniform", "area"):
        slack = 4e-7 * max(abs(v) for v in numbers)
        near = (values > numbers[0] - slack) & (values < numbers[1] + slack)
        values = np.where(near, np.clip(values, numbers[0], numbers[1]), values)
    return jnp.asarray(values)
