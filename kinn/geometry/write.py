"""VTU files for ParaView; names travel as cell data in scikit-fem's convention, so that `Mesh.read` finds them."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import meshio
import numpy as np

from kinn.geometry.cells import CELL_TYPES, HEXAHEDRON_TO_VTK, Content, nodes_to_vtk, shape_functions
from kinn.statement.errors import StatementError

SUBDOMAIN_PREFIX = "skfem:s:"  # 1 on the cells of a subdomain
BOUNDARY_PREFIX = "skfem:b:"  # bit b set where local facet b of the cell is in the boundary
AXES_PREFIX = "kinn:axes:"  # names of the coordinates and number of spatial ones, where they are not x, y, z


def write_vtu(
    path: Path,
    content: Content,
    nodes: np.ndarray,
    cell_nodes: np.ndarray,
    boundaries: Mapping[str, np.ndarray],
    cell_facets: np.ndarray,
    facet_cells: np.ndarray,
    point_data: Mapping[str, Any],
    cell_data: Mapping[str, Any],
) -> None:
    """Write `content` with its `nodes` (N, d) and `cell_nodes` (nc, k), the facet numbers `boundaries`, `cell_facets`
    (nc, .) and `facet_cells` (nf, 2). Data on vertices are interpolated to the other nodes of second-order cells.
    """
    if path.suffix.lower() != ".vtu":
        raise StatementError(f"cannot write {str(path)!r}: kinn writes .vtu files; change the ending")
    if not path.resolve().parent.is_dir():
        raise StatementError(f"cannot write {str(path)!r}: its folder does not exist; make it first")
    kind = CELL_TYPES[content.cell_type]
    count, dimension = content.points.shape
    second = content.curved is not None
    cells = content.cells[:, HEXAHEDRON_TO_VTK] if kind.name == "hexahedron" else content.cells
    if second:
        cells = cell_nodes[:, nodes_to_vtk(kind)]
    on_cells = {name: _column(name, values, len(cells), "cells") for name, values in cell_data.items()}
    for name, numbers in content.subdomains.items():
        marks = np.zeros(len(cells), dtype=np.int32)
        marks[numbers] = 1
        on_cells[SUBDOMAIN_PREFIX + name] = marks
    for name, numbers in boundaries.items():
        owner = facet_cells[numbers, 0]
        bit = (cell_facets[owner] == numbers[:, None]).argmax(axis=1)
        marks = np.zeros(len(cells), dtype=np.int32)
        np.bitwise_or.at(marks, owner, (1 << bit).astype(np.int32))
        on_cells[BOUNDARY_PREFIX + name] = marks
    if content.coordinate_names != ("x", "y", "z")[:dimension] or content.spatial_dimension != dimension:
        key = f"{AXES_PREFIX}{','.join(content.coordinate_names)}:{content.spatial_dimension}"
        on_cells[key] = np.zeros(len(cells), dtype=np.int8)
    points = np.hstack([nodes, np.zeros((len(nodes), 3 - dimension))])  # VTK's points are 3-D
    on_points = {}
    for name, values in point_data.items():
        if second and len(np.asarray(values)) == len(nodes):
            on_points[name] = _column(name, values, len(nodes), "nodes")
            continue
        on_points[name] = _column(name, values, count, "points")
        if second:
            every = np.empty((len(nodes), *on_points[name].shape[1:]))
            functions = shape_functions(kind.reference, kind.nodes(2))[0]
            every[cell_nodes] = np.einsum("qk,ck...->cq...", functions, on_points[name][content.cells])
            on_points[name] = every
    file = meshio.Mesh(
        points,
        [(kind.second if second else kind.name, cells)],
        point_data=on_points,
        cell_data={name: [values] for name, values in on_cells.items()},
    )
    with contextlib.redirect_stderr(io.StringIO()), contextlib.redirect_stdout(io.StringIO()):
        meshio.vtu.write(path, file)


def _column(name: str, values: Any, count: int, what: str) -> np.ndarray:
    array = np.asarray(values)
    if array.ndim not in (1, 2) or len(array) != count:
        raise StatementError(f"data {name!r} has shape {array.shape}; the mesh has {count} {what}")
    if array.ndim == 2 and array.shape[1] == 2:
        array = np.hstack([array, np.zeros((count, 1))])  # ParaView knows vectors of three components
    return np.ascontiguousarray(array)


__all__ = ["AXES_PREFIX", "BOUNDARY_PREFIX", "SUBDOMAIN_PREFIX", "write_vtu"]
