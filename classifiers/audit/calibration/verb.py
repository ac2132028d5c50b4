"""The step `calibrate`: everything below calibration/ of the run directory."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from classifiers.audit.calibration.settings import CalibrateSettings
from data.config import Invocation
from data.files import write_json
from data.verb import Done, Reads

if TYPE_CHECKING:
    from collections.abc import Callable

    from classifiers.audit.calibration.fit import Lenses
    from classifiers.audit.calibration.injected import Answers
    from classifiers.audit.calibration.lenses import Real
    from classifiers.audit.calibration.stage import Stage

FOLDER = "calibration"


def reads(s: CalibrateSettings, out: Path) -> Reads:
    """The survey, and the files outside of the run directory that the calibration depends on."""
    named = [s.lenses, s.prior if isinstance(s.prior, str) else ""]
    return Reads(("survey",), [Path(n) for n in named if n and Path(n).is_file()])


def work(call: Invocation[CalibrateSettings]) -> Done:
    """Calibrates and writes. Raises InputError for settings and inputs that are wrong."""
    from classifiers.audit.calibration import figure, stage, told, written
    from classifiers.audit.calibration.fit import Lenses
    from classifiers.audit.calibration.judged import judged
    from classifiers.audit.calibration.numbers import numbers, usual
    from classifiers.audit.calibration.search import Search, calibrated
    from data.survey import of_run

    s, out, folder = call.settings, call.out, call.out / FOLDER
    survey = of_run(out)
    prior = stage.prior_of(s, survey)
    asked = s.move or tuple(usual(prior))
    moving = numbers(prior, asked)
    there = stage.prepared(out, s, survey, prior)
    injected = there.injected(moving, s.seed)
    words = there.sizes(len(injected))
    for line in words:
        print(f"calibrate: {line}", flush=True)

    fitted, held = (there.real.take(np.flatnonzero(w)) for w in (~there.held, there.held))
    columns = there.columns
    lenses = Lenses(fitted.values[:, columns], fitted.weight, columns)
    search = Search.of(injected, there.ruler, lenses, s.seed)
    good = never if s.refine else good_enough(there, fitted, lenses, injected.group)
    found = calibrated(search, good, s.rounds)

    made = moving.moved(found.fit.x)
    entries = written.entries(s.prior, prior, made)
    after = written.read_back(entries, prior, made, survey)
    samples = {}
    for word, own in (("before", prior), ("after", after)):
        # Other keys than those of the fit: what fits these only is no calibration.
        others = there.injected(numbers(own, asked), s.seed + 1)
        looks = others.looks(np.zeros(len(moving)), there.ruler)
        samples[word] = there.as_real(others, looks)
    first, last = (
        judged(held, sample, lenses, there.names, survey, s.seed) for sample in samples.values()
    )
    table = told.table_of_numbers(moving, found)
    responses = found.fit.near.responses(moving, found.fit.x)
    unmatched = told.not_matched(last, responses, moving.names)
    summary = told.summary(found, table, first, last, unmatched, prior, made, words)

    folder.mkdir(parents=True, exist_ok=True)
    outputs = [folder / "prior.yaml", folder / "summary.json"]
    written.prior_file(outputs[0], entries, s.prior_name, summary)
    write_json(outputs[1], summary)
    outputs += written.tables(folder, table, first, last, survey, there.real, there.held, samples)
    outputs += figure.write(folder, there.names, columns, [held, *samples.values()])
    notes = {"verdict": summary["verdict"], "distance": last.distance}
    path = f"the prior is {outputs[0]}: audit.prior takes it"
    return Done(outputs, notes, [*summary["words"][len(words) :], path])


def never(found: Answers) -> bool:
    """The prior is fitted whatever it is like."""
    return False


def good_enough(
    there: Stage, fitted: Real, lenses: Lenses, group: np.ndarray
) -> Callable[[Answers], bool]:
    """Whether the gates that a prior can change pass on the lenses of the fit, and the energy test
    cannot tell injections from them. group: hosts of the injections."""
    from classifiers.audit.calibration.energy import p_value
    from classifiers.audit.calibration.judged import LEVEL, changeable, of_observables

    survey, seed = there.survey, there.settings.seed
    real = of_observables(fitted.values, fitted.seen, fitted.group, survey)

    def good(found: Answers) -> bool:
        seen = np.exp(np.asarray(found.ln_seen)) > 0.5
        own = of_observables(np.asarray(found.values, np.float64), seen, group, survey)
        asked = changeable(real, own, there.names, survey, seed)
        if not asked or any(gate.status != "passed" for gate in asked):
            return False
        x = lenses.standard(found.values)[seen]
        return p_value(x, lenses.standardised[fitted.seen], seed) > LEVEL

    return good
