"""Where a run of a comparison errs."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from kinn.report.drawing import draw
from kinn.report.matching import scalars
from kinn.report.plots import tabulate
from kinn.report.reference import Reference
from kinn.report.surface import surface_of
from kinn.solution import Solution


def error_map(solution: Solution, reference: Reference) -> Figure:
    """The error of the first field in a plane over its largest value, on a scale that all such pictures share."""
    name = next(iter(reference.fields))
    expressions, surface = scalars(name, solution.problem), surface_of(solution.problem.mesh, {})
    true = tabulate(reference, expressions, surface)
    errors = np.linalg.norm(tabulate(solution, expressions, surface) - true, axis=1)
    size = np.linalg.norm(true, axis=1).max() or 1.0
    axes = draw(surface, errors / size, f"|error of {name}| / largest |{name}|", "relative error", None)
    return axes.get_figure(root=True)  # type: ignore[return-value]


__all__ = ["error_map"]
