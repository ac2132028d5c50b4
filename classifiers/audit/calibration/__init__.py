"""Calibration of a prior: its numbers are moved until injections look like real lenses.

- numbers: what of a prior may be moved, and priors with other numbers
- observables: what is compared, measured on stamps, with derivatives
- lenses: real lenses, as stamps of a run or as a table
- injected: injections with fixed hosts, keys and noise
- energy: the distance of two samples, and tests of it
- fit, search, uncertainty: moves the numbers; which need not move, which are not constrained
- stage: all of this from a run directory
- judged, told, written, figure: the result on held-out lenses, in words, files and a figure
"""

from classifiers.audit.calibration.settings import CalibrateSettings
from data.verb import Verb

__all__ = ["CalibrateSettings", "command"]

HELP = """\
The prior of an audit is an assumption. Here its numbers (means, widths, ranges) are moved until
observables of injections are distributed as those of real lenses: magnitude, colours, SNR, radius,
width and area of the arc, after an azimuthal model of the galaxy is subtracted. Real lenses are the
labelled ones of the run, or a table of observables (--lenses).

  lensjax calibrate --out runs/mine --move g_r r_z r_eff
  lensjax audit --out runs/mine --prior runs/mine/calibration/prior.yaml

--move names parameters of the prior, or single numbers: g_r.mean, r_eff.middle. Part of the lenses
is kept out of the fit (--held-out) and judges it. Whatever is not named stays as it is, and is
listed; what the lenses do not constrain stays as well. See docs/calibration.md."""

command = Verb(
    name="calibrate",
    summary="Moves numbers of a prior by gradient until injections look like real lenses.",
    settings=CalibrateSettings,
    after=("survey",),
    owns=("calibration",),
    reads="classifiers.audit.calibration.verb:reads",
    work="classifiers.audit.calibration.verb:work",
    optional=True,
    description=HELP,
)
