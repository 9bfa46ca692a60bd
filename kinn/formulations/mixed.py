"""Pairs of elements that are stable for saddle points: a pressure is one order lower than the velocity (Taylor and Hood).

A component that only enforces an equation, such as the pressure of an incompressible flow, has a test function without
derivatives. With elements of equal order its part of the matrix is singular or nearly so (C. Taylor and P. Hood,
doi:10.1016/0045-7930(73)90027-3). Linear elements for it are quadratic ones whose values in the middle of edges are the
means of those at the ends: what they differ by, the surplus, is held at zero.
"""

from __future__ import annotations

import numpy as np
import sympy as sp
from scipy import sparse

from kinn.formulations.pieces import ELEMENTS
from kinn.geometry.cells import shape_functions
from kinn.statement.problem import Problem
from kinn.statement.terms import WeakForm


def lower_components(problem: Problem, weak: WeakForm) -> tuple[int, ...]:
    """The components with an equation of their own whose derivatives no integral of the weak form holds, nor its test function."""
    expressions = [entry for row in weak.rows for entry in (*row.flux, row.source, *(g for _, g in row.boundary))]
    sloped = {node.expr for entry in expressions for node in entry.atoms(sp.Derivative)}
    flat = {row.component_index for row in weak.rows} - {
        row.component_index for row in weak.rows if any(entry != 0 for entry in row.flux)
    }
    return tuple(sorted(c for c in flat if problem.components[c] not in sloped))


def means_of_corners(cell_type: str, doflocs: np.ndarray, dofs: np.ndarray, n: int) -> sparse.csr_array:
    """B (n, n) with `values = values + B values` for linear functions whose values at other nodes than corners are zero before.

    `doflocs` (b, d) are the nodes of the quadratic element, corners first, `dofs` (ne, b) their numbers.
    """
    corners = np.asarray(ELEMENTS[cell_type, 1]().doflocs)
    count = len(corners)
    weights, _ = shape_functions(corners, doflocs[count:])
    numbers, first = np.unique(dofs[:, count:], return_index=True)
    cell, place = np.divmod(first, dofs.shape[1] - count)
    where = np.repeat(numbers, count), dofs[cell, :count].ravel()
    found = sparse.csr_array((weights[place].ravel(), where), shape=(n, n))
    found.eliminate_zeros()
    return found


__all__ = ["lower_components", "means_of_corners"]
