"""What of a mesh a picture shows: a line, the cells of a plane, or the boundary of a solid, finely cut."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kinn.geometry.mesh import Mesh

ENOUGH = {1: 400, 2: 12_000, 3: 10_000}  # cells (3-D: boundary triangles) above which no more cutting is worth it


@dataclass(frozen=True, eq=False)
class Surface:
    """Points (n, d) to evaluate at and triangles (m, 3) to color.

    With `centers` the points are centers of cells or facets, `corners` the vertices of the triangles, and `owner` (m,)
    the point of each triangle: residuals are shown so, since they may be infinite or undefined on vertices.
    """

    mesh: Mesh
    points: np.ndarray
    triangles: np.ndarray
    corners: np.ndarray
    owner: np.ndarray
    centers: bool


def surface_of(mesh: Mesh, centers: bool = False) -> Surface:
    """The visible part of `mesh`, cut evenly until a smooth function looks smooth."""
    fine = mesh
    while _visible(fine) * 2 ** min(mesh.dimension, 2) <= ENOUGH[mesh.dimension]:
        fine = fine.refined()
    if mesh.dimension == 1:
        points = fine.points[fine.cells].mean(axis=1) if centers else fine.points
        none = np.zeros((0, 3), dtype=int)
        return Surface(mesh, points, none, fine.points, none[:, 0], centers)
    if mesh.dimension == 2:
        rows, parts = fine.cells, fine.kind.simplices
    else:
        rows, parts = fine.skfem.facets[:, fine.exterior].T, fine.kind.facet_simplices
    triangles = rows[:, parts].reshape(-1, 3)
    owner = np.repeat(np.arange(len(rows)), len(parts))
    if centers:
        return Surface(mesh, fine.points[rows].mean(axis=1), triangles, fine.points, owner, True)
    used, inverse = np.unique(triangles, return_inverse=True)
    points = fine.points[used]
    return Surface(mesh, points, inverse.reshape(-1, 3), points, owner, False)


def _visible(mesh: Mesh) -> int:
    return len(mesh.cells) if mesh.dimension < 3 else len(mesh.exterior)


__all__ = ["Surface", "surface_of"]
