"""The realism gates and the verdict: are the injections like real lenses?

Every gate says passed, failed, or that it cannot be said, with its number, its limit, the sample
sizes and the reason. Numbers that come with an interval pass or fail when the whole interval does;
an interval on both sides of the limit says nothing. All that is compared is measured on stamps, in
the same way on lenses and on injections. Only stamps that pass the detectability gate are compared,
because a lens is labelled only if somebody saw its arc.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any, Literal

import numpy as np
from jaxtyping import Bool, Float, Shaped

from classifiers.audit.realism.azimuthal import Residuals, outside
from classifiers.audit.realism.detectable import lit
from classifiers.audit.realism.probe import Probe

Status = Literal["passed", "failed", "cannot be said", "not done"]
FEWEST = 20
"""stamps of either sample below which nothing is said"""
QUANTILES = (0.1, 0.5, 0.9)
RATIO = (0.5, 2.0)
COLOUR = 0.2
"""mag"""
KS = 0.05
PROBE = 0.6
"""AUC up to which a probe counts as near 0.5"""
RESAMPLES = 400


@dataclass(frozen=True)
class Gate:
    """One gate. value, lo95, hi95: its number and interval, None where there is none. n_lenses,
    n_injections: stamps behind it. words: what was compared, and the reason."""

    name: str
    status: Status
    value: float | None
    lo95: float | None
    hi95: float | None
    limit: str
    n_lenses: int
    n_injections: int
    words: str


@dataclass(frozen=True)
class Measured:
    """What the gates compare of n stamps. flux (n, B): residual light in the lit pixels
    of the arc ring (`detectable.lit`), nanomaggies. snr (n,): that of the reference band over the
    noise of as many sky pixels as the ring has.
    pixel (n, B): one background pixel, nanomaggies. group (n,): object or host. seen (n,): whether
    the detectability gate lets it pass."""

    snr: Float[np.ndarray, " n"]
    flux: Float[np.ndarray, "n b"]
    pixel: Float[np.ndarray, "n b"]
    group: Shaped[np.ndarray, " n"]
    seen: Bool[np.ndarray, " n"]

    def take(self, which: np.ndarray) -> Measured:
        """Those at these places."""
        return Measured(**{k: v[which] for k, v in vars(self).items()})

    def one_per_group(self) -> Measured:
        """The first of every group: pixels of one host are the same in all its injections."""
        return self.take(np.sort(np.unique(self.group.astype(str), return_index=True)[1]))


def measured(
    stamps: Float[np.ndarray, "n h h b"],
    found: Residuals,
    ring: tuple[float, float],
    band: int,
    group: Shaped[np.ndarray, " n"],
    seen: Bool[np.ndarray, " n"],
    seed: int = 0,
) -> Measured:
    """What the gates compare. ring: of arcs, arcsec. band: the reference band.

    One background pixel of a stamp is used, the same for all bands and drawn for each stamp: more
    pixels of one stamp are correlated and share its noise, so that a test would take them for more
    evidence than they are.
    """
    arc = lit(found, ring)[..., None]
    flux = np.nansum(np.where(arc, found.residual, 0.0), axis=(1, 2), dtype=np.float64)
    flux = np.where(np.isfinite(found.sigma), flux, np.nan)
    noise = found.sigma[:, band] * np.sqrt(found.ring(*ring).sum())
    with np.errstate(divide="ignore", invalid="ignore"):
        snr = flux[:, band] / noise
    row, column = np.nonzero(outside(stamps.shape[1]))
    pick = np.random.default_rng(seed).integers(len(row), size=len(stamps))
    pixel = stamps[np.arange(len(stamps)), row[pick], column[pick]].astype(np.float64)
    return Measured(snr, flux, pixel, np.asarray(group), np.asarray(seen, bool))


def colours(flux: Float[np.ndarray, "n b"]) -> Float[np.ndarray, "n b-1"]:
    """Colours of neighbouring bands, mag. Where only the bluer band has no flux the colour is plus
    infinity, where only the redder one minus infinity, so that a median stands; NaN without
    either."""
    blue, red = flux[:, :-1], flux[:, 1:]
    with np.errstate(divide="ignore", invalid="ignore"):
        both = -2.5 * np.log10(blue / red)
    found = np.where((blue > 0) & (red > 0), both, np.nan)
    found = np.where((blue <= 0) & (red > 0), np.inf, found)
    return np.where((blue > 0) & (red <= 0), -np.inf, found)


def arc_snr(lenses: Measured, injections: Measured, seed: int = 0) -> list[Gate]:
    """Ratios of the 10th, 50th and 90th percentile of the arc ring's SNR."""
    a, b = (m.take(m.seen & np.isfinite(m.snr)) for m in (lenses, injections))
    made = []
    for q in QUANTILES:
        name = f"arc-annulus SNR, {100 * q:.0f}th percentile"
        limit = f"injections / lenses {RATIO[0]:g} to {RATIO[1]:g}"
        words = "of stamps that pass the detectability gate"
        if few := _few(a, b):
            made.append(_unsaid(name, limit, a, b, few))
            continue
        real, found = np.quantile(a.snr, q), np.quantile(b.snr, q)
        words += f": lenses {real:.1f}, injections {found:.1f}"
        if len(injections.snr):
            every = np.nanquantile(injections.snr, q)
            words += f" (all injections, seen or not: {every:.1f})"
        if real <= 0:
            made.append(_unsaid(name, limit, a, b, words + "; lenses have none"))
            continue
        draws = _resampled(a, b, lambda x, y, q=q: _ratio(x.snr, y.snr, q), seed)
        made.append(_gate(name, found / real, draws, RATIO, limit, a, b, words))
    return made


def _ratio(real: np.ndarray, found: np.ndarray, q: float) -> float:
    below = np.quantile(real, q)
    return float(np.quantile(found, q) / below) if below > 0 else np.nan


def colour(
    lenses: Measured, injections: Measured, bands: Sequence[str], seed: int = 0
) -> list[Gate]:
    """Differences of the median colours of the arc ring's residual light."""
    made = []
    for i, (blue, red) in enumerate(pairwise(bands)):
        name, limit = f"median {blue} - {red} of arcs", f"within {COLOUR:g} mag"
        of = lambda m, i=i: colours(m.flux)[:, i]
        a, b = (m.take(m.seen & ~np.isnan(of(m))) for m in (lenses, injections))
        if few := _few(a, b):
            made.append(_unsaid(name, limit, a, b, few))
            continue
        real, found = float(np.median(of(a))), float(np.median(of(b)))
        words = f"lenses {real:.2f}, injections {found:.2f}, after the azimuthal model"
        if not np.isfinite([real, found]).all():
            made.append(_unsaid(name, limit, a, b, words + "; more than half lack a band"))
            continue
        apart = lambda x, y, of=of: float(np.median(of(y)) - np.median(of(x)))
        draws = _resampled(a, b, apart, seed)
        bounds = (-COLOUR, COLOUR)
        made.append(_gate(name, found - real, draws, bounds, limit, a, b, words))
    return made


def background(lenses: Measured, injections: Measured, bands: Sequence[str]) -> list[Gate]:
    """Kolmogorov-Smirnov test of background pixels, one of every lens and of every host. The level
    is that of one band: of injections without a fault, one in seven fails in one of three bands."""
    from scipy.stats import ks_2samp

    made = []
    every = lenses.one_per_group(), injections.one_per_group()
    for i, band in enumerate(bands):
        a, b = (m.take(np.isfinite(m.pixel[:, i])) for m in every)
        name, limit = f"background pixels in {band}", f"KS p > {KS:g}"
        if few := _few(a, b):
            made.append(_unsaid(name, limit, a, b, few))
            continue
        found = ks_2samp(a.pixel[:, i], b.pixel[:, i])
        p = float(found.pvalue)
        words = (
            f"one pixel of every lens and of every host, largest difference of the distributions "
            f"{found.statistic:.2f}"
        )
        status: Status = "passed" if p > KS else "failed"
        made.append(Gate(name, status, p, None, None, limit, len(a.snr), len(b.snr), words))
    return made


def saturation(found: dict[str, Any], n: int) -> Gate:
    """Of `saturation` of the audit's scores."""
    name, limit = "score saturation", "at most 90 % above 0.9 or below 0.1"
    parts = [found[k] for k in ("above_0.9", "below_0.1")]
    if None in parts:
        return Gate(name, "cannot be said", None, None, None, limit, 0, n, "no scores")
    words = f"{100 * parts[0]:.0f} % above 0.9, {100 * parts[1]:.0f} % below 0.1"
    status: Status = "failed" if found["flag"] else "passed"
    return Gate(name, status, max(parts), None, None, limit, 0, n, words)


def probed(name: str, found: Probe, itself: Probe, balanced: bool, words: str) -> Gate:
    """A linear probe of lenses against matched injections. itself: the control. balanced: whether
    the pairs are alike on average; where they are not, a probe that tells them apart may do so by
    what they should have been matched in, so that it does not fail."""
    limit = f"AUC up to {PROBE:g}"
    sizes = found.n_a, found.n_b
    if not found.said:
        return Gate(name, "cannot be said", None, None, None, limit, *sizes, f"too few; {words}")
    low, high = found.auc - 1.96 * found.error, found.auc + 1.96 * found.error
    words += f"; permuted labels {found.null_lo:.2f} to {found.null_hi:.2f}"
    if itself.said:
        words += f"; injections against injections {itself.auc:.2f} ± {itself.error:.2f}"
    status: Status = "cannot be said"
    if not balanced:
        words += "; the pairs are not balanced"
    if low > PROBE:
        status = "failed" if balanced else "cannot be said"
    elif high <= PROBE:
        status = "passed"
    return Gate(name, status, found.auc, low, high, limit, *sizes, words)


def panel(found: dict[str, Any] | None, why: str = "") -> Gate:
    """The blinded panel; found: what `panel.read` returns, None where nobody looked, or where what
    they said is not counted, and why."""
    name, limit = "blinded panel", "95 % interval of the accuracy holds 0.5"
    if found is None:
        words = why or "nobody has looked: open audit/panel.html and answer"
        return Gate(name, "not done", None, None, None, limit, 0, 0, words)
    low, high = found["lo95"], found["hi95"]
    words = f"{found['k']} of {found['n']} images called right"
    status: Status = "cannot be said"
    if found["n"] >= FEWEST:
        status = "passed" if low <= 0.5 <= high else "failed"
    sizes = found["lenses"], found["injections"]
    return Gate(name, status, found["value"], low, high, limit, *sizes, words)


def verdict(gates: Sequence[Gate]) -> dict[str, Any]:
    """The one verdict, its reasons and the gates, as JSON values. It is "passed" only when every
    gate is, "failed" when one failed, and "cannot be said" otherwise."""
    failed = [g.name for g in gates if g.status == "failed"]
    open_ = [f"{g.name} ({g.status})" for g in gates if g.status in ("cannot be said", "not done")]
    word: Status = "failed" if failed else "cannot be said" if open_ or not gates else "passed"
    reasons = {
        "failed": f"failed: {', '.join(failed)}",
        "cannot be said": f"open: {', '.join(open_) or 'no gate was asked'}",
        "passed": f"all {len(gates)} gates passed",
    }
    words = reasons[word]
    if failed and open_:
        words += f"; open: {', '.join(open_)}"
    return {"verdict": word, "reason": words, "gates": [asdict(g) for g in gates]}


def sentence(realism: Mapping[str, Any]) -> str:
    """The verdict as a limitation of the audit, in one sentence."""
    beginning = {
        "passed": "Realism of the injections: all gates passed",
        "failed": "Realism of the injections: not every gate passed",
        "cannot be said": "Realism of the injections: it cannot be said",
    }[realism["verdict"]]
    return f"{beginning} ({'; '.join([realism['reason'], *realism.get('words', [])])})."


def finding(realism: Mapping[str, Any]) -> list[str]:
    """What has to stand beside the completeness wherever it is told; nothing where all gates
    passed."""
    said = {
        "failed": "the injections are not like real lenses in every respect",
        "cannot be said": "whether the injections are like real lenses cannot be said",
    }
    if realism["verdict"] not in said:
        return []
    return [
        f"Realism: {said[realism['verdict']]} ({realism['reason']}). Do not quote the completeness "
        "without this."
    ]


def _few(a: Measured, b: Measured) -> str:
    """Why nothing is said, or nothing."""
    if min(len(a.snr), len(b.snr)) >= FEWEST:
        return ""
    return f"fewer than {FEWEST} lenses or injections with something to measure"


def _unsaid(name: str, limit: str, a: Measured, b: Measured, words: str) -> Gate:
    sizes = len(a.snr), len(b.snr)
    return Gate(name, "cannot be said", None, None, None, limit, *sizes, words)


def _resampled(a: Measured, b: Measured, of: Any, seed: int) -> np.ndarray:
    """A statistic of both samples with groups drawn with replacement, RESAMPLES times."""
    rng = np.random.default_rng(seed)
    places = [_by_group(m.group) for m in (a, b)]
    draws = []
    for _ in range(RESAMPLES):
        taken = [
            np.concatenate([own[i] for i in rng.integers(len(own), size=len(own))])
            for own in places
        ]
        draws.append(of(a.take(taken[0]), b.take(taken[1])))
    return np.array(draws)


def _by_group(group: np.ndarray) -> list[np.ndarray]:
    _, number = np.unique(group.astype(str), return_inverse=True)
    order = np.argsort(number, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(number[order])) + 1)


def _gate(
    name: str,
    value: float,
    draws: np.ndarray,
    bounds: tuple[float, float],
    limit: str,
    a: Measured,
    b: Measured,
    words: str,
) -> Gate:
    """A gate whose number has to lie between two bounds."""
    draws = draws[np.isfinite(draws)]
    low, high = np.quantile(draws, [0.025, 0.975]) if len(draws) else (-np.inf, np.inf)
    status: Status = "cannot be said"
    if low >= bounds[0] and high <= bounds[1]:
        status = "passed"
    elif high < bounds[0] or low > bounds[1]:
        status = "failed"
    sizes = len(a.snr), len(b.snr)
    ends = [float(v) if np.isfinite(v) else None for v in (low, high)]
    return Gate(name, status, float(value), ends[0], ends[1], limit, *sizes, words)
