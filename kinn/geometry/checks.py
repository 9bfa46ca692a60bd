"""What makes arrays a mesh: shapes, orientation, no degenerate or overlapping cells, sensible names."""

from __future__ import annotations

from typing import Any

import numpy as np

from kinn.geometry.cells import CellType, facet_vectors, shape_functions, vertex_keys
from kinn.statement.errors import StatementError


def check_cells(
    kind: CellType, points: Any, cells: Any, curved: Any = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Points (nv, d), cells (nc, k) as read-only arrays in scikit-fem's order, and `curved` in it; or a StatementError."""
    points = np.array(points, dtype=np.float64)
    if points.ndim == 1 and kind.dimension == 1:
        points = points[:, None]
    if points.ndim != 2 or points.shape[1] != kind.dimension:
        raise StatementError(f"points have shape {points.shape}; {kind.plural} need (n, {kind.dimension})")
    if not np.isfinite(points).all():
        raise StatementError(f"point {np.flatnonzero(~np.isfinite(points).all(axis=1))[0]} is not finite")
    cells = np.array(cells, dtype=np.int64)
    width = len(kind.reference)
    if cells.ndim != 2 or cells.shape[1] != width or not len(cells):
        raise StatementError(f"cells have shape {cells.shape}; {kind.plural} need (n, {width}) and at least one")
    if cells.min() < 0 or cells.max() >= len(points):
        raise StatementError(f"a cell names point {cells.max()}, but there are {len(points)} points")
    used = np.zeros(len(points), dtype=bool)
    used[cells] = True
    if not used.all():
        raise StatementError(f"point {np.flatnonzero(~used)[0]} belongs to no cell; drop it")
    if curved is not None:
        curved = np.array(curved, dtype=np.float64)
        shape = (len(cells), len(kind.nodes(2)), kind.dimension)
        if curved.shape != shape or not np.isfinite(curved).all():
            raise StatementError(
                f"second-order nodes have shape {curved.shape}; {kind.plural} need {shape}, all finite"
            )
    if kind.name == "triangle":
        # scikit-fem sorts triangles, and `cells` must equal its table
        order = np.argsort(cells, axis=1, kind="stable")
        cells = np.take_along_axis(cells, order, axis=1)
        if curved is not None:
            # the local numbers of an edge's vertices add up to 1, 3, 2 for edges 0, 1, 2
            edge = np.array([0, 0, 2, 1])[order[:, [0, 1, 0]] + order[:, [1, 2, 2]]]
            curved = np.take_along_axis(curved, np.hstack([order, 3 + edge])[:, :, None], axis=1)
    _check_shape(kind, points, cells)
    if kind.name == "line":
        backwards = points[cells[:, 0], 0] > points[cells[:, 1], 0]
        cells[backwards] = cells[backwards, ::-1]
    _check_facets(kind, points, cells, straight=curved is None)
    points.setflags(write=False)
    cells.setflags(write=False)
    return points, cells, curved


def check_curved(kind: CellType, dofs: Any, points: np.ndarray, curved: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Nodes (N, d), the vertices first, and their numbers (nc, k) in each cell, from the places `curved` (nc, k, d).

    Raises a StatementError where neighbors disagree about a node, or a cell is turned inside out.
    """
    numbers = np.asarray(dofs.element_dofs).T.astype(np.int64)
    nodes = np.empty((int(dofs.N), kind.dimension))
    nodes[numbers] = curved
    nodes[: len(points)] = points
    apart = np.abs(nodes[numbers] - curved).max(axis=(1, 2))
    if apart.max() > 1e-9 * np.ptp(points, axis=0).max():
        raise StatementError(
            f"the second-order nodes of cell {apart.argmax()} differ from its neighbor's or its vertices by {apart.max():g}; "
            "give each edge and facet one node"
        )
    reference = kind.nodes(2)
    gradients = shape_functions(reference, np.concatenate([reference, 0.5 * (reference + reference.mean(axis=0))]))[1]
    smallest, largest = np.full(len(numbers), np.inf), np.full(len(numbers), -np.inf)
    corners = nodes[numbers]
    for gradient in gradients:
        determinant = np.linalg.det(np.einsum("ckd,kr->cdr", corners, gradient))
        smallest, largest = np.minimum(smallest, determinant), np.maximum(largest, determinant)
    bad = np.flatnonzero(np.where(largest > -smallest, smallest <= 1e-9 * largest, largest >= 1e-9 * smallest))
    if len(bad):
        where = ", ".join(f"{value:g}" for value in corners[bad[0]].mean(axis=0))
        raise StatementError(
            f"cell {bad[0]} at ({where}) is turned inside out by its second-order nodes ({len(bad)} such cells); "
            "mesh the curve finer, or optimize the mesh (gmsh -optimize_ho)"
        )
    nodes.setflags(write=False)
    numbers.setflags(write=False)
    return nodes, numbers


def _check_shape(kind: CellType, points: np.ndarray, cells: np.ndarray) -> None:
    # The determinant at every vertex has one sign exactly if a quadrilateral is convex.
    vertices = kind.reference
    gradients = shape_functions(vertices, vertices)[1]
    extent = np.ptp(points, axis=0)
    scaled = (points / np.where(extent > 0, extent, 1.0))[cells]
    determinants = np.stack(
        [np.linalg.det(np.einsum("ckd,kr->cdr", scaled, gradient)) for gradient in gradients[: _corners(kind)]]
    )
    smallest, largest = determinants.min(axis=0), determinants.max(axis=0)
    bad = np.flatnonzero(np.where(smallest > 0, smallest, -largest) < 1e-15)
    if len(bad):
        where = ", ".join(f"{value:g}" for value in points[cells[bad[0]]].mean(axis=0))
        reason = "zero volume" if kind.is_simplex else "zero volume or is not convex"
        raise StatementError(f"cell {bad[0]} at ({where}) has {reason} ({len(bad)} such cells); mesh the domain anew")


def _corners(kind: CellType) -> int:
    return 1 if kind.is_simplex else len(kind.reference)


def _check_facets(kind: CellType, points: np.ndarray, cells: np.ndarray, straight: bool) -> None:
    local = kind.skfem.elem.refdom.facets
    keys = np.concatenate([vertex_keys(cells[:, facet], len(points)) for facet in local])
    order = np.argsort(keys, kind="stable")
    same = keys[order[1:]] == keys[order[:-1]]
    if (same[1:] & same[:-1]).any():
        times = np.unique(keys, return_counts=True)[1]
        raise StatementError(
            f"{int((times > 2).sum())} facets belong to more than two cells: cells overlap or stand twice; "
            "mesh the domain anew without overlapping parts"
        )
    if not straight:
        return  # thin cells at a curve may have straight edges that cross, though the curved ones do not
    # Two cells at a facet lie on its two sides, or one of them is folded over the other.
    one, two = order[:-1][same], order[1:][same]
    rows = np.concatenate([cells[:, facet] for facet in local])[one]
    corners = points[rows]
    across = facet_vectors(np.swapaxes(corners[:, 1 : kind.dimension] - corners[:, :1], 1, 2))
    middle = corners.mean(axis=1)
    sides = [((points[cells[n % len(cells)]].mean(axis=1) - middle) * across).sum(axis=1) for n in (one, two)]
    folded = np.flatnonzero(sides[0] * sides[1] > 0)
    if len(folded):
        where = ", ".join(f"{value:g}" for value in middle[folded[0]])
        first, second = sorted(int(n[folded[0]] % len(cells)) for n in (one, two))
        raise StatementError(
            f"cells {first} and {second} lie on the same side of their common facet at ({where}) ({len(folded)} such facets): "
            "a cell is inverted and folded over its neighbor; mesh the domain anew"
        )


def check_names(names: tuple[str, ...], dimension: int, spatial_dimension: int) -> None:
    """Coordinate names are there, distinct and usable; space is between one and all axes."""
    if len(names) < dimension:
        raise StatementError(f"{len(names)} coordinate names for {dimension} axes: {names}; give one per axis")
    if len(set(names)) < len(names) or not all(name.isidentifier() for name in names):
        raise StatementError(f"coordinate names {names} must be distinct words; rename one, as in Interval('t', 0, 1)")
    if not 1 <= spatial_dimension <= dimension:
        raise StatementError(f"spatial dimension {spatial_dimension} is not between 1 and {dimension}")


__all__ = ["check_cells", "check_curved", "check_names"]
