"""Mesh files: Gmsh (2.2 and 4.1, text and binary) and VTU, through meshio; names by our own reading of its tables.

scikit-fem's reader loses interior boundaries and double membership in format 2.2, and takes half of a mixed mesh.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import meshio
import numpy as np

from kinn.geometry.cells import CELL_TYPES, HEXAHEDRON_FROM_VTK, CellType, Content
from kinn.geometry.gmsh_file import DIMENSIONS, load_gmsh, load_quietly
from kinn.geometry.write import AXES_PREFIX, BOUNDARY_PREFIX, SUBDOMAIN_PREFIX
from kinn.statement.errors import StatementError


def read_content(path: Path) -> Content:
    """The content of a mesh file.

    Raises:
        StatementError: the file is missing, of an unknown format, damaged, or holds no mesh kinn can use.
    """
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "does not exist"
        raise StatementError(f"mesh file {str(path)!r} {what}; give the path of a .msh or .vtu file")
    readers: dict[str, Callable[[Path], Content]] = {".msh": _read_gmsh, ".vtu": _read_vtu}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise StatementError(
            f"mesh file {str(path)!r} has the unknown format {path.suffix!r}; kinn reads .msh (Gmsh 2.2, 4.1) and "
            ".vtu: convert it with `meshio convert`, or export it from Gmsh as Version 4"
        )
    return reader(path)


def _read_gmsh(path: Path) -> Content:
    raw, groups = load_gmsh(path)
    kind = _kind(path, raw)
    boundaries: dict[str, list[np.ndarray]] = {}
    subdomains: dict[str, list[np.ndarray]] = {}
    offset = 0
    for block, members in zip(raw.cells, groups, strict=True):
        dimension = DIMENSIONS[block.type]
        for name, chosen in members.items():
            if dimension == kind.dimension:
                subdomains.setdefault(name, []).append(offset + chosen)
            elif dimension == kind.dimension - 1:
                boundaries.setdefault(name, []).append(block.data[chosen])
        offset += len(block.data) if block.type == kind.name else 0
    return _content(path, raw, kind, _joined(boundaries), _joined(subdomains))


def _joined(parts: dict[str, list[np.ndarray]]) -> dict[str, np.ndarray]:
    return {name: np.concatenate(arrays) for name, arrays in parts.items()}


def _read_vtu(path: Path) -> Content:
    raw = load_quietly(path, meshio.vtu.read)
    kind = _kind(path, raw)
    main = [k for k, block in enumerate(raw.cells) if block.type == kind.name]
    cells = _cells_of(raw, kind)
    names: tuple[str, ...] = ("x", "y", "z")[: kind.dimension]
    space = kind.dimension
    boundaries: dict[str, np.ndarray] = {}
    subdomains: dict[str, np.ndarray] = {}
    sorted_cells = np.sort(cells, axis=1) if kind.name == "triangle" else cells
    for key, values in raw.cell_data.items():
        if key.startswith(AXES_PREFIX):
            joined, count = key[len(AXES_PREFIX) :].rsplit(":", 1)
            names, space = tuple(joined.split(",")), int(count)
            continue
        marks = np.concatenate([np.ravel(values[k]) for k in main]).astype(np.int64)
        if key.startswith(SUBDOMAIN_PREFIX):
            subdomains[key[len(SUBDOMAIN_PREFIX) :]] = np.flatnonzero(marks)
        elif key.startswith(BOUNDARY_PREFIX):
            # Bit b of a cell's mark: its local facet b is in the boundary.
            local = kind.skfem.elem.refdom.facets
            rows = [sorted_cells[(marks >> bit) & 1 == 1][:, facet] for bit, facet in enumerate(local)]
            boundaries[key[len(BOUNDARY_PREFIX) :]] = np.concatenate(rows)
    return _content(path, raw, kind, boundaries, subdomains)._replace(coordinate_names=names, spatial_dimension=space)


def _kind(path: Path, raw: meshio.Mesh) -> CellType:
    """The one cell type of highest dimension, refusing what would be read wrongly."""
    types = {block.type for block in raw.cells if len(block.data)}
    top = max((DIMENSIONS.get(name, 0) for name in types), default=0)
    main = sorted(name for name in types if DIMENSIONS.get(name, 0) == top)
    if top == 0:
        raise StatementError(f"mesh file {str(path)!r} has no cells; mesh it first (gmsh -2 or gmsh -3)")
    if len(main) > 1:
        raise StatementError(
            f"mesh file {str(path)!r} mixes {' and '.join(main)} cells; use one kind "
            "(Gmsh: recombine every surface or none)"
        )
    if main[0] not in CELL_TYPES:
        order = "second-order " if any(main[0].startswith(name) for name in CELL_TYPES) else ""
        raise StatementError(
            f"mesh file {str(path)!r} has {order}cells of type {main[0]!r}; kinn reads first-order "
            f"{', '.join(CELL_TYPES)} (Gmsh: Mesh.ElementOrder = 1)"
        )
    return CELL_TYPES[main[0]]


def _cells_of(raw: meshio.Mesh, kind: CellType) -> np.ndarray:
    cells = np.concatenate([block.data for block in raw.cells if block.type == kind.name]).astype(np.int64)
    return cells[:, HEXAHEDRON_FROM_VTK] if kind.name == "hexahedron" else cells


def _content(
    path: Path,
    raw: meshio.Mesh,
    kind: CellType,
    boundaries: dict[str, np.ndarray],
    subdomains: dict[str, np.ndarray],
) -> Content:
    cells = _cells_of(raw, kind)
    if cells.min() < 0 or cells.max() >= len(raw.points):
        raise StatementError(f"mesh file {str(path)!r} is damaged: a cell names a point that is not there")
    used = np.unique(cells)
    number = np.full(len(raw.points), -1)
    number[used] = np.arange(len(used))
    cells = number[cells]
    # A cell in two groups stands twice in format 2.2.
    _, first, inverse = np.unique(np.sort(cells, axis=1), axis=0, return_index=True, return_inverse=True)
    if len(first) < len(cells):
        kept = np.sort(first)
        place = np.searchsorted(kept, first)[inverse.ravel()]
        subdomains = {name: np.unique(place[numbers]) for name, numbers in subdomains.items()}
        cells = cells[kept]
    points = _flatten(path, np.asarray(raw.points, dtype=float)[used], kind)
    names = ("x", "y", "z")[: kind.dimension]
    facets = {}
    for name, rows in boundaries.items():
        facets[name] = number[rows]
        if facets[name].min() < 0:
            raise StatementError(
                f"mesh file {str(path)!r}: boundary {name!r} lies outside the {kind.plural}; remove this group"
            )
    return Content(points, cells, kind.name, facets, subdomains, names, kind.dimension)


def _flatten(path: Path, points: np.ndarray, kind: CellType) -> np.ndarray:
    """Drop the axes a mesh of lower dimension does not use; they must be constant."""
    extra = points[:, kind.dimension :]
    size = np.ptp(points, axis=0).max()
    if not extra.size or np.ptp(extra, axis=0).max() <= 1e-9 * size:
        return points[:, : kind.dimension]
    if kind.dimension == 1:
        raise StatementError(
            f"mesh file {str(path)!r} has lines only, and not along x: it holds the boundary of a domain; "
            "mesh the surface too (gmsh -2)"
        )
    deviations = np.linalg.svd(points - points.mean(axis=0), full_matrices=False)[1]
    if deviations[-1] > 1e-9 * deviations[0]:
        raise StatementError(
            f"mesh file {str(path)!r} has {kind.plural} on a surface in 3-D and no 3-D cells; "
            f"mesh the volume too (gmsh -3); equations on curved surfaces are not supported"
        )
    constant = [f"{axis} = {values[0]:g}" for axis, values in zip("xy", points.T, strict=False) if np.ptp(values) == 0]
    plane = f" ({constant[0]})" if constant else ""
    raise StatementError(
        f"mesh file {str(path)!r} is planar, but in another plane than z = constant{plane}; "
        "rotate it into the x-y plane"
    )


__all__ = ["read_content"]
