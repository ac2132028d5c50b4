"""How the mean detection probability answers to the assumptions behind the injections: a derivative, and a finite difference beside it.

The mean of sigmoid(logit) over a fixed sample of injections is differentiated with respect to four changes (`injection.Nudge`): source
magnitude, source size, Einstein radius, width of the arc's PSF. One forward-mode pass carries the four tangents through ray tracing, light,
PSF, preprocessing and classifier; because it gives every injection's own derivative, the mean has a standard error.

Where the two may differ, and why the table shows both:
- median and MAD of the preprocessing: their derivative goes to the one or two middle pixels of the annulus, a finite step changes which pixels
  these are. By far the largest effect: right on average, but with 200 injections worth several percent of a small gradient.
- clipping: a pixel beyond +-clip has derivative 0; a step moves pixels across the clip.
- rectifiers of the classifier, and the renderer's choice of pixels to look at closely (its values are differentiated, not the choice).
Each is a kink in one injection's score that averages out over many; `difference_error`, the standard error of (gradient - finite difference) over the
sample, says how far it has. Steps are chosen so that the change of the mean (about 1e-3 and more) is far above float32 rounding (about 1e-7) while the
cubic term stays below a percent.
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

if TYPE_CHECKING:
    import pandas as pd

TENTH = float(np.log(1.1))
PARAMETERS = {
    "magnitude": ("source magnitude", "per 0.1 mag fainter", 0.1, 0.4),
    "log_size": ("source size", "per 10 % larger", TENTH, 0.4),
    "theta_e": ("Einstein radius", "per 0.1 arcsec larger", 0.1, 0.2),
    "log_psf": ("PSF width of the arc", "per 10 % wider", TENTH, 0.2),
}
"""Field of Nudge -> name, unit of the derivative, that unit in the nudge's own, step of the finite difference in units."""


def probability(found: dict[str, Any]) -> Float[Array, " b"]:
    """Detection probability of every injection, of what `observe` returns."""
    return jax.nn.sigmoid(found["logit"])


def nudged(values: Float[Array, " 4"]) -> Nudge:
    """Changes in the order and the units of PARAMETERS."""
    return Nudge(
        **{name: value * unit for value, (name, (_, _, unit, _)) in zip(values, PARAMETERS.items())}
    )


@jax.jit
def derivatives(experiment: Experiment, batch: Batch) -> Float[Array, "b 4"]:
    """Derivative of every injection's probability with respect to every parameter, at no change, in one forward pass."""
    return jax.jacfwd(lambda values: probability(experiment.observe(batch, nudged(values))))(
        jnp.zeros(len(PARAMETERS))
    )


def table(experiment: Experiment, sample: Sequence[tuple[int, Batch]]) -> pd.DataFrame:
    """One line per parameter: gradient of the mean probability, its standard error over the sample, central finite difference and its step,
    |gradient - finite difference| / |finite difference|, and the standard error of their difference. sample: (injections that count, batch)."""
    import pandas as pd

    assert set(PARAMETERS) == {f.name for f in fields(Nudge)}

    def over(function: Callable[[Batch], Array]) -> np.ndarray:
        return np.concatenate([np.asarray(function(batch), np.float64)[:n] for n, batch in sample])

    def error(values: np.ndarray) -> float:
        return float(values.std(ddof=1) / np.sqrt(len(values))) if len(values) > 1 else np.nan

    own = over(lambda batch: derivatives(experiment, batch))
    rows = []
    for i, (name, unit, _, step) in enumerate(PARAMETERS.values()):
        shift = jnp.zeros(len(PARAMETERS)).at[i].set(step)
        up = over(lambda batch: probability(observe(experiment, batch, nudged(shift))))  # noqa: B023
        down = over(lambda batch: probability(observe(experiment, batch, nudged(-shift))))  # noqa: B023
        finite = (up - down) / (2 * step)
        gradient, difference = float(own[:, i].mean()), float(finite.mean())
        rows.append(
            {
                "parameter": name,
                "unit": unit,
                "gradient": gradient,
                "gradient_error": error(own[:, i]),
                "finite_difference": difference,
                "step": step,
                "relative_difference": abs(gradient - difference) / abs(difference)
                if difference
                else np.nan,
                "difference_error": error(own[:, i] - finite),
                "injections": len(own),
            }
        )
    return pd.DataFrame(rows)
