"""Which cell holds a point: a search that also answers for points on and just outside the boundary."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.spatial import KDTree

from kinn.geometry.cells import CellType, shape_functions
from kinn.geometry.mapping import face_distances, inverse_map
from kinn.statement.errors import StatementError

_PAIRS_AT_ONCE = 1_000_000  # (point, candidate) pairs held in memory
_BULGE = 1.25  # how far beyond its nodes a cell of second order may reach, relative to their distance from its center


class Locator:
    """Barycentric search among the simplices with the nearest centroids, in coordinates scaled to a unit box.

    A point belongs to the simplex where its smallest signed distance to a face is largest, if that is above
    -tolerance. Candidates are taken in growing numbers until no farther simplex can hold the point, so the answer
    is right on non-convex and strongly graded meshes too. Cells of second order that are bent (`curved` (nc, k, d) are
    the places of all nodes) are searched after the straight ones, by Newton's method.
    """

    def __init__(self, kind: CellType, points: np.ndarray, cells: np.ndarray, curved: np.ndarray | None = None):
        nodes = points if curved is None else curved.reshape(-1, kind.dimension)
        self.lower = nodes.min(axis=0)
        self.extent = np.ptp(nodes, axis=0)
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
        self.bent = None if curved is None else _BentCells(kind, (curved - self.lower) / self.extent)

    def __call__(self, points: Any, tolerance: float) -> np.ndarray:
        """Cell numbers (n,) of points (n, d); -1 outside, also for points that are not finite."""
        points = np.asarray(points, dtype=float)
        dimension = len(self.lower)
        if points.ndim != 2 or points.shape[1] != dimension:
            raise StatementError(f"points have shape {points.shape}; this mesh needs (n, {dimension})")
        scaled = (points - self.lower) / self.extent
        found, depth = np.full(len(points), -1), np.full(len(points), -np.inf)
        finite = np.isfinite(scaled).all(axis=1)
        near = finite.copy()
        with np.errstate(invalid="ignore"):
            near &= ((scaled >= -tolerance) & (scaled <= 1 + tolerance)).all(axis=1)
        open_points = np.flatnonzero(near)
        candidates = min(8, len(self.owner))
        while len(open_points):
            rest = []
            chunk = max(1, _PAIRS_AT_ONCE // candidates)
            for start in range(0, len(open_points), chunk):
                rest.append(self._try(scaled, open_points[start : start + chunk], candidates, tolerance, found, depth))
            open_points = np.concatenate(rest)
            if candidates == len(self.owner):
                break
            candidates = min(4 * candidates, len(self.owner))
        if self.bent is not None and len(self.bent.numbers):
            again = np.flatnonzero(finite & ((found < 0) | self.bent.is_bent[found]))
            found[again] = self.bent(scaled[again], tolerance)
        return found

    def _try(
        self,
        scaled: np.ndarray,
        numbers: np.ndarray,
        candidates: int,
        tolerance: float,
        found: np.ndarray,
        depth: np.ndarray,
    ) -> np.ndarray:
        """Enter the cells found for these points and how deep they lie in them; return those that need more candidates."""
        x = scaled[numbers]
        answer = self.tree.query(x, k=candidates)
        # scipy drops the last axis for one candidate
        distance, simplex = (np.asarray(part).reshape(len(x), candidates) for part in answer)
        inside = (np.einsum("nkfd,nd->nkf", self.gradient[simplex], x) + self.offset[simplex]).min(axis=2)
        best = inside.argmax(axis=1)
        rows = np.arange(len(x))
        held = inside[rows, best] >= np.maximum(-tolerance, depth[numbers])
        found[numbers[held]] = self.owner[simplex[rows[held], best[held]]]
        depth[numbers[held]] = inside[rows[held], best[held]]
        # A point just outside of one cell may lie in a neighbor whose center is farther.
        return numbers[(depth[numbers] < 0) & (distance[:, -1] <= self.reach + tolerance)]


class _BentCells:
    """Search among the cells whose edges or facets are no straight ones; `corners` (nc, k, d) in scaled coordinates."""

    def __init__(self, kind: CellType, corners: np.ndarray):
        self.kind, self.reference = kind, kind.nodes(2)
        straight = shape_functions(kind.reference, self.reference)[0] @ corners[:, : len(kind.reference)]
        self.is_bent = np.abs(corners - straight).max(axis=(1, 2)) > 1e-12
        self.numbers = np.flatnonzero(self.is_bent)
        self.corners = corners[self.numbers]
        centers = self.corners.mean(axis=1)
        self.reach = _BULGE * np.linalg.norm(self.corners - centers[:, None], axis=2).max(axis=1, initial=0.0)
        self.tree = KDTree(centers) if len(centers) else None
        # The affine map at the center of each cell, and how far its inverse leads astray anywhere in the cell.
        middle = kind.reference.mean(axis=0)
        values, gradients = shape_functions(self.reference, middle[None])
        self.middle, self.origin = middle, np.einsum("k,ckd->cd", values[0], self.corners)
        self.inverse = np.linalg.inv(np.einsum("ckd,kr->cdr", self.corners, gradients[0]))
        guess = middle + np.einsum("crd,ckd->ckr", self.inverse, self.corners - self.origin[:, None])
        astray = np.abs(guess - self.reference).max(axis=(1, 2), initial=0.0)
        self.slack = 1e-3 + 2 * astray * (kind.dimension if kind.is_simplex else 1)

    def __call__(self, x: np.ndarray, tolerance: float) -> np.ndarray:
        found, depth = np.full(len(x), -1), np.full(len(x), -np.inf)
        if self.tree is None:
            return found
        rows, candidates, done = np.arange(len(x)), min(4, len(self.numbers)), 0
        while len(rows):
            distance, cell = (
                np.asarray(part).reshape(len(rows), candidates) for part in self.tree.query(x[rows], k=candidates)
            )
            row, rank = np.nonzero(distance[:, done:] <= self.reach[cell[:, done:]] + tolerance)
            chosen = cell[row, done + rank]
            inside = np.concatenate(
                [
                    self._inside(x[rows[row[part]]], chosen[part], tolerance)
                    for part in np.array_split(np.arange(len(row)), len(row) // _PAIRS_AT_ONCE + 1)
                ]
            )
            # The best candidate of each point is written last.
            order = np.argsort(inside, kind="stable")
            order = order[inside[order] >= np.maximum(-tolerance, depth[rows[row[order]]])]
            found[rows[row[order]]] = self.numbers[chosen[order]]
            depth[rows[row[order]]] = inside[order]
            # A point just outside of one cell may lie in a neighbor whose center is farther.
            rows = rows[(depth[rows] < 0) & (distance[:, -1] <= self.reach.max() + tolerance)]
            if candidates == len(self.numbers):
                break
            done, candidates = candidates, min(4 * candidates, len(self.numbers))
        return found

    def _inside(self, x: np.ndarray, cell: np.ndarray, tolerance: float) -> np.ndarray:
        """Distance (n,) of points from the faces of a candidate cell each; inside positive, -inf far outside."""
        guess = self.middle + np.einsum("nrd,nd->nr", self.inverse[cell], x - self.origin[cell])
        lowest = np.minimum(guess.min(axis=1), 1 - (guess.sum(axis=1) if self.kind.is_simplex else guess.max(axis=1)))
        near = lowest >= -self.slack[cell] - tolerance * np.abs(self.inverse[cell]).sum(axis=2).max(axis=1)
        inside = np.full(len(x), -np.inf)
        if near.any():
            place, rest, jacobian = inverse_map(self.reference, self.corners[cell[near]], x[near])
            distance = face_distances(self.kind.is_simplex, place, jacobian).min(axis=1)
            inside[near] = np.where(np.abs(rest).max(axis=1) <= 1e-10, distance, -np.inf)
        return inside


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
