"""The realism of an audit: a sample of its injections is made again and set beside the run's
labelled lenses and random galaxies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from classifiers.audit.axes import Axis
from classifiers.audit.completeness import weights
from classifiers.audit.realism import (
    detectable,
    features,
    frechet,
    gabor,
    gates,
    matching,
    panel,
    saturation,
)
from classifiers.audit.realism.azimuthal import Residuals
from classifiers.audit.realism.probe import Probe, control, probe
from lensjax.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

    from classifiers.audit.campaign import Campaign
    from classifiers.audit.settings import AuditSettings
    from data.survey import Survey

MOST_LENSES, MOST_RANDOM = 400, 600
HELD_OUT = ("val", "test")
"""splits whose lenses a network of this run has not learnt by heart"""
TIER = "A"
BLOCKS = 6
"""blocks of a network, evenly over its depth, whose Frechet distance is told"""


@dataclass(frozen=True)
class Sample:
    """Stamps (n, H, H, B), nanomaggies, of one kind, their table, and what is measured on them."""

    stamps: Float[np.ndarray, "n h h b"]
    table: pd.DataFrame
    found: Residuals
    signs: detectable.Signs

    def __len__(self) -> int:
        return len(self.stamps)

    @classmethod
    def of(cls, stamps: np.ndarray, table: pd.DataFrame, survey: Survey, scale: float) -> Sample:
        """Measures. scale: arcsec per pixel."""
        found = detectable.residuals(stamps, survey, scale)
        return cls(
            stamps, table.reset_index(drop=True), found, detectable.signs(found, survey.radii.arc)
        )

    @property
    def group(self) -> np.ndarray:
        """Name of the galaxy."""
        return self.table["galaxy_id"].astype(str).to_numpy()

    def quantities(self, survey: Survey, theta_e: bool) -> dict[str, np.ndarray]:
        """What lenses and injections are matched in, each (n,): the Einstein radius, or where it
        is not known the radius of the residual light, arcsec; magnitude of the arc's residual
        light and of the galaxy's model within the arc ring, and the model's colours."""
        within = self.found.radius <= survey.radii.arc[1]
        arc = detectable.lit(self.found, survey.radii.arc)
        light = np.where(arc, np.nan_to_num(self.found.residual[..., survey.place]), 0.0)
        bright = np.maximum(light, 0.0).reshape(len(light), self.found.radius.size)
        with np.errstate(divide="ignore", invalid="ignore"):
            radius = bright @ self.found.radius.ravel() / bright.sum(1)
            mag = lambda flux: np.where(flux > 0, 22.5 - 2.5 * np.log10(flux), np.nan)
            host = mag(self.found.model[:, within].sum(1, dtype=np.float64))
            lensed = mag(bright.sum(1, dtype=np.float64))
        made = {
            "theta_e" if theta_e else "radius of residual light": (
                self.table["theta_e"].to_numpy(np.float64) if theta_e else radius
            ),
            "arc magnitude": lensed,
            "host magnitude": host[:, survey.place],
        }
        for i, (blue, red) in enumerate(pairwise(survey.bands)):
            made[f"host {blue} - {red}"] = host[:, i] - host[:, i + 1]
        return made


def compare(
    campaign: Campaign,
    rows: pd.DataFrame,
    axes: Sequence[Axis],
    threshold: float,
    s: AuditSettings,
    folder: Path,
) -> dict[str, Any]:
    """`realism` (verdict, gates, probes, Frechet distances) and `gate` (the detectability gate and
    the two stages by bin and host type) of an audit, as JSON values; writes the blinded panel.

    rows: of all injections, in the plan's order. axes: that the two stages are told by. threshold:
    above which the finder has found something. What cannot be said for want of lenses or galaxies
    is said in words.
    """
    survey = campaign.survey
    injected = _injections(campaign, rows, s.realism_sample)
    if injected is None:
        return {"realism": {**gates.verdict([]), "words": ["no sample was asked"]}, "gate": None}
    size, scale = injected.stamps.shape[1], injected.found.scale
    lenses, random = (
        labelled(campaign.out, survey, kind, size, scale, most, campaign.hosts.ids[campaign.used])
        for kind, most in ((1, MOST_LENSES), (0, MOST_RANDOM))
    )
    try:
        gate = detectable.calibrated(lenses.signs, random.signs, s.gate_rate, s.seed)
    except InputError as error:
        why = f"nothing is compared: {error}"
        return {"realism": {**gates.verdict([]), "words": [why]}, "gate": None}
    seen = {k: gate.passes(v.signs) for k, v in (("lenses", lenses), ("injected", injected))}
    ring, band = survey.radii.arc, survey.place
    graded, which = graded_lenses(lenses)
    a = gates.measured(lenses.stamps, lenses.found, ring, band, lenses.group, seen["lenses"], 1)
    a = a.take(graded)
    b = gates.measured(
        injected.stamps, injected.found, ring, band, injected.group, seen["injected"], 2
    )
    probes, distances, balance, words = _probes(campaign, lenses, injected, seen, s.seed)
    panel.write(
        folder,
        lenses.stamps[graded],
        injected.stamps[seen["injected"]],
        (lenses.group[graded], injected.table["injection_id"][seen["injected"]].tolist()),
        survey,
        seed=s.seed,
    )
    every = [
        *gates.arc_snr(a, b, s.seed),
        *gates.background(a, b, survey.bands),
        *gates.colour(a, b, survey.bands, s.seed),
        gates.saturation(saturation(rows["score"].to_numpy()), len(rows)),
        *probes,
        _panel(folder, campaign.out),
    ]
    told = gates.verdict(every)
    if campaign.plan[0].degrade:
        words.append("hosts were degraded and lenses were not, so backgrounds are not one survey's")
    told |= {"lenses": which, "matching": balance, "frechet": distances, "words": words}
    hosts = _hosts_pass(campaign, injected, gate, scale)
    return {"realism": told, "gate": _stages(gate, injected, axes, threshold, s, campaign, hosts)}


def _injections(campaign: Campaign, rows: pd.DataFrame, wanted: int) -> Sample | None:
    """A fixed sample of the injections, made again."""
    from classifiers.audit import plan
    from classifiers.audit.injection import observe, unchanged

    sample = plan.sample(campaign.plan, wanted)
    if not sample:
        return None
    starts = np.cumsum([0, *(len(c) for c in campaign.plan)])
    table = rows.iloc[np.concatenate([starts[i] + own for i, own in sample])]
    chunk = campaign.plan[sample[0][0]]
    experiment = campaign.experiment(chunk)
    stamps = [
        np.asarray(observe(experiment, batch, unchanged())["stamp"])[:n]
        for n, batch in campaign.packed(sample)
    ]
    return Sample.of(np.concatenate(stamps), table, campaign.survey, chunk.pixel_scale)


def labelled(
    out: Path,
    survey: Survey,
    label: int,
    size: int,
    scale: float,
    most: int,
    hosts: Sequence[str] | np.ndarray,
) -> Sample:
    """Lenses (label 1) or random galaxies (0) of a run, at most so many, those with the smallest
    hash of their name, of the injections' stamp size (pixels) and scale (arcsec per pixel). Random
    galaxies are none of these hosts of injections where there are enough others."""
    import pandas as pd

    from classifiers.audit.hosts import read_stamp

    table = pd.read_parquet(out / "manifest.parquet")
    good = table["label"] == label
    if "quality_ok" in table:
        good &= table["quality_ok"].fillna(True).astype(bool)
    for name, value, usual in (
        ("size", size, survey.stamp),
        ("pixel_scale", scale, survey.pixel_scale),
    ):
        own = table[name].fillna(usual) if name in table else pd.Series(usual, table.index)
        good &= np.isclose(own.astype(float), value)
    if label == 0:
        if "cutout_type" in table:
            good &= ~table["cutout_type"].isin(["unlabelled", "host"])
        others = good & ~table["galaxy_id"].isin(hosts)
        good = others if others.sum() >= detectable.FEWEST else good
    table = table[good]
    order = pd.util.hash_array(table["galaxy_id"].astype(str).to_numpy(object)).argsort()
    table = table.iloc[order[:most]]
    if label == 1 and "theta_e" not in table:
        table = table.assign(theta_e=_known_radii(out, table["galaxy_id"]))
    stamps = [read_stamp(out / path, size, len(survey.bands)) for path in table["cutout_path"]]
    empty = np.empty((0, size, size, len(survey.bands)), np.float32)
    return Sample.of(np.stack(stamps) if stamps else empty, table, survey, scale)


def _known_radii(out: Path, ids: pd.Series[Any]) -> np.ndarray:
    """Einstein radii of lenses, arcsec, from the truth of a simulated survey; NaN elsewhere."""
    import pandas as pd

    path = out / "survey" / "truth.parquet"
    if not path.is_file():
        return np.full(len(ids), np.nan)
    truth = pd.read_parquet(path)
    if not {"galaxy_id", "theta_e"} <= set(truth.columns):
        return np.full(len(ids), np.nan)
    known = truth.drop_duplicates("galaxy_id").set_index("galaxy_id")["theta_e"]
    return ids.map(known).to_numpy(np.float64)


def graded_lenses(lenses: Sample) -> tuple[np.ndarray, str]:
    """Which lenses the gates take, and that in words: the confident ones where there are enough."""
    tiers = lenses.table.get("tier")
    confident = np.zeros(len(lenses), bool) if tiers is None else tiers.eq(TIER).to_numpy(bool)
    if confident.sum() >= gates.FEWEST * 2:
        return np.flatnonzero(confident), f"{confident.sum()} lenses of tier {TIER}"
    told = f"{len(lenses)} labelled lenses of all tiers, {confident.sum()} of them of tier {TIER}"
    return np.arange(len(lenses)), told


def _probes(
    campaign: Campaign,
    lenses: Sample,
    injected: Sample,
    seen: Mapping[str, np.ndarray],
    seed: int,
) -> tuple[list[gates.Gate], list[dict[str, Any]], list[dict[str, Any]], list[str]]:
    """Gates of the probes, Frechet distances by block, balance of the matching, and remarks."""
    survey, words = campaign.survey, []
    held = np.ones(len(lenses), bool)
    if "split" in lenses.table:
        held = lenses.table["split"].isin(HELD_OUT).to_numpy()
        words.append(
            f"probes take the {held.sum()} lenses of the splits {' and '.join(HELD_OUT)}, which a "
            "finder of this run has not learnt"
        )
    known = "theta_e" in injected.table and bool(
        np.isfinite(lenses.table["theta_e"].to_numpy(np.float64)[held]).any()
    )
    if not known:
        words.append(
            "Einstein radii of the lenses are unknown: matched in the radius of residual light"
        )
    a, b = (np.stack(list(x.quantities(survey, known).values()), 1) for x in (lenses, injected))
    names = list(injected.quantities(survey, known))
    a[~(held & seen["lenses"])] = np.nan
    b[~seen["injected"]] = np.nan
    pairs = matching.balanced(a, b, names, gates.FEWEST)
    said = f"matched in {', '.join(names)}"
    every = {
        "Gabor bank": [
            gabor.features(x.stamps, x.found.sigma, x.found.sky, x.found.scale, survey.radii.arc[1])
            for x in (lenses, injected)
        ]
    }
    maps = [features.blocks(campaign.finder, x.stamps, campaign.batch) for x in (lenses, injected)]
    if maps[0] and maps[1]:
        last = list(maps[0])[-1]
        every = {"penultimate features": [m[last] for m in maps if m], **every}
    else:
        words.append("the finder gives no features, so only the Gabor bank is probed")
    found = [
        gates.probed(
            f"linear probe, {name}",
            *_probe_of(x, y, pairs, lenses, injected, seed),
            pairs.balanced,
            said,
        )
        for name, (x, y) in every.items()
    ]
    shown: dict[str, list[np.ndarray]] = {}
    if maps[0] and maps[1]:
        blocks = list(maps[0])
        picked = np.unique(np.linspace(0, len(blocks) - 1, BLOCKS).round().astype(int))
        shown = {blocks[i]: [maps[0][blocks[i]], maps[1][blocks[i]]] for i in picked}
    shown["Gabor bank"] = every["Gabor bank"]
    # The injections that were not matched are the yardstick of the same process.
    b_seen = np.flatnonzero(seen["injected"])
    distances = frechet.by_block(
        {k: v[0][pairs.a] for k, v in shown.items()},
        {k: v[1][b_seen] for k, v in shown.items()},
        injected.group[b_seen],
        seed,
    )
    return found, [_finite(d) for d in distances], pairs.balance, words


def _probe_of(
    x: np.ndarray,
    y: np.ndarray,
    pairs: matching.Pairs,
    lenses: Sample,
    injected: Sample,
    seed: int,
) -> tuple[Probe, Probe]:
    """The probe of the pairs, and that of injections against injections at the same size."""
    own = probe(x[pairs.a], y[pairs.b], lenses.group[pairs.a], injected.group[pairs.b], seed)
    itself = control(y, injected.group, seed, max(len(pairs), 1))
    return own, itself


def _finite(row: dict[str, Any]) -> dict[str, Any]:
    """Numbers that are not finite become None, as JSON wants it."""
    return {k: None if isinstance(v, float) and not np.isfinite(v) else v for k, v in row.items()}


def _hosts_pass(
    campaign: Campaign, injected: Sample, gate: detectable.Gate, scale: float
) -> dict[str, Any] | None:
    """Hosts of the sample that pass the gate with no arc: k, n, share. None for degraded hosts,
    whose stamps are not on disk."""
    from classifiers.audit.realism import fraction

    if campaign.plan[0].degrade:
        return None
    place = np.flatnonzero(np.isin(campaign.hosts.ids, np.unique(injected.group)))
    stamps = np.stack(list(campaign.stamps(place).values()))
    found = detectable.residuals(stamps, campaign.survey, scale)
    passed = gate.passes(detectable.signs(found, campaign.survey.radii.arc))
    return fraction(int(passed.sum()), len(passed))


def _stages(
    gate: detectable.Gate,
    injected: Sample,
    axes: Sequence[Axis],
    threshold: float,
    s: AuditSettings,
    campaign: Campaign,
    hosts: dict[str, Any] | None,
) -> dict[str, Any]:
    """Observable x found given observable for all of the sample, by bin of every axis, and by type
    of the host."""
    table = injected.table
    bound = table["snr"].to_numpy() >= s.gate_snr
    passes = gate.passes(injected.signs)
    found = table["score"].to_numpy() > threshold
    told = (passes, found, injected.group, bound, weights(table))
    bins: dict[str, np.ndarray] = {}
    for axis in axes:
        cell = f"cell_{axis.name}"
        if cell in table:
            bins[axis.name] = table[cell].astype(str).to_numpy()
        elif axis.column in table:
            bins[axis.name] = axis.named(table[axis.column].to_numpy())
    kinds = campaign.hosts.columns.get("type")
    if kinds is not None:
        of = dict(zip(campaign.hosts.ids.tolist(), np.asarray(kinds).astype(str).tolist()))
        bins["host type"] = np.array([of.get(g, "unknown") for g in injected.group])
    lines: list[dict[str, Any]] = [
        {"axis": name, "value": str(value)} | detectable.stages(*(v[own] for v in told))
        for name, values in bins.items()
        for value in np.unique(values)
        if (own := values == value).any()
    ]
    return {
        "calibration": gate.described(),
        "hosts_without_arc": hosts,
        "threshold": threshold,
        "bound_snr": s.gate_snr,
        "sample": len(injected),
        "all": detectable.stages(*told),
        "bins": lines,
    }


def _panel(folder: Path, answers: Path) -> gates.Gate:
    """The panel's gate. Answers that do not fit are not counted, and the audit goes on."""
    try:
        return gates.panel(panel.read(folder, answers))
    except InputError as error:
        return gates.panel(None, f"not counted: {error}")
