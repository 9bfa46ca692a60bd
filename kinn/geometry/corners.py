"""What the shape of the boundary says about the solution: is the domain a box, where is it re-entrant or curved."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from kinn.geometry.cells import CellType, shape_functions, vertex_keys

if TYPE_CHECKING:
    from kinn.geometry.grid import Grid

SHARPEST_TURN = np.radians(50)  # of straight facets that follow a curve; sharper ones are corners
ALIKE = 3.0  # largest ratio of neighboring turns on a curve
STRAIGHT = 1e-3  # turns below are none
# Smallest angle above pi of a corner. Arcs of second order meet with an error of turn^3 / 48 (90 degrees each: 0.08);
# a boundary in 3-D space that turns by less than 0.6 over an edge may be a curved surface (2-D has its neighbors to tell).
SMALLEST = {(2, 1): 1e-3, (2, 2): 0.1, (3, 1): 0.6, (3, 2): 0.1}


def box_sides(
    lower: np.ndarray, upper: np.ndarray, exterior: np.ndarray, corners: np.ndarray, measure: float
) -> dict[tuple[int, int], np.ndarray] | None:
    """(axis, end) -> numbers of the exterior facets on that side of the bounding box; None if it is not filled.

    Args:
        lower, upper: the bounding box. exterior: (m,) numbers of the exterior facets. corners: (m, k, d) their nodes.
        measure: of the domain; equal measures leave no room for notches.
    """
    extent = upper - lower
    if abs(measure - extent.prod()) > 1e-9 * extent.prod():
        return None
    sides: dict[tuple[int, int], np.ndarray] = {}
    for axis in range(len(lower)):
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


def reentrant_corners(grid: Grid) -> np.ndarray:
    """Vertices (2-D) or midpoints of edges (3-D) of the boundary where the domain has an angle above pi, (m, d).

    The angle is the sum of the angles of the cells there, between the tangents of curved facets. In 2-D, straight facets
    that follow a curve make no corners: a vertex is on a curve if the boundary turns by less than 50 degrees there, and
    at both neighbors in the same sense by a similar angle, or if it is the last one that turns so beside such a vertex.
    Space-time: only edges along the last axis, judged as the vertices of their space.
    """
    space = grid.spatial_dimension
    if space == 1:
        return np.empty((0, grid.dimension))
    ridges, turns = _boundary_turns(grid)
    sharp = -turns > SMALLEST[space, grid.order]
    if space == 2 and grid.order == 1:
        turn, segments, place = _chains(grid, ridges, turns)
        sharp &= ~_on_curve(turn, segments)[place]
    return grid.points[ridges[sharp]].mean(axis=1)


def sagittas(grid: Grid) -> np.ndarray:
    """For each exterior facet the estimated height of the curve it follows over it, relative to the extent, (m,)."""
    if grid.dimension != 2 or grid.spatial_dimension != 2 or grid.order == 2:
        return np.zeros(len(grid.exterior))
    turn, segments, _ = _chains(grid, *_boundary_turns(grid))
    curve = np.where(_on_curve(turn, segments), np.abs(turn), 0.0)
    length = np.linalg.norm(np.diff(grid.points[grid.facet_nodes[grid.exterior]], axis=1)[:, 0], axis=1)
    return length * curve[segments].max(axis=1) / 8 / np.ptp(grid.points, axis=0).max()


def _boundary_turns(grid: Grid) -> tuple[np.ndarray, np.ndarray]:
    """Vertices (m, r) of the ridges of the boundary, and pi minus the angle of the domain there, (m,).

    A ridge is a vertex in 2-D (r = 1) and an edge in 3-D (r = 2), in space-time only one along the last axis.
    """
    facets = grid.facet_nodes[grid.exterior][:, : len(grid.kind.reference_facet)]
    count, width = len(grid.points), facets.shape[1]
    if grid.dimension == 2:
        sides = facets.reshape(-1, 1)
    else:
        sides = np.concatenate([facets[:, [k, (k + 1) % width]] for k in range(width)])
    keys, first = np.unique(vertex_keys(sides, count), return_index=True)
    ridges = sides[first]
    angles = np.zeros(len(keys))
    corners = grid.nodes[grid.cell_nodes]
    for local, place, one, two in _ridges_of(grid.kind):
        names = vertex_keys(grid.cells[:, local], count)
        row = np.minimum(np.searchsorted(keys, names), len(keys) - 1)
        here = np.flatnonzero(keys[row] == names)
        gradient = shape_functions(grid.kind.nodes(grid.order), place[None])[1][0]
        jacobian = np.einsum("ckd,kr->cdr", corners[here], gradient)
        left, right = jacobian @ one, jacobian @ two
        if grid.dimension == 3:
            axis = jacobian @ (grid.kind.reference[local[1]] - grid.kind.reference[local[0]])
            axis /= np.linalg.norm(axis, axis=1, keepdims=True)
            # The dihedral angle is the angle of what is left of both faces across the edge.
            left, right = (side - (side * axis).sum(axis=1, keepdims=True) * axis for side in (left, right))
        np.add.at(angles, row[here], _angles(left, right))
    if grid.dimension == 3 and grid.spatial_dimension == 2:
        steps = np.abs(np.diff(grid.points[ridges], axis=1)[:, 0, :2])
        along = (steps <= 1e-9 * np.ptp(grid.points[:, :2], axis=0)).all(axis=1)
        ridges, angles = ridges[along], angles[along]
    return ridges, np.pi - angles


def _ridges_of(kind: CellType) -> list[tuple[list[int], np.ndarray, np.ndarray, np.ndarray]]:
    """Each vertex (2-D) or edge (3-D) of the reference cell: its vertices, its center, and the ways into its two facets."""
    reference, facets = kind.reference, kind.skfem.elem.refdom.facets
    found = []
    for ridge in [[k] for k in range(len(reference))] if kind.dimension == 2 else kind.edges:
        center = reference[ridge].mean(axis=0)
        one, two = (reference[facet].mean(axis=0) - center for facet in facets if set(ridge) <= set(facet))
        found.append((ridge, center, one, two))
    return found


def _chains(grid: Grid, ridges: np.ndarray, turns: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Turns (n,) at the vertices of the space's boundary, pairs (m, 2) of neighbors, and the place of each ridge.

    In space-time a vertex of the space is a column of edges along time.
    """
    facets = grid.facet_nodes[grid.exterior]
    if grid.dimension == 2:
        return turns, np.searchsorted(ridges[:, 0], facets), np.arange(len(ridges))
    flat = grid.points[:, :2] / np.ptp(grid.points[:, :2], axis=0)
    columns = np.unique(np.round(1e9 * flat).astype(np.int64), axis=0, return_inverse=True)[1].ravel()
    place = columns[ridges[:, 0]]
    turn = np.zeros(columns.max() + 1)
    turn[place] = turns
    facets = columns[facets]
    low, high = facets.min(axis=1), facets.max(axis=1)
    lateral = (low < high) & ((facets == low[:, None]) | (facets == high[:, None])).all(axis=1)
    return turn, np.unique(np.stack([low[lateral], high[lateral]], axis=1), axis=0), place


def _on_curve(turn: np.ndarray, segments: np.ndarray) -> np.ndarray:
    """Whether the straight segments (m, 2) follow a curve at each vertex with its `turn` (n,)."""
    count = len(turn)
    one = np.concatenate([segments[:, 0], segments[:, 1]])
    two = np.concatenate([segments[:, 1], segments[:, 0]])
    order = np.argsort(one, kind="stable")
    start = np.searchsorted(one[order], np.arange(count))
    plain = np.bincount(one, minlength=count) == 2  # elsewhere parts of the boundary meet
    neighbors = np.stack([two[order][np.where(plain, start + side, 0)] for side in (0, 1)], axis=1)
    own, theirs = turn[:, None], turn[neighbors]
    alike = (own * theirs > 0) & (np.abs(theirs) <= ALIKE * np.abs(own)) & (np.abs(own) <= ALIKE * np.abs(theirs))
    gentle = plain & (np.abs(turn) < SHARPEST_TURN) & (np.abs(turn) > STRAIGHT)
    middle = gentle & alike.all(axis=1)
    end = alike & middle[neighbors] & (np.abs(own) <= 1.25 * np.abs(theirs))
    return middle | gentle & end.any(axis=1)


def _angles(one: np.ndarray, two: np.ndarray) -> np.ndarray:
    # arctan2 keeps all digits near 0 and pi, where arccos loses half.
    dot = (one * two).sum(axis=1)
    square = (one**2).sum(axis=1) * (two**2).sum(axis=1)
    if one.shape[1] == 2:
        return np.arctan2(np.abs(one[:, 0] * two[:, 1] - one[:, 1] * two[:, 0]), dot)
    return np.where(square > 0, np.arctan2(np.linalg.norm(np.cross(one, two), axis=1), dot), 0.0)


__all__ = ["box_sides", "interval_ends", "reentrant_corners", "sagittas"]
