"""What a finder sees in stamps: the means of its feature maps after every block, of which the last
are the penultimate features."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float


def blocks(
    finder: Any, stamps: Float[np.ndarray, "n h w b"], batch: int = 48
) -> dict[str, Float[np.ndarray, "n f"]] | None:
    """Spatial means (n, F) of a finder's feature maps by name of the block, in the network's
    order; the last are its penultimate features. None for a finder that has no `maps`, such as an
    ONNX file or somebody's function. stamps: nanomaggies. batch: stamps worked on together."""
    if not hasattr(finder, "maps"):
        return None
    from classifiers import processor

    def means(finder: Any, part: Any) -> dict[str, Any]:
        return {name: found.mean((1, 2)) for name, found in finder.maps(part).items()}

    compiled = processor.jit(means)
    parts = []
    for start in range(0, len(stamps), batch):
        part = np.asarray(stamps[start : start + batch])
        full = np.pad(part, [(0, batch - len(part))] + [(0, 0)] * 3)
        made = compiled(finder, full)
        parts.append({k: np.asarray(v, np.float64)[: len(part)] for k, v in made.items()})
    if not parts:
        return {}
    return {name: np.concatenate([p[name] for p in parts]) for name in parts[0]}
