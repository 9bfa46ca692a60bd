"""Finite elements as test functions: assembly of a weak form around any trial solution.

One assembly serves three masters: finite element solutions, weak training (trial = network, tests = elements), estimates.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
import skfem
import sympy as sp
import torch
from scipy import sparse
from torch import Tensor

from kinn.formulations.corner_rules import Rule
from kinn.formulations.integrands import cell_pieces, facet_pieces, strong_pieces
from kinn.formulations.mixed import lower_components, means_of_corners
from kinn.formulations.parts import Parts
from kinn.formulations.pieces import ELEMENTS, CurvedMapping, Piece, make_piece, owners
from kinn.formulations.program import Program
from kinn.formulations.scaling import pointwise_slopes
from kinn.formulations.ties import Numbering, Tied, Ties
from kinn.geometry import Mesh, reference_rule
from kinn.statement.coefficients import CoefficientFunction
from kinn.statement.problem import Problem
from kinn.statement.terms import InterfaceTie, WeakForm

NOWHERE = np.zeros((0, 2))


class GalerkinSpace(Tied):
    """Continuous elements of `order` 1 or 2 on a mesh for every component of a problem; of one order less, and then 2 for all
    others, for a component that is a pressure (see `mixed`).

    Degrees of freedom are numbered component after component: `c n + i` for function i of n. Every part of the mesh has its
    own, tied to those of its neighbors: vectors and matrices hold masters and jumps (see `ties`), while `values` gives what
    the elements take at their nodes.

    Args:
        extra: degree that the quadrature has beyond what two elements need.
        parts: of the mesh, with elements of their own.
        corners: points (k, 2) around which trial solutions are singular.

    Attributes:
        n, size: degrees of freedom of one component and of all.
        nodes, part: where (n, d) and in which part (n,) each one sits.
    """

    def __init__(
        self,
        problem: Problem,
        weak: WeakForm,
        mesh: Mesh,
        order: int = 2,
        extra: int = 2,
        parts: Parts | None = None,
        corners: np.ndarray = NOWHERE,
    ) -> None:
        self.lower = lower_components(problem, weak)
        order = 2 if self.lower else order
        self.problem, self.weak, self.mesh, self.order, self.corners = problem, weak, mesh, order, corners
        self.element = ELEMENTS[mesh.cell_type, order]()
        degree = 2 * order + extra - 2
        # scikit-fem's own rules on tetrahedra are not exact at their order
        rules = [(mesh.dimension, mesh.kind.is_simplex), (mesh.dimension - 1, mesh.kind.facet != "quad")]
        found = [reference_rule(dimension, simplex, degree) for dimension, simplex in rules]
        self._rule, self._facet_rule = ((np.ascontiguousarray(nodes.T), weights) for nodes, weights in found)
        self.basis = skfem.Basis(mesh.skfem, self.element, quadrature=self._rule)
        if parts is None and any(isinstance(tie, InterfaceTie) for tie in weak.ties):
            parts = Parts.of(problem)
        self.cell_part = (parts or Parts(mesh, ())).numbers(mesh)
        self._numbering = Numbering(np.asarray(self.basis.element_dofs).T, self.cell_part, self.basis.N)
        self.n, self.part, self.dofs = len(self._numbering), self._numbering.part, self._numbering.element_dofs
        super().__init__([self._ties(component, parts) for component in range(len(problem.components))], self.n)
        self.pieces = cell_pieces(self) + facet_pieces(self)

    def _ties(self, component: int, parts: Parts | None) -> Ties:
        def parts_of(side: str) -> np.ndarray:
            return np.unique(self.cell_part[self.mesh.cells_of(side)])

        def nodes_of(on: tuple[str, ...]) -> np.ndarray:
            return self._nodes_on(self.mesh.facets_of(on))

        doflocs, means = np.asarray(self.basis.doflocs).T, None
        if component in self.lower:
            means = means_of_corners(self.mesh.cell_type, np.asarray(self.basis.elem.doflocs), self.dofs, self.n)
        return Ties(component, self.weak.ties, self._numbering, doflocs, nodes_of, parts_of, means)

    @cached_property
    def strong_pieces(self) -> list[Piece]:
        """The same residual for a smooth trial solution, integrated back by parts."""
        return strong_pieces(self)

    def in_cells(self, cells: np.ndarray, rule: Rule | None = None) -> Any:
        """The scikit-fem basis on some cells, with its own quadrature rule."""
        if rule is None and len(cells) == len(self.mesh.cells):
            return self.basis
        return skfem.Basis(self.mesh.skfem, self.element, quadrature=rule or self._rule, elements=cells)

    def on_facets(self, facets: np.ndarray, rule: Rule | None = None) -> Any:
        """The scikit-fem basis on some facets, with its own quadrature rule."""
        sk = self.mesh.skfem
        mapping = CurvedMapping(sk, sk.elem(), sk.bndelem) if self.mesh.order == 2 else None
        return skfem.FacetBasis(sk, self.element, mapping=mapping, quadrature=rule or self._facet_rule, facets=facets)

    def piece(self, basis: Any, expressions: list[sp.Expr], slots: list[tuple[int, int]], n_gradients: int) -> Piece:
        dofs = self._numbering.of(np.asarray(basis.element_dofs).T, self.cell_part[owners(basis)])
        return make_piece(self.problem, self.mesh, basis, dofs, self.cell_part, expressions, slots, n_gradients)

    @cached_property
    def h1(self) -> list[sparse.csc_array]:
        """For each component the inner product `int u v / L^2 + grad u . grad v` (n, n), gradients in space, L half the
        largest extent in space; without gradients for pressures, whose errors are those of the slopes of velocities."""
        length = float(self.mesh.scale[: self.mesh.spatial_dimension].max())
        trials, weight = self.all_cells
        spatial = trials[..., 1 : 1 + self.mesh.spatial_dimension]
        mass = np.einsum("eq,eaq,ebq->eab", weight, trials[..., 0], trials[..., 0], optimize=True) / length**2
        both = mass + np.einsum("eq,eaqk,ebqk->eab", weight, spatial, spatial, optimize=True)
        whole = _scatter(both, self.dofs, self.dofs, self.n).tocsc()
        flat = _scatter(mass, self.dofs, self.dofs, self.n).tocsc() if self.lower else whole
        found = []
        for c, ties in enumerate(self.ties):
            own, p = flat if c in self.lower else whole, ties.matrix(self.n)
            found.append((p.T @ own @ p).tocsc() if len(ties.slaves) or len(ties.surplus) else own)
        return found

    @cached_property
    def all_cells(self) -> tuple[np.ndarray, np.ndarray]:
        for piece in self.pieces:
            if piece.normal is None and len(piece.dofs) == len(self.mesh.cells):
                return piece.trials.numpy(), piece.weight.numpy()
        piece = self.piece(self.basis, [sp.S.Zero], [(0, 0)], self.mesh.spatial_dimension)
        return piece.trials.numpy(), piece.weight.numpy()

    @cached_property
    def places(self) -> np.ndarray:
        """Points (n, d) of the degrees of freedom."""
        return np.ascontiguousarray(np.asarray(self.basis.doflocs).T)[self._numbering.node]

    @cached_property
    def nodes(self) -> np.ndarray:
        """Points (n, d) where the elements interpolate, moved a little to their side where values jump: on a slit, and where
        an interface ends if given values do."""
        found, node = self.places.copy(), self._numbering.node
        there = np.zeros(self.n, dtype=bool)
        values = [sp.sympify(value) for _, value, _ in self.weak.essential]
        if any(not f.continuous for value in values for f in value.atoms(CoefficientFunction)):
            there |= (np.bincount(node)[node] > 1) & np.isin(node, self._nodes_on(self.mesh.exterior))
        if len(self.mesh.slit):
            there |= np.isin(node, self._nodes_on(self.mesh.slit))
        if there.any():
            cell = np.zeros(self.n, dtype=np.int64)
            cell[self.dofs] = np.arange(len(self.dofs))[:, None]
            found[there] = self.mesh.inward(found[there], cell[there])
        return found

    @cached_property
    def essential(self) -> list[tuple[int, np.ndarray, sp.Expr]]:
        """(component, scalar degrees of freedom, value) of each boundary value; of tied ones the master.

        A value that holds on one side of an interface belongs to the copy on that side.
        """
        found, rest = [], []
        for component, value, on in self.weak.essential:
            ties, facets = self.ties[component], self.mesh.facets_of(on)
            part = self.cell_part[np.asarray(self.mesh.skfem.f2t)[0, facets]]
            copies = np.zeros(0, dtype=np.int64)
            for own in np.unique(part):
                nodes = self._nodes_on(facets[part == own])
                copies = np.union1d(copies, self._numbering.of(nodes[:, None], np.full(len(nodes), own)))
            copies = np.setdiff1d(copies, ties.surplus)
            place = np.arange(self.n)
            place[ties.slaves] = ties.masters
            found.append((component, np.setdiff1d(copies, ties.slaves), sp.sympify(value)))
            rest.append((component, np.unique(place[np.intersect1d(copies, ties.slaves)]), sp.sympify(value)))
        disjoint: list[tuple[int, np.ndarray, sp.Expr]] = []
        for component, dofs, value in found + rest:  # the first holds
            taken = [known for c, known, _ in disjoint if c == component]
            left = np.setdiff1d(dofs, np.concatenate(taken)) if taken else dofs
            if len(left):
                disjoint.append((component, left, value))
        return disjoint

    def _nodes_on(self, facets: np.ndarray) -> np.ndarray:
        return np.asarray(self.basis.get_dofs(facets).flatten())

    @cached_property
    def without_equation(self) -> tuple[int, ...]:
        """Components that no equation determines, such as an unknown flux on a wall: elements have no correction for them."""
        ruled = {row.component_index for row in self.weak.rows}
        return tuple(c for c in range(len(self.ties)) if c not in ruled)

    @cached_property
    def unruled(self) -> np.ndarray:
        """Numbers of all degrees of freedom of components that no equation determines: elements leave them as they are."""
        own = [c * self.n + np.arange(self.n) for c in self.without_equation]
        return np.concatenate(own) if own else np.zeros(0, dtype=np.int64)

    def fixed_of(self, component: int) -> np.ndarray:
        """The degrees of freedom of one component that are given: boundary values and jumps; all where it has no equation."""
        if component in self.without_equation:
            return np.arange(self.n)
        known = [dofs for c, dofs, _ in self.essential if c == component]
        return np.unique(np.concatenate([*known, self.ties[component].slaves, self.ties[component].surplus]))

    @cached_property
    def fixed(self) -> np.ndarray:
        """Numbers of all degrees of freedom that are given, in the order of `essential_values`."""
        return np.concatenate([c * self.n + self.fixed_of(c) for c in range(len(self.ties))])

    def essential_values(self, parameters: Tensor) -> tuple[np.ndarray, np.ndarray]:
        """Numbers of the degrees of freedom that are given, and what they are; NaN where a component has no equation, and for a
        surplus, which is zero whatever a trial solution is."""
        given = np.full(self.size, np.nan)
        for component, dofs, expression in self.essential:
            given[component * self.n + dofs] = self._at(expression, self.nodes[dofs], parameters)
        for component, ties in enumerate(self.ties):
            jumps = np.zeros(len(ties.slaves))
            for expression in {e for terms in ties.jumps for _, e, _ in terms}:
                own = [(k, s, at) for k, terms in enumerate(ties.jumps) for s, e, at in terms if e == expression]
                rows, signs, points = (np.array(column) for column in zip(*own, strict=True))
                np.add.at(jumps, rows, signs * self._at(expression, self.nodes[points], parameters))
            given[component * self.n + ties.slaves] = jumps
        return self.fixed, given[self.fixed]

    def _at(self, expression: sp.Expr, points: np.ndarray, parameters: Tensor) -> np.ndarray:
        program, x = Program([expression], self.problem), torch.tensor(points)
        return program(x.new_zeros(0, len(x)), x, None, parameters, program.tabulate(x))[0].detach().numpy()

    def residual(self, pieces: Sequence[Piece], jets: Sequence[Tensor], parameters: Tensor) -> np.ndarray:
        """R (size,): the integrals of all `pieces` for a trial solution with `jets[p]` (len(program.jets), n) on piece p."""
        residual = np.zeros(self.size)
        for piece, z in zip(pieces, jets, strict=True):
            with torch.no_grad():
                values = piece.program(z, piece.x, piece.normal, parameters, piece.tables)
            for value, (component, slot) in zip(values, piece.slots, strict=True):
                local = torch.einsum("ebq,eq->eb", piece.tests[..., slot], value.view(piece.weight.shape))
                np.add.at(residual, component * self.n + piece.dofs, local.numpy())
        self.gather(residual)
        return residual

    def tangent(self, jets: Sequence[Tensor], parameters: Tensor) -> sparse.csr_array:
        """(size, size): derivative of the residual of `self.pieces` in the trial solution's nodal values."""
        matrices = [sparse.coo_matrix((self.size, self.size))]
        for piece, z in zip(self.pieces, jets, strict=True):
            with torch.enable_grad():
                z = z.detach().requires_grad_()
                slopes = pointwise_slopes(piece.program(z, piece.x, piece.normal, parameters, piece.tables), z)
            shape = piece.weight.shape
            for row, (component, slot) in zip(slopes, piece.slots, strict=True):
                for (other, index), slope in zip(piece.program.jets, row, strict=True):
                    if bool(slope.any()):
                        trial = piece.trials[..., 0 if not any(index) else 1 + index.index(1)]
                        local = torch.einsum("eaq,eq,ebq->eab", piece.tests[..., slot], slope.view(shape), trial)
                        rows, columns = component * self.n + piece.dofs, other * self.n + piece.dofs
                        matrices.append(_scatter(local.numpy(), rows, columns, self.size))
        total = sum(matrices[1:], matrices[0]).tocsr()
        return (self.matrix.T @ total @ self.matrix).tocsr() if len(self._dependent[0]) else total

    def jets_of(self, coefficients: np.ndarray, pieces: Sequence[Piece] | None = None) -> list[Tensor]:
        """The jets that each piece (of the rows, or of those given) reads of the function with `coefficients` (size,)."""
        found, coefficients = [], self.values(coefficients)
        for piece in self.pieces if pieces is None else pieces:
            rows = []
            for component, index in piece.program.jets:
                local = torch.tensor(coefficients[component * self.n + piece.dofs])
                column = 0 if not any(index) else 1 + index.index(1)
                rows.append(torch.einsum("eb,ebq->eq", local, piece.trials[..., column]).flatten())
            found.append(torch.stack(rows) if rows else piece.x.new_zeros(0, len(piece.x)))
        return found

    def norm(self, coefficients: np.ndarray) -> np.ndarray:
        """H1 norms (components,) of a finite element function (size,), with the inner product `h1`."""
        parts = coefficients.reshape(len(self.problem.components), -1)
        return np.sqrt(np.maximum([part @ (self.h1[c] @ part) for c, part in enumerate(parts)], 0))


def _scatter(local: np.ndarray, rows: np.ndarray, columns: np.ndarray, size: int) -> sparse.coo_matrix:
    shape = local.shape
    i = np.broadcast_to(rows[:, :, None], shape).ravel()
    j = np.broadcast_to(columns[:, None, :], shape).ravel()
    return sparse.coo_matrix((local.ravel(), (i, j)), shape=(size, size))


__all__ = ["GalerkinSpace", "Piece"]
