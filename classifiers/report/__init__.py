"""The report: one HTML file about a run, without network access, and every table of it beside it.

- collect: reads what the steps wrote, whatever of it is there
- sections: what is said, in order
- drawing: SVG that follows the page's colours; figures: of training and evaluation; maps: of the
  audit
- images: stamps as RGB
- page: the file and the tables
- changes: what changed from one run to another
"""

from classifiers.report.settings import ReportSettings
from data.verb import Verb

__all__ = ["ReportSettings", "command"]

command = Verb(
    name="report",
    summary="One self-contained HTML page about the run, and every table of it as CSV and Parquet.",
    settings=ReportSettings,
    after=("simulate", "survey", "train", "evaluate", "audit"),
    owns=("report",),
    reads="classifiers.report.verb:reads",
    work="classifiers.report.verb:work",
    otherwise="classifiers.report.changes.verb:work",
    description=f"`lensjax report A B` says what changed from one run to another.\n\n{__doc__}",
)
