"""What a calibration works with, from a run directory: hosts, lenses, the ruler, injections."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

import lensjax as lj
from classifiers.audit import plan
from classifiers.audit.axes import Grid
from classifiers.audit.calibration import lenses as doors
from classifiers.audit.calibration.injected import Injected, Looks
from classifiers.audit.calibration.lenses import Real
from classifiers.audit.calibration.numbers import Numbers
from classifiers.audit.calibration.observables import THETA_E, Ruler, measurable, ruler_of
from classifiers.audit.calibration.settings import CalibrateSettings
from classifiers.audit.campaign import Campaign
from classifiers.audit.hosts import Hosts, candidates, require_psf, with_depth
from classifiers.audit.realism import detectable
from classifiers.audit.realism.comparison import (
    MOST_LENSES,
    MOST_RANDOM,
    Sample,
    graded_lenses,
    labelled,
)
from classifiers.audit.redraw import NoFinder
from data.survey import Survey
from lensjax.errors import InputError
from lensjax.prior import Prior

FEWEST = 40
"""injections below which nothing is fitted"""


@dataclass(frozen=True)
class Stage:
    """names: of the observables that are compared. real: lenses, and held (l,): which of them are
    held out. which: what lenses these are, in words. gate and ruler: see `detectable` and
    `observables`. hosts: for injections, of one stamp size."""

    out: Path
    settings: CalibrateSettings
    survey: Survey
    names: tuple[str, ...]
    hosts: Hosts
    gate: detectable.Gate
    ruler: Ruler
    real: Real
    held: np.ndarray
    which: str

    @property
    def columns(self) -> tuple[int, ...]:
        """Places of the compared observables among all."""
        every = (*measurable(self.survey), THETA_E)
        return tuple(every.index(name) for name in self.names)

    def injected(self, numbers: Numbers, seed: int) -> Injected:
        """Injections of the prior of these numbers; another seed gives others."""
        s = self.settings
        chunks = plan.chunks(self.hosts, Grid((), ()), s.injections, s.per_host, False, seed)
        total = sum(len(c) for c in chunks)
        if total < FEWEST:
            raise InputError(
                f"{self.out}: {len(self.hosts)} hosts of {self.hosts.size[0]} pixels in split "
                f"{' or '.join(s.splits)} carry {total} injections, {FEWEST} are needed; make the "
                "survey larger, or raise calibrate.per_host"
            )
        campaign = Campaign(
            chunks,
            self.hosts,
            self.out,
            NoFinder(),
            numbers.prior,
            s.gain,
            s.moffat_beta,
            s.batch,
            s.extinction,
        )
        batches = campaign.packed([(0, np.arange(total))])
        group = self.hosts.ids[chunks[0].host]
        return Injected.of(campaign.experiment(chunks[0]), batches, numbers, group)

    def sizes(self, injections: int) -> list[str]:
        """What is said of the sizes of the samples, with warnings."""
        held, wanted = int(self.held.sum()), self.settings.injections
        fitted = len(self.real) - held
        said = [
            f"{fitted} lenses to fit and {held} held out ({self.which}); {injections} injections"
        ]
        if min(fitted, held) < doors.FEW:
            said.append(
                f"few lenses: with fewer than {doors.FEW} in either half uncertainties are rough, "
                "and the gates may not be able to pass"
            )
        if injections < wanted:
            said.append(f"the hosts carry {injections} of the {wanted} injections asked")
        return said

    def as_real(self, injected: Injected, found: Looks) -> Real:
        """Injections as lenses are: what is measured of them, and which are seen."""
        import pandas as pd

        scale = injected.experiment.pixels.scale
        table = pd.DataFrame({"galaxy_id": injected.group})
        sample = Sample.of(found.stamps, table, self.survey, scale)
        values = found.values
        if not injected.theta_e:
            values = np.concatenate([values, np.full((len(values), 1), np.nan)], 1)
        passed = self.gate.passes(sample.signs)
        return Real(values, np.exp(found.ln_seen), passed, injected.group, sample)


def prior_of(s: CalibrateSettings, survey: Survey) -> Prior:
    """The prior that is calibrated, in the survey's bands. Raises InputError as priors do."""
    if isinstance(s.prior, dict):
        prior = lj.prior_from("calibrate.prior", s.prior)
    else:
        prior = lj.priors(s.prior)
    return prior.for_bands(survey.bands, survey.wavelength)


def prepared(out: Path, s: CalibrateSettings, survey: Survey, prior: Prior) -> Stage:
    """Reads hosts, lenses and random galaxies and measures them. Raises InputError where the run or
    the table lacks what is needed."""
    names = doors.asked(survey, s.observables)
    if THETA_E in names and THETA_E not in prior.parameters:
        raise InputError(
            f"calibrate.observables: prior {prior.name!r} draws no theta_e; leave it out"
        )
    size, scale = shape(out, survey, 0 if s.lenses else 1)
    hosts = hosts_of(out, s, survey, size, scale)
    random = labelled(out, survey, 0, size, scale, MOST_RANDOM, hosts.ids)
    if s.lenses:
        real = doors.of_table(Path(s.lenses), names, survey)
        held = doors.halves(real.group, s.held_out, s.seed)
        gate = detectable.calibrated(
            random.signs.take(np.arange(0)), random.signs, s.gate_rate, s.seed
        )
        side = random.found.residual.shape[1]
        ruler = ruler_of(survey, random.signs, gate, side, scale)
        which = f"{len(real)} lenses of {Path(s.lenses).name}"
    else:
        every = labelled(out, survey, 1, size, scale, MOST_LENSES, ())
        graded, which = graded_lenses(every)
        sample = doors.taken(every, graded)
        held = doors.halves(sample.group, s.held_out, s.seed)
        # The gate is fitted to lenses too, so those that are held out are kept from it.
        own = sample.signs.take(np.flatnonzero(~held))
        gate = detectable.calibrated(own, random.signs, s.gate_rate, s.seed)
        side = sample.found.residual.shape[1]
        ruler = ruler_of(survey, random.signs, gate, side, scale)
        passed = gate.passes(sample.signs)
        real = doors.of_stamps(sample, passed, ruler, s.batch, THETA_E in names)
        held = doors.halves(real.group, s.held_out, s.seed)
    where = s.lenses or f"{out}: labelled lenses"
    doors.check(int((~held).sum()), int(held.sum()), where)
    return Stage(out, s, survey, names, hosts, gate, ruler, real, held, which)


def shape(out: Path, survey: Survey, label: int) -> tuple[int, float]:
    """Stamp size (pixels) and scale (arcsec per pixel) that most objects of a label have. Raises
    InputError where there is none."""
    import pandas as pd

    table = pd.read_parquet(out / "manifest.parquet")
    table = table[(table["label"] == label).fillna(False)]
    if table.empty:
        what = "labelled lens; give a table of lenses (calibrate.lenses)" if label else "negative"
        raise InputError(f"{out / 'manifest.parquet'}: no {what}")
    usual = {"size": survey.stamp, "pixel_scale": survey.pixel_scale}
    own = [
        table[name].fillna(value) if name in table else pd.Series(value, table.index)
        for name, value in usual.items()
    ]
    counts = pd.Series(list(zip(*own))).value_counts()
    best: tuple[float, float] = max(counts.index, key=lambda pair: (counts[pair], pair))
    return int(best[0]), float(best[1])


def hosts_of(out: Path, s: CalibrateSettings, survey: Survey, size: int, scale: float) -> Hosts:
    """Negatives that injections go into, of one stamp size. Raises InputError where there are
    none, and as `hosts.candidates` and `hosts.require_psf` do."""
    from data.manifest import read

    found = candidates(read(out / "manifest.parquet").to_pandas(), s.splits, s.psf_fwhm, survey)
    found = found.take((found.size == size) & np.isclose(found.pixel_scale, scale))
    if not len(found):
        raise InputError(
            f'{out}: no negative of {size} pixels of {scale:g}" in split {" or ".join(s.splits)}, '
            "so there is nothing to inject into; make the survey larger"
        )
    require_psf(found)
    return with_depth(found, out)[0]
