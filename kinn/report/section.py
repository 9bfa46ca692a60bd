"""Coordinates held at a value: `t=0.3` of a space-time, `nu=0.25` of a family, `z=0.5` of a solid.

Points then have the other coordinates only, and where time or a parameter is held, the mesh of space is at hand too.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from kinn.geometry.mesh import Mesh
from kinn.statement.errors import StatementError, suggest


def held_axes(mesh: Mesh, at: Mapping[str, Any]) -> dict[int, Any]:
    """axis -> value of coordinates given by name, the axes ascending.

    Raises StatementError for a name that is no coordinate, and where no coordinate is left.
    """
    for name in at:
        if name not in mesh.coordinate_names:
            raise StatementError(f"{name!r} is no coordinate of the mesh{suggest(name, mesh.coordinate_names)}")
    if len(at) >= mesh.dimension:
        raise StatementError(f"{', '.join(at)} leave no coordinate free; give the whole point as points instead")
    return {axis: at[name] for axis, name in enumerate(mesh.coordinate_names) if name in at}


def free_axes(mesh: Mesh, at: Mapping[str, Any]) -> list[int]:
    """The axes that are not held."""
    return [axis for axis, name in enumerate(mesh.coordinate_names) if name not in at]


def embedded(mesh: Mesh, points: np.ndarray, at: Mapping[str, Any]) -> np.ndarray:
    """Points (n, d) of the mesh from points (n, free axes); the value of a held axis is a number or (n,).

    Raises StatementError for a value that is no number or lies outside the mesh.
    """
    full = np.empty((len(points), mesh.dimension))
    full[:, free_axes(mesh, at)] = points
    for axis, value in held_axes(mesh, at).items():
        numbers = inside(mesh, axis, value)
        if numbers.shape not in ((), (len(points),)):
            raise StatementError(
                f"{mesh.coordinate_names[axis]} has {numbers.size} values for {len(points)} points; give one, or one for each"
            )
        full[:, axis] = numbers
    return full


def inside(mesh: Mesh, axis: int, value: Any) -> np.ndarray:
    """The value or values of a coordinate as floats that the mesh reaches; rounding at its ends is taken away."""
    name, low, high = mesh.coordinate_names[axis], mesh.lower[axis], mesh.upper[axis]
    try:
        numbers = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError):
        raise StatementError(f"{name}={value!r} is no number; give a value of the coordinate") from None
    away = ~((numbers >= low - 1e-6 * (high - low)) & (numbers <= high + 1e-6 * (high - low)))
    if away.any():
        raise StatementError(
            f"{name}={numbers[away].flat[0]:g} lies outside the mesh, where {name} goes from {low:g} to {high:g}"
        )
    return np.clip(numbers, low, high)


def running_axis(mesh: Mesh, at: Mapping[str, Any]) -> str:
    """The coordinate of time or of a parameter that is not held: what a series of files or an animation runs over.

    Raises StatementError where there is none or more than one.
    """
    held_axes(mesh, at)
    names = [name for name in mesh.coordinate_names[mesh.spatial_dimension :] if name not in at]
    if not names:
        raise StatementError(
            "the problem has no axis of time or of a parameter to run along; make one with mesh * kinn.Interval(...)"
        )
    if len(names) > 1:
        raise StatementError(f"the problem has the axes {', '.join(names)}; hold all but one, such as {names[0]}=...")
    return names[0]


def spatial_mesh(mesh: Mesh, at: Mapping[str, Any] | None = None) -> Mesh:
    """The mesh of space under a space-time: `mesh` of `mesh * Interval(...)`, with its names.

    It is read off the lower ends of the axes in `at` (all axes that are not space by default), where a product has
    the facets of its first factor. Raises StatementError for an axis of space: a cut through the cells is no mesh.

    >>> from kinn.geometry import Interval
    >>> spatial_mesh(Mesh.box(0, 1, cells=3) * Interval("t", 0, 1, cells=2))
    Mesh(3 intervals, 4 points, x in [0, 1]; boundaries: 'left' (1), 'right' (1))
    """
    extra = mesh.coordinate_names[mesh.spatial_dimension :]
    names = list(extra) if at is None else list(at)
    held_axes(mesh, dict.fromkeys(names))
    for name in names:
        if name not in extra:
            raise StatementError(
                f"{name!r} is an axis of space, whose section has no cells; only times and parameters can be held here"
            )
    for name in names:
        mesh = _lower_end(mesh, mesh.coordinate_names.index(name))
    return mesh


def _lower_end(mesh: Mesh, axis: int) -> Mesh:
    """The facets where the coordinate is lowest, as a mesh without this axis; names of parts that start there."""
    facets = mesh.skfem.facets
    low = mesh.points[:, axis] <= mesh.lower[axis] + 1e-9 * (mesh.upper[axis] - mesh.lower[axis])
    count = low[facets].sum(axis=0)
    chosen = np.flatnonzero(count == len(facets))
    used, cells = np.unique(facets[:, chosen], return_inverse=True)
    cells = cells.reshape(facets[:, chosen].shape).T
    points = np.delete(mesh.points[used], axis, axis=1)
    owner = mesh.skfem.f2t[0, chosen]
    subdomains = {name: np.flatnonzero(np.isin(owner, part)) for name, part in mesh.subdomains.items()}
    names = tuple(name for i, name in enumerate(mesh.coordinate_names) if i != axis)
    cells, kind, space = _turned(points, cells), mesh.kind.facet, mesh.spatial_dimension
    section = Mesh(points, cells, kind, None, None, names, space)
    # A boundary goes on where its facets stand on the lower end with the vertices of one facet of the section.
    number = {tuple(sorted(row)): i for i, row in enumerate(used[section.skfem.facets].T.tolist())}
    boundaries = {}
    for name, part in mesh.boundaries.items():
        ends = (tuple(sorted(v for v in facets[:, f].tolist() if low[v])) for f in part[count[part] < len(facets)])
        found = sorted({number[end] for end in ends if end in number})
        if found:
            boundaries[name] = found
    subdomains = {name: part for name, part in subdomains.items() if len(part)}
    return Mesh(points, cells, kind, boundaries, subdomains, names, space)


def _turned(points: np.ndarray, cells: np.ndarray) -> np.ndarray:
    """The cells with vertices in the sense in which their area or length is positive."""
    edges = points[cells[:, 1:]] - points[cells[:, :1]]
    if points.shape[1] == 1:
        size = edges[:, 0, 0]
    else:
        last = edges.shape[1] - 1
        size = edges[:, 0, 0] * edges[:, last, 1] - edges[:, 0, 1] * edges[:, last, 0]
    return np.where(size[:, None] < 0, cells[:, ::-1], cells)


__all__ = ["embedded", "free_axes", "held_axes", "inside", "running_axis", "spatial_mesh"]
