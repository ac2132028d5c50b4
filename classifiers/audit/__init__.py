"""The audit of a frozen finder: arcs injected into real, held-out galaxies; what is detected, what is missed, and why.

hosts: which galaxies may be used · grid, plan: which injection goes where · injection: the one compiled function · campaign: carries it out, resumable ·
completeness: the selection function and its intervals · sensitivity: gradients with respect to the assumptions · realism: what limits the reading ·
summary: all of it in figures and words · gallery: a few to look at.
"""

from classifiers.audit.settings import AuditSettings
from data.verb import Verb

__all__ = ["AuditSettings", "command"]

command = Verb(
    name="audit",
    summary="Injects arcs into held-out galaxies: what the finder detects, misses, and why.",
    settings=AuditSettings,
    after=("survey", "train", "evaluate"),
    owns=("audit",),
    reads="classifiers.audit.verb:reads",
    work="classifiers.audit.verb:work",
    description=__doc__,
)
