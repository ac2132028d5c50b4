"""How the mean detection probability answers to the assumptions behind the injections.

The mean score over a fixed sample of injections is changed in four ways (`injection.Nudge`): source
magnitude, source size, Einstein radius, width of the arc's PSF. Two ways are taken:

- a central finite difference with common random numbers: the same keys, hosts and noise, so that
  only the change itself is left. It works with every finder.
- the derivative, where the finder can be differentiated: one backward pass through finder,
  preprocessing, PSF, light and ray tracing (`gradients`), which gives the slopes in every parameter
  of the scene as well.

Both give every injection's own value, so the mean has a standard error, in which injections of one
host are not independent (`answers`). The share of injections above the threshold is differentiated
too: the density of logits there times the mean slope.

Where the two may differ, and why the table shows both:

- Median and MAD of the preprocessing: their derivative goes to the one or two middle pixels of the
  annulus, while a finite step changes which pixels these are. This is by far the largest effect. It
  is right on average, but with 200 injections it is worth several percent of a small gradient.
- Clipping: a pixel beyond +-clip has derivative 0, and a step moves pixels across the clip.
- Rectifiers of the finder, and the renderer's choice of pixels to look at closely (its values are
  differentiated, the choice is not).

Each is a kink in one injection's score that averages out over many. `difference_error`, the
standard error of (gradient - finite difference) over the sample, says how far it has. Steps are
chosen so that the change of the mean (about 1e-3 and more) is far above float32 rounding (about
1e-7) while the cubic term stays below a percent.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Shaped

from classifiers.audit.answers import both, by_difference, steepness
from classifiers.audit.gradients import NUMBERS, Slopes, responses, slopes, width
from classifiers.audit.injection import Batch, Experiment, Nudge, observe, resolved, unchanged
from classifiers.finders import Finder, scored

if TYPE_CHECKING:
    import pandas as pd

TENTH = float(np.log(1.1))
PARAMETERS = {
    "magnitude": ("source magnitude", "per 0.1 mag fainter", 0.1, 0.4),
    "log_size": ("source size", "per 10 % larger", TENTH, 0.4),
    "theta_e": ("Einstein radius", "per 0.1 arcsec larger", 0.1, 0.2),
    "log_psf": ("PSF width of the arc", "per 10 % wider", TENTH, 0.2),
}
"""Field of Nudge to name, unit of the change, that unit in the nudge's own, and step of the finite
difference in units."""

COLUMNS = (
    *("parameter", "unit", "gradient", "gradient_error"),
    *("finite_difference", "finite_difference_error", "step", "relative_difference"),
    *("difference_error", "injections", "fraction_gradient", "fraction_gradient_error"),
    *("fraction_difference", "fraction_difference_error"),
)


def nudged(values: Float[Array, " 4"]) -> Nudge:
    """Changes in the order and the units of PARAMETERS."""
    return Nudge(
        **{name: value * unit for value, (name, (_, _, unit, _)) in zip(values, PARAMETERS.items())}
    )


def of_logits(found: Slopes) -> Float[np.ndarray, "b 4"]:
    """Derivative of every injection's logit with respect to every parameter, in the order and the
    units of PARAMETERS."""
    each = [np.asarray(getattr(found.nudge, k)) * v[2] for k, v in PARAMETERS.items()]
    return np.stack(each, axis=1)


def available(experiment: Experiment, batch: Batch) -> list[str]:
    """The parameters that can be changed: a pixel kernel has no width, and not every prior has an
    Einstein radius."""
    missing = set() if hasattr(batch.psf, "fwhm") else {"log_psf"}
    missing |= set() if "theta_e" in experiment.prior.parameters else {"theta_e"}
    return [name for name in PARAMETERS if name not in missing]


def table(
    finder: Finder,
    experiment: Experiment,
    sample: Sequence[tuple[int, Batch]],
    threshold: float = 0.5,
    known: Sequence[Slopes] | None = None,
    weight: Float[np.ndarray, " n"] | None = None,
    host: Shaped[np.ndarray, " n"] | None = None,
) -> pd.DataFrame:
    """One line per parameter: gradient of the mean probability, its standard error over the sample,
    central finite difference with its step and standard error, |gradient - finite difference| /
    |finite difference|, and the standard error of their difference. For the share above the
    threshold fraction_gradient, fraction_gradient_error (`answers.hard`) and fraction_difference,
    the central finite difference. Gradients are NaN for a finder that cannot be differentiated.
    sample: (injections that count, batch). known: the slopes, one for each batch, where they were
    worked out before (`all_slopes`). weight, host: of the injections that count; 1, and each its
    own, if not given."""
    import pandas as pd

    assert set(PARAMETERS) == {f.name for f in fields(Nudge)}

    def over(values: Sequence[Any]) -> np.ndarray:
        return np.concatenate([np.asarray(v, np.float64)[:n] for v, (n, _) in zip(values, sample)])

    def probability(shift: Array) -> np.ndarray:
        looks = []
        for _, batch in sample:
            stamps = np.asarray(observe(experiment, batch, nudged(shift))["stamp"])
            looks.append(scored(finder, stamps, batch=len(stamps)).score)
        return over(looks)

    total, at = sum(n for n, _ in sample), float(np.log(threshold / (1 - threshold)))
    own = np.full((total, len(PARAMETERS)), np.nan)
    logit = np.full(total, np.nan)
    if finder.differentiable:
        found = all_slopes(finder, experiment, sample) if known is None else known
        own, logit = over([of_logits(f) for f in found]), over([f.logit for f in found])
    rows = []
    for i, (key, (name, unit, _, step)) in enumerate(PARAMETERS.items()):
        if key not in available(experiment, sample[0][1]):
            continue
        shift = jnp.zeros(len(PARAMETERS)).at[i].set(step)
        up, down = probability(shift), probability(-shift)
        slope = own[:, i] * steepness(logit)
        derived = both(logit, own[:, i], at, weight, host)
        finite = by_difference(up, down, step, threshold, slope, weight, host)
        line = {"parameter": name, "unit": unit, **derived, **finite, "injections": total}
        rows.append({column: line[column] for column in COLUMNS})
    return pd.DataFrame(rows)


def all_slopes(
    finder: Finder, experiment: Experiment, sample: Sequence[tuple[int, Batch]]
) -> list[Slopes]:
    """Slopes of every batch of a sample, at no change."""
    return [
        slopes(finder, experiment, resolved(experiment, batch), unchanged()) for _, batch in sample
    ]


def of_the_prior(
    experiment: Experiment,
    sample: Sequence[tuple[int, Batch]],
    known: Sequence[Slopes],
    threshold: float = 0.5,
    weight: Float[np.ndarray, " n"] | None = None,
    host: Shaped[np.ndarray, " n"] | None = None,
    proposed: Collection[str] = (),
) -> pd.DataFrame:
    """How the completeness answers to every number of the prior: one line per parameter and number
    (for example the mean and the sigma of a normal distribution), and one for the amount of dust.

    The chain rule joins the slope in a parameter's value with the change of its draw, so nothing is
    rendered again. gradient and fraction_gradient are per unit, a tenth of the distribution's width
    (`gradients.width`); errors are standard errors over the sample. Parameters that the plan holds
    have no line, and none has one that was drawn from a proposal of its own (`proposed`): its draws
    answer to the proposal's numbers, not to the prior's. weight, host: as in `table`."""
    import pandas as pd

    prior, held = experiment.prior, {*sample[0][1].drawn, *proposed}
    answers = [responses(experiment, batch) for _, batch in sample]
    counts = [n for n, _ in sample]
    over = lambda parts: np.concatenate(
        [np.asarray(p, np.float64)[:n] for p, n in zip(parts, counts)]
    )
    logit = over([f.logit for f in known])
    at = float(np.log(threshold / (1 - threshold)))
    lines: list[dict[str, Any]] = []

    def line(parameter: str, number: str, unit: float, slope: np.ndarray) -> None:
        where = {"parameter": parameter, "number": number, "unit": unit}
        derived = both(logit, slope, at, weight, host)
        lines.append({**where, **derived, "injections": len(logit)})

    for name in sorted(set(prior.parameters) - held):
        own = prior.parameters[name]
        unit = 0.1 * width(own.numbers, own.kind)
        for place, number in enumerate(NUMBERS[own.kind]):
            parts = [np.asarray(f.drawn[name]) * a[place][name] for f, a in zip(known, answers)]
            line(name, number, unit, unit * over(parts))
    dust = over(
        [f.log_dimming * jnp.log(batch.dimming) for f, (_, batch) in zip(known, sample)]
    ).sum(1)
    if dust.any():
        line("extinction", "E(B-V) of every host, relative", 0.1, 0.1 * dust)
    return pd.DataFrame(lines)
