"""The report: one HTML file about a run, without network access, and every table of it beside it.

collect: reads what the steps wrote, whatever of it is there · sections: what is said, in order · figures: SVG that follows the page's colours ·
images: stamps as RGB · page: the file and the tables.
"""

from classifiers.report.command import command

__all__ = ["command"]
