"""Where in a mesh the error of finite element functions sits."""

from __future__ import annotations

import numpy as np

from kinn.formulations.galerkin import GalerkinSpace
from kinn.geometry.cells import shape_functions


def cell_errors(space: GalerkinSpace, error: np.ndarray, n_parents: int | None = None) -> np.ndarray:
    """Squared H1 seminorm of a finite element function (size,) in each cell, or each of the `n_parents` that `space.mesh` once
    refined.

    `Mesh.refined` keeps the children of a cell `n_parents` numbers apart.
    """
    n_parents = len(space.mesh.cells) if n_parents is None else n_parents
    return _seminorms(space, _local(space, error)).reshape(-1, n_parents).sum(0)


def quadratic_parts(space: GalerkinSpace, function: np.ndarray) -> np.ndarray:
    """Squared H1 seminorm in each cell of what linear elements do not hold of a finite element function (size,).

    It falls with the cells' size; the error of the function itself falls with the square of that.
    """
    values = _local(space, function)
    corners = space.mesh.kind.reference
    linear, _ = shape_functions(corners, np.asarray(space.basis.elem.doflocs))
    return _seminorms(space, values - values[..., : len(corners)] @ linear.T)


def share_of_cells(errors: np.ndarray) -> float:
    """The share of the cells that as good as hold squared `errors` (nc,): 1 / nc if one does, 1 if all do alike."""
    return float(errors.sum()) ** 2 / max(len(errors) * float((errors**2).sum()), 1e-300)


def _local(space: GalerkinSpace, function: np.ndarray) -> np.ndarray:
    """Values (components, nc, b) at the nodes of each cell."""
    return space.values(function).reshape(len(space.problem.components), -1)[:, space.dofs]


def _seminorms(space: GalerkinSpace, values: np.ndarray) -> np.ndarray:
    """(nc,) of values (components, nc, b) at the nodes of each cell, over all components."""
    trials, weight = space.all_cells
    total = np.zeros(len(space.dofs))
    for part in values:
        gradient = np.einsum("eb,ebqk->eqk", part, trials[..., 1 : 1 + space.mesh.spatial_dimension])
        total += (weight * (gradient**2).sum(-1)).sum(1)
    return total


__all__ = ["cell_errors", "quadratic_parts", "share_of_cells"]
