"""Mesh files: Gmsh (2.2 and 4.1, text and binary), VTU and XDMF, through meshio; names by our own reading of its tables.

scikit-fem's reader loses interior boundaries and double membership in format 2.2, all names of second-order meshes, and
takes half of a mixed mesh.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import meshio
import numpy as np

from kinn.geometry.cells import CELL_TYPES, HEXAHEDRON_FROM_VTK, SECOND_ORDER, CellType, Content, nodes_to_vtk
from kinn.geometry.gmsh_file import DIMENSIONS, groups_by_element, load_gmsh, load_quietly
from kinn.geometry.write import AXES_PREFIX, BOUNDARY_PREFIX, SUBDOMAIN_PREFIX
from kinn.statement.errors import StatementError


def read_content(path: Path) -> Content:
    """The content of a mesh file.

    Raises:
        StatementError: the file is missing, of an unknown format, damaged, or holds no mesh kinn can use.
    """
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "does not exist"
        raise StatementError(f"mesh file {str(path)!r} {what}; give the path of a .msh, .vtu or .xdmf file")
    readers: dict[str, Callable[[Path], Content]] = {".msh": _read_gmsh, ".vtu": _read_vtu, ".xdmf": _read_xdmf}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise StatementError(
            f"mesh file {str(path)!r} has the unknown format {path.suffix!r}; kinn reads .msh (Gmsh 2.2, 4.1), "
            ".vtu and .xdmf: convert it with `meshio convert`, or export it from Gmsh as Version 4"
        )
    return reader(path)


def _read_gmsh(path: Path) -> Content:
    return _from_groups(path, *load_gmsh(path))


def _read_xdmf(path: Path) -> Content:
    """What meshio makes of a Gmsh file: one tag per cell, and names in `field_data` (else "curve 3" by the tag)."""

    def load(source: Path) -> meshio.Mesh:
        try:
            return meshio.xdmf.read(source)
        except KeyError as error:  # meshio's table for blocks of several kinds ends with first order
            raise ValueError(
                f"meshio reads no XDMF block number {error} beside others; take the .msh or a .vtu file"
            ) from error

    raw = load_quietly(path, load)
    names = {}
    for name, values in raw.field_data.items():
        tag, dimension = (int(value) for value in np.ravel(values)[:2])
        names[dimension, tag] = name
    return _from_groups(path, raw, groups_by_element(raw, names))


def _from_groups(path: Path, raw: meshio.Mesh, groups: list[dict[str, np.ndarray]]) -> Content:
    kind, block_type = _kind(path, raw)
    width = len(kind.reference_facet)
    boundaries: dict[str, list[np.ndarray]] = {}
    subdomains: dict[str, list[np.ndarray]] = {}
    offset = 0
    for block, members in zip(raw.cells, groups, strict=True):
        dimension = DIMENSIONS[block.type]
        for name, chosen in members.items():
            if dimension == kind.dimension:
                subdomains.setdefault(name, []).append(offset + chosen)
            elif dimension == kind.dimension - 1:
                boundaries.setdefault(name, []).append(block.data[chosen, :width])  # vertices come first
        offset += len(block.data) if block.type == block_type else 0
    return _content(path, raw, kind, block_type, _joined(boundaries), _joined(subdomains))


def _joined(parts: dict[str, list[np.ndarray]]) -> dict[str, np.ndarray]:
    return {name: np.concatenate(arrays) for name, arrays in parts.items()}


def _read_vtu(path: Path) -> Content:
    raw = load_quietly(path, meshio.vtu.read)
    kind, block_type = _kind(path, raw)
    main = [k for k, block in enumerate(raw.cells) if block.type == block_type]
    cells = _cells_of(raw, kind, block_type)
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
        if not key.startswith((SUBDOMAIN_PREFIX, BOUNDARY_PREFIX)):
            continue
        marks = np.concatenate([np.ravel(values[k]) for k in main]).astype(np.int64)
        if key.startswith(SUBDOMAIN_PREFIX):
            subdomains[key[len(SUBDOMAIN_PREFIX) :]] = np.flatnonzero(marks)
        else:
            # Bit b of a cell's mark: its local facet b is in the boundary.
            local = kind.skfem.elem.refdom.facets
            rows = [sorted_cells[(marks >> bit) & 1 == 1][:, facet] for bit, facet in enumerate(local)]
            boundaries[key[len(BOUNDARY_PREFIX) :]] = np.concatenate(rows)
    return _content(path, raw, kind, block_type, boundaries, subdomains)._replace(
        coordinate_names=names, spatial_dimension=space
    )


def _kind(path: Path, raw: meshio.Mesh) -> tuple[CellType, str]:
    """The one cell type of highest dimension and meshio's name of its blocks, refusing what would be read wrongly."""
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
    name = SECOND_ORDER.get(main[0], main[0])
    if name not in CELL_TYPES:
        raise StatementError(
            f"mesh file {str(path)!r} has cells of type {main[0]!r}; kinn reads {', '.join(CELL_TYPES)} of first and "
            "second order (Gmsh: Mesh.ElementOrder = 1 or 2)"
        )
    return CELL_TYPES[name], main[0]


def _rows_of(raw: meshio.Mesh, block_type: str) -> np.ndarray:
    return np.concatenate([block.data for block in raw.cells if block.type == block_type]).astype(np.int64)


def _cells_of(raw: meshio.Mesh, kind: CellType, block_type: str) -> np.ndarray:
    cells = _rows_of(raw, block_type)[:, : len(kind.reference)]
    return cells[:, HEXAHEDRON_FROM_VTK] if kind.name == "hexahedron" else cells


def _curved(kind: CellType, corners: np.ndarray) -> np.ndarray:
    """Places of all nodes (nc, k, d) in our order, from those in VTK's order, with missing centers of cubes filled in.

    A serendipity cell is the Q2 cell whose center of a quadrilateral is half the sum of the edges' nodes minus a
    quarter of that of the vertices; in the center of a cube both sums count a quarter.
    """
    order = nodes_to_vtk(kind)
    nodes = np.empty((len(corners), len(order), kind.dimension))
    nodes[:, order[: corners.shape[1]]] = corners
    reference = kind.nodes(2)
    for missing in order[corners.shape[1] :]:
        fixed = reference[missing] != 0.5
        near = (reference[:, fixed] == reference[missing, fixed]).all(axis=1)
        halves = (reference == 0.5).sum(axis=1)
        vertices, edges = (np.flatnonzero(near & (halves == count)) for count in (0, 1))
        share = 0.5 if len(vertices) == 4 else 0.25
        nodes[:, missing] = share * nodes[:, edges].sum(axis=1) - 0.25 * nodes[:, vertices].sum(axis=1)
    return nodes


def _content(
    path: Path,
    raw: meshio.Mesh,
    kind: CellType,
    block_type: str,
    boundaries: dict[str, np.ndarray],
    subdomains: dict[str, np.ndarray],
) -> Content:
    rows, cells = _rows_of(raw, block_type), _cells_of(raw, kind, block_type)
    if rows.min() < 0 or rows.max() >= len(raw.points):
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
        cells, rows = cells[kept], rows[kept]
    flat = _flatten(path, np.asarray(raw.points, dtype=float), np.unique(rows), kind)
    points = flat[used]
    second = block_type in SECOND_ORDER and kind.curved is not None
    curved = _curved(kind, flat[rows]) if second else None
    names = ("x", "y", "z")[: kind.dimension]
    facets = {}
    for name, rows in boundaries.items():
        facets[name] = number[rows]
        if facets[name].min() < 0:
            raise StatementError(
                f"mesh file {str(path)!r}: boundary {name!r} lies outside the {kind.plural}; remove this group"
            )
    return Content(points, cells, kind.name, facets, subdomains, names, kind.dimension, curved)


def _flatten(path: Path, every: np.ndarray, used: np.ndarray, kind: CellType) -> np.ndarray:
    """Drop the axes a mesh of lower dimension does not use; they must be constant over the points in use."""
    points = every[used]
    extra = points[:, kind.dimension :]
    size = np.ptp(points, axis=0).max()
    if not extra.size or np.ptp(extra, axis=0).max() <= 1e-9 * size:
        return every[:, : kind.dimension]
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
