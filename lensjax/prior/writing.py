"""A prior's entries with other numbers: the inverse of reading."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from typing import Any

from lensjax.errors import InputError
from lensjax.prior.distribution import Distribution
from lensjax.prior.drawing import BASES, Prior


def replaced_entries(
    entries: Mapping[str, Any], prior: Prior, parameters: Mapping[str, Distribution]
) -> dict[str, Any]:
    """The entries (`prior_entries`) that `prior` was read from, with other distributions of these
    parameters, by flat name. Everything else stays as it is. Raises InputError for a parameter that
    the prior does not have."""
    if unknown := sorted(set(parameters) - set(prior.parameters)):
        raise InputError(f"prior {prior.name!r} has no parameter {unknown[0]!r}")
    made = deepcopy(dict(entries))
    blocks = iter(prior.blocks)
    for role in BASES:
        given = made.get(role) or {}
        for part in given if isinstance(given, list) else [given]:
            for component in part:
                own = part[component]
                for name, flat in next(blocks).names:
                    if flat in parameters:
                        own[name] = entry(parameters[flat])
    return made


def entry(distribution: Distribution) -> dict[str, Any]:
    """A distribution as it stands in YAML, for example `{normal: [0.2, 0.25]}`."""
    numbers = [float(v) for v in distribution.numbers]
    return {distribution.kind: numbers if len(numbers) > 1 else numbers[0]}
