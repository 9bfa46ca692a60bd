"""Where in a mesh finite element functions, and squares in general, have most of what they are."""

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
    return seminorms(space, error).sum(0).reshape(-1, n_parents).sum(0)


def quadratic_parts(space: GalerkinSpace, function: np.ndarray) -> np.ndarray:
    """Squared H1 seminorms (components, nc), derivatives in space, of what linear elements do not hold of a finite element
    function (size,).

    Their roots fall with the cells' size; the error of the function itself falls with the square of that.
    """
    values = _local(space, function)
    corners = space.mesh.kind.reference
    linear, _ = shape_functions(corners, np.asarray(space.basis.elem.doflocs))
    return _seminorms(space, values - values[..., : len(corners)] @ linear.T)


def seminorms(space: GalerkinSpace, function: np.ndarray) -> np.ndarray:
    """Squared H1 seminorms (components, nc), derivatives in space, of a finite element function (size,)."""
    return _seminorms(space, _local(space, function))


def participation(squares: np.ndarray) -> float:
    """The participation ratio of `squares` (n,): 1 / n if one is all there is, 1 if all are alike."""
    if (largest := float(squares.max())) == 0:
        return 1.0
    parts = squares / largest
    return float(parts.sum()) ** 2 / (len(parts) * float((parts**2).sum()))


def _local(space: GalerkinSpace, function: np.ndarray) -> np.ndarray:
    """Values (components, nc, b) at the nodes of each cell."""
    return space.values(function).reshape(len(space.problem.components), -1)[:, space.dofs]


def _seminorms(space: GalerkinSpace, values: np.ndarray) -> np.ndarray:
    """(components, nc) of values (components, nc, b) at the nodes of each cell."""
    trials, weight = space.all_cells
    found = np.zeros(values.shape[:2])
    for component, part in enumerate(values):
        gradient = np.einsum("eb,ebqk->eqk", part, trials[..., 1 : 1 + space.mesh.spatial_dimension])
        found[component] = (weight * (gradient**2).sum(-1)).sum(1)
    return found


__all__ = ["cell_errors", "participation", "quadratic_parts", "seminorms"]
