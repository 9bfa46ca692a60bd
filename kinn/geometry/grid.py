"""Cells in space without names: what a mesh is made of, and questions about places and shapes."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
import skfem
import sympy as sp

from kinn.geometry.cells import CELL_TYPES, CellType, facet_vectors, shape_functions, vertex_keys
from kinn.geometry.checks import check_cells, check_curved, check_names
from kinn.geometry.corners import box_sides, reentrant_corners, sagittas
from kinn.geometry.disks import Circle, disk
from kinn.geometry.locate import Locator
from kinn.geometry.mapping import inverse_map
from kinn.geometry.rules import cell_volumes
from kinn.geometry.slits import slit_pairs
from kinn.statement.coordinates import Coordinate, MeshSymbol, Normal
from kinn.statement.errors import StatementError, suggest


class Grid:
    """The base of `Mesh`: points, cells and their geometry; see there for the arguments.

    Attributes:
        points, cells: coordinates (nv, d) of the vertices, and vertex numbers (nc, k).
        nodes, cell_nodes: the same with the control nodes of a mesh of second order behind the vertices; of first
            order, `points` and `cells` again.
    """

    def __init__(
        self,
        points: Any,
        cells: Any,
        cell_type: str,
        coordinate_names: Sequence[str] = ("x", "y", "z"),
        spatial_dimension: int | None = None,
        curved: Any = None,
    ):
        if cell_type not in CELL_TYPES:
            raise StatementError(f"cell type {cell_type!r} is not known" + suggest(cell_type, CELL_TYPES))
        self.kind: CellType = CELL_TYPES[cell_type]
        self.order: int = 1 if curved is None or self.kind.curved is None else 2
        self.points, self.cells, curved = check_cells(self.kind, points, cells, curved if self.order == 2 else None)
        self.dimension: int = self.kind.dimension
        self.spatial_dimension: int = self.dimension if spatial_dimension is None else int(spatial_dimension)
        self.coordinate_names: tuple[str, ...] = tuple(str(name) for name in coordinate_names[: self.dimension])
        check_names(self.coordinate_names, self.dimension, self.spatial_dimension)
        self.nodes, self.cell_nodes = self.points, self.cells
        if self.order == 2:
            self.nodes, self.cell_nodes = check_curved(self.kind, self._dofs, self.points, curved)

    # What it is made of.

    @cached_property
    def skeleton(self) -> Any:
        """The scikit-fem mesh of straight cells on the vertices; `skfem` itself for a mesh of first order."""
        return self.kind.skfem(np.ascontiguousarray(self.points.T), np.ascontiguousarray(self.cells.T))

    @cached_property
    def skfem(self) -> Any:
        """The scikit-fem mesh with the same vertices, cells and facet numbers, curved if this is; it carries no names."""
        if self.order == 1:
            return self.skeleton
        return self.kind.curved(np.ascontiguousarray(self.nodes.T), np.ascontiguousarray(self.cells.T))

    @cached_property
    def _dofs(self) -> Any:
        return skfem.Dofs(self.skeleton, self.kind.curved.elem())

    @cached_property
    def facet_nodes(self) -> np.ndarray:
        """Nodes of each facet (nf, k): its vertices, and in a mesh of second order its edges in turn and its center."""
        facets = self.skeleton.facets.T.astype(np.int64)
        if self.order == 1:
            return facets
        columns = [facets]
        if self.dimension == 3:
            known = vertex_keys(self.skeleton.edges.T, len(self.points))
            order = np.argsort(known)
            for k in range(facets.shape[1]):
                keys = vertex_keys(facets[:, [k, (k + 1) % facets.shape[1]]], len(self.points))
                columns.append(self._dofs.edge_dofs[0, order[np.searchsorted(known[order], keys)]][:, None])
        if self.kind.facet != "triangle":
            columns.append(self._dofs.facet_dofs[0][:, None])
        return np.hstack(columns).astype(np.int64)

    @cached_property
    def exterior(self) -> np.ndarray:
        """Numbers of all facets with a cell on one side only."""
        return self.skeleton.boundary_facets().astype(np.int64)

    @property
    def cell_type(self) -> str:
        """meshio's name of the cells' shape, whatever their order."""
        return self.kind.name

    @cached_property
    def identity(self) -> str:
        """SHA-256 of nodes, cells and coordinates, not of names: what makes fields of two meshes different."""
        digest = hashlib.sha256(f"{self.cell_type} {self.coordinate_names} {self.spatial_dimension}".encode())
        digest.update(np.ascontiguousarray(self.nodes, dtype="<f8").tobytes())
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

    # Its size.

    @cached_property
    def volumes(self) -> np.ndarray:
        """Length, area or volume of each cell, (nc,)."""
        return cell_volumes(self.kind, self.order, self.nodes[self.cell_nodes])

    @cached_property
    def measure(self) -> float:
        """Length, area or volume of the domain."""
        return float(self.volumes.sum())

    @cached_property
    def lower(self) -> np.ndarray:
        """Lower corner of the bounding box, (d,)."""
        return self.nodes.min(axis=0)

    @cached_property
    def upper(self) -> np.ndarray:
        """Upper corner of the bounding box, (d,)."""
        return self.nodes.max(axis=0)

    @property
    def scale(self) -> np.ndarray:
        """Half the extent along each axis, (d,): what coordinates are divided by to lie in [-1, 1]."""
        return (self.upper - self.lower) / 2

    # Questions about places.

    @cached_property
    def _locator(self) -> Locator:
        return Locator(self.kind, self.points, self.cells, self.nodes[self.cell_nodes] if self.order == 2 else None)

    def locate(self, points: Any, tolerance: float = 1e-6) -> np.ndarray:
        """Number of the cell that holds each point (n, d), or -1; `tolerance` is relative to each axis' extent."""
        return self._locator(points, tolerance)

    def contains(self, points: Any, tolerance: float = 1e-6) -> np.ndarray:
        """Whether each point (n, d) lies in the domain, or outside by less than `tolerance` times its extent."""
        return self.locate(points, tolerance) >= 0

    def reference(self, x: Any, cell: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Reference coordinates X (n, d) of points x (n, d), each in or next to its `cell` (n,), and dx/dX (n, d, d)."""
        corners = self.nodes[self.cell_nodes[cell]]
        place, _, jacobian = inverse_map(self.kind.nodes(self.order), corners, np.asarray(x, dtype=float))
        return place, jacobian

    def on_facet(self, place: np.ndarray, facet: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Points (n, d) at reference coordinates `place` (n, d - 1) of facets (n,), and unit normals (n, d) there.

        The normals are exterior; on a facet inside the domain they point out of its first cell.
        """
        shapes, slopes = shape_functions(self.kind.facet_nodes(self.order), place)
        corners = self.nodes[self.facet_nodes[facet]]
        vectors = facet_vectors(np.swapaxes(corners, 1, 2) @ slopes)[:, None]
        normals = self.outward(self.skeleton.f2t[0, facet], corners, vectors)[:, 0]
        return np.einsum("nk,nkd->nd", shapes, corners), normals / np.linalg.norm(normals, axis=1, keepdims=True)

    def outward(self, owner: np.ndarray, corners: np.ndarray, vectors: np.ndarray) -> np.ndarray:
        """`vectors` (f, q, d) across facets with `corners` (f, k, d), turned to point out of the cells `owner` (f,)."""
        away = corners.mean(axis=1) - self.nodes[self.cell_nodes[owner]].mean(axis=1)
        # One sign for a facet: its vector may turn along a bent face, but not by more than a right angle.
        sign = np.where((vectors.mean(axis=1) * away).sum(axis=1) < 0, -1.0, 1.0)
        return vectors * sign[:, None, None]

    def inward(self, x: np.ndarray, cell: np.ndarray) -> np.ndarray:
        """Points x (n, d) moved by 1e-9 of the extent towards the center of their cell (n,).

        There a function that jumps across a slit or an interface takes the value of the point's own side.
        """
        offset = (self.nodes[self.cell_nodes[cell]].mean(axis=1) - x) / (self.upper - self.lower)
        distance = np.linalg.norm(offset, axis=1, keepdims=True)
        share = np.minimum(1e-9 / np.maximum(distance, 1e-300), 0.5)
        return x + share * offset * (self.upper - self.lower)

    # Questions about shapes.

    @cached_property
    def slit_pairs(self) -> np.ndarray:
        """Facet numbers (p, 2) of exterior facets that lie on one another: the two faces of cracks."""
        corners = self.nodes[self.facet_nodes[self.exterior]]
        return self.exterior[slit_pairs(corners, float(np.ptp(self.nodes, axis=0).max()))]

    @cached_property
    def slit(self) -> np.ndarray:
        """Numbers of the exterior facets on a slit, where another exterior facet lies on them; empty without one."""
        return np.unique(self.slit_pairs)

    def box_sides(self) -> dict[tuple[int, int], np.ndarray] | None:
        """(axis, 0 lower | 1 upper) -> facet numbers, if the domain is exactly its bounding box, else None."""
        corners = self.nodes[self.facet_nodes[self.exterior]]
        return box_sides(self.lower, self.upper, self.exterior, corners, self.measure)

    def disk(self) -> Circle | None:
        """The circle that is the whole boundary of a plane mesh of second order, whose facets can be arcs, else None."""
        return disk(self)

    def reentrant_corners(self) -> np.ndarray:
        """Where the angle in space passes pi: vertices in 2-D, midpoints of edges in 3-D or along time, (m, d).

        The tip of a slit is one. Vertices at which straight facets follow a curve are none (`straight_error`).
        """
        return reentrant_corners(self)

    def straight_error(self) -> float:
        """Estimated largest distance between straight facets and the curve they follow, relative to the extent.

        The turns at vertices of a smooth chain of facets give its radius, and `h turn / 8` the height of the arc over a
        facet of length h. 0 for polygons, for meshes of second order, in 1-D, and in 3-D space.
        """
        return float(sagittas(self).max(initial=0.0))


__all__ = ["Grid"]
