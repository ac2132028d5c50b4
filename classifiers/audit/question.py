"""What an audit asks: settings and a run directory made into axes, hosts and injections to do."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Bool

from classifiers.audit.choosing import choose, finder_of
from classifiers.audit.settings import AuditSettings
from classifiers.audit.thresholds import Threshold, values
from lensjax.errors import InputError

if TYPE_CHECKING:
    from classifiers.audit.axes import Grid
    from classifiers.audit.campaign import Campaign
    from classifiers.audit.plan import Chunk
    from classifiers.audit.veto import Veto
    from lensjax.prior import Prior


@dataclass(frozen=True)
class Question:
    """What an audit is about. prior: what the answer is for; the campaign draws from a proposal.
    measured: of which hosts the depth was measured on their stamps. vetoed: which hosts were left
    out near known lenses."""

    axes: Grid
    prior: Prior
    chunks: list[Chunk]
    campaign: Campaign
    asked: list[Threshold]
    measured: Bool[np.ndarray, " hosts"]
    vetoed: Veto

    @property
    def numbers(self) -> dict[str, float]:
        """The thresholds that have a value, by name."""
        return values(self.asked)


def question(out: Path, s: AuditSettings) -> Question:
    """The question that the settings ask of a run directory. Raises InputError when it cannot be
    asked."""
    from classifiers import finders
    from classifiers.audit import merging, plan, thresholds
    from classifiers.audit.campaign import Campaign
    from classifiers.audit.density import proposed
    from classifiers.audit.hosts import with_depth
    from classifiers.audit.injection import audit_prior
    from data.survey import of_run

    survey = of_run(out)
    finder = finders.load(finder_of(s), out)
    more = {name: finders.load(text, out) for name, text in s.more_finders.items()}
    prior = audit_prior(s.prior, s.source_magnitude, survey)
    proposal = proposed(prior, s.proposal)
    chosen, vetoed = choose(out, s, finder.info, survey, more)
    hosts, measured = with_depth(chosen, out)
    degrade = s.mode == "degraded"
    if degrade and hosts.kernels is not None:
        raise InputError(
            "audit.mode degraded: hosts with PSF kernels have no FWHM to be degraded to; use "
            "matched, or leave the column psf_path out"
        )
    domains = {name: prior.domain(name) for name in prior.parameters}
    axes = s.axes(hosts.fwhm, hosts.depth, hosts, domains, survey)
    merging.places(axes, s.merge)
    chunks = plan.chunks(hosts, axes, s.injections, s.per_host, degrade, s.seed)
    asked = thresholds.asked(out, s.thresholds, finder.info)
    print(
        f"audit: {sum(map(len, chunks))} injections of {axes.cells() * s.injections} asked, "
        f"{axes.cells()} cells, {len(hosts)} hosts, {s.mode}, prior {s.prior_name}",
        flush=True,
    )
    if not chunks:
        raise InputError(
            f"{out}: no host lies in any cell of the grid; widen "
            f"{', '.join(f'audit.axis.{a.name}' for a in axes.host)}, or use mode degraded"
        )
    campaign = Campaign(
        chunks,
        hosts,
        out,
        finder,
        proposal,
        s.gain,
        s.moffat_beta,
        s.batch,
        s.extinction,
        s.stamp_files,
        more,
    )
    return Question(axes, prior, chunks, campaign, asked, measured, vetoed)
