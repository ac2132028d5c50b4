"""What a calibration says: the table of numbers, what does not match, and the verdict in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from classifiers.audit.calibration.judged import Judged
from classifiers.audit.calibration.numbers import Numbers
from classifiers.audit.calibration.search import Found
from classifiers.audit.realism.gates import Status
from lensjax.photometry import colour_bands
from lensjax.prior import Distribution, Prior
from lensjax.prior.writing import entry

if TYPE_CHECKING:
    import pandas as pd

NOTHING_MOVES = 0.1
"""response of an observable, in the lenses' spread per unit, below which a number does not move
it"""


def table_of_numbers(numbers: Numbers, found: Found) -> pd.DataFrame:
    """One line per number: before, after, error (standard deviation of the fit, NaN where it is not
    constrained), status, and by how much the distance rises when a number that was moved is put
    back (NaN for others)."""
    import pandas as pd

    after = numbers.values(found.fit.x)
    lines = []
    for i, number in enumerate(numbers.every):
        back = found.returned.get(number.name)
        error = number.error(float(found.fit.x[i]), float(found.deviation[i]))
        lines.append(
            {
                "number": number.name,
                "before": number.start,
                "after": after[i] if found.fit.moved[i] else number.start,
                "error": error if np.isfinite(error) else np.nan,
                "status": found.status[i],
                "rise_when_put_back": np.nan if back is None else back.value,
                "rise_error": np.nan if back is None else back.deviation,
            }
        )
    return pd.DataFrame(lines)


def not_matched(
    judged: Judged, responses: Float[np.ndarray, "k d"], names: Sequence[str]
) -> list[dict[str, Any]]:
    """Observables of held-out lenses that injections do not have: by how much, and which number
    moves the observable most. responses: `Near.responses`; names: of the k numbers."""
    found = []
    for i, line in enumerate(judged.observables):
        if line["matches"] is not False:
            continue
        most = int(np.abs(responses[:, i]).argmax())
        moves = bool(abs(responses[most, i]) >= NOTHING_MOVES)
        found.append(
            {k: line[k] for k in ("observable", "lenses_q50", "injections_q50", "apart", "ks", "p")}
            | {"most_moved_by": names[most] if moves else None, "response": responses[most, i]}
        )
    return found


def summary(
    found: Found,
    table: pd.DataFrame,
    before: Judged,
    after: Judged,
    unmatched: Sequence[Mapping[str, Any]],
    prior: Prior,
    made: Mapping[str, Distribution],
    words: Sequence[str],
) -> dict[str, Any]:
    """Everything as JSON values; `words` are what is printed. words: of the samples."""
    free = {str(name).rpartition(".")[0] for name in table["number"]}
    fixed = {n: entry(d) for n, d in sorted(prior.parameters.items()) if n not in free}
    rounds = [
        {"distance": r.distance, "counts": r.counts, "steps": [float(v) for v in r.x]}
        for r in found.fit.rounds
    ]
    return {
        "verdict": after.verdict,
        "ended": found.fit.why,
        "rounds": rounds,
        "numbers": [
            {k: None if v != v else v for k, v in line.items()} for line in table.to_dict("records")
        ],
        "moved": {
            n: {"before": entry(prior.parameters[n]), "after": entry(d)} for n, d in made.items()
        },
        "fixed": fixed,
        "before": before.described(),
        "after": after.described(),
        "not_matched": [dict(line) for line in unmatched],
        "words": [*words, *_words(found, table, before, after, unmatched, fixed, made)],
    }


def _words(
    found: Found,
    table: pd.DataFrame,
    before: Judged,
    after: Judged,
    unmatched: Sequence[Mapping[str, Any]],
    fixed: Mapping[str, Any],
    made: Mapping[str, Distribution],
) -> list[str]:
    said = [f"rounds: {len(found.fit.rounds) - 1}; the fit ended because {found.fit.why}"]
    for line in table.to_dict("records"):
        error = f" ± {line['error']:.2g}" if np.isfinite(line["error"]) else ""
        if line["status"] == "moved":
            said.append(f"{line['number']}: {line['before']:.4g} -> {line['after']:.4g}{error}")
        elif line["status"] == "as it was":
            said.append(f"{line['number']}: stays at {line['before']:.4g}{error}")
    free = table.loc[table["status"] == "not constrained", "number"].tolist()
    if free:
        said.append(
            f"not constrained by these observables, left where they were: {', '.join(free)}"
        )
    said.append(f"fixed: {', '.join(fixed) or 'nothing'}")
    said.append("on held-out lenses and new injections, before -> after:")
    said.append(f"energy distance {_distance(before)} -> {_distance(after)}")
    said += [
        f"{a.name}: {_gate(a)} -> {_gate(b)} ({a.limit})" for a, b in zip(before.gates, after.gates)
    ]
    for gate in after.background:
        if gate.status == "failed":
            said.append(f"{gate.name}: {gate.status}; it is the hosts' and no prior changes it")
    for one in unmatched:
        by = one["most_moved_by"]
        why = f"{by} moves it most" if by else "no moved number changes it"
        said.append(
            f"not matched: {one['observable']}, median {one['injections_q50']:.3g}, of lenses "
            f"{one['lenses_q50']:.3g} ({abs(one['apart']):.2g} of their spread; p "
            f"{one['p']:.2g}); {why}"
        )
    ends: dict[Status, str] = {
        "passed": "the gates that a prior can change pass",
        "failed": "the gates do not pass, and no step brings them nearer",
        "cannot be said": "whether the gates pass cannot be said; more lenses would tell",
    }
    said.append(ends[after.verdict])
    return said + _overruled(made)


def _overruled(made: Mapping[str, Distribution]) -> list[str]:
    """What of the prior an audit does not take as it is."""
    said = []
    if any(len(colour_bands(n)) == 1 for n in made):
        said.append(
            "an audit takes the magnitudes of the prior with audit.source_magnitude: [] only"
        )
    if "theta_e" in made:
        said.append("an audit draws theta_e in the bins of its grid, not from the prior")
    return said


def _distance(judged: Judged) -> str:
    if judged.distance is None:
        return "unknown (too few are seen)"
    return f"{judged.distance:.3f} (p {judged.p:.2g})"


def _gate(gate: Any) -> str:
    return gate.status if gate.value is None else f"{gate.status} ({gate.value:.2f})"
