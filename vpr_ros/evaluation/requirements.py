"""What a run has to reach: ``recall>=0.8``, ``wrong==0``."""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable
from dataclasses import asdict, dataclass

from vpr_ros.core import VprError
from vpr_ros.evaluation.results import LoopsResult

_OPERATORS: dict[str, Callable[[float, float], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    "==": operator.eq,
    ">": operator.gt,
    "<": operator.lt,
}
_OF_TRUTH = ("queries_with_revisit", "correct", "wrong", "missed", "recall", "precision")
_OF_RUN = ("frames", "keyframes", "closures", "peak_memory_mib", "seconds")
_PATTERN = re.compile(r"\s*(\w+)\s*(>=|<=|==|>|<)\s*(\S+)\s*")


class RequirementError(VprError):
    """A requirement that says nothing."""


@dataclass(frozen=True, slots=True)
class Requirement:
    """One figure against one bound.

    Attributes:
        figure: Name of a figure of a run.
        relation: ``>=``, ``<=``, ``==``, ``>`` or ``<``.
        bound: What it is compared with.
    """

    figure: str
    relation: str
    bound: float

    @classmethod
    def parse(cls, text: str) -> Requirement:
        """Return the requirement of a text such as ``recall>=0.8``.

        Raises:
            RequirementError: It is none, or names no figure; says what there is.
        """
        found = _PATTERN.fullmatch(text)
        figure, relation, bound = found.groups() if found else ("", "", "")
        if figure not in (*_OF_TRUTH, *_OF_RUN) or not _is_number(bound):
            raise RequirementError(
                f"requirement '{text}' can't be read, expected FIGURE{'|'.join(_OPERATORS)}NUMBER such as "
                f"'recall>=0.8'; figures are {', '.join((*_OF_TRUTH, *_OF_RUN))}"
            )
        return cls(figure, relation, float(bound))

    @property
    def needs_truth(self) -> bool:
        """Whether only truth can tell."""
        return self.figure in _OF_TRUTH

    def shortfall(self, result: LoopsResult) -> str | None:
        """Return what is wrong in a sentence, None where a run meets the requirement."""
        seen = self._seen_in(result)
        if seen is not None and _OPERATORS[self.relation](seen, self.bound):
            return None
        told = "not known here" if seen is None else f"{seen:.4g}"
        return f"{result.source}: {self.figure} is {told}, required {self.relation} {self.bound:g}"

    def _seen_in(self, result: LoopsResult) -> float | None:
        if self.figure == "closures":
            return len(result.closures)
        holder = result.truth if self.needs_truth else result
        value = None if holder is None else asdict(holder)[self.figure]
        return None if value is None or math.isnan(value) else float(value)


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False
