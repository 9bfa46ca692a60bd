"""Finite elements as test functions: assembly of a weak form around any trial solution.

One assembly serves three masters: the finite element solution (trial = elements), the weak training of a network (trial =
network, tests = elements) and the error estimate (a finite element correction of a network's solution).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import skfem
import sympy as sp
import torch
from scipy import sparse
from torch import Tensor

from kinn.formulations.program import Program
from kinn.formulations.scaling import pointwise_slopes
from kinn.geometry import Mesh, reference_rule
from kinn.statement.calculus import expanded
from kinn.statement.fields import normal_of
from kinn.statement.places import subdomain_facets
from kinn.statement.problem import Problem
from kinn.statement.terms import WeakForm

ELEMENTS: dict[tuple[str, int], Any] = {
    ("line", 1): skfem.ElementLineP1,
    ("line", 2): skfem.ElementLineP2,
    ("triangle", 1): skfem.ElementTriP1,
    ("triangle", 2): skfem.ElementTriP2,
    ("quad", 1): skfem.ElementQuad1,
    ("quad", 2): skfem.ElementQuad2,
    ("tetra", 1): skfem.ElementTetP1,
    ("tetra", 2): skfem.ElementTetP2,
    ("hexahedron", 1): skfem.ElementHex1,
    ("hexahedron", 2): skfem.ElementHex2,
}


@dataclass(frozen=True, eq=False)
class Piece:
    """An integral over cells or facets: quadrature points, and what multiplies each expression of its program.

    Attributes:
        x, normal: points (e q, d) and normals there (None in cells), the points of one element together.
        dofs: global numbers (e, b) of the scalar test functions.
        tests: (e, b, q, s) weight times test slot: the spatial derivatives and the value in cells, the value on facets.
        trials: (e, b, q, 1 + d) value and derivatives of the same functions, without weight.
        program: expressions of the piece; `slots` gives (component, test slot) of each.
    """

    x: Tensor
    normal: Tensor | None
    dofs: np.ndarray
    tests: Tensor
    trials: Tensor
    weight: Tensor
    program: Program
    slots: tuple[tuple[int, int], ...]
    tables: Tensor


class GalerkinSpace:
    """Continuous elements of `order` 1 or 2 on a mesh for every component of a problem.

    Degrees of freedom are numbered component after component: `c N + i` for function i of N.
    """

    def __init__(self, problem: Problem, weak: WeakForm, mesh: Mesh, order: int = 2, extra: int = 2) -> None:
        self.problem, self.weak, self.mesh, self.order = problem, weak, mesh, order
        self.element = ELEMENTS[mesh.cell_type, order]()
        degree = 2 * order + extra - 2
        # scikit-fem's own rules on tetrahedra are not exact at their order
        nodes, weights = reference_rule(mesh.dimension, mesh.kind.is_simplex, degree)
        self._rule = np.ascontiguousarray(nodes.T), weights
        nodes, weights = reference_rule(mesh.dimension - 1, mesh.kind.facet != "quad", degree)
        self._facet_rule = np.ascontiguousarray(nodes.T), weights
        self.basis = skfem.Basis(mesh.skfem, self.element, quadrature=self._rule)
        self.size = self.basis.N * len(problem.components)
        self.pieces = self._cell_pieces() + self._facet_pieces()

    def _cell_pieces(self) -> list[Piece]:
        groups: dict[tuple[str, ...], list[int]] = {}
        for number, row in enumerate(self.weak.rows):
            groups.setdefault(row.on, []).append(number)
        pieces = []
        for on, numbers in groups.items():
            basis = self.basis
            if on:
                cells = self.mesh.cells_of(on)
                basis = skfem.Basis(self.mesh.skfem, self.element, quadrature=self._rule, elements=cells)
            expressions, slots = [], []
            for number in numbers:
                row = self.weak.rows[number]
                for slot, expression in enumerate((*row.flux, row.source)):
                    if expression != 0:
                        expressions.append(expression)
                        slots.append((row.component_index, slot))
            if expressions:
                pieces.append(self._piece(basis, expressions, slots, self.mesh.spatial_dimension))
        return pieces

    @cached_property
    def strong_pieces(self) -> list[Piece]:
        """The same residual for a smooth trial solution, integrated back by parts: `int (source - div flux) v` in cells and
        `int (g + flux . n) v` on the boundary. Its integrands vanish with the error, and so do their quadrature errors."""
        mesh, pieces = self.mesh, []
        space = self.problem.mesh.coordinates[: mesh.spatial_dimension]  # those of the statement, whatever mesh this is
        normal = normal_of(space)
        ends = np.array([], dtype=int) if mesh.interval_ends is None else mesh.facets_of(mesh.interval_ends)
        for row in self.weak.rows:
            basis = self.basis
            if row.on:
                cells = mesh.cells_of(row.on)
                basis = skfem.Basis(mesh.skfem, self.element, quadrature=self._rule, elements=cells)
            divergence = sp.Add(*(expanded(sp.diff(f, x)) for f, x in zip(row.flux, space, strict=True)))
            pieces.append(self._piece(basis, [row.source - divergence], [(row.component_index, 0)], 0))
            outflow = sp.Add(*(f * n for f, n in zip(row.flux, normal.flat(), strict=True)))
            held = [mesh.facets_of(on) for component, _, on in self.weak.essential if component == row.component_index]
            rest = np.setdiff1d(subdomain_facets(mesh, row.on), np.concatenate([*held, ends]))
            places: list[tuple[np.ndarray, sp.Expr]] = []
            for on, g in row.boundary:
                facets = _facets_of(mesh, on, row.on)
                places.append((facets, g + outflow))
                rest = np.setdiff1d(rest, facets)
            for facets, integrand in [*places, (rest, outflow)]:
                if len(facets) and integrand != 0:
                    facet_basis = skfem.FacetBasis(mesh.skfem, self.element, quadrature=self._facet_rule, facets=facets)
                    pieces.append(self._piece(facet_basis, [integrand], [(row.component_index, 0)], 0))
        return pieces

    def _facet_pieces(self) -> list[Piece]:
        pieces = []
        for row in self.weak.rows:
            for on, expression in row.boundary:
                facets = _facets_of(self.mesh, on, row.on)
                if len(facets):
                    basis = skfem.FacetBasis(self.mesh.skfem, self.element, quadrature=self._facet_rule, facets=facets)
                    pieces.append(self._piece(basis, [expression], [(row.component_index, 0)], 0))
        return pieces

    def _piece(self, basis: Any, expressions: list[sp.Expr], slots: list[tuple[int, int]], n_gradients: int) -> Piece:
        x = np.moveaxis(np.asarray(basis.global_coordinates()), 0, -1)
        shape, weight = x.shape, np.asarray(basis.dx)
        normal = None
        if isinstance(basis, skfem.FacetBasis):
            normal = torch.tensor(np.moveaxis(np.asarray(basis.normals), 0, -1).reshape(-1, shape[-1]))
        trials = np.stack(
            [
                np.stack([np.broadcast_to(np.asarray(phi[0]), weight.shape), *np.asarray(phi[0].grad)], -1)
                for phi in basis.basis
            ],
            1,
        )
        order = [*range(1, n_gradients + 1), 0]
        tests = trials[..., order] * weight[:, None, :, None]
        program = Program(expressions, self.problem)
        points = torch.tensor(x.reshape(-1, shape[-1]))
        return Piece(
            points, normal, np.asarray(basis.element_dofs).T, torch.tensor(tests), torch.tensor(trials),
            torch.tensor(weight), program, tuple(slots), program.tabulate(points),
        )  # fmt: skip

    @cached_property
    def h1(self) -> sparse.csc_array:
        """Inner product `int u v / L^2 + grad u . grad v` (N, N), gradients in space, L half the largest extent in space."""
        length = float(self.mesh.scale[: self.mesh.spatial_dimension].max())
        trials, weight = self.all_cells
        spatial = trials[..., 1 : 1 + self.mesh.spatial_dimension]
        local = np.einsum("eq,eaqk,ebqk->eab", weight, spatial, spatial)
        local += np.einsum("eq,eaq,ebq->eab", weight, trials[..., 0], trials[..., 0]) / length**2
        dofs = np.asarray(self.basis.element_dofs).T
        return _scatter(local, dofs, dofs, self.basis.N).tocsc()

    @cached_property
    def all_cells(self) -> tuple[np.ndarray, np.ndarray]:
        for piece in self.pieces:
            if piece.normal is None and len(piece.dofs) == len(self.mesh.cells):
                return piece.trials.numpy(), piece.weight.numpy()
        piece = self._piece(self.basis, [sp.S.Zero], [(0, 0)], self.mesh.spatial_dimension)
        return piece.trials.numpy(), piece.weight.numpy()

    @cached_property
    def masses(self) -> np.ndarray:
        """Integrals (N,) of the scalar elements."""
        trials, weight = self.all_cells
        local = np.einsum("eq,ebq->eb", weight, trials[..., 0])
        return np.bincount(np.asarray(self.basis.element_dofs).T.ravel(), local.ravel(), minlength=self.basis.N)

    @cached_property
    def nodes(self) -> np.ndarray:
        """Points (N, d) where the elements interpolate."""
        return np.ascontiguousarray(np.asarray(self.basis.doflocs).T)

    @cached_property
    def essential(self) -> list[tuple[int, np.ndarray, sp.Expr]]:
        """(component, scalar degrees of freedom, value) of each boundary value."""
        return [
            (component, np.asarray(self.basis.get_dofs(self.mesh.facets_of(on)).flatten()), sp.sympify(value))
            for component, value, on in self.weak.essential
        ]

    def essential_values(self, parameters: Tensor) -> tuple[np.ndarray, np.ndarray]:
        """Global numbers of the fixed degrees of freedom and their values."""
        values = np.full(self.size, np.nan)
        for component, dofs, expression in self.essential:
            x = torch.tensor(self.nodes[dofs])
            program = Program([expression], self.problem)
            found = program(x.new_zeros(0, len(x)), x, None, parameters, program.tabulate(x))[0]
            places = component * self.basis.N + dofs
            values[places] = np.where(
                np.isnan(values[places]), found.detach().numpy(), values[places]
            )  # the first holds
        fixed = np.flatnonzero(~np.isnan(values))
        return fixed, values[fixed]

    def residual(self, pieces: Sequence[Piece], jets: Sequence[Tensor], parameters: Tensor) -> np.ndarray:
        """R (size,): the integrals of all `pieces` for a trial solution with `jets[p]` (len(program.jets), n) on piece p."""
        residual = np.zeros(self.size)
        for piece, z in zip(pieces, jets, strict=True):
            with torch.no_grad():
                values = piece.program(z, piece.x, piece.normal, parameters, piece.tables)
            for value, (component, slot) in zip(values, piece.slots, strict=True):
                local = torch.einsum("ebq,eq->eb", piece.tests[..., slot], value.view(piece.weight.shape))
                np.add.at(residual, component * self.basis.N + piece.dofs, local.numpy())
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
                        rows, columns = component * self.basis.N + piece.dofs, other * self.basis.N + piece.dofs
                        matrices.append(_scatter(local.numpy(), rows, columns, self.size))
        return sum(matrices[1:], matrices[0]).tocsr()

    def jets_of(self, coefficients: np.ndarray) -> list[Tensor]:
        """The jets that each piece reads of the finite element function with `coefficients` (size,)."""
        found = []
        for piece in self.pieces:
            rows = []
            for component, index in piece.program.jets:
                local = torch.tensor(coefficients[component * self.basis.N + piece.dofs])
                column = 0 if not any(index) else 1 + index.index(1)
                rows.append(torch.einsum("eb,ebq->eq", local, piece.trials[..., column]).flatten())
            found.append(torch.stack(rows) if rows else piece.x.new_zeros(0, len(piece.x)))
        return found

    def norm(self, coefficients: np.ndarray) -> np.ndarray:
        """H1 norms (components,) of a finite element function (size,), with the inner product `h1`."""
        parts = coefficients.reshape(len(self.problem.components), -1)
        return np.sqrt(np.maximum([part @ (self.h1 @ part) for part in parts], 0))


def _facets_of(mesh: Mesh, on: tuple[str, ...], subdomains: tuple[str, ...]) -> np.ndarray:
    """The facets of a condition that belong to the cells where an equation holds."""
    facets = mesh.facets_of(on)
    return np.intersect1d(facets, subdomain_facets(mesh, subdomains)) if subdomains else facets


def _scatter(local: np.ndarray, rows: np.ndarray, columns: np.ndarray, size: int) -> sparse.coo_matrix:
    shape = local.shape
    i = np.broadcast_to(rows[:, :, None], shape).ravel()
    j = np.broadcast_to(columns[:, None, :], shape).ravel()
    return sparse.coo_matrix((local.ravel(), (i, j)), shape=(size, size))


__all__ = ["GalerkinSpace", "Piece"]
