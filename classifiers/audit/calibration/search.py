"""The whole of a calibration but its files: fit, what was not needed, what is not constrained.

After a fit of all numbers, each one that has moved is put back, alone, and everything rendered
again: where the distance does not clearly rise (`energy.rise`), the data do not ask for the move.
Such numbers go back to the prior's values one after the other, as long as the distance does not
clearly rise, and the rest are fitted again. A number that ends where it was is constrained when
moving it by a unit either way from the fit clearly raises the distance.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float

from classifiers.audit.calibration.energy import Rise, rise
from classifiers.audit.calibration.fit import Fit, Lenses, Problem, fit
from classifiers.audit.calibration.injected import Answers, Injected
from classifiers.audit.calibration.observables import Ruler
from classifiers.audit.calibration.uncertainty import deviations

Status = Literal["moved", "as it was", "not constrained"]
UNIT = 1.0
"""how far a number is moved to see whether it is constrained"""
SHORT = 6
"""rounds of the second fit"""


@dataclass(frozen=True)
class Found:
    """The end of a calibration. fit: the last one, whose rounds are those of all. status (k,): of
    every number. deviation (k,): standard deviation of those that are constrained, in units, NaN
    for the others. returned: by how much the distance rises when a number that moved is put
    back."""

    fit: Fit
    status: list[Status]
    deviation: Float[np.ndarray, " k"]
    returned: dict[str, Rise]


@dataclass(frozen=True)
class Search:
    """What is calibrated: injections, lenses, and how they are measured."""

    injected: Injected
    ruler: Ruler
    lenses: Lenses
    problem: Problem
    seed: int = 0

    @classmethod
    def of(cls, injected: Injected, ruler: Ruler, lenses: Lenses, seed: int = 0) -> Search:
        """A search with its functions compiled."""
        return cls(injected, ruler, lenses, Problem(injected.numbers), seed)

    def answers(self, x: Float[np.ndarray, " k"]) -> Answers:
        """What is measured after steps x, with derivatives."""
        return self.injected.answers(x, self.ruler)

    def state(self, x: Float[np.ndarray, " k"]) -> tuple[np.ndarray, np.ndarray]:
        """Standardised observables and weights of the injections after steps x."""
        found = self.injected.looks(x, self.ruler)
        return self.lenses.standard(found.values), np.exp(found.ln_seen)

    def rises(self, before: tuple[np.ndarray, np.ndarray], x: Float[np.ndarray, " k"]) -> Rise:
        """By how much the distance is larger after steps x than in a state before."""
        y, v = self.lenses.standardised, self.lenses.weight
        return rise(before, self.state(x), y, v, self.injected.group, self.seed)

    def fitted(
        self,
        free: Bool[np.ndarray, " k"],
        start: Float[np.ndarray, " k"],
        rounds: int,
        good: Callable[[Answers], bool] = lambda found: False,
    ) -> Fit:
        """A fit of the free numbers."""
        return fit(
            self.answers,
            self.problem,
            self.injected.noise,
            self.lenses,
            free,
            start,
            rounds,
            good,
        )


def calibrated(search: Search, good: Callable[[Answers], bool], rounds: int) -> Found:
    """Moves the numbers as far as the lenses ask for it; good: whether the prior is good enough as
    it is. Raises InputError as `fit` does."""
    k = len(search.injected.numbers)
    first = search.fitted(np.ones(k, bool), np.zeros(k), rounds, good)
    state = search.state(first.x)
    last, returned = without_needless(search, first, state)
    status: list[Status] = []
    for i in range(k):
        if last.moved[i]:
            status.append("moved")
        else:
            held = _constrained(search, state, first.x, i)
            status.append("as it was" if held else "not constrained")
    known = np.array([word != "not constrained" for word in status])
    spread = deviations(
        search.problem, last.near, last.x, known, search.injected.group, search.seed
    )
    return Found(last, status, spread, returned)


def without_needless(
    search: Search,
    first: Fit,
    state: tuple[np.ndarray, np.ndarray],
) -> tuple[Fit, dict[str, Rise]]:
    """The fit with the numbers where they were that need not have moved, and what putting back each
    one alone would cost. state: of the injections after the fit."""
    names, place = search.injected.numbers.names, np.arange(len(first.x))
    returned = {
        names[i]: search.rises(state, np.where(place == i, 0.0, first.x))
        for i in np.flatnonzero(first.moved)
    }
    # Each one alone may not be needed while together they are, so they go back one by one.
    x, free = np.array(first.x), first.moved.copy()
    for name in sorted(returned, key=lambda n: returned[n].value / (returned[n].deviation or 1.0)):
        i = names.index(name)
        without = np.where(place == i, 0.0, x)
        alone = np.array_equal(x, first.x)
        if not (returned[name] if alone else search.rises(state, without)).clear:
            x, free[i] = without, False
    if np.array_equal(x, first.x):
        return first, returned
    second = search.fitted(free, x, SHORT)
    both = [*first.rounds, *second.rounds]
    return Fit(second.x, second.near, both, first.why), returned


def _constrained(
    search: Search,
    state: tuple[np.ndarray, np.ndarray],
    x: Float[np.ndarray, " k"],
    i: int,
) -> bool:
    """Whether the distance clearly rises when number i is moved by a unit from where the fit had it
    (x, and the injections' state there), up and down. Where the prior does not let it move so far,
    that side says nothing."""
    asked = False
    for step in (UNIT, -UNIT):
        there = np.array(x)
        there[i] += step
        legal = search.problem.legal(there)
        if abs(legal[i] - x[i]) < 0.5 * UNIT:
            continue
        asked = True
        if not search.rises(state, legal).clear:
            return False
    return asked
