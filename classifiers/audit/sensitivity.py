"""How the mean detection probability answers to the assumptions behind the injections.

The mean score over a fixed sample of injections is changed in four ways (`injection.Nudge`): source
magnitude, source size, Einstein radius, width of the arc's PSF. Two ways are taken:

- a central finite difference with common random numbers: the same keys, hosts and noise, so that
  only the change itself is left. It works with every finder.
- the derivative, where the finder can be differentiated: one forward-mode pass carries the four
  tangents through ray tracing, light, PSF, preprocessing and finder.

Both give every injection's own value, so the mean has a standard error.

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

from collections.abc import Callable, Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from classifiers.audit.injection import Batch, Experiment, Nudge, observe
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


def nudged(values: Float[Array, " 4"]) -> Nudge:
    """Changes in the order and the units of PARAMETERS."""
    return Nudge(
        **{name: value * unit for value, (name, (_, _, unit, _)) in zip(values, PARAMETERS.items())}
    )


@jax.jit
def derivatives(finder: Any, experiment: Experiment, batch: Batch) -> Float[Array, "b 4"]:
    """Derivative of every injection's probability with respect to every parameter, at no change, in
    one forward pass."""

    def probability(values: Float[Array, " 4"]) -> Float[Array, " b"]:
        return jax.nn.sigmoid(finder.logits(experiment.observe(batch, nudged(values))["stamp"]))

    return jax.jacfwd(probability)(jnp.zeros(len(PARAMETERS)))


def available(experiment: Experiment, batch: Batch) -> list[str]:
    """The parameters that can be changed: a pixel kernel has no width, and not every prior has an
    Einstein radius."""
    missing = set() if hasattr(batch.psf, "fwhm") else {"log_psf"}
    missing |= set() if "theta_e" in experiment.prior.parameters else {"theta_e"}
    return [name for name in PARAMETERS if name not in missing]


def table(
    finder: Finder, experiment: Experiment, sample: Sequence[tuple[int, Batch]]
) -> pd.DataFrame:
    """One line per parameter: gradient of the mean probability, its standard error over the sample,
    central finite difference with its step and standard error, |gradient - finite difference| /
    |finite difference|, and the standard error of their difference. The gradient is NaN for a
    finder that cannot be differentiated. sample: (injections that count, batch)."""
    import pandas as pd

    assert set(PARAMETERS) == {f.name for f in fields(Nudge)}

    def over(function: Callable[[Batch], Any]) -> np.ndarray:
        return np.concatenate([np.asarray(function(batch), np.float64)[:n] for n, batch in sample])

    def error(values: np.ndarray) -> float:
        return float(values.std(ddof=1) / np.sqrt(len(values))) if len(values) > 1 else np.nan

    def probability(batch: Batch, shift: Array) -> np.ndarray:
        stamps = np.asarray(observe(experiment, batch, nudged(shift))["stamp"])
        return scored(finder, stamps, batch=len(stamps)).score

    total = sum(n for n, _ in sample)
    own = np.full((total, len(PARAMETERS)), np.nan)
    if finder.differentiable:
        own = over(lambda batch: derivatives(finder, experiment, batch))
    rows = []
    for i, (key, (name, unit, _, step)) in enumerate(PARAMETERS.items()):
        if key not in available(experiment, sample[0][1]):
            continue
        shift = jnp.zeros(len(PARAMETERS)).at[i].set(step)
        up = over(lambda batch: probability(batch, shift))  # noqa: B023
        down = over(lambda batch: probability(batch, -shift))  # noqa: B023
        finite = (up - down) / (2 * step)
        gradient, difference = float(own[:, i].mean()), float(finite.mean())
        rows.append(
            {
                "parameter": name,
                "unit": unit,
                "gradient": gradient,
                "gradient_error": error(own[:, i]),
                "finite_difference": difference,
                "finite_difference_error": error(finite),
                "step": step,
                "relative_difference": abs(gradient - difference) / abs(difference)
                if difference
                else np.nan,
                "difference_error": error(own[:, i] - finite),
                "injections": total,
            }
        )
    return pd.DataFrame(rows)
