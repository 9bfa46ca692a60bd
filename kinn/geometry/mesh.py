"""The space of a problem: points, cells, and names for parts of the boundary and of the domain."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import sympy as sp

from kinn.geometry.cells import CELL_TYPES, CellType, Content, vertex_keys
from kinn.geometry.checks import check_cells, check_names
from kinn.geometry.corners import box_sides, interval_ends, reentrant_corners
from kinn.geometry.locate import Locator
from kinn.geometry.names import BOUNDARY, Names
from kinn.geometry.read import read_content
from kinn.geometry.refine import refined_content
from kinn.geometry.rules import cell_volumes
from kinn.geometry.shapes import box_content, product_content
from kinn.geometry.write import write_vtu
from kinn.statement.coordinates import Coordinate, MeshSymbol, Normal
from kinn.statement.errors import StatementError, suggest


class Mesh:
    """A mesh of intervals, triangles, quadrilaterals, tetrahedra or hexahedra with named parts.

    Args:
        points: (nv, d) coordinates, every one used by a cell.
        cells: (nc, k) vertex numbers of each cell, in scikit-fem's order.
        cell_type: "line", "triangle", "quad", "tetra" or "hexahedron".
        boundaries: name -> facet numbers (scikit-fem's: the lexicographic order of sorted vertices).
        subdomains: name -> cell numbers.
        coordinate_names: one name per axis; longer tuples are cut.
        spatial_dimension: how many leading axes are space (`grad` and `div` act on these); all by default.

    Raises:
        StatementError: degenerate, overlapping or unused parts, a name used twice.

    The content never changes, but `tag` adds a name.

    >>> mesh = Mesh.box((0, 0), (2, 1), cells=4)
    >>> sorted(mesh.boundaries), round(mesh.measure, 12)
    (['bottom', 'left', 'right', 'top'], 2.0)
    """

    def __init__(
        self,
        points: Any,
        cells: Any,
        cell_type: str,
        boundaries: Mapping[str, Any] | None = None,
        subdomains: Mapping[str, Any] | None = None,
        coordinate_names: Sequence[str] = ("x", "y", "z"),
        spatial_dimension: int | None = None,
    ):
        if cell_type not in CELL_TYPES:
            raise StatementError(f"cell type {cell_type!r} is not known" + suggest(cell_type, CELL_TYPES))
        self.kind: CellType = CELL_TYPES[cell_type]
        self.points, self.cells = check_cells(self.kind, points, cells)
        self.dimension: int = self.kind.dimension
        self.spatial_dimension: int = self.dimension if spatial_dimension is None else int(spatial_dimension)
        self.coordinate_names: tuple[str, ...] = tuple(str(name) for name in coordinate_names[: self.dimension])
        check_names(self.coordinate_names, self.dimension, self.spatial_dimension)
        self._names = Names(self.exterior, self.skfem.nfacets, len(self.cells))
        for name, numbers in (subdomains or {}).items():
            self._names.add_subdomain(str(name), numbers)
        for name, numbers in (boundaries or {}).items():
            self._names.add_boundary(str(name), numbers)

    # How a mesh comes to be.

    @staticmethod
    def read(path: str | Path) -> Mesh:
        """The mesh in a Gmsh file (2.2 or 4.1, text or binary) or a VTU file, with its groups as names.

        Groups of the highest dimension are subdomains, those one below are boundaries, and others are ignored.
        Points that no cell uses (centers of arcs) are dropped.

        Raises:
            StatementError: a missing, truncated, unknown or unsuitable file; the text says which.
        """
        return Mesh._of(read_content(Path(path)))

    @staticmethod
    def box(lower: Any, upper: Any, cells: int | Sequence[int] | None = None) -> Mesh:
        """An interval, rectangle or cuboid of simplices; sides `left right bottom top front back` (front: lower z).

        Args:
            lower, upper: the corners; numbers in 1-D.
            cells: number of divisions, of the longest axis or per axis; 16 by default (6 in 3-D).
        """
        return Mesh._of(box_content(lower, upper, cells))

    @staticmethod
    def _of(content: Content) -> Mesh:
        mesh = Mesh(
            content.points, content.cells, content.cell_type, None, content.subdomains,
            content.coordinate_names, content.spatial_dimension,
        )  # fmt: skip
        for name, vertices in content.boundaries.items():
            mesh._names.add_boundary(name, mesh._facets_with(name, vertices))
        return mesh

    def _facets_with(self, name: str, vertices: np.ndarray) -> np.ndarray:
        keys = vertex_keys(vertices, len(self.points))
        known = vertex_keys(self.skfem.facets.T, len(self.points))  # ascending, as scikit-fem numbers facets
        place = np.minimum(np.searchsorted(known, keys), len(known) - 1)
        missing = int((known[place] != keys).sum())
        if missing:
            raise StatementError(
                f"boundary {name!r}: {missing} of its {len(keys)} facets are no facets of the "
                f"{self.kind.plural}; embed the boundary in the domain before meshing"
            )
        return place

    # What it is.

    @cached_property
    def skfem(self) -> Any:
        """The scikit-fem mesh with the same points, cells and facet numbers; it carries no names."""
        return self.kind.skfem(np.ascontiguousarray(self.points.T), np.ascontiguousarray(self.cells.T))

    @cached_property
    def exterior(self) -> np.ndarray:
        """Numbers of all facets with a cell on one side only."""
        return self.skfem.boundary_facets().astype(np.int64)

    @property
    def cell_type(self) -> str:
        """meshio's name of the cells' shape."""
        return self.kind.name

    @property
    def boundaries(self) -> dict[str, np.ndarray]:
        """Name -> facet numbers; interfaces inside the domain too. The built-in `boundary` is not listed."""
        return dict(self._names.boundaries)

    @property
    def subdomains(self) -> dict[str, np.ndarray]:
        """Name -> cell numbers."""
        return dict(self._names.subdomains)

    @cached_property
    def identity(self) -> str:
        """SHA-256 of points, cells and coordinates, not of names: what makes fields of two meshes different."""
        digest = hashlib.sha256(f"{self.cell_type} {self.coordinate_names} {self.spatial_dimension}".encode())
        digest.update(np.ascontiguousarray(self.points, dtype="<f8").tobytes())
        digest.update(np.ascontiguousarray(self.cells, dtype="<i8").tobytes())
        return digest.hexdigest()

    @cached_property
    def coordinates(self) -> tuple[MeshSymbol, ...]:
        """SymPy symbols of the axes: `x, y = mesh.coordinates`."""
        return tuple(Coordinate(name, self.identity, axis) for axis, name in enumerate(self.coordinate_names))

    @cached_property
    def normal(self) -> sp.ImmutableMatrix:
        """The exterior unit normal as a column of SymPy symbols `n_x, n_y, ...`, one per spatial axis."""
        names = self.coordinate_names[: self.spatial_dimension]
        return sp.ImmutableMatrix([Normal(f"n_{name}", self.identity, axis) for axis, name in enumerate(names)])

    @cached_property
    def volumes(self) -> np.ndarray:
        """Length, area or volume of each cell, (nc,)."""
        return cell_volumes(self.kind, self.points, self.cells)

    @cached_property
    def measure(self) -> float:
        """Length, area or volume of the domain."""
        return float(self.volumes.sum())

    @cached_property
    def lower(self) -> np.ndarray:
        """Lower corner of the bounding box, (d,)."""
        return self.points.min(axis=0)

    @cached_property
    def upper(self) -> np.ndarray:
        """Upper corner of the bounding box, (d,)."""
        return self.points.max(axis=0)

    @property
    def scale(self) -> np.ndarray:
        """Half the extent along each axis, (d,): what coordinates are divided by to lie in [-1, 1]."""
        return (self.upper - self.lower) / 2

    @property
    def interval_ends(self) -> tuple[str, str] | None:
        """Names of the lower and upper end of the last factor of `mesh * Interval(...)`, else None."""
        space_only = self.spatial_dimension == self.dimension
        return None if space_only else interval_ends(self.points[self.skfem.facets, -1], self._names.boundaries)

    # Its named parts.

    def facets_of(self, on: str | Iterable[str]) -> np.ndarray:
        """Facet numbers of one or more boundary names, each once; `boundary` is the whole exterior boundary."""
        return self._names.facets_of(on)

    def cells_of(self, on: str | Iterable[str] | None = None) -> np.ndarray:
        """Cell numbers of one or more subdomain names, each once; all cells for None."""
        return self._names.cells_of(on)

    def is_boundary(self, on: str | Iterable[str] | None) -> bool:
        """Whether `on` names boundaries (True), or subdomains or the whole domain (False)."""
        return self._names.is_boundary(on)

    def tag(self, name: str, where: Callable[..., Any]) -> Mesh:
        """Name the exterior facets whose midpoints satisfy `where(x, y, ...)` (arrays in, booleans out).

        Raises:
            StatementError: nothing is selected, or the name is taken.
        """
        midpoints = self.points[self.skfem.facets[:, self.exterior]].mean(axis=0)
        chosen = np.asarray(where(*midpoints.T), dtype=bool)
        if chosen.shape not in ((), (len(midpoints),)):
            raise StatementError(f"tag {name!r} gave shape {chosen.shape}; one truth value per facet is needed")
        facets = self.exterior[np.broadcast_to(chosen, len(midpoints))]
        if not len(facets):
            raise StatementError(
                f"tag {name!r} selects none of the {len(midpoints)} boundary facets (their midpoints are tested); "
                f"the mesh fills {self._ranges()}"
            )
        self._names.add_boundary(str(name), facets)
        return self

    # What can be made of it.

    def refined(self, n: int = 1) -> Mesh:
        """The mesh with every cell cut into 2^d, `n` times; names, coordinates and dimensions are kept."""
        mesh = self
        for _ in range(n):
            sk = mesh.skfem
            mesh = Mesh._of(refined_content(mesh._content(), mesh._names.boundaries, sk.facets.T, sk.t2f.T))
        return mesh

    def _content(self) -> Content:
        vertices = {name: self.skfem.facets[:, facets].T for name, facets in self._names.boundaries.items()}
        return Content(
            self.points, self.cells, self.cell_type, vertices, dict(self._names.subdomains),
            self.coordinate_names, self.spatial_dimension,
        )  # fmt: skip

    def __mul__(self, interval: Mesh) -> Mesh:
        """Space times an interval of time or of a parameter: `mesh * Interval("t", 0, 1)`.

        Names extend along the interval; its ends keep their names (`t=0`, `t=1`); `spatial_dimension` stays.
        """
        if not isinstance(interval, Mesh):
            return NotImplemented
        return Mesh._of(product_content(self._content(), interval._content()))

    def write(
        self,
        path: str | Path,
        point_data: Mapping[str, Any] | None = None,
        cell_data: Mapping[str, Any] | None = None,
    ) -> None:
        """Write a VTU file for ParaView with values on points (nv, ...) and cells (nc, ...); names survive `read`."""
        facets = self._names.boundaries, self.skfem.t2f.T, self.skfem.f2t.T
        write_vtu(Path(path), self._content(), *facets, point_data or {}, cell_data or {})

    # Questions about it.

    @cached_property
    def _locator(self) -> Locator:
        return Locator(self.kind, self.points, self.cells)

    def locate(self, points: Any, tolerance: float = 1e-6) -> np.ndarray:
        """Number of the cell that holds each point (n, d), or -1; `tolerance` is relative to each axis' extent."""
        return self._locator(points, tolerance)

    def contains(self, points: Any, tolerance: float = 1e-6) -> np.ndarray:
        """Whether each point (n, d) lies in the domain, or outside by less than `tolerance` times its extent."""
        return self.locate(points, tolerance) >= 0

    def box_sides(self) -> dict[tuple[int, int], np.ndarray] | None:
        """(axis, 0 lower | 1 upper) -> facet numbers, if the domain is exactly its bounding box, else None."""
        return box_sides(self.points, self.exterior, self.skfem.facets[:, self.exterior].T, self.measure)

    def reentrant_corners(self) -> np.ndarray:
        """Where the angle in space passes pi: vertices in 2-D, midpoints of edges in 3-D or along time, (m, d)."""
        return reentrant_corners(self._content(), self.skfem.facets[:, self.exterior].T)

    def _ranges(self) -> str:
        axes = zip(self.coordinate_names, self.lower, self.upper, strict=True)
        return ", ".join(f"{axis} in [{low:g}, {high:g}]" for axis, low, high in axes)

    def __repr__(self) -> str:
        text = f"Mesh({len(self.cells)} {self.kind.plural}, {len(self.points)} points, {self._ranges()}"
        for title, table in (("boundaries", self._names.boundaries), ("subdomains", self._names.subdomains)):
            if table:
                text += f"; {title}: " + ", ".join(f"{name!r} ({len(part)})" for name, part in table.items())
        return text + ")"


__all__ = ["BOUNDARY", "Mesh"]
