"""The density that injections are drawn from, and the weight that makes them a sample of the prior.

An injection's parameters are drawn independently: those of the grid's axes uniformly within bins,
each bin equally often, the others from the proposal. The density is the product over these. What
follows from a galaxy's key alone (clumps, which image of a library) is not part of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Float

from classifiers.audit.axes import Grid
from classifiers.audit.proposal import BINS, law
from lensjax.errors import InputError
from lensjax.prior import Distribution, Prior, read_distribution

Entries = dict[str, dict[str, list[float]]]
"""Distribution of each parameter, as the YAML of a prior has it, or `{bins: edges}`
(`proposal.law`)."""


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


def distributions(prior: Prior, grid: Grid, drawn: bool = True) -> Entries:
    """The distribution of every parameter that varies. drawn: as the grid draws its axes; otherwise
    an axis is uniform over all of its bins."""
    entries: Entries = {
        name: {d.kind: [float(v) for v in d.numbers]}
        for name, d in prior.parameters.items()
        if d.kind != "fixed"
    }
    for axis in grid.drawn:
        entries.pop(axis.column, None)
        if axis.edges:
            ends = [axis.edges[0], axis.edges[-1]]
            entries[axis.column] = {BINS: list(axis.edges)} if drawn else {"uniform": ends}
    return entries


def ln_density(entries: Entries, columns: Mapping[str, Any]) -> Float[np.ndarray, " n"]:
    """Natural logarithm of the density at parameters (n,), float64; -inf where it is zero. Rounding
    to float32 does not put a draw outside of its distribution."""
    laws = {name: law(name, entry) for name, entry in entries.items()}
    return sum(
        (own.log_density(own.held(columns[name])) for name, own in laws.items()), np.zeros(())
    )
