"""The audit of a finder: arcs injected into real, held-out galaxies; what is detected, and why.

- hosts: which galaxies may be used
- axes, plan: which injection goes where
- injection: the one compiled function that makes a stamp
- campaign: carries it out, resumable, and has the stamps scored
- completeness: the selection function and its intervals (`classifiers.selection` answers queries)
- choosing, veto, target: which hosts are kept out, and what the others are weighted to
- native, native_tables, noisepower, psfshape: degraded hosts beside native ones
- injectionset, hdf: the injections as a file that others read
- population: completeness of any population, by re-weighting an injection set (proposal,
  resampling, coverage, matching are its parts; population_verb its command)
- sensitivity, gradients: how it answers to the assumptions, by derivative
- treatments, perturbations, alternatives, case: one assumption changed at a time, all else kept
- assumptions, paired: carries them out, and what was gained and lost
- counterfactual: the smallest change that makes the finder find a missed arc
- causes: why arcs were missed
- standing: all of these, and the statistical and systematic interval of the one number
- realism: what limits the reading
- summary: all of it in figures and words
- gallery: a few to look at
- own: all of a run for somebody's finder and cutouts, in one command
"""

from classifiers.audit.settings import AuditSettings
from data.verb import Verb

__all__ = ["AuditSettings", "command"]

OWN = (
    "For a finder of your own on cutouts of your own: lensjax audit --finder my_finder:score "
    "--cutouts FOLDER --table TABLE; lensjax audit --cutouts FOLDER --help explains it."
)

command = Verb(
    name="audit",
    summary="Injects arcs into held-out galaxies: what the finder detects, misses, and why.",
    settings=AuditSettings,
    after=("survey", "train", "evaluate"),
    owns=("audit",),
    reads="classifiers.audit.verb:reads",
    work="classifiers.audit.verb:work",
    description=OWN,
    otherwise="classifiers.audit.own:asked",
)
