"""Quadrature rules on reference cells, all with positive weights."""

from __future__ import annotations

import numpy as np
from scipy.special import roots_jacobi
from skfem.quadrature import get_quadrature
from skfem.refdom import RefTet, RefTri

from kinn.geometry.cells import CellType, shape_functions, simplex_measures

# scikit-fem's tables: rules with a negative weight are passed over (a loss must not be rewarded for an error), and
# its tetrahedral rules of order 5 to 9 are exact to 1e-5 only.
_TABLES = {2: {1: 1, 2: 2, 3: 4, 7: 8} | {k: k for k in (4, 5, 6, *range(8, 20))}, 3: {1: 1, 2: 2}}


def reference_rule(dimension: int, simplex: bool, order: int) -> tuple[np.ndarray, np.ndarray]:
    """Nodes (q, d) and positive weights (q,) on the unit simplex or cube, exact for degree `order`.

    Where no good table exists, the simplex is a collapsed cube: `X_k = t_k prod_{i<k} (1 - t_i)`, with
    Gauss-Jacobi rules that absorb the Jacobian `prod (1 - t_i)^(d - 1 - i)`.
    """
    order = max(int(order), 1)
    if dimension == 0:
        return np.zeros((1, 0)), np.ones(1)
    table = _TABLES.get(dimension, {}) if simplex else {}
    if order in table:
        nodes, weights = get_quadrature(RefTri if dimension == 2 else RefTet, table[order])
        return nodes.T, weights
    count = order // 2 + 1
    rules = []
    for axis in range(dimension):
        power = dimension - 1 - axis if simplex else 0
        t, w = roots_jacobi(count, power, 0)
        rules.append(((t + 1) / 2, w / 2 ** (power + 1)))
    grid = np.stack(np.meshgrid(*[t for t, _ in rules], indexing="ij"), axis=-1).reshape(-1, dimension)
    weights = np.stack(np.meshgrid(*[w for _, w in rules], indexing="ij"), axis=-1).reshape(-1, dimension).prod(axis=1)
    if simplex:
        left = np.cumprod(np.hstack([np.ones((len(grid), 1)), 1 - grid[:, :-1]]), axis=1)
        grid = grid * left
    return grid, weights


def cell_volumes(kind: CellType, order: int, corners: np.ndarray) -> np.ndarray:
    """Length, area or volume (nc,) of cells with nodes (nc, k, d) of first or second order; exact for bent cells too."""
    if kind.is_simplex and order == 1:
        return simplex_measures(corners)
    nodes, weights = reference_rule(
        kind.dimension, kind.is_simplex, jacobian_degree(kind.dimension, kind.is_simplex, order)
    )
    volumes = np.zeros(len(corners))
    for gradient, weight in zip(shape_functions(kind.nodes(order), nodes)[1], weights, strict=True):
        volumes += weight * np.abs(np.linalg.det(np.einsum("kr,ckd->cdr", gradient, corners)))
    return volumes


def jacobian_degree(dimension: int, simplex: bool, order: int) -> int:
    """Degree of the determinant of the map of a cell, or of the vector across a facet, in the reference coordinates.

    P1: 0. P2: each of d factors is linear. Q1 and Q2, per coordinate: one factor is derived, d - 1 are not.
    """
    if simplex:
        return dimension * (order - 1)
    return dimension * order - 1


__all__ = ["cell_volumes", "jacobian_degree", "reference_rule"]
