"""Which cell holds a point: a search that also answers for points on and just outside the boundary."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.spatial import KDTree

from kinn.geometry.cells import CellType
from kinn.statement.errors import StatementError

_PAIRS_AT_ONCE = 1_000_000  # (point, candidate) pairs held in memory


class Locator:
    """Barycentric search among the simplices with the nearest centroids, in coordinates scaled to a unit box.

    A point belongs to the simplex where its smallest signed distance to a face is largest, if that is above
    -tolerance. Candidates are taken in growing numbers until no farther simplex can hold the point, so the answer
    is right on non-convex and strongly graded meshes too.
    """

    def __init__(self, kind: CellType, points: np.ndarray, cells: np.ndarray):
        self.lower = points.min(axis=0)
        self.extent = np.ptp(points, axis=0)
        corners = _simplices(kind, (points - self.lower) / self.extent, cells)  # (m, d + 1, d)
        self.owner = np.tile(np.arange(len(cells)), len(corners) // len(cells))
        count, dimension = len(corners), corners.shape[2]
        # Barycentric coordinates are affine: lambda = gradient . x + offset; divided by |gradient|: distances.
        matrix = np.linalg.inv(np.concatenate([np.ones((count, dimension + 1, 1)), corners], axis=2))
        size = np.linalg.norm(matrix[:, 1:], axis=1)  # (m, d + 1)
        self.gradient = np.swapaxes(matrix[:, 1:] / size[:, None, :], 1, 2)
        self.offset = matrix[:, 0] / size
        centroids = corners.mean(axis=1)
        self.reach = float(np.linalg.norm(corners - centroids[:, None], axis=2).max())
        self.tree = KDTree(centroids)

    def __call__(self, points: Any, tolerance: float) -> np.ndarray:
        """Cell numbers (n,) of points (n, d); -1 outside, also for points that are not finite."""
        points = np.asarray(points, dtype=float)
        dimension = len(self.lower)
        if points.ndim != 2 or points.shape[1] != dimension:
            raise StatementError(f"points have shape {points.shape}; this mesh needs (n, {dimension})")
        scaled = (points - self.lower) / self.extent
        found = np.full(len(points), -1)
        near = np.isfinite(scaled).all(axis=1)
        with np.errstate(invalid="ignore"):
            near &= ((scaled >= -tolerance) & (scaled <= 1 + tolerance)).all(axis=1)
        open_points = np.flatnonzero(near)
        candidates = min(8, len(self.owner))
        while len(open_points):
            rest = []
            chunk = max(1, _PAIRS_AT_ONCE // candidates)
            for start in range(0, len(open_points), chunk):
                rest.append(self._try(scaled, open_points[start : start + chunk], candidates, tolerance, found))
            open_points = np.concatenate(rest)
            if candidates == len(self.owner):
                break
            candidates = min(4 * candidates, len(self.owner))
        return found

    def _try(
        self, scaled: np.ndarray, numbers: np.ndarray, candidates: int, tolerance: float, found: np.ndarray
    ) -> np.ndarray:
        """Enter the cells found for these points; return the points that need more candidates."""
        x = scaled[numbers]
        answer = self.tree.query(x, k=candidates)
        # scipy drops the last axis for one candidate
        distance, simplex = (np.asarray(part).reshape(len(x), candidates) for part in answer)
        inside = (np.einsum("nkfd,nd->nkf", self.gradient[simplex], x) + self.offset[simplex]).min(axis=2)
        best = inside.argmax(axis=1)
        rows = np.arange(len(x))
        held = inside[rows, best] >= -tolerance
        found[numbers[held]] = self.owner[simplex[rows[held], best[held]]]
        return numbers[~held & (distance[:, -1] <= self.reach + tolerance)]


def _simplices(kind: CellType, points: np.ndarray, cells: np.ndarray) -> np.ndarray:
    """Corners (m, d + 1, d) of simplices that fill the mesh without gaps, part by part over all cells."""
    if kind.name != "hexahedron":
        return points[np.concatenate([cells[:, part] for part in kind.simplices])]
    # Bent faces are cut into four triangles round their center, on which both neighbors agree.
    center, parts = points[cells].mean(axis=1), []
    for facet in kind.skfem.elem.refdom.facets:
        middle = points[cells[:, facet]].mean(axis=1)
        for k in range(4):
            one, two = points[cells[:, facet[k]]], points[cells[:, facet[(k + 1) % 4]]]
            parts.append(np.stack([center, middle, one, two], axis=1))
    return np.concatenate(parts)


__all__ = ["Locator"]
