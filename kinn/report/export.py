"""Files for other programs: the fields and residuals of a solution on its mesh, for ParaView."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from kinn.statement.errors import StatementError


def write(solution: Any, path: str | Path) -> None:
    """Write a VTU file: fields on the mesh's points, absolute strong residuals and identified parameters on its cells.

    Vectors get three components. An equation on subdomains has NaN elsewhere, and one whose derivatives the network
    cannot give is left out. Raises StatementError for another ending than .vtu or a folder that does not exist.
    """
    problem = solution.problem
    mesh = problem.mesh
    fields: dict[str, np.ndarray] = {}
    for name, components in problem.fields.items():
        values = np.asarray(solution.evaluate(list(components), mesh.points))
        missing = max(0, 3 - len(components))
        fields[name] = values[:, 0] if len(components) == 1 else np.pad(values, ((0, 0), (0, missing)))
    on_cells: dict[str, np.ndarray] = {}
    centers = mesh.points[mesh.cells].mean(axis=1)
    for name, equation in problem.equations.items():
        cells = mesh.cells_of(equation.on or None)
        try:
            values = np.asarray(solution.evaluate(list(equation.residuals()), centers[cells]))
        except StatementError:
            continue
        column = np.full(len(centers), np.nan)
        column[cells] = np.linalg.norm(values, axis=1)
        on_cells[f"residual {name}"] = column
    for name, parameter in getattr(solution, "parameters", {}).items():
        on_cells[name] = np.full(len(centers), parameter.estimate)
    mesh.write(path, point_data=fields, cell_data=on_cells)


__all__ = ["write"]
