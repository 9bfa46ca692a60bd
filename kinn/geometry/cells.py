"""The five cell types: their scikit-fem classes, their parts, and the reference map from nodes to space.

An order of vertices or nodes is scikit-fem's everywhere in this library (it differs from VTK's and Gmsh's for cubes,
and `read` and `write` convert). A local table such as `edges` lists vertices by their position in a row of `cells`.
A cell of second order has more nodes: midpoints of its edges, centers of quadrilateral facets, and its own center.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from itertools import product
from typing import Any, NamedTuple

import numpy as np
import skfem

from kinn.statement.errors import StatementError

Array = np.ndarray

# scikit-fem reports every transposed array of more than 1000 cells as a warning, which is no news to a user.
logging.getLogger("skfem").setLevel(logging.ERROR)

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
    curved: Any  # the same of second order; None in 1-D, where nothing bends
    second: str  # meshio's name of the cell of second order
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

    def nodes(self, order: int) -> Array:
        """Nodes of the reference cell of first or second order, (k, d); its vertices come first."""
        return self.reference if order == 1 else np.asarray(self.curved.elem.doflocs, dtype=float)

    def facet_nodes(self, order: int) -> Array:
        """Nodes of the reference facet of first or second order, (k, d - 1): vertices, edges in turn, center."""
        if order == 1 or self.dimension == 1:
            return self.reference_facet
        elements = {"line": skfem.ElementLineP2, "triangle": skfem.ElementTriP2, "quad": skfem.ElementQuad2}
        return np.asarray(elements[self.facet].doflocs, dtype=float)


_LINE = CellType("line", "intervals", 1, "vertex", skfem.MeshLine1, None, "line3", [[0, 1]], [[0]], [[0, 1]])
_TRIANGLE = CellType(
    "triangle", "triangles", 2, "line", skfem.MeshTri1, skfem.MeshTri2, "triangle6",
    [[0, 1, 2]], [[0, 1]], [[0, 1], [1, 2], [0, 2]],
)  # fmt: skip
_QUAD = CellType(
    "quad", "quadrilaterals", 2, "line", skfem.MeshQuad1, skfem.MeshQuad2, "quad9",
    [[0, 1, 2], [0, 2, 3]], [[0, 1]], [[0, 1], [1, 2], [2, 3], [0, 3]],
)  # fmt: skip
_TETRA = CellType(
    "tetra", "tetrahedra", 3, "triangle", skfem.MeshTet1, skfem.MeshTet2, "tetra10",
    [[0, 1, 2, 3]], [[0, 1, 2]], [[0, 1], [1, 2], [0, 2], [0, 3], [1, 3], [2, 3]],
)  # fmt: skip
_HEXAHEDRON = CellType(
    "hexahedron", "hexahedra", 3, "quad", skfem.MeshHex1, skfem.MeshHex2, "hexahedron27",
    # the six monotone paths along edges from vertex 0 to the opposite vertex 7
    [[0, 1, 4, 7], [0, 1, 5, 7], [0, 2, 4, 7], [0, 2, 6, 7], [0, 3, 5, 7], [0, 3, 6, 7]],
    [[0, 1, 2], [0, 2, 3]],
    [[0, 1], [0, 2], [0, 3], [1, 4], [1, 5], [2, 4], [2, 6], [3, 5], [3, 6], [4, 7], [5, 7], [6, 7]],
)  # fmt: skip
CELL_TYPES = {kind.name: kind for kind in (_LINE, _TRIANGLE, _QUAD, _TETRA, _HEXAHEDRON)}
# meshio's second-order cells and the kind of first order they are; serendipity cells lack nodes in their centers.
SECOND_ORDER = {
    "line3": "line", "triangle6": "triangle", "quad8": "quad", "quad9": "quad", "tetra10": "tetra",
    "hexahedron20": "hexahedron", "hexahedron27": "hexahedron",
}  # fmt: skip
# Vertices, in VTK's order, whose mean is a node of VTK's hexahedron of second order: edges, facets, center.
_VTK_HEXAHEDRON = (
    "01 12 23 30 45 56 67 74 04 15 26 37 0473 1265 0154 3762 0123 4567 01234567".split()
)  # fmt: skip


def nodes_to_vtk(kind: CellType) -> list[int]:
    """Column k of VTK's row of second-order nodes is this column of ours; only hexahedra differ."""
    if kind.name != "hexahedron":
        return list(range(len(kind.nodes(2))))
    vtk = kind.reference[HEXAHEDRON_TO_VTK]
    places = np.concatenate([vtk, [vtk[[int(v) for v in part]].mean(axis=0) for part in _VTK_HEXAHEDRON]])
    return np.abs(places[:, None] - kind.nodes(2)[None]).sum(axis=2).argmin(axis=1).tolist()


def shape_functions(vertices: Array, points: Array) -> tuple[Array, Array]:
    """Values (q, k) and gradients (q, k, d) of the shape functions with nodes `vertices` (k, d) at `points` (q, d).

    First order: a simplex has `N_0 = 1 - sum X`, `N_i = X_i`; a cube has `N_i = prod_a (X_a or 1 - X_a)`.
    Second order (more nodes): P2 or Q2, 1 at their own node and 0 at the others.
    """
    count, dimension = vertices.shape
    n = len(points)
    if count > 2**dimension:
        return _quadratic_functions(vertices, points)
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


def _quadratic_functions(nodes: Array, points: Array) -> tuple[Array, Array]:
    count, dimension = nodes.shape
    powers = np.array([p for p in product(range(3), repeat=dimension) if count == 3**dimension or sum(p) <= 2])

    def monomials(x: Array, derived: int | None = None) -> Array:
        result = np.ones((len(x), count))
        for axis in range(dimension):
            one = np.ones(len(x))
            tables = (one, x[:, axis], x[:, axis] ** 2) if axis != derived else (0 * one, one, 2 * x[:, axis])
            result *= np.stack(tables, axis=1)[:, powers[:, axis]]
        return result

    matrix = np.linalg.inv(monomials(nodes))
    gradients = np.stack([monomials(points, axis) @ matrix for axis in range(dimension)], axis=2)
    return monomials(points) @ matrix, gradients


def facet_vectors(tangents: Array) -> Array:
    """Vectors across a facet, (..., d), as long as its area element, from its tangents (..., d, d - 1)."""
    dimension = tangents.shape[-2]
    if dimension == 1:
        return np.ones(tangents.shape[:-1])
    if dimension == 2:
        return np.stack([tangents[..., 1, 0], -tangents[..., 0, 0]], axis=-1)
    return np.cross(tangents[..., 0], tangents[..., 1])


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
    """What a mesh is made of, before facets are numbered: a named boundary is the vertices of its facets, (m, k).

    `curved` (nc, k, d) are the places of all nodes of each cell, in a mesh of second order.
    """

    points: Array
    cells: Array
    cell_type: str
    boundaries: dict[str, Array]
    subdomains: dict[str, Array]
    coordinate_names: tuple[str, ...]
    spatial_dimension: int
    curved: Array | None = None


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
    "CELL_TYPES", "CellType", "Content", "HEXAHEDRON_FROM_VTK", "HEXAHEDRON_TO_VTK", "SECOND_ORDER",
    "facet_vectors", "nodes_to_vtk", "shape_functions", "simplex_measures", "vertex_keys",
]  # fmt: skip
