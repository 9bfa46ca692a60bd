"""The five cell types: their scikit-fem class, their parts, and the reference map from vertices to space.

A vertex order is scikit-fem's everywhere in this library (it differs from VTK's and Gmsh's for hexahedra only, and
`read` and `write` convert). A local table such as `facets` lists vertices by their position in a row of `cells`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import skfem

from kinn.statement.errors import StatementError

Array = np.ndarray

# scikit-fem's hexahedron from VTK's, and back: column k of the result is this column of the source.
HEXAHEDRON_FROM_VTK = [0, 4, 3, 1, 7, 5, 2, 6]
HEXAHEDRON_TO_VTK = [0, 3, 6, 2, 1, 5, 7, 4]


@dataclass(frozen=True)
class CellType:
    """One kind of cell: everything that depends on the shape of a cell and on nothing else."""

    name: str
    plural: str
    dimension: int
    facet: str  # meshio's name of the facet's shape; "vertex" in 1-D
    skfem: Any  # the scikit-fem mesh class; Any, since its classes share no useful static type
    simplices: list[list[int]]  # simplices that fill the cell, as local vertices
    facet_simplices: list[list[int]]  # the same for one facet, whose vertices stand in cyclic order
    edges: list[list[int]] = field(default_factory=list)

    @property
    def is_simplex(self) -> bool:
        return len(self.simplices) == 1

    @property
    def reference(self) -> Array:
        """Vertices of the reference cell, (k, d)."""
        return np.asarray(self.skfem.elem.refdom.p, dtype=float).T

    @property
    def reference_facet(self) -> Array:
        """Vertices of the reference facet, (k, d - 1)."""
        return np.asarray(self.skfem.elem.refdom.brefdom.p, dtype=float).T[:, : self.dimension - 1]


_LINE = CellType("line", "intervals", 1, "vertex", skfem.MeshLine1, [[0, 1]], [[0]], [[0, 1]])
_TRIANGLE = CellType(
    "triangle", "triangles", 2, "line", skfem.MeshTri1, [[0, 1, 2]], [[0, 1]], [[0, 1], [1, 2], [0, 2]]
)
_QUAD = CellType(
    "quad", "quadrilaterals", 2, "line", skfem.MeshQuad1,
    [[0, 1, 2], [0, 2, 3]], [[0, 1]], [[0, 1], [1, 2], [2, 3], [0, 3]],
)  # fmt: skip
_TETRA = CellType(
    "tetra", "tetrahedra", 3, "triangle", skfem.MeshTet1,
    [[0, 1, 2, 3]], [[0, 1, 2]], [[0, 1], [1, 2], [0, 2], [0, 3], [1, 3], [2, 3]],
)  # fmt: skip
_HEXAHEDRON = CellType(
    "hexahedron", "hexahedra", 3, "quad", skfem.MeshHex1,
    # the six monotone paths along edges from vertex 0 to the opposite vertex 7
    [[0, 1, 4, 7], [0, 1, 5, 7], [0, 2, 4, 7], [0, 2, 6, 7], [0, 3, 5, 7], [0, 3, 6, 7]],
    [[0, 1, 2], [0, 2, 3]],
    [[0, 1], [0, 2], [0, 3], [1, 4], [1, 5], [2, 4], [2, 6], [3, 5], [3, 6], [4, 7], [5, 7], [6, 7]],
)  # fmt: skip
CELL_TYPES = {kind.name: kind for kind in (_LINE, _TRIANGLE, _QUAD, _TETRA, _HEXAHEDRON)}


def shape_functions(vertices: Array, points: Array) -> tuple[Array, Array]:
    """Values (q, k) and gradients (q, k, d) of the P1 or Q1 shape functions of a reference cell at `points` (q, d).

    A simplex has `N_0 = 1 - sum X`, `N_i = X_i`; a cube has `N_i = prod_a (X_a or 1 - X_a)`.
    """
    count, dimension = vertices.shape
    n = len(points)
    if count == dimension + 1:
        # Barycentric coordinates of the reference simplex, whatever the order of its vertices.
        matrix = np.linalg.inv(np.hstack([np.ones((count, 1)), vertices]))
        values = np.hstack([np.ones((n, 1)), points]) @ matrix
        return values, np.broadcast_to(matrix[1:].T, (n, count, dimension))
    factors = np.where(vertices == 1, points[:, None, :], 1 - points[:, None, :])
    slopes = np.where(vertices == 1, 1.0, -1.0)
    values = factors.prod(axis=2)
    gradients = np.empty((n, count, dimension))
    for axis in range(dimension):
        gradients[:, :, axis] = slopes[:, axis] * np.delete(factors, axis, axis=2).prod(axis=2)
    return values, gradients


def simplex_measures(corners: Array) -> Array:
    """Measures (m,) of simplices with corners (m, k, d), k - 1 <= d: `sqrt(det(E E^T)) / (k - 1)!`; 1 for points."""
    edges = corners[:, 1:] - corners[:, :1]
    rank = edges.shape[1]
    if rank == 0:
        return np.ones(len(corners))
    if rank == edges.shape[2]:
        size = np.abs(np.linalg.det(edges))
    elif rank == 1:
        size = np.linalg.norm(edges[:, 0], axis=1)
    else:
        size = np.linalg.norm(np.cross(edges[:, 0], edges[:, 1]), axis=1)
    return size / (1, 1, 2, 6)[rank]


class Content(NamedTuple):
    """What a mesh is made of, before facets are numbered: a named boundary is the vertices of its facets, (m, k)."""

    points: Array
    cells: Array
    cell_type: str
    boundaries: dict[str, Array]
    subdomains: dict[str, Array]
    coordinate_names: tuple[str, ...]
    spatial_dimension: int


def vertex_keys(rows: Array, count: int) -> Array:
    """One integer per row of vertex numbers, whatever their order; its order is that of the sorted rows.

    The three smallest vertices are enough to tell facets apart, also quadrilateral ones.
    """
    rows = np.sort(np.asarray(rows, dtype=np.int64), axis=1)[:, :3]
    if count ** rows.shape[1] >= 2**63:
        raise StatementError(f"the mesh has {count} points, more than facets can be numbered for (2 million in 3-D)")
    keys = rows[:, 0]
    for column in rows.T[1:]:
        keys = keys * count + column
    return keys


__all__ = [
    "CELL_TYPES", "CellType", "Content", "HEXAHEDRON_FROM_VTK", "HEXAHEDRON_TO_VTK", "shape_functions",
    "simplex_measures", "vertex_keys",
]  # fmt: skip
