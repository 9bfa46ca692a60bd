"""The space of a problem: points, cells, and names for parts of the boundary and of the domain."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from kinn.geometry.cells import Content, vertex_keys
from kinn.geometry.corners import interval_ends
from kinn.geometry.grid import Grid
from kinn.geometry.names import BOUNDARY, Names
from kinn.geometry.read import read_content
from kinn.geometry.refine import refined_content
from kinn.geometry.shapes import box_content, product_content
from kinn.geometry.slits import cut_content, upper_faces
from kinn.geometry.write import write_vtu
from kinn.statement.errors import StatementError


class Mesh(Grid):
    """A mesh of intervals, triangles, quadrilaterals, tetrahedra or hexahedra with named parts.

    Args:
        points: (nv, d) coordinates, every one used by a cell.
        cells: (nc, k) vertex numbers of each cell, in scikit-fem's order.
        cell_type: "line", "triangle", "quad", "tetra" or "hexahedron".
        boundaries: name -> facet numbers (scikit-fem's: the lexicographic order of sorted vertices).
        subdomains: name -> cell numbers.
        coordinate_names: one name per axis; longer tuples are cut.
        spatial_dimension: how many leading axes are space (`grad` and `div` act on these); all by default.
        curved: (nc, k, d) places of all nodes of each cell of second order, in scikit-fem's order (vertices first).

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
        curved: Any = None,
    ):
        super().__init__(points, cells, cell_type, coordinate_names, spatial_dimension, curved)
        self._names = Names(self.exterior, len(self.facet_nodes), len(self.cells))
        for name, numbers in (subdomains or {}).items():
            self._names.add_subdomain(str(name), numbers)
        for name, numbers in (boundaries or {}).items():
            self._names.add_boundary(str(name), numbers)

    # How a mesh comes to be.

    @staticmethod
    def read(path: str | Path) -> Mesh:
        """The mesh in a file of Gmsh (2.2 or 4.1, text or binary), VTU or XDMF, with its groups as names.

        Second-order meshes (gmsh -order 2) keep their curved cells.

        Groups of the highest dimension are subdomains, those one below are boundaries, and others are ignored.
        Points that no cell uses (centers of arcs) are dropped. The two faces of a crack (Gmsh's crack plugin puts them
        into one group) get names of their own besides, `crack+` and `crack-`, as from `cut`.

        Raises:
            StatementError: a missing, truncated, unknown or unsuitable file; the text says which.
        """
        mesh = Mesh._of(read_content(Path(path)))
        for name in list(mesh.boundaries):
            mesh._name_faces(name)
        return mesh

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
            content.coordinate_names, content.spatial_dimension, content.curved,
        )  # fmt: skip
        for name, vertices in content.boundaries.items():
            mesh._names.add_boundary(name, mesh._facets_with(name, vertices))
        return mesh

    def _facets_with(self, name: str, vertices: np.ndarray) -> np.ndarray:
        keys = vertex_keys(vertices, len(self.points))
        known = vertex_keys(self.skeleton.facets.T, len(self.points))  # ascending, as scikit-fem numbers facets
        place = np.minimum(np.searchsorted(known, keys), len(known) - 1)
        missing = int((known[place] != keys).sum())
        if missing:
            raise StatementError(
                f"boundary {name!r}: {missing} of its {len(keys)} facets are no facets of the "
                f"{self.kind.plural}; embed the boundary in the domain before meshing"
            )
        return place

    # Its named parts.

    @property
    def boundaries(self) -> dict[str, np.ndarray]:
        """Name -> facet numbers; interfaces inside the domain too. The built-in `boundary` is not listed."""
        return dict(self._names.boundaries)

    @property
    def subdomains(self) -> dict[str, np.ndarray]:
        """Name -> cell numbers."""
        return dict(self._names.subdomains)

    @property
    def interval_ends(self) -> tuple[str, str] | None:
        """Names of the lower and upper end of the last factor of `mesh * Interval(...)`, else None."""
        space_only = self.spatial_dimension == self.dimension
        return None if space_only else interval_ends(self.points[self.skeleton.facets, -1], self._names.boundaries)

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
        self._names.add_boundary(str(name), self._chosen("tag", name, where, self.exterior, "boundary"))
        return self

    def _chosen(self, what: str, name: str, where: Callable[..., Any], facets: np.ndarray, kind: str) -> np.ndarray:
        center = self.kind.reference_facet.mean(axis=0)
        midpoints = self.on_facet(np.tile(center, (len(facets), 1)), facets)[0]
        chosen = np.asarray(where(*midpoints.T), dtype=bool)
        if chosen.shape not in ((), (len(midpoints),)):
            raise StatementError(f"{what} {name!r} gave shape {chosen.shape}; one truth value per facet is needed")
        selected = facets[np.broadcast_to(chosen, len(midpoints))]
        if not len(selected):
            raise StatementError(
                f"{what} {name!r} selects none of the {len(midpoints)} {kind} facets (their midpoints are tested); "
                f"the mesh fills {self._ranges()}"
            )
        return selected

    # What can be made of it.

    def refined(self, n: int = 1) -> Mesh:
        """The mesh with every cell cut into 2^d, `n` times; names, coordinates and dimensions are kept."""
        mesh = self
        for _ in range(n):
            sk = mesh.skeleton
            mesh = Mesh._of(refined_content(mesh._content(), mesh._names.boundaries, sk.facets.T, sk.t2f.T))
        return mesh

    def moved(self, length: float = 1.0, shift: Any = 0.0) -> Mesh:
        """The mesh at `shift + length * points` in space, with all names: other units, or another place.

        >>> Mesh.box((0, 0), (1000, 500), cells=4).moved(1e-3).upper.tolist()     # mm to m
        [1.0, 0.5]
        """
        factor, offset = np.ones(self.dimension), np.zeros(self.dimension)
        factor[: self.spatial_dimension], offset[: self.spatial_dimension] = length, shift
        content = self._content()
        curved = None if content.curved is None else offset + factor * content.curved
        return Mesh._of(content._replace(points=offset + factor * content.points, curved=curved))

    def cut(self, name: str, where: Callable[..., Any] | None = None) -> Mesh:
        """The mesh with a crack: interior facets are doubled, and both faces get names.

        `name` is both faces, `name+` the face of the cells towards larger y (or x, where the crack runs along y) and
        `name-` the other one. Ends inside the domain are tips; ends on the boundary open it.

        Args:
            name: of the crack; without `where`, a name of interior facets that the mesh has (a line in Gmsh).
            where: `where(x, y, ...)` of the midpoints of interior facets (arrays in, booleans out).

        Raises:
            StatementError: nothing is selected, a facet cannot open, or a name is taken.

        >>> mesh = Mesh.box((-1, -1), (1, 1), cells=8).cut("crack", lambda x, y: (abs(y) < 1e-9) & (x < 0))
        >>> len(mesh.boundaries["crack+"]), len(mesh.boundaries["crack"]), mesh.reentrant_corners().tolist()
        (4, 8, [[0.0, 0.0]])
        """
        inner = np.setdiff1d(np.arange(len(self.facet_nodes)), self.exterior)
        if where is None:
            facets = np.intersect1d(self.facets_of(name), inner)
            if not len(facets):
                raise StatementError(f"cut {name!r}: this boundary has no facets inside the domain; it is open already")
        else:
            facets = self._chosen("cut", name, where, inner, "interior")
        sk = self.skeleton
        content, faces = cut_content(
            self._content(), name, facets, sk.facets.T, sk.f2t.T, self._names.boundaries
        )  # fmt: skip
        mesh = Mesh._of(content)
        if where is not None:
            mesh._names.add_boundary(name, mesh._facets_with(name, faces))
        mesh._name_faces(name)
        return mesh

    def _name_faces(self, name: str) -> None:
        """Split a boundary that lies on slits, both faces of each, into `name+` and `name-`; leave others alone."""
        facets = self._names.boundaries[name]
        pairs = self.slit_pairs
        pairs = pairs[np.isin(pairs, facets).all(axis=1)]
        taken = {f"{name}+", f"{name}-"} & {*self._names.boundaries, *self._names.subdomains}
        if taken or not len(pairs) or len(np.unique(pairs)) < len(facets):
            return
        owner = self.skeleton.f2t[0, facets]
        upper = upper_faces(
            self.points, self.skeleton.facets[:, facets].T, np.searchsorted(facets, pairs),
            self.points[self.cells[owner]].mean(axis=1),
        )  # fmt: skip
        self._names.add_boundary(f"{name}+", facets[upper])
        self._names.add_boundary(f"{name}-", facets[~upper])

    def _content(self) -> Content:
        vertices = {name: self.skeleton.facets[:, facets].T for name, facets in self._names.boundaries.items()}
        return Content(
            self.points, self.cells, self.cell_type, vertices, dict(self._names.subdomains),
            self.coordinate_names, self.spatial_dimension, self.nodes[self.cell_nodes] if self.order == 2 else None,
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
        """Write a VTU file for ParaView with values on points (nv, ...) and cells (nc, ...); names survive `read`.

        Second-order cells stay such; values may be given at their nodes (`mesh.nodes`) too.
        """
        facets = self._names.boundaries, self.skeleton.t2f.T, self.skeleton.f2t.T
        nodes = self.nodes, self.cell_nodes
        write_vtu(Path(path), self._content(), *nodes, *facets, point_data or {}, cell_data or {})

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
