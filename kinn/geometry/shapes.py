"""Shapes that need no mesher: boxes, intervals, and the product of a mesh with an interval."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from kinn.geometry.cells import CELL_TYPES, HEXAHEDRON_FROM_VTK, Content
from kinn.statement.errors import StatementError

_SIDES = (("left", "right"), ("bottom", "top"), ("front", "back"))


def box_content(lower: Any, upper: Any, cells: int | Sequence[int] | None) -> Content:
    """A box of simplices, made axis by axis as a product of intervals."""
    low, high = (np.atleast_1d(np.asarray(corner, dtype=float)) for corner in (lower, upper))
    if low.ndim != 1 or low.shape != high.shape or len(low) > 3:
        raise StatementError(f"box corners {lower} and {upper} must have one to three numbers each, equally many")
    if not np.isfinite([low, high]).all() or not (low < high).all():
        raise StatementError(f"box corners {lower} and {upper}: every lower number must be below the upper one")
    counts = _counts(high - low, cells)
    content = _segment("x", low[0], high[0], counts[0], _SIDES[0])
    for axis in range(1, len(low)):
        side = _segment("xyz"[axis], low[axis], high[axis], counts[axis], _SIDES[axis])
        # In 2-D the diagonals alternate: no corner is cut off by a triangle with all vertices on the boundary.
        content = product_content(content, side, alternate=len(low) == 2)
    return content._replace(spatial_dimension=len(low))


def _counts(extent: np.ndarray, cells: int | Sequence[int] | None) -> list[int]:
    if cells is None or isinstance(cells, int | np.integer):
        longest = (16 if len(extent) < 3 else 6) if cells is None else int(cells)
        counts = [longest if e == extent.max() else max(2, round(longest * e / extent.max())) for e in extent]
    else:
        counts = [int(count) for count in cells]
    if len(counts) != len(extent) or min(counts) < 1:
        raise StatementError(f"cells={cells!r} must be a number >= 1, or one for each of the {len(extent)} axes")
    return counts


def interval_content(name: str, lower: float, upper: float, cells: int | None) -> Content:
    """One axis `name` from `lower` to `upper`, with ends `name=lower` and `name=upper`."""
    low, high = float(lower), float(upper)
    if not (np.isfinite(low) and np.isfinite(high) and low < high):
        raise StatementError(f"interval {name} from {lower} to {upper}: the lower end must be below the upper one")
    count = 16 if cells is None else int(cells)
    if count < 1:
        raise StatementError(f"interval {name} with cells={cells}: give a number >= 1")
    ends = (f"{name}={low:g}", f"{name}={high:g}")
    if ends[0] == ends[1]:
        ends = (f"{name}={low!r}", f"{name}={high!r}")
    return _segment(str(name), low, high, count, ends)


def _segment(name: str, lower: float, upper: float, count: int, ends: tuple[str, str]) -> Content:
    points = np.linspace(lower, upper, count + 1)[:, None]
    cells = np.stack([np.arange(count), np.arange(1, count + 1)], axis=1)
    boundaries = {ends[0]: np.array([[0]]), ends[1]: np.array([[count]])}
    return Content(points, cells, "line", boundaries, {}, (name,), 1)


def product_content(left: Content, right: Content, alternate: bool = False) -> Content:
    """Extrude `left` along the interval `right`: point `layer * nv + vertex`, all cells of one layer together.

    A prism over a simplex with ordered vertices v_0 < ... < v_d is cut into the d + 1 simplices
    (v_0 .. v_i below, v_i .. v_d above): neighbors agree on their common faces, since the order is global. The two
    faces of a slit agree as well: a vertex counts as the first one at its place.
    With `alternate`, that order puts even vertices first in even layers and last in odd ones.
    """
    kind = CELL_TYPES[left.cell_type]
    if CELL_TYPES[right.cell_type].dimension != 1:
        raise StatementError("the second factor of a product of meshes must be an interval, as Interval('t', 0, 1)")
    if left.curved is not None:
        raise StatementError(
            "a second-order mesh times an interval is not supported yet; use a first-order mesh of the space "
            "(gmsh -order 1)"
        )
    if kind.dimension == 3:
        raise StatementError(
            "a 3-D mesh times an interval needs 4-D cells, which are not supported yet; "
            "solve a steady problem or one with fewer space dimensions"
        )
    clash = set(left.coordinate_names) & set(right.coordinate_names)
    if clash:
        name = sorted(clash)[0]
        raise StatementError(f"the factors share a coordinate {name!r}; rename one, as Interval('t', 0, 1)")
    order = np.argsort(right.points[:, 0])
    heights, layers = right.points[order, 0], len(right.points) - 1
    if len(right.cells) != layers:
        raise StatementError("the interval of a product has a gap; use one connected interval")
    level = np.empty(len(order), dtype=int)
    level[order] = np.arange(len(order))

    count = len(left.points)
    _, first, same = np.unique(left.points, axis=0, return_index=True, return_inverse=True)
    rank = first[same.ravel()]
    points = np.column_stack([np.tile(left.points, (layers + 1, 1)), np.repeat(heights, count)])
    cells = _extrude(left.cells, rank, layers, kind.is_simplex, alternate)
    per_layer = len(cells) // layers
    if not kind.is_simplex:
        cells = cells[:, HEXAHEDRON_FROM_VTK]
    shape = {"line": "triangle", "triangle": "tetra", "quad": "hexahedron"}[kind.name]

    boundaries = {
        name: _extrude(facets, rank, layers, kind.is_simplex, alternate) for name, facets in left.boundaries.items()
    }
    for name, facets in right.boundaries.items():
        _new(name, boundaries)
        boundaries[name] = np.concatenate([left.cells + level[vertex] * count for vertex in facets[:, 0]])
    numbers = np.arange(per_layer).reshape(-1, len(left.cells))  # [part of the prism, cell]
    starts = per_layer * np.arange(layers)
    subdomains = {
        name: (starts[:, None] + numbers[:, chosen].ravel()).ravel() for name, chosen in left.subdomains.items()
    }
    for name, chosen in right.subdomains.items():
        _new(name, subdomains)
        below = level[right.cells[chosen]].min(axis=1)
        subdomains[name] = (starts[below][:, None] + np.arange(per_layer)).ravel()
    names = left.coordinate_names + right.coordinate_names
    return Content(points, cells, shape, boundaries, subdomains, names, left.spatial_dimension)


def _new(name: str, table: dict[str, np.ndarray]) -> None:
    if name in table:
        raise StatementError(f"both factors of the product have a part named {name!r}; rename one")


def _extrude(rows: np.ndarray, rank: np.ndarray, layers: int, split: bool, alternate: bool) -> np.ndarray:
    """Prisms over `rows` (m, k) of vertices in every layer; split into simplices, or as bottom then top vertices."""
    parts, count = [], len(rank)
    for layer in range(layers):
        low, high = layer * count, (layer + 1) * count
        if not split:
            # A facet's quadrilateral runs round; a cell's two quadrilaterals stand one above the other.
            parts.append(np.hstack([rows + low, (rows if rows.shape[1] == 4 else rows[:, ::-1]) + high]))
            continue
        key = rows + count * ((rows + layer) % 2) if alternate else rank[rows]
        ordered = np.take_along_axis(rows, np.argsort(key, axis=1), axis=1)
        width = rows.shape[1]
        parts += [np.hstack([ordered[:, : k + 1] + low, ordered[:, k:] + high]) for k in range(width)]
    return np.concatenate(parts)


__all__ = ["box_content", "interval_content", "product_content"]
