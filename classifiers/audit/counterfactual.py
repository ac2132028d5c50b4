"""For arcs that were missed: the smallest plausible change that makes the finder find them.

Four things may change (`injection.Nudge`): source magnitude, source size, Einstein radius and the
width of the arc's PSF; first each alone, then all together. Host, noise and everything else of the
injection stay. A change counts when the changed injection, rendered again, scores above the
threshold; nothing is extrapolated.

- Alone: from the slope of the logit a first step is guessed; then secant steps and bisection on the
  rendered logit close in on the smallest change on that side. The side is the one that the slope
  points to.
- Together: sequential linear steps. The change of smallest norm that brings the linearised logit to
  the threshold is z = g (t - logit + g.z) / |g|^2; it is taken, and the slopes are taken again.
  Then the way from no change to the result is searched as above.

The norm is in standard deviations of what occurs: of the prior, and for the PSF of the hosts.
Plausible is what occurs: within the prior's range (for a distribution without ends the central
99.8 %) and within the widths that the audit's hosts have. What cannot be found within these limits
is said to be so.

A finder without slopes gets the first guess from two small steps, and no joint change.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float

from classifiers.audit.case import Case
from classifiers.audit.gradients import slopes
from classifiers.audit.injection import Nudge, resolved
from classifiers.audit.sensitivity import available
from lensjax.prior import Prior

if TYPE_CHECKING:
    import pandas as pd

NAMES = ("magnitude", "log_size", "theta_e", "log_psf")
JOINT = "joint"
ROUNDS = 8
"""Looks along one direction: to bracket the threshold, and to close in on it."""
STEPS = 4
"""Linear steps of the joint change."""
LONGEST = 2.0
"""Longest linear step, standard deviations."""
MARGIN = 0.02
"""Logit beyond the threshold that linear steps aim at."""
TAIL = 0.001
GUESS = 0.05
"""Share of the way to the limit of the two steps that stand in for a slope."""


@dataclass(frozen=True)
class Limits:
    """How far each change may go, (b, 4) in the order of NAMES, in its own unit: low is 0 or less,
    high 0 or more. scale (4,): standard deviation of each. original (b, 4): magnitude, half-light
    radius (arcsec), Einstein radius (arcsec), FWHM in the reference band (arcsec); NaN where the
    prior has none."""

    low: Float[np.ndarray, "b 4"]
    high: Float[np.ndarray, "b 4"]
    scale: Float[np.ndarray, " 4"]
    original: Float[np.ndarray, "b 4"]


def names_in(prior: Prior) -> dict[str, str]:
    """Parameter of the prior behind magnitude, log_size and theta_e, where there is one."""
    found = {"theta_e": "theta_e"} if "theta_e" in prior.parameters else {}
    for block in prior.blocks:
        if block.role != "source":
            continue
        for own, flat in block.names:
            if own.endswith("_mag"):
                found.setdefault("magnitude", flat)
            if own in ("r_eff", "scale"):
                found.setdefault("log_size", flat)
    return found


def limits(case: Case, widths: Float[np.ndarray, " h"]) -> Limits:
    """Limits of a case whose parameters are held. widths: FWHM that occur, arcsec. A change for
    which nothing is known, and one that is not available, stays 0."""
    b = len(case.batch)
    low, high, original = np.zeros((b, 4)), np.zeros((b, 4)), np.full((b, 4), np.nan)
    scale = np.ones(4)
    prior, behind = case.experiment.prior, names_in(case.experiment.prior)
    usable = available(case.experiment, case.batch)

    def allow(name: str, ends: tuple[float, float], spread: float, values: np.ndarray) -> None:
        place, log = NAMES.index(name), name.startswith("log")
        original[:, place] = values
        if name not in usable or not spread > 0:
            return
        here = np.log(values) if log else values
        low[:, place] = np.minimum(ends[0] - here, 0.0)
        high[:, place] = np.maximum(ends[1] - here, 0.0)
        scale[place] = spread

    shares = np.linspace(TAIL, 1 - TAIL, 501)
    for name, flat in behind.items():
        own = np.asarray(prior.parameters[flat].quantile(jnp.asarray(shares)), np.float64)
        if prior.parameters[flat].kind in ("uniform", "area"):
            own = np.array([prior.parameters[flat].numbers[0], *own[1:-1], own[-1]], np.float64)
            own[-1] = prior.parameters[flat].numbers[1]
        values = np.asarray(case.batch.drawn[flat], np.float64)
        own = np.log(np.maximum(own, 1e-6)) if name.startswith("log") else own
        allow(name, (own.min(), own.max()), float(own.std()), values)
    known = np.log(widths)
    fwhm = np.asarray(case.batch.target_fwhm, np.float64)[:, case.experiment.band]
    allow("log_psf", (known.min(), known.max()), float(known.std()), fwhm)
    return Limits(low, high, scale, original)


def logits(case: Case, change: Float[np.ndarray, "b 4"]) -> Float[np.ndarray, " b"]:
    """Logit of every changed injection, rendered and scored again (those that only fill the batch
    included)."""
    own = Nudge(**{n: jnp.asarray(change[:, i], jnp.float32) for i, n in enumerate(NAMES)})
    return replace(case, nudge=own, count=len(case.batch)).scores().logit


def along(
    case: Case,
    direction: Float[np.ndarray, "b 4"],
    longest: Float[np.ndarray, " b"],
    first: Float[np.ndarray, " b"],
    start: Float[np.ndarray, " b"],
    at: float,
) -> tuple[Float[np.ndarray, " b"], Bool[np.ndarray, " b"]]:
    """Smallest multiple of a direction, up to `longest`, with which the logit exceeds `at`, and
    whether there is one (b,). first: the guess. start: logit of no change.

    A bracket (not found at `low`, found at `high`) is first sought outwards, then narrowed by
    interpolation; the answer is its upper end, which was rendered and found. Where the logit rises
    and falls on the way a smaller change may exist."""
    low, high = np.zeros(len(start)), np.full(len(start), np.nan)
    f_low, f_high = start.copy(), np.full(len(start), np.nan)
    step = np.clip(first, 0.02 * longest, longest)
    for look in range(ROUNDS):
        found = logits(case, direction * step[:, None])
        above = found > at
        high, f_high = np.where(above, step, high), np.where(above, found, f_high)
        with np.errstate(divide="ignore", invalid="ignore"):
            slope = (found - f_low) / (step - low)
            secant = step + (at + MARGIN - found) / slope
        low, f_low = np.where(above, low, step), np.where(above, f_low, found)
        outside = np.isnan(high)
        # Outwards at least doubling, and before the last look all the way.
        far = np.where(slope > 0, np.maximum(secant, 2 * step), longest)
        far = longest if look >= ROUNDS // 2 - 1 else np.minimum(far, longest)
        with np.errstate(divide="ignore", invalid="ignore"):
            share = (at + 0.25 * MARGIN - f_low) / (f_high - f_low)
        share = np.clip(np.nan_to_num(share, nan=0.5), 0.1, 0.9)
        # Every other look halves the bracket, so that a curved logit cannot hold one end.
        share = np.where(look % 2 == 0, share, 0.5)
        step = np.where(outside, far, low + share * (np.nan_to_num(high) - low))
    return np.where(np.isnan(high), longest, high), ~np.isnan(high)


def gradients(case: Case, change: Float[np.ndarray, "b 4"]) -> tuple[np.ndarray, np.ndarray]:
    """Logits (b,) and their slopes in the four changes (b, 4)."""
    own = Nudge(**{n: jnp.asarray(change[:, i], jnp.float32) for i, n in enumerate(NAMES)})
    # The looks share the campaign's compiled function, the slopes that of the sensitivity.
    found = slopes(case.finder, case.experiment, resolved(case.experiment, case.batch), own)
    each = [np.asarray(getattr(found.nudge, n), np.float64) for n in NAMES]
    return np.asarray(found.logit, np.float64), np.stack(each, axis=1)


def by_steps(case: Case, start: np.ndarray, limit: Limits) -> np.ndarray:
    """Slopes (b, 4) from a small step to either side, for a finder that has none."""
    found = np.zeros((len(start), 4))
    for i in range(4):
        up, down = np.zeros((2, len(start), 4))
        up[:, i], down[:, i] = GUESS * limit.high[:, i], GUESS * limit.low[:, i]
        span = up[:, i] - down[:, i]
        if (span > 0).any():
            change = logits(case, up) - logits(case, down)
            found[:, i] = np.divide(change, span, out=np.zeros(len(span)), where=span > 0)
    return found


def together(
    case: Case, limit: Limits, at: float, start: np.ndarray, slope: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The joint change of smallest norm (b, 4), and whether the finder finds the arc with it."""
    z, logit, g = np.zeros_like(slope), start, slope * limit.scale
    low, high = limit.low / limit.scale, limit.high / limit.scale
    best, norm = np.zeros_like(z), np.full(len(z), np.inf)
    for _ in range(STEPS):
        wanted = smallest(g, at + MARGIN - logit + (g * z).sum(1), low, high)
        move = wanted - z
        length = np.linalg.norm(move, axis=1)
        z = z + move * np.minimum(1.0, LONGEST / np.maximum(length, 1e-12))[:, None]
        logit, g = gradients(case, z * limit.scale)
        g = g * limit.scale
        size = np.linalg.norm(z, axis=1)
        better = (logit > at) & (size < norm)
        best, norm = np.where(better[:, None], z, best), np.where(better, size, norm)
    found = np.isfinite(norm)
    direction = np.where(found[:, None], best, z) * limit.scale
    share, reached = along(case, direction, np.ones(len(z)), np.full(len(z), 0.9), start, at)
    return direction * share[:, None], reached


def smallest(g: np.ndarray, rise: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """The z (b, 4) of smallest norm with g.z = rise within low <= z <= high; where the limits do
    not allow it, the limits that come nearest. A component that would pass its limit is held there,
    and the others are solved for again."""
    held, z = np.zeros(g.shape, bool), np.zeros_like(g)
    for _ in range(g.shape[1]):
        free = np.where(held, 0.0, g)
        rest = rise - (g * np.where(held, z, 0.0)).sum(1)
        size = (free**2).sum(1)
        step = free * np.divide(rest, size, out=np.zeros_like(rest), where=size > 0)[:, None]
        z = np.where(held, z, np.clip(step, low, high))
        held = held | (step < low) | (step > high)
    return z


def search(
    case: Case, threshold: float, widths: Float[np.ndarray, " h"], about: Mapping[str, Any]
) -> pd.DataFrame:
    """All searches for the injections of a case that the finder misses.

    widths: FWHM that occur among the hosts, arcsec. about: columns that describe the injections
    (count,). One line per injection, search (a change alone, or "joint") and parameter: original
    and needed value (mag or arcsec), change (mag; natural log of the factor; arcsec; natural log of
    the factor), norm of the whole search in standard deviations, and found. Injections that are
    found without a change have no line."""
    import pandas as pd

    limit, at = limits(case.resolved(), widths), float(np.log(threshold / (1 - threshold)))
    nothing = np.zeros((len(case.batch), 4))
    if case.finder.differentiable:
        start, slope = gradients(case, nothing)
    else:
        start = logits(case, nothing)
        slope = by_steps(case, start, limit)
    searches: list[tuple[str, list[int], np.ndarray, np.ndarray]] = []
    for i, name in enumerate(NAMES):
        upward = slope[:, i] > 0
        longest = np.where(upward, limit.high[:, i], -limit.low[:, i])
        if not longest.any():
            continue
        direction = nothing.copy()
        direction[:, i] = np.where(upward, 1.0, -1.0)
        with np.errstate(divide="ignore"):
            first = np.nan_to_num((at + MARGIN - start) / np.abs(slope[:, i]), posinf=1e9)
        size, found = along(case, direction, longest, first, start, at)
        searches.append((name, [i], direction * size[:, None], found & (longest > 0)))
    if case.finder.differentiable and searches:
        change, found = together(case, limit, at, start, slope)
        searches.append((JOINT, [i for _, own, _, _ in searches for i in own], change, found))
    parts = []
    missed = np.flatnonzero(start[: case.count] <= at)
    for name, places, change, found in searches:
        for i in places:
            own, log = change[missed, i], NAMES[i].startswith("log")
            value = limit.original[missed, i]
            needed = value * np.exp(own) if log else value + own
            norm = np.linalg.norm(change[missed] / limit.scale, axis=1)
            parts.append(
                pd.DataFrame(
                    {
                        **{k: np.asarray(v)[missed] for k, v in about.items()},
                        "logit": start[missed],
                        "search": name,
                        "parameter": NAMES[i],
                        "original": value,
                        "needed": np.where(found[missed], needed, np.nan),
                        "change": np.where(found[missed], own, np.nan),
                        "norm": np.where(found[missed], norm, np.nan),
                        "found": found[missed],
                    }
                )
            )
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()


SAID = {
    "magnitude": ("{:.1f} mag brighter", "{:.1f} mag fainter", False),
    "log_size": ("{:.0f} % smaller", "{:.0f} % larger", True),
    "theta_e": ('an Einstein radius {:.2f}" smaller', 'an Einstein radius {:.2f}" larger', False),
    "log_psf": ("a PSF {:.0f} % narrower", "a PSF {:.0f} % wider", True),
}
"""What a negative and a positive change is in words, and whether it is a factor."""


TITLES = {
    "magnitude": "source magnitude alone",
    "log_size": "source size alone",
    "theta_e": "Einstein radius alone",
    "log_psf": "PSF width alone",
    JOINT: "all together",
}


def summary(table: pd.DataFrame) -> dict[str, Any]:
    """For every search: how many arcs, how many of them can be found within the limits, quartiles
    of the change of those (of the norm for the joint one; None where there is none), the median
    over all arcs (None where fewer than half can be found), and the change in words."""
    found: dict[str, Any] = {}
    for name, lines in table.groupby("search", sort=False):
        one = lines.drop_duplicates("injection_id")
        value = one["norm" if name == JOINT else "change"].to_numpy()
        reached = one["found"].to_numpy()
        size = np.where(reached, np.abs(value), np.inf)
        middle = int(np.argsort(size, kind="stable")[(len(size) - 1) // 2])
        quartiles = None
        if reached.any():
            quartiles = [float(v) for v in np.quantile(value[reached], [0.25, 0.5, 0.75])]
        found[str(name)] = {
            "arcs": len(one),
            "can_be_found": int(reached.sum()),
            "quartiles": quartiles,
            "median": float(value[middle]) if np.isfinite(size[middle]) else None,
            "words": _said(str(name), value[reached]),
        }
    return found


def _said(name: str, change: Float[np.ndarray, " n"]) -> str:
    """The median change of those that can be found; of the two directions the commoner one."""
    if not len(change):
        return ""
    if name == JOINT:
        return f"{np.median(change):.2g} standard deviations of everything together"
    below, above, factor = SAID[name]
    down = (change < 0).sum() * 2 >= len(change)
    middle = float(np.median(change[(change < 0) == down]))
    return (below if down else above).format(100 * abs(np.expm1(middle)) if factor else abs(middle))


def in_words(found: Mapping[str, Any]) -> str:
    """The summary in one sentence."""
    arcs = next(iter(found.values()))["arcs"]
    parts = []
    for name, one in found.items():
        what = TITLES[name]
        if not one["can_be_found"]:
            parts.append(f"by {what} none")
            continue
        parts.append(f"by {what} {one['can_be_found']} (typically {one['words']})")
    return (
        f"Of {arcs} missed arcs, a change within what occurs among arcs and hosts makes the finder "
        f"find: {'; '.join(parts)}."
    )
