"""What a finder is, for everything that only uses one."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float

Output = Literal["score", "logit"]
"""what a finder answers: a score from 0 to 1, or a logit, which is any number"""


@runtime_checkable
class Finder(Protocol):
    """Anything that scores stamps; see the package's docstring."""

    @property
    def name(self) -> str:
        """What people call it: an architecture, a file, a function."""

    @property
    def info(self) -> dict[str, Any]:
        """Where it comes from, as JSON values."""

    @property
    def differentiable(self) -> bool:
        """Whether `logits` is a pure function of JAX arrays, under jit and grad."""

    def logits(self, stamps: Any, /) -> Any:
        """Logits (b,) of stamps (b, h, w, c) in nanomaggies. A score is the sigmoid of a logit."""


class Scores(NamedTuple):
    """What a finder says of n stamps: logit (n,) and its sigmoid, the score (n,), both float64.

    A finder that answers with scores keeps them to the last digit, so that a score that lies on a
    threshold stays on it.
    """

    logit: Float[np.ndarray, " n"]
    score: Float[np.ndarray, " n"]

    @classmethod
    def of(cls, answers: Float[np.ndarray, " n"], output: Output) -> Scores:
        """Logits and scores, from one of the two."""
        from scipy.special import expit, logit

        found = np.asarray(answers, np.float64)
        return cls(logit(found), found) if output == "score" else cls(found, expit(found))

    def take(self, which: np.ndarray) -> Scores:
        """Those at some places."""
        return Scores(self.logit[which], self.score[which])
