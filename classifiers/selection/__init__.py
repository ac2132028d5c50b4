"""The products of an audit: a selection function that others can load, ask and combine.

- function: `SelectionFunction.load(path).query(...)`: value, interval and flag (answer, axis,
  interpolation, summing are its parts); by position through maps of the sky (`data.skymap`)
- tablefile, published: completeness tables in Parquet, CSV, ECSV and FITS; a published one
- products: what an audit writes of these; latex, figures, plots: tables and figures for papers
- comparison: two of them side by side (compare_verb is its command)
- factors: several selections one after the other
- emulator: the selection function as small networks (network, fitting, calibration are its parts,
  emulate_verb its command)
"""

from classifiers.selection.answer import FLAGS as FLAGS
from classifiers.selection.answer import Answer as Answer
from classifiers.selection.factors import Constant as Constant
from classifiers.selection.factors import Share as Share
from classifiers.selection.factors import product as product
from classifiers.selection.function import SelectionFunction as SelectionFunction

__all__ = ["FLAGS", "Answer", "Constant", "SelectionFunction", "Share", "product"]
