"""A problem with its reference, and how near to it a solution comes."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from kinn.fem.keeping import keeping
from kinn.problem_file import ProblemFile
from kinn.report.errors import Comparison
from kinn.report.quantities import quantities
from kinn.report.reference import Reference
from kinn.statement.errors import StatementError

HISTORY_POINTS = 2_000  # a comparison for every record of the history has to be cheap


class Work:
    """A problem, its reference, and the errors of what is compared with it; made once for each run."""

    def __init__(self, file: ProblemFile, references: Path | None = None) -> None:
        """References by finite elements are kept in the folder `references`, where another run finds them."""
        self.file, self.problem = file, file.problem()
        with nullcontext() if references is None else keeping(references):
            reference = file.reference(self.problem)
        if reference is None:
            raise StatementError(f"{file.path} defines no reference(problem), so there is nothing to compare with")
        self.reference: Reference = reference
        self.derived = file.derived(self.problem)
        self._few = Comparison(self.problem, reference, n=HISTORY_POINTS)
        self._many = Comparison(self.problem, reference, derived=self.derived)

    @property
    def floor(self) -> float | None:
        """The estimated error of a reference that is computed: smaller errors against it say nothing."""
        found = [getattr(one, "estimate", None) for one in self.reference.solutions]
        return max((estimate for estimate in found if estimate and math.isfinite(estimate)), default=None)

    def error(self, solution: Any) -> float | None:
        """The largest relative L2 error of a field, at few points."""
        return _worst(self._few.relative_l2(solution).values())

    def values(self, solution: Any) -> dict[str, Any]:
        """Relative L2 errors at many points, of a solution that has only values."""
        errors = self._many.relative_l2(solution)
        return {"error": _worst(errors.values()), "errors": {name: {"l2": error} for name, error in errors.items()}}

    def all(self, solution: Any) -> dict[str, Any]:
        """Every error of a solution at many points: fields, derived expressions, quantities, parameters."""
        found = self._many.errors(solution)
        errors = {name: {"l2": e.relative_l2, "h1": e.relative_h1, "max": e.maximum} for name, e in found.items()}
        return {
            "error": _worst(e["l2"] for e in errors.values()),
            "errors": errors,
            "derived": {name: e.relative_l2 for name, e in self._many.derived(solution).items()},
            "quantities": quantities(self.file.quantities(self.problem), solution, self.reference),
        }

    def identified(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """Estimates beside the truth."""
        truths = self.reference.truths
        return {name: {"estimate": e.estimate, "sd": e.sd, "truth": truths.get(name)} for name, e in parameters.items()}


def _worst(values: Iterable[float | None]) -> float | None:
    """The largest of some errors; None where one is missing or infinite, or there are none."""
    found = max((math.inf if value is None or math.isnan(value) else value for value in values), default=math.inf)
    return found if math.isfinite(found) else None


__all__ = ["HISTORY_POINTS", "Work"]
