"""What makes arrays a mesh: shapes, orientation, no degenerate or overlapping cells, sensible names."""

from __future__ import annotations

from typing import Any

import numpy as np

from kinn.geometry.cells import CellType, shape_functions, vertex_keys
from kinn.statement.errors import StatementError


def check_cells(kind: CellType, points: Any, cells: Any) -> tuple[np.ndarray, np.ndarray]:
    """Points (nv, d) and cells (nc, k) as read-only arrays in scikit-fem's order, or a StatementError."""
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
    if kind.name == "triangle":
        cells.sort(axis=1)  # scikit-fem sorts triangles, and `cells` must equal its table
    _check_shape(kind, points, cells)
    if kind.name == "line":
        backwards = points[cells[:, 0], 0] > points[cells[:, 1], 0]
        cells[backwards] = cells[backwards, ::-1]
    _check_facets(kind, cells, len(points))
    points.setflags(write=False)
    cells.setflags(write=False)
    return points, cells


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


def _check_facets(kind: CellType, cells: np.ndarray, count: int) -> None:
    local = kind.skfem.elem.refdom.facets
    keys = np.concatenate([vertex_keys(cells[:, facet], count) for facet in local])
    _, times = np.unique(keys, return_counts=True)
    if times.max() > 2:
        raise StatementError(
            f"{int((times > 2).sum())} facets belong to more than two cells: cells overlap or stand twice; "
            "mesh the domain anew without overlapping parts"
        )


def check_names(names: tuple[str, ...], dimension: int, spatial_dimension: int) -> None:
    """Coordinate names are there, distinct and usable; space is between one and all axes."""
    if len(names) < dimension:
        raise StatementError(f"{len(names)} coordinate names for {dimension} axes: {names}; give one per axis")
    if len(set(names)) < len(names) or not all(name.isidentifier() for name in names):
        raise StatementError(f"coordinate names {names} must be distinct words; rename one, as in Interval('t', 0, 1)")
    if not 1 <= spatial_dimension <= dimension:
        raise StatementError(f"spatial dimension {spatial_dimension} is not between 1 and {dimension}")


__all__ = ["check_cells", "check_names"]
