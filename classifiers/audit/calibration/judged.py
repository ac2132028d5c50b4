"""Injections beside lenses that the fit did not see: realism gates, energy distance, and what does
not match."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float

from classifiers.audit.calibration.energy import distance, p_value
from classifiers.audit.calibration.fit import Lenses
from classifiers.audit.calibration.lenses import Real
from classifiers.audit.calibration.observables import THETA_E, measurable, plain
from classifiers.audit.realism import gates
from classifiers.audit.realism.comparison import Sample
from data.survey import Survey

LEVEL = 0.05
"""of the tests; shared between the observables"""


@dataclass(frozen=True)
class Judged:
    """A comparison. gates: that a prior can change, and those of the background, which it cannot.
    distance: energy distance of standardised observables, and p of the test that it is 0; None
    where fewer than `gates.FEWEST` of either are seen. seen: injections that the detectability gate
    sees, of how many. observables: one line for each."""

    gates: list[gates.Gate]
    background: list[gates.Gate]
    distance: float | None
    p: float | None
    seen: tuple[int, int]
    observables: list[dict[str, Any]]

    @property
    def verdict(self) -> gates.Status:
        """Whether every gate passes that a prior can change."""
        found: gates.Status = gates.verdict(self.gates)["verdict"]
        return found

    def described(self) -> dict[str, Any]:
        """As JSON values."""
        return asdict(self) | {"verdict": self.verdict}


def judged(
    real: Real,
    injected: Real,
    lenses: Lenses,
    names: Sequence[str],
    survey: Survey,
    seed: int,
) -> Judged:
    """Injections beside real lenses. lenses: those of the fit, which standardise. names: of the
    observables that are compared."""
    every = (*measurable(survey), THETA_E)
    on_stamps = real.sample is not None
    a, b = (measured(r, on_stamps, survey, i) for i, r in ((1, real), (2, injected)))
    background = gates.background(a, b, survey.bands) if on_stamps else []
    columns = [every.index(n) for n in names]
    x, y = (r.values[r.seen][:, columns] for r in (injected, real))
    value = p = None
    if min(len(x), len(y)) >= gates.FEWEST:
        x_, y_ = (jnp.asarray((v - lenses.centre) / lenses.spread) for v in (x, y))
        value = float(distance(x_, jnp.ones(len(x_)), y_, jnp.ones(len(y_))))
        p = p_value(np.asarray(x_), np.asarray(y_), seed)
    lines = [
        line(n, y[:, i], x[:, i], float(lenses.spread[i]), len(names)) for i, n in enumerate(names)
    ]
    seen = int(injected.seen.sum()), len(injected)
    return Judged(changeable(a, b, names, survey, seed), background, value, p, seen, lines)


def changeable(
    real: gates.Measured,
    injected: gates.Measured,
    names: Sequence[str],
    survey: Survey,
    seed: int,
) -> list[gates.Gate]:
    """The realism gates that a prior can change, of the observables `names`."""
    found = gates.arc_snr(real, injected, seed) if "arc_snr" in names else []
    pairs = [f"arc_{blue}_{red}" in names for blue, red in pairwise(survey.bands)]
    colours = gates.colour(real, injected, survey.bands, seed)
    return [*found, *(gate for gate, asked in zip(colours, pairs) if asked)]


def measured(real: Real, on_stamps: bool, survey: Survey, seed: int) -> gates.Measured:
    """What the gates compare: measured on stamps as the audit does, or from observables where
    lenses are a table."""
    if on_stamps and real.sample is not None:
        s: Sample = real.sample
        ring, band = survey.radii.arc, survey.place
        return gates.measured(s.stamps, s.found, ring, band, real.group, real.seen, seed)
    return of_observables(real.values, real.seen, real.group, survey)


def of_observables(
    values: Float[np.ndarray, "n all"],
    seen: Bool[np.ndarray, " n"],
    group: np.ndarray,
    survey: Survey,
) -> gates.Measured:
    """What the gates compare, from observables as they are compared. A colour that was not measured
    counts as 0; its gate is not among those that are asked (`changeable`)."""
    every = (*measurable(survey), THETA_E)
    own = plain(values, every[: values.shape[1]])
    flux = np.ones((len(values), len(survey.bands)))
    for i, (blue, red) in enumerate(pairwise(survey.bands)):
        flux[:, i + 1] = flux[:, i] * 10 ** (0.4 * np.nan_to_num(own[f"arc_{blue}_{red}"]))
    pixel = np.full_like(flux, np.nan)
    return gates.Measured(own["arc_snr"], flux, pixel, np.asarray(group), np.asarray(seen, bool))


def line(
    name: str,
    real: Float[np.ndarray, " l"],
    injected: Float[np.ndarray, " n"],
    spread: float,
    tests: int,
) -> dict[str, Any]:
    """One observable (values as they are compared): quantiles of both, the difference of medians in
    the lenses' spread, and the Kolmogorov-Smirnov test. tests: how many observables share LEVEL
    (Bonferroni)."""
    from scipy.stats import ks_2samp

    found: dict[str, Any] = {
        "observable": name,
        "n_lenses": len(real),
        "n_injections": len(injected),
    }
    few = min(len(real), len(injected)) < gates.FEWEST
    for q in gates.QUANTILES:
        for what, values in (("lenses", real), ("injections", injected)):
            at = np.quantile(values, [q])[:, None] if len(values) else np.array([[np.nan]])
            found[f"{what}_q{100 * q:.0f}"] = None if few else float(plain(at, [name])[name][0])
    if few:
        return found | {"apart": None, "ks": None, "p": None, "matches": None}
    test = ks_2samp(real, injected)
    away = float(np.median(injected) - np.median(real)) / spread
    p = float(test.pvalue)
    return found | {
        "apart": away,
        "ks": float(test.statistic),
        "p": p,
        "matches": p > LEVEL / tests,
    }
