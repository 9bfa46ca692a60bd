"""Files for other programs: fields, expressions and residuals of a solution on its mesh, for ParaView."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import meshio
import numpy as np
import sympy as sp

from kinn.geometry.cells import HEXAHEDRON_TO_VTK
from kinn.geometry.mesh import Mesh
from kinn.report.matching import scalars, unchecked
from kinn.report.section import embedded, inside, running_axis, spatial_mesh
from kinn.report.surface import node_places
from kinn.statement.errors import StatementError, suggest

MOST_FILES = 10_000


def write(solution: Any, path: str | Path, **named: Any) -> None:
    """Write a VTU file: fields and expressions on the mesh's nodes, absolute strong residuals and parameters on cells.

    `named` holds coordinates to hold (`t=0.5` writes a snapshot on the mesh of space) and expressions by the name that
    they get in the file. Vectors get three components, matrices of tensors nine, row by row. An equation on subdomains
    has NaN elsewhere, and one whose derivatives the network cannot give is left out.

    Raises StatementError for another ending than .vtu, a folder that does not exist, and a name that is taken.
    """
    at, expressions = _separated(solution.problem, named)
    mesh = spatial_mesh(solution.problem.mesh, at) if at else solution.problem.mesh
    points, cells = _tables(solution, mesh, at, expressions)
    mesh.write(path, point_data=points, cell_data=cells)


def write_series(solution: Any, path: str | Path, times: Iterable[float], **named: Any) -> None:
    """Write the values at `times` on the mesh of space: a .pvd file beside one VTU file for each, or one .xdmf file.

    `times` are values of the axis of time, or of a parameter, that `named` does not hold; otherwise as `write`.

    Raises StatementError for another ending, a problem without such an axis and times outside of it.
    """
    problem, path = solution.problem, Path(path)
    held, expressions = _separated(problem, named)
    name = running_axis(problem.mesh, held)
    kind = path.suffix.lower()
    if kind not in (".pvd", ".xdmf"):
        raise StatementError(f"cannot write {str(path)!r}: a series is a .pvd or .xdmf file; change the ending")
    if not path.resolve().parent.is_dir():
        raise StatementError(f"cannot write {str(path)!r}: its folder does not exist; make it first")
    values = np.atleast_1d(inside(problem.mesh, problem.mesh.coordinate_names.index(name), list(times)))
    if values.ndim != 1 or not 0 < len(values) <= MOST_FILES:
        raise StatementError(f"times have shape {values.shape}; give a list of 1 to {MOST_FILES} values of {name}")
    mesh = spatial_mesh(problem.mesh, {**held, name: values[0]})
    tables = (_tables(solution, mesh, {**held, name: value}, expressions) for value in values)
    (_write_pvd if kind == ".pvd" else _write_xdmf)(path, mesh, values, tables)


def _write_pvd(path: Path, mesh: Mesh, values: np.ndarray, tables: Iterable[Any]) -> None:
    root = ElementTree.Element("VTKFile", type="Collection", version="0.1", byte_order="LittleEndian")
    collection = ElementTree.SubElement(root, "Collection")
    digits = max(3, len(str(len(values) - 1)))
    for i, (value, (points, cells)) in enumerate(zip(values, tables, strict=True)):
        part = path.with_name(f"{path.stem}_{i:0{digits}}.vtu")
        mesh.write(part, point_data=points, cell_data=cells)
        ElementTree.SubElement(collection, "DataSet", timestep=repr(float(value)), group="", part="0", file=part.name)
    ElementTree.indent(root)
    ElementTree.ElementTree(root).write(path, encoding="utf-8", xml_declaration=True)


def _write_xdmf(path: Path, mesh: Mesh, values: np.ndarray, tables: Iterable[Any]) -> None:
    cells = mesh.cells[:, HEXAHEDRON_TO_VTK] if mesh.cell_type == "hexahedron" else mesh.cells
    positions = np.pad(mesh.points, ((0, 0), (0, 3 - mesh.dimension)))
    # As text: meshio puts the HDF5 file of this format into the current folder, wherever the XDMF file goes.
    with meshio.xdmf.TimeSeriesWriter(path, data_format="XML") as writer:
        writer.write_points_cells(positions, [(mesh.cell_type, cells)])
        for value, (on_points, on_cells) in zip(values, tables, strict=True):
            writer.write_data(
                float(value), point_data=on_points, cell_data={name: [row] for name, row in on_cells.items()}
            )


def _separated(problem: Any, named: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Coordinates that are held, and expressions by name."""
    at: dict[str, Any] = {}
    expressions: dict[str, Any] = {}
    for name, value in named.items():
        coordinate = name in problem.mesh.coordinate_names
        if name in problem.fields or name in problem.parameters:
            raise StatementError(f"{name!r} is written anyway; give the expression {name}=... another name")
        if coordinate and (np.ndim(value) > 0 or isinstance(value, sp.Basic)):
            raise StatementError(f"{name}={value}: a coordinate is held at one number; write_series takes more")
        if not coordinate and isinstance(value, (int, float)):
            raise StatementError(
                f"{name}={value}: {name!r} is no coordinate of the mesh{suggest(name, problem.mesh.coordinate_names)}"
            )
        (at if coordinate else expressions)[name] = value
    return at, expressions


def _tables(
    solution: Any, mesh: Mesh, at: Mapping[str, Any], expressions: Mapping[str, Any]
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Values by name on the nodes and on the cells of the mesh, which is the problem's with `at` held."""
    problem = solution.problem
    places = embedded(problem.mesh, node_places(mesh), at)
    wanted = {**{name: list(components) for name, components in problem.fields.items()}, **expressions}
    parts = {name: scalars(what, problem) for name, what in wanted.items()}
    values = np.asarray(unchecked(solution).evaluate([entry for part in parts.values() for entry in part], places))
    columns = iter(values.T)
    on_points = {
        name: _padded(np.stack([next(columns) for _ in part], axis=1), getattr(wanted[name], "shape", None))
        for name, part in parts.items()
    }
    on_cells: dict[str, np.ndarray] = {}
    centers = embedded(problem.mesh, mesh.points[mesh.cells].mean(axis=1), at)
    for name, equation in problem.equations.items():
        cells = mesh.cells_of(equation.on or None)
        try:
            found = np.asarray(unchecked(solution).evaluate(list(equation.residuals()), centers[cells]))
        except StatementError:
            continue
        column = np.full(len(centers), np.nan)
        column[cells] = np.linalg.norm(found, axis=1)
        on_cells[f"residual {name}"] = column
    for name, parameter in getattr(solution, "parameters", {}).items():
        on_cells[name] = np.full(len(centers), parameter.estimate)
    return on_points, on_cells


def _padded(values: np.ndarray, shape: tuple[int, ...] | None) -> np.ndarray:
    """(n,) of a scalar, (n, 3) of a vector, (n, 9) of a square matrix: what ParaView calls scalar, vector, tensor."""
    count = values.shape[1]
    if count == 1:
        return values[:, 0]
    if shape is not None and shape[0] == shape[1] <= 3:
        size = shape[0]
        full = np.zeros((len(values), 3, 3))
        full[:, :size, :size] = values.reshape(-1, size, size)
        return full.reshape(-1, 9)
    return np.pad(values, ((0, 0), (0, max(0, 3 - count))))


__all__ = ["write", "write_series"]
