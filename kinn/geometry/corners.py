"""What the shape of the boundary says about the solution: is the domain a box, where is it re-entrant."""

from __future__ import annotations

import numpy as np

from kinn.geometry.cells import CELL_TYPES, Content, vertex_keys


def box_sides(
    points: np.ndarray, exterior: np.ndarray, facets: np.ndarray, measure: float
) -> dict[tuple[int, int], np.ndarray] | None:
    """(axis, end) -> numbers of the exterior facets on that side of the bounding box; None if it is not filled.

    Args:
        points: (nv, d). exterior: (m,) numbers of the exterior facets. facets: (m, k) their vertices.
        measure: of the domain; equal measures leave no room for notches.
    """
    lower, upper = points.min(axis=0), points.max(axis=0)
    extent = upper - lower
    if abs(measure - extent.prod()) > 1e-9 * extent.prod():
        return None
    sides: dict[tuple[int, int], np.ndarray] = {}
    corners = points[facets]  # (m, k, d)
    for axis in range(points.shape[1]):
        for end, value in enumerate((lower[axis], upper[axis])):
            flat = (np.abs(corners[:, :, axis] - value) <= 1e-9 * extent[axis]).all(axis=1)
            sides[axis, end] = exterior[flat]
    # A slit is exterior too, but on no side.
    return sides if sum(map(len, sides.values())) == len(exterior) else None


def interval_ends(heights: np.ndarray, boundaries: dict[str, np.ndarray]) -> tuple[str, str] | None:
    """Names of the boundaries at the lowest and at the highest value of the last coordinate, None if one has no name.

    `heights` (k, nf) are the last coordinates of the vertices of all facets.
    """
    found: list[str] = []
    lowest, highest = heights.min(), heights.max()
    for end in (lowest, highest):
        there = np.flatnonzero((np.abs(heights - end) <= 1e-9 * (highest - lowest)).all(axis=0))
        found += [name for name, facets in boundaries.items() if np.array_equal(facets, there)][:1]
    return (found[0], found[1]) if len(found) == 2 else None


def reentrant_corners(content: Content, facets: np.ndarray) -> np.ndarray:
    """Vertices (2-D) or midpoints of edges (3-D) of the boundary with an interior angle above pi + 1e-6, (m, d).

    The interior angle is the sum of the angles of the cells there. Space-time: only edges along the last axis.
    """
    points, kind = content.points, CELL_TYPES[content.cell_type]
    dimension, space = points.shape[1], content.spatial_dimension
    if space == 1 or dimension == 1:
        return np.empty((0, dimension))
    cells = np.concatenate([content.cells[:, part] for part in kind.simplices])
    if dimension == 2:
        angles = np.zeros(len(points))
        for corner in range(3):
            tip, one, two = (cells[:, (corner + shift) % 3] for shift in range(3))
            np.add.at(angles, tip, _angles(points[one] - points[tip], points[two] - points[tip]))
        border = np.unique(facets)
        return points[border[angles[border] > np.pi + 1e-6]]
    return _reentrant_edges(points, cells, facets, along_last_axis=space == 2)


def _reentrant_edges(points: np.ndarray, cells: np.ndarray, facets: np.ndarray, along_last_axis: bool) -> np.ndarray:
    count = len(points)
    sides = np.concatenate([facets[:, [k, (k + 1) % facets.shape[1]]] for k in range(facets.shape[1])])
    edges, first = np.unique(vertex_keys(sides, count), return_index=True)
    ends = points[sides[first]]  # (m, 2, d)
    angles = np.zeros(len(edges))
    for one, two, three, four in ((0, 1, 2, 3), (0, 2, 1, 3), (0, 3, 1, 2), (1, 2, 0, 3), (1, 3, 0, 2), (2, 3, 0, 1)):
        keys = vertex_keys(cells[:, [one, two]], count)
        place = np.minimum(np.searchsorted(edges, keys), len(edges) - 1)
        here = edges[place] == keys
        tip, top, left, right = (points[cells[here, k]] for k in (one, two, three, four))
        axis = (top - tip) / np.linalg.norm(top - tip, axis=1, keepdims=True)
        # The dihedral angle is the angle of what is left of both faces across the edge.
        across = [side - (side * axis).sum(axis=1, keepdims=True) * axis for side in (left - tip, right - tip)]
        np.add.at(angles, place[here], _angles(*across))
    sharp = angles > np.pi + 1e-6
    if along_last_axis:
        extent = np.ptp(points, axis=0)
        sharp &= (np.abs(ends[:, 1] - ends[:, 0])[:, :2] <= 1e-9 * extent[:2]).all(axis=1)
    return ends[sharp].mean(axis=1)


def _angles(one: np.ndarray, two: np.ndarray) -> np.ndarray:
    # arctan2 keeps all digits near 0 and pi, where arccos loses half.
    dot = (one * two).sum(axis=1)
    square = (one**2).sum(axis=1) * (two**2).sum(axis=1)
    if one.shape[1] == 2:
        return np.arctan2(np.abs(one[:, 0] * two[:, 1] - one[:, 1] * two[:, 0]), dot)
    return np.where(square > 0, np.arctan2(np.linalg.norm(np.cross(one, two), axis=1), dot), 0.0)


__all__ = ["box_sides", "interval_ends", "reentrant_corners"]
