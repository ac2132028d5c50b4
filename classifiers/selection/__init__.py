"""The products of an audit: a selection function that others can load, ask and combine.

- function: `SelectionFunction.load(path).query(...)`: value, interval and flag (answer, axis,
  interpolation are its parts)
- maps of the sky for queries by position: `data.skymap`
- tablefile, published: completeness tables in Parquet, CSV, ECSV and FITS; a published one
- products: what an audit writes of these; latex, figures, plots: tables and figures for papers
"""

from classifiers.selection.answer import FLAGS as FLAGS
from classifiers.selection.answer import Answer as Answer
from classifiers.selection.function import SelectionFunction as SelectionFunction

__all__ = ["FLAGS", "Answer", "SelectionFunction"]
