"""What a picture shows: a line, the cells of a plane, the boundary of a solid, or a section of one of these."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from kinn.geometry.mesh import Mesh
from kinn.report.section import embedded, free_axes, held_axes, inside, spatial_mesh

ENOUGH = {1: 400, 2: 12_000, 3: 10_000}  # cells (3-D: boundary triangles) above which no more cutting is worth it
SHARP = np.cos(np.radians(35))  # of the angle by which a face turns at an edge that is drawn

# A plane cuts a simplex into those below (first) and above: pairs of vertices whose edges it meets, as simplices.
CUTS = {
    (1, 1): [[(0, 1)]],
    (2, 1): [[(0, 1), (0, 2)]],
    (2, 2): [[(0, 2), (1, 2)]],
    (3, 1): [[(0, 1), (0, 2), (0, 3)]],
    (3, 2): [[(0, 2), (0, 3), (1, 3)], [(0, 2), (1, 2), (1, 3)]],
    (3, 3): [[(0, 3), (1, 3), (2, 3)]],
}


@dataclass(frozen=True, eq=False)
class Surface:
    """What is drawn, `corners` (c, k) and `pieces` (m, 2 or 3) of them (intervals or triangles), and where to evaluate.

    `places` (n, d) are the points of the mesh to evaluate at: one for each corner, or with `centers` one for each cell
    or facet, `owner` (m,) then being the place of each piece: residuals are shown so, since they may be infinite or
    undefined on vertices. `outline` (s, 2, k) are the edges to draw, `names` (k,) the axes; `spatial` says that all of
    these are space, to be drawn to one scale.
    """

    places: np.ndarray
    corners: np.ndarray
    pieces: np.ndarray
    owner: np.ndarray
    outline: np.ndarray
    names: tuple[str, ...]
    spatial: bool
    centers: bool


def surface_of(mesh: Mesh, at: Mapping[str, Any] | None = None, centers: bool = False) -> Surface:
    """The visible part of `mesh`, or of its section where the coordinates `at` are held, cut finely enough to look smooth.

    Raises StatementError for coordinates that the mesh does not have or reach.
    """
    if not at:
        return _whole(mesh, centers)
    if min(held_axes(mesh, at)) < mesh.spatial_dimension:
        return _section(mesh, at, centers)
    surface = _whole(spatial_mesh(mesh, at), centers)  # no cut: the cells of space themselves
    return replace(surface, places=embedded(mesh, surface.places, at))


def _whole(mesh: Mesh, centers: bool) -> Surface:
    fine = mesh
    while _visible(fine) * 2 ** min(mesh.dimension, 2) <= ENOUGH[mesh.dimension]:
        fine = fine.refined()
    names, spatial = mesh.coordinate_names, mesh.spatial_dimension == mesh.dimension
    facets = fine.skfem.facets[:, fine.exterior].T
    if mesh.dimension < 3:
        rows, parts = fine.cells, fine.kind.simplices
        drawn = np.concatenate([fine.exterior, interface_facets(fine)])
        outline = fine.points[fine.skfem.facets[:, drawn].T] if mesh.dimension == 2 else np.zeros((0, 2, 1))
    else:
        rows, parts = facets, fine.kind.facet_simplices
        outline = _sharp_edges(fine.points, rows[:, parts].reshape(-1, 3))
    pieces = rows[:, parts].reshape(-1, len(parts[0]))
    owner = np.repeat(np.arange(len(rows)), len(parts))
    if centers:
        return Surface(fine.points[rows].mean(axis=1), fine.points, pieces, owner, outline, names, spatial, True)
    used, inverse = np.unique(pieces, return_inverse=True)
    return Surface(
        node_places(fine)[used], fine.points[used], inverse.reshape(pieces.shape), owner, outline, names, spatial, False
    )  # fmt: skip


def _section(mesh: Mesh, at: Mapping[str, Any], centers: bool) -> Surface:
    fine = mesh.refined() if mesh.order == 2 else mesh  # straight cells follow a curve
    simplices = np.concatenate([fine.points[fine.cells[:, part]] for part in fine.kind.simplices])
    for axis, value in held_axes(mesh, at).items():
        simplices = _cut(simplices, axis, float(inside(mesh, axis, value)))
    free = free_axes(mesh, at)
    pieces = simplices[:, :, free]
    extent = np.ptp(mesh.points[:, free], axis=0)
    # Planes through vertices leave pieces without size.
    edges = (pieces[:, 1:] - pieces[:, :1]) / extent
    size = np.abs(edges[:, 0, 0] if len(free) == 1 else np.linalg.det(edges))
    pieces = pieces[size > 1e-12 * size.max()]
    while len(pieces) * 2 ** len(free) <= ENOUGH[len(free)]:
        pieces = _quartered(pieces)
    count = len(free) + 1
    flat = pieces.reshape(-1, len(free))
    corners, inverse = np.unique(np.round((flat - mesh.lower[free]) / extent, 9), axis=0, return_inverse=True)
    corners = mesh.lower[free] + corners * extent
    numbers = inverse.reshape(-1, count)
    outline = corners[_rim(numbers)] if count == 3 else np.zeros((0, 2, 1))
    if len(mesh.slit):  # both faces of a crack are there: no corner is shared, each is seen from its piece
        corners, numbers = flat, np.arange(len(flat)).reshape(-1, count)
        seen = (pieces + 1e-6 * (pieces.mean(axis=1, keepdims=True) - pieces)).reshape(-1, len(free))
    else:
        seen = corners
    places = pieces.mean(axis=1) if centers else seen
    names = tuple(mesh.coordinate_names[axis] for axis in free)
    owner = np.arange(len(numbers))
    spatial = max(free) < mesh.spatial_dimension
    return Surface(embedded(mesh, places, at), corners, numbers, owner, outline, names, spatial, centers)


def _cut(simplices: np.ndarray, axis: int, value: float) -> np.ndarray:
    """The simplices (m', k - 1, d) in which the plane `x_axis = value` meets simplices (m, k, d)."""
    heights = simplices[:, :, axis]
    low, high = heights.min(), heights.max()
    # A vertex on the plane counts as above it, so the plane must keep off the lower end.
    heights = heights - np.clip(value, low + 1e-9 * (high - low), high)
    above = heights >= 0
    order = np.argsort(above, axis=1, kind="stable")
    sorted_points = np.take_along_axis(simplices, order[:, :, None], axis=1)
    heights = np.take_along_axis(heights, order, axis=1)
    below = (~above).sum(axis=1)
    rank = simplices.shape[1] - 1
    found = []
    for count in range(1, rank + 1):
        here = below == count
        x, h = sorted_points[here], heights[here]
        for simplex in CUTS[rank, count]:
            met = []
            for i, j in simplex:
                share = h[:, i] / (h[:, i] - h[:, j])
                met.append(x[:, i] + share[:, None] * (x[:, j] - x[:, i]))
            found.append(np.stack(met, axis=1))
    cut = np.concatenate(found)
    cut[:, :, axis] = value
    return cut


def _quartered(pieces: np.ndarray) -> np.ndarray:
    """Intervals halved, triangles cut into four."""
    if pieces.shape[1] == 2:
        a, b = pieces[:, 0], pieces[:, 1]
        return np.concatenate([np.stack([a, (a + b) / 2], 1), np.stack([(a + b) / 2, b], 1)])
    a, b, c = pieces[:, 0], pieces[:, 1], pieces[:, 2]
    ab, bc, ca = (a + b) / 2, (b + c) / 2, (c + a) / 2
    return np.concatenate([np.stack(part, 1) for part in ((a, ab, ca), (ab, b, bc), (ca, bc, c), (ab, bc, ca))])


def _rim(triangles: np.ndarray) -> np.ndarray:
    """The edges (s, 2) of one triangle only."""
    edges = np.sort(np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]]), axis=1)
    edges, count = np.unique(edges, axis=0, return_counts=True)
    return edges[count == 1]


def _sharp_edges(points: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """The edges (s, 2, 3) where the boundary of a solid turns by more than 35 degrees."""
    corners = points[triangles]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    edges = np.sort(np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]]), axis=1)
    order = np.lexsort(edges.T)
    owner = np.tile(np.arange(len(triangles)), 3)[order]
    edges = edges[order]
    twin = np.flatnonzero((edges[1:] == edges[:-1]).all(axis=1))
    turn = np.abs((normals[owner[twin]] * normals[owner[twin + 1]]).sum(axis=1))
    return points[edges[twin[turn < SHARP]]]


def node_places(mesh: Mesh) -> np.ndarray:
    """The nodes (N, d), vertices first; those on a crack moved into a cell of their own face, where fields may jump."""
    rows = mesh.facet_nodes[mesh.slit]
    places, nodes = mesh.nodes.copy(), rows.ravel()
    cells = np.repeat(mesh.skfem.f2t[0, mesh.slit].astype(np.int64), rows.shape[1])
    places[nodes] = mesh.inward(mesh.nodes[nodes], cells)
    return places


def interface_facets(mesh: Mesh) -> np.ndarray:
    """Numbers of the facets inside the domain between cells that do not lie in the same subdomains."""
    kinds = np.zeros((len(mesh.cells), len(mesh.subdomains)), dtype=bool)
    for k, cells in enumerate(mesh.subdomains.values()):
        kinds[cells, k] = True
    first, second = mesh.skfem.f2t
    return np.flatnonzero((second >= 0) & (kinds[first] != kinds[second]).any(axis=1))


def _visible(mesh: Mesh) -> int:
    return len(mesh.cells) if mesh.dimension < 3 else len(mesh.exterior)


__all__ = ["Surface", "interface_facets", "node_places", "surface_of"]
