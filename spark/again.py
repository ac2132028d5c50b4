"""What `lensjax survey` does in place of its steps: says what they would take, or publishes a
finished run once more, so that what its store has lost since is stored again."""

from __future__ import annotations

from data.config import Invocation
from data.publishing import publish
from spark.inputs import SurveySettings, locate
from spark.plan import planned
from spark.survey import command, published


def instead(call: Invocation[SurveySettings]) -> list[str] | None:
    """Lines to print in place of the run; None where it has to go on. Raises InputError as
    `spark.inputs.locate` does, StoreError as `data.stores` says."""
    s, out = call.settings, call.out.absolute()
    if s.dry_run:
        return planned(call)
    if not s.publish or call.force or not command.step(s, call.out).current():
        return None
    figures = publish(out, published(out, s, locate(out, s)), s.publish)
    return ["up to date", "publish: " + ", ".join(f"{k} {v:,}" for k, v in figures.items())]
