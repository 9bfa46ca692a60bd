"""What stands around the vertices of a 2-D problem: cells in the order of their angles, and the materials in them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import sympy as sp
import torch
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from kinn.formulations.pencil import is_elliptic
from kinn.formulations.program import Program
from kinn.geometry.cells import CELL_TYPES, shape_functions, vertex_keys
from kinn.statement.coordinates import Coordinate
from kinn.statement.fields import FieldComponent
from kinn.statement.forms import WeakForm
from kinn.statement.problem import Problem

JUMP = 1e-2  # relative change of C at a place that makes an interface
NEAR = 1e-3  # how far from a vertex or edge, towards the center of the cell, the cell's C is taken


@dataclass(frozen=True)
class Fan:
    """The cells that hang together around a vertex, counterclockwise.

    Attributes:
        cells: (m,). angles: (m,) of each cell there. rotation: direction of the first edge.
        edges: m + 1 edges, in a ring m of them. ring: whether the cells fill the whole turn.
    """

    vertex: int
    cells: np.ndarray
    angles: np.ndarray
    rotation: float
    edges: tuple[int, ...]
    ring: bool

    @property
    def opening(self) -> float:
        return float(self.angles.sum())


class Plane:
    """The 2-D mesh of a problem, or the lower end of its space-time, with the angles of cells at their vertices.

    Attributes:
        points, edges, edge_cells: (nv, 2), vertices (ne, 2), cells on both sides (2, ne), -1 outside.
        exterior: (ne,) booleans. angle: of the domain at each vertex, (nv,). tips: vertices with a whole turn at a slit.
        owner: the cell of the mesh at each cell. centers: (nc, 2). shares: heights at which the last axis is looked at.
    """

    def __init__(self, mesh: Any) -> None:
        self.mesh = mesh
        if mesh.dimension == 2:
            self._vertices, self.owner, self.shares = np.arange(len(mesh.points)), np.arange(len(mesh.cells)), (0.5,)
            kind, nodes, cell_nodes, cells, sk = mesh.kind, mesh.nodes, mesh.cell_nodes, mesh.cells, mesh.skeleton
        else:
            self.shares = (0.5, 0.0, 1.0)
            lower, facets = (
                mesh.points[:, 2] - mesh.lower[2] <= 1e-9 * (mesh.upper - mesh.lower)[2],
                mesh.skeleton.facets,
            )
            ends = np.flatnonzero(lower[facets].all(axis=0))
            self.owner = mesh.skeleton.f2t[0, ends]
            self._vertices = np.where(lower, np.cumsum(lower) - 1, -1)
            kind = CELL_TYPES["triangle" if len(facets) == 3 else "quad"]
            nodes, cells = mesh.points[lower, :2], self._vertices[facets[:, ends]].T
            cell_nodes, sk = cells, kind.skfem(np.ascontiguousarray(nodes.T), np.ascontiguousarray(cells.T))
        order = mesh.order if mesh.dimension == 2 else 1
        self.points, self._cells = nodes[: int(cells.max()) + 1], cells
        self.edges, self.edge_cells, self._cell_edges = sk.facets.T, sk.f2t, sk.t2f.T
        self.exterior = self.edge_cells[1] < 0
        self.centers = nodes[cell_nodes].mean(axis=1)
        self.extent = float(np.ptp(nodes, axis=0).max())
        self._starts, self._angles, self._order = self._corner_angles(kind, nodes[cell_nodes], order)
        self.angle = np.bincount(cells.ravel(), self._angles.ravel(), len(self.points))
        self.tips = np.flatnonzero((self.incident(self.exterior) > 0) & (self.angle > 2 * np.pi - 1e-6))

    def _corner_angles(self, kind: Any, corners: np.ndarray, order: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """At each vertex of each cell, (nc, k): direction of its first edge, angle, and whether it is the edge to the next."""
        reference = kind.reference
        slopes = shape_functions(kind.nodes(order), reference)[1]
        jacobian = np.einsum("cnd,vnr->cvdr", corners, slopes)
        ahead, back = (
            np.einsum("cvdr,vr->cvd", jacobian, np.roll(reference, shift, axis=0) - reference) for shift in (-1, 1)
        )
        turn = np.arctan2(ahead[..., 0] * back[..., 1] - ahead[..., 1] * back[..., 0], (ahead * back).sum(axis=2))
        first = np.where((turn > 0)[..., None], ahead, back)
        return np.arctan2(first[..., 1], first[..., 0]), np.abs(turn), turn > 0

    def lifted(self, x: np.ndarray, share: float = 0.5) -> np.ndarray:
        """Points (n, 2) of the plane as points of the mesh, at a height between the ends of the last axis."""
        if self.mesh.dimension == 2:
            return x
        return np.column_stack([x, np.full(len(x), (1 - share) * self.mesh.lower[2] + share * self.mesh.upper[2])])

    def edges_of(self, facets: np.ndarray) -> np.ndarray:
        """The edges in facets of the mesh; of space-time those facets that stand on its lower end."""
        if self.mesh.dimension == 2:
            return facets
        corners = np.sort(self._vertices[self.mesh.skeleton.facets[:, facets]], axis=0)
        standing = (corners[-3] < 0) & (corners[-2] >= 0)
        keys, wanted = (vertex_keys(rows, len(self.points)) for rows in (self.edges, corners[-2:, standing].T))
        return np.flatnonzero(np.isin(keys, wanted))

    def incident(self, edges: np.ndarray) -> np.ndarray:
        """How many of the edges (a mask) meet at each vertex, (nv,)."""
        return np.bincount(self.edges[edges].ravel(), minlength=len(self.points))

    def fans(self, vertex: int, first: np.ndarray) -> list[Fan]:
        """The fans of cells around a vertex; a ring begins at an edge of the mask `first` where there is one."""
        rows = self._rows[self._row_starts[vertex] : self._row_starts[vertex + 1]]
        count = self._cells.shape[1]
        entries = {}
        for row in rows.tolist():
            cell, local = divmod(row, count)
            sides = self._cell_edges[cell, local], self._cell_edges[cell, local - 1]
            start, end = (int(s) for s in (sides if self._order[cell, local] else sides[::-1]))
            entries[start] = end, cell, float(self._angles[cell, local]), float(self._starts[cell, local])
        ends = {entry[0] for entry in entries.values()}
        starts = [edge for edge in entries if edge not in ends]
        if not starts:
            starts = [next((edge for edge in entries if first[edge]), next(iter(entries)))]
        found = []
        for start in starts:
            edges, members = [start], []
            while edges[-1] in entries and (len(edges) == 1 or edges[-1] != start):
                members.append(entries[edges[-1]])
                edges.append(members[-1][0])
            _, cells, angles, directions = zip(*members, strict=True)
            ring = edges[-1] == start
            found.append(
                Fan(vertex, np.array(cells), np.array(angles), directions[0], tuple(edges[: len(edges) - ring]), ring)
            )
        return found

    @cached_property
    def _rows(self) -> np.ndarray:
        return np.argsort(self._cells.ravel(), kind="stable")

    @cached_property
    def _row_starts(self) -> np.ndarray:
        return np.searchsorted(self._cells.ravel()[self._rows], np.arange(len(self.points) + 1))

    def shortest(self, fan: Fan) -> float:
        """The length of the shortest edge of a fan at its vertex."""
        steps = np.diff(self.points[self.edges[list(fan.edges)]], axis=1)[:, 0]
        return float(np.linalg.norm(steps, axis=1).min())

    def straight(self, mask: np.ndarray, vertex: int, edge: int, direction: float) -> float:
        """How far edges of the mask go on from a vertex in a `direction`, beginning with an edge; 0 if it is curved."""
        chosen = np.flatnonzero(mask)
        ends = np.concatenate([self.edges[chosen], self.edges[chosen][:, ::-1]])
        order = np.argsort(ends[:, 0], kind="stable")
        ends, numbers = ends[order], np.tile(chosen, 2)[order]
        origin, way, at = self.points[vertex], np.array([np.cos(direction), np.sin(direction)]), vertex
        allowed = np.array([edge])
        while True:
            here = slice(*np.searchsorted(ends[:, 0], [at, at + 1]))
            steps = self.points[ends[here, 1]] - self.points[at]
            along = steps @ way > (1 - 1e-7) * np.linalg.norm(steps, axis=1)
            if at == vertex:
                along &= np.isin(numbers[here], allowed)
            if not along.any():
                return float((self.points[at] - origin) @ way)
            at = int(ends[here, 1][along][0])

    def smooth(self, mask: np.ndarray) -> np.ndarray:
        """Where two of the edges (a mask) meet straight, or as facets that follow a curve: with a turn below 50 degrees
        that is alike at both neighbors, (nv,)."""
        count = len(self.points)
        ends = np.concatenate([self.edges[mask], self.edges[mask][:, ::-1]])
        ends = ends[np.argsort(ends[:, 0], kind="stable")]
        plain = np.flatnonzero(self.incident(mask) == 2)
        start = np.searchsorted(ends[:, 0], plain)
        neighbors = np.stack([ends[start, 1], ends[start + 1, 1]], axis=1)
        into, out = self.points[plain] - self.points[neighbors[:, 0]], self.points[neighbors[:, 1]] - self.points[plain]
        turn = np.full(count, np.nan)
        turn[plain] = np.arctan2(into[:, 0] * out[:, 1] - into[:, 1] * out[:, 0], (into * out).sum(axis=1))
        # A neighbor's turn has the opposite sign if its own edges are listed the other way round.
        listed = np.zeros((count, 2), dtype=np.int64)
        listed[plain] = neighbors
        flip = np.stack([listed[neighbors[:, 0], 1] != plain, listed[neighbors[:, 1], 0] != plain], axis=1)
        own, theirs = turn[plain][:, None], turn[neighbors] * np.where(flip, -1, 1)
        alike = (own * theirs > 0) & (np.abs(theirs) < 3 * np.abs(own)) & (np.abs(own) < 3 * np.abs(theirs))
        found = np.zeros(count, dtype=bool)
        curve = (np.abs(turn[plain]) < np.radians(50)) & (alike | np.isnan(theirs)).all(axis=1) & alike.any(axis=1)
        found[plain] = curve | (np.abs(turn[plain]) < 0.02)
        return found


class Operator:
    """C = d flux / d gradient, (c, 2, c, 2) over all components, of the rows of a weak form.

    Attributes:
        blocks: the sets of components that C couples, each a system of its own.
    """

    def __init__(self, problem: Problem, weak: WeakForm) -> None:
        self.count = len(problem.components)
        self._parameters = torch.tensor([p.guess for p in problem.parameters.values()], dtype=torch.float64)
        gradients = [[c.diff(x) for x in problem.mesh.coordinates[:2]] for c in problem.components]
        groups = {row.on: [other for other in weak.rows if other.on == row.on] for row in weak.rows}
        self.programs: list[tuple[np.ndarray, Program]] = []
        self.varies = len(groups) > 1
        couples, bare = np.zeros((2, self.count, self.count), dtype=bool)
        for on, rows in groups.items():
            entries = _derivatives([row.flux for row in rows], gradients)
            nonzero = np.array([e != 0 for e in entries]).reshape(self.count, 2, self.count, 2)
            couples |= nonzero.any(axis=(1, 3))
            for row in rows:
                held = {c for entry in row.flux for c in _at_rest(entry).atoms(FieldComponent)}
                bare[row.component_index, [problem.index(c) for c in held]] = True
            self.varies |= any(_varies(entry) for entry in entries)
            self.programs.append((problem.mesh.cells_of(on or None), Program(entries, problem)))
        number = connected_components(coo_array(couples | couples.T), directed=False)[1]
        blocks = [tuple(np.flatnonzero(number == k).tolist()) for k in range(number.max() + 1)]
        # A flux that holds a value without an operator of its own, as a pressure, is no elliptic system of this kind.
        without = np.flatnonzero(~couples.any(axis=1))
        self.blocks = [b for b in blocks if couples[np.ix_(b, b)].any() and not bare[list(b)][:, without].any()]

    def tensors(self, x: np.ndarray, cells: np.ndarray, fields: float = 0.0) -> np.ndarray:
        """C (n, c, 2, c, 2) at points x (n, d) in `cells` (n,), all fields being constant; NaN where no row holds."""
        found = np.full((len(x), (2 * self.count) ** 2), np.nan)
        for own, program in self.programs:
            here = np.isin(cells, own)
            if here.any():
                points = torch.from_numpy(np.ascontiguousarray(x[here]))
                jets = [torch.full((len(points),), 0.0 if any(index) else fields) for _, index in program.jets]
                z = torch.stack(jets).double() if jets else torch.zeros(0, len(points), dtype=torch.float64)
                found[here] = program(z, points, parameters=self._parameters).T.numpy()
        return found.reshape(-1, self.count, 2, self.count, 2)

    def interfaces(self, plane: Plane) -> np.ndarray:
        """The inner edges (ne,) across which C jumps."""
        found = np.zeros(len(plane.edges), dtype=bool)
        if not self.varies:
            return found
        inner = np.flatnonzero(~plane.exterior)
        centers = self.tensors(plane.lifted(plane.centers), plane.owner)
        inner = inner[differ(*centers[plane.edge_cells[:, inner]])]
        middle = plane.points[plane.edges[inner]].mean(axis=1)
        one, two = (
            self.tensors(plane.lifted(middle + NEAR * (plane.centers[side] - middle)), plane.owner[side])
            for side in plane.edge_cells[:, inner]
        )
        found[inner[differ(one, two)]] = True
        return found

    def around(self, plane: Plane, fan: Fan, block: Sequence[int]) -> np.ndarray | None:
        """C (cells of the fan, c, 2, c, 2) of a block; None if it is not elliptic, or depends on the last coordinate."""
        point = plane.points[fan.vertex]
        x = point + NEAR * (plane.centers[fan.cells] - point)
        pick = np.ix_(range(len(x)), block, range(2), block, range(2))
        for fields in (0.0, 1.0):
            heights = [self.tensors(plane.lifted(x, s), plane.owner[fan.cells], fields)[pick] for s in plane.shares]
            if all(is_elliptic(c) for own in heights for c in own):
                scaled = [own / np.abs(own).max() for own in heights]
                same = all(np.abs(other - scaled[0]).max() < 1e-6 for other in scaled)
                # A row may stand with either sign.
                return heights[0] * np.sign(heights[0][0, 0, 0, 0, 0]) if same else None
        return None


def _derivatives(fluxes: Sequence[tuple[Any, ...]], gradients: list[list[Any]]) -> list[Any]:
    """d flux_ck / d (du_e / dx_l), flattened in the order c, k, e, l."""
    nodes = {node for flux in fluxes for entry in flux for node in entry.atoms(sp.Derivative, FieldComponent)}
    marks: dict[Any, Any] = {node: sp.Dummy() for node in [*nodes, *(g for row in gradients for g in row)]}
    back = {mark: node for node, mark in marks.items()}
    plain = [entry.xreplace(marks) for flux in fluxes for entry in flux]
    return [entry.diff(marks[g]).xreplace(back) for entry in plain for row in gradients for g in row]


def _at_rest(expression: Any) -> Any:
    """The expression where all fields are constant."""
    slopes = {node for node in expression.atoms(sp.Derivative) if isinstance(node.expr, FieldComponent)}
    return expression.xreplace(dict.fromkeys(slopes, sp.S.Zero))


def _varies(expression: Any) -> bool:
    plain = _at_rest(expression)
    plain = plain.xreplace(dict.fromkeys(plain.atoms(FieldComponent), sp.S.One))
    return any(isinstance(symbol, Coordinate) for symbol in plain.free_symbols)


def differ(one: np.ndarray, two: np.ndarray) -> np.ndarray:
    """Where C (..., c, 2, c, 2) of two sides differ as two materials do, (...)."""
    axes = (-4, -3, -2, -1)
    return np.abs(one - two).max(axis=axes) > JUMP * np.maximum(np.abs(one), np.abs(two)).max(axis=axes)


__all__ = ["Fan", "Operator", "Plane", "differ"]
