"""Figures as SVG inside the page. Text stays text, and colours are the page's own variables, so
that light and dark are one file.

Matplotlib draws with placeholder colours that are replaced by `var(--...)` afterwards.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from classifiers.selection.plots import DASHES as DASHES
from classifiers.selection.plots import MARKERS as MARKERS

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

INK, FAINT = "#010101", "#020202"
SERIES = ("#030303", "#040404", "#050505", "#060606")
VARIABLES = {
    INK: "var(--ink)",
    FAINT: "var(--faint)",
    **{c: f"var(--s{i})" for i, c in enumerate(SERIES, 1)},
}


def drawn(name: str, draw: Callable[[Axes], None], width: float = 4.6, height: float = 3.2) -> str:
    """An SVG element of what `draw` puts on the axes; equal drawings are equal text."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    style: Any = {
        "svg.fonttype": "none",
        "svg.hashsalt": name,
        "font.size": 9.5,
        "font.family": "DejaVu Sans",
        "text.color": INK,
        "axes.labelcolor": INK,
        "axes.edgecolor": FAINT,
        "xtick.color": FAINT,
        "ytick.color": FAINT,
        "xtick.labelcolor": INK,
        "ytick.labelcolor": INK,
        "grid.color": FAINT,
        "grid.alpha": 0.35,
        "grid.linewidth": 0.6,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "legend.frameon": False,
        "legend.fontsize": 8.5,
        "lines.linewidth": 1.8,
        "lines.markersize": 4.5,
        "hatch.linewidth": 0.6,
    }
    with matplotlib.rc_context(style):
        figure, axes = pyplot.subplots(figsize=(width, height), layout="constrained")
        draw(axes)
        buffer = io.StringIO()
        figure.savefig(
            buffer,
            format="svg",
            transparent=True,
            metadata={"Date": None, "Creator": None, "Format": None, "Type": None},
        )
        pyplot.close(figure)
    return cleaned(buffer.getvalue(), name)


def cleaned(text: str, name: str) -> str:
    """The bare svg element, which has no prolog or metadata, scales with its column, and has its
    own identifiers and colours by variable."""
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.S)
    text = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", text, count=1)
    text = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", text, count=1)
    text = re.sub(r' xmlns(:xlink)?="[^"]*"', "", text).replace("xlink:href", "href")
    text = re.sub(r'(id="|url\(#|href="#)', lambda m: f"{m.group(0)}{name}-", text)
    text = text.replace("'DejaVu Sans'", "inherit").replace("DejaVu Sans", "inherit")
    for colour, variable in VARIABLES.items():
        text = text.replace(colour, variable)
    return re.sub(r"<style.*?</style>", "", text, flags=re.S).replace(
        "<svg", '<svg aria-hidden="true"', 1
    )


def errors(table: pd.DataFrame, value: str, low: str, high: str) -> np.ndarray:
    """Lengths of error bars (2, n) of a column, below and above it."""
    v = table[value].to_numpy(float)
    return np.clip(
        np.stack([v - table[low].to_numpy(float), table[high].to_numpy(float) - v]), 0.0, None
    )
