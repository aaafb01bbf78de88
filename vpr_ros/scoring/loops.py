"""The figures of loop closures: right, wrong and missed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vpr_ros.scoring.truth import PairLabel, Truth, with_revisit


@dataclass(frozen=True, slots=True)
class LoopFigures:
    """What truth says of the closures of a run. Queries are keyframes.

    Attributes:
        queries_with_revisit: Queries for which an earlier keyframe is right.
        correct: Those of them for which a right closure was accepted.
        wrong: Accepted closures that truth says are none.
    """

    queries_with_revisit: int
    correct: int
    wrong: int

    @property
    def missed(self) -> int:
        """Queries with a revisit and without a right closure."""
        return self.queries_with_revisit - self.correct

    @property
    def recall(self) -> float | None:
        """``correct`` over ``queries_with_revisit``, None where nothing is revisited."""
        return self.correct / self.queries_with_revisit if self.queries_with_revisit else None

    @property
    def precision(self) -> float | None:
        """``correct`` over ``correct`` and ``wrong``, None where nothing was judged."""
        judged = self.correct + self.wrong
        return self.correct / judged if judged else None


def score_closures(closures: NDArray[np.int64], keyframes: NDArray[np.int64], truth: Truth) -> LoopFigures:
    """Return the figures of a run.

    Args:
        closures: Query and match of each accepted closure, as frames, shape (n, 2). Matches in earlier sessions, which
            are no frame of this recording, are left out by the caller.
        keyframes: Frames that became keyframes, ascending.
        truth: What is known of the recording.
    """
    closures = np.asarray(closures, np.int64).reshape(-1, 2)
    keyframes = np.asarray(keyframes, np.int64)
    revisiting = keyframes[with_revisit(truth, keyframes, keyframes, only_earlier=True)]
    labels = truth.labels(closures[:, 0], closures[:, 1])
    right = np.unique(closures[labels == PairLabel.RIGHT, 0])
    return LoopFigures(
        queries_with_revisit=len(revisiting),
        correct=len(np.intersect1d(right, revisiting)),
        wrong=int((labels == PairLabel.WRONG).sum()),
    )
