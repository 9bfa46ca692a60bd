"""Fluxes through the boundary as the weak form knows them: what is stated, and reactions where a field is held."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import sympy as sp
from scipy import sparse
from scipy.sparse.linalg import splu

from kinn.fem.solve import FemSolution
from kinn.formulations.estimate import LARGEST
from kinn.formulations.galerkin import GalerkinSpace
from kinn.formulations.pieces import Piece, facets_of
from kinn.formulations.reaction import flux_through
from kinn.geometry.rules import jacobian_degree, reference_rule
from kinn.report.matching import has_normals, unchecked
from kinn.statement.fields import normal_of
from kinn.statement.places import subdomain_facets
from kinn.statement.terms import NoWeakForm, PeriodicTie, WeakForm, weak_terms

ORDER = 8  # of the rule on facets, that of other integrals over them
EXTRA = 6  # degree of the rule in cells beyond 2, since a network is no polynomial
EXTRA_IN_SOLIDS, MANY = 2, 20_000  # where 8 would be 216 points in a tetrahedron, and where cells are small


def boundary_flux(solution: Any, expression: sp.Expr, over: str | Iterable[str]) -> float | None:
    """The integral over exterior boundaries of r F . n, F the flux of one equation and r a number; else None.

    The gradient of a solution on the boundary is its weakest spot, so it is not asked. Where F . n is stated its stated
    value is integrated (0 where nothing is). Where the field is held, the weak form `R(v) = 0` with the test function
    v = 1 there and 0 on other held boundaries gives `int F . n = -R(v)`, R without the term of this part (Babuska and
    Miller, doi:10.1002/nme.1620200610). So the fluxes through all parts of a boundary balance the sources exactly.

    None too on `mesh * Interval`, on periodic sides and interfaces, and without a weak form.
    """
    problem = solution.problem
    if not has_normals([expression]) or problem.mesh.spatial_dimension < problem.mesh.dimension:
        return None
    weak = _weak_form(solution)
    found = None if weak is None else flux_through(problem, weak, expression, over)
    if weak is None or found is None:
        return None
    outflow = _Outflow(solution, weak, found[0])
    if outflow.is_open(over):
        return None
    number = np.asarray(unchecked(solution).evaluate([found[1]], problem.mesh.points[:1].copy())).item()
    return number * outflow.through(over) + 0.0  # no -0.0


def _weak_form(solution: Any) -> WeakForm | None:
    if isinstance(solution, FemSolution):
        return solution.space.weak
    try:
        return weak_terms(solution.problem)
    except NoWeakForm:
        return None


class _Outflow:
    """The flux of one component through parts of the boundary."""

    def __init__(self, solution: Any, weak: WeakForm, component: int) -> None:
        self.solution, self.component = solution, component
        self.space = space = _space(solution, weak)
        self.mesh = space.mesh
        self.rows = [row for row in weak.rows if row.component_index == component]
        held = [self.mesh.facets_of(on) for c, _, on in weak.essential if c == component]
        self.held = np.unique(np.concatenate([np.zeros(0, dtype=np.int64), *held]))

        ties = [tie for tie in weak.ties if isinstance(tie, PeriodicTie) and tie.component_index == component]
        self.periodic = [self.mesh.facets_of(tie.first + tie.second) for tie in ties]

    def is_open(self, over: str | Iterable[str]) -> bool:
        """Whether the weak form does not say: periodic sides exchange a flux; held lines inside have two sides."""
        facets = self.mesh.facets_of(over)
        return (
            any(np.isin(facets, side).any() for side in self.periodic)
            or not np.isin(self.held, self.mesh.exterior).all()
        )

    def through(self, over: str | Iterable[str]) -> float:
        facets = self.mesh.facets_of(over)
        stated = sum(self._tested(piece, np.ones(self.space.n)) for piece in self._stated(facets))
        ours = np.intersect1d(facets, self.held)
        return float(stated + self._reaction(ours)) if len(ours) else float(stated)

    def _reaction(self, ours: np.ndarray) -> float:
        others = np.setdiff1d(self.held, ours)
        v = self._test_function(ours, others) if len(others) else np.ones(self.space.n)
        cells = [piece for piece in self.space.pieces if piece.normal is None]
        everywhere = np.arange(len(self.mesh.facet_nodes))  # fluxes that jump at an interface are stated there
        found = -sum(self._tested(piece, v) for piece in [*cells, *self._stated(everywhere)])
        # beside a node that both share v is neither 1 here nor 0 there: only on these facets the gradient is asked
        for facets, ones in ((ours, 1.0), (others, 0.0)):
            found += sum(self._tested(piece, ones - v) for piece in self._beside(facets, v, ones))
        return found

    def _stated(self, facets: np.ndarray) -> list[Piece]:
        """The stated fluxes on those of the facets where the field is not held."""
        return [
            self._on(part, value)
            for row in self.rows
            for on, value in row.boundary
            if len(part := np.setdiff1d(np.intersect1d(facets_of(self.mesh, on, row.on), facets), self.held))
        ]

    def _beside(self, facets: np.ndarray, v: np.ndarray, inner: float) -> list[Piece]:
        """The flux itself on those facets on which v is not `inner` everywhere."""
        normal = normal_of(self.space.problem.mesh.coordinates)
        pieces = []
        for row in self.rows:
            part = np.intersect1d(facets, subdomain_facets(self.mesh, row.on))
            if len(part):
                basis = self.space.on_facets(part)
                values = np.einsum("ebq,eb->eq", *self._traces(basis, v))
                part = part[np.abs(values - inner).max(axis=1) > 1e-9]
            if len(part):
                pieces.append(self._on(part, -sp.Add(*(f * n for f, n in zip(row.flux, normal.flat(), strict=True)))))
        return pieces

    def _on(self, facets: np.ndarray, value: sp.Expr) -> Piece:
        if isinstance(self.solution, FemSolution):  # the rule with which its equations were solved
            basis = self.space.on_facets(facets)
        else:
            d, simplex = self.mesh.dimension - 1, self.mesh.kind.facet != "quad"
            x, weight = reference_rule(d, simplex, ORDER + jacobian_degree(d, simplex, self.mesh.order))
            rule = np.ascontiguousarray(x.T), weight
            basis = self.space.on_facets(facets, rule)
        return self.space.piece(basis, [value], [(self.component, 0)], 0)

    def _tested(self, piece: Piece, v: np.ndarray) -> float:
        """The integral of a piece for this component with the test function v (n,)."""
        tests = np.einsum("ebqs,eb->eqs", piece.tests.numpy(), v[piece.dofs])
        flat = piece.normal is None and np.ptp(v) == 0  # then fluxes inside have no part
        last = tests.shape[2] - 1
        chosen = [
            k for k, (component, slot) in enumerate(piece.slots)
            if component == self.component and not (flat and slot < last)
        ]  # fmt: skip
        if not chosen:
            return 0.0
        values = self._values(piece, chosen)
        return sum(
            float((tests[..., piece.slots[k][1]].ravel() * row).sum()) for k, row in zip(chosen, values, strict=True)
        )

    def _values(self, piece: Piece, chosen: list[int]) -> np.ndarray:
        """Values (k, e q) of the chosen expressions of a piece."""
        solution = self.solution
        if isinstance(solution, FemSolution):  # it knows in which cell each point lies
            (jets,) = self.space.jets_of(self.space.vector(solution.coefficients.ravel()), [piece])
            values = piece.program(jets, piece.x, piece.normal, solution._parameters, piece.tables)
            return values.numpy()[chosen]
        normal = None if piece.normal is None else piece.normal.numpy()
        expressions = [piece.program.expressions[k] for k in chosen]
        return np.asarray(unchecked(solution).evaluate(expressions, piece.x.numpy(), normal)).T

    def _test_function(self, ours: np.ndarray, others: np.ndarray) -> np.ndarray:
        """v (n,): 1 on `ours`, 0 on `others`, harmonic inside, continuous, periodic where the solution is.

        At a node on both it is our share, so that the v of several parts add up to that of their union.
        """
        space, ties = self.space, self.space.ties[self.component]
        place = np.arange(space.n)
        place[ties.slaves] = ties.masters
        shares = []
        for facets in (ours, others):
            nodes, basis = np.zeros(space.n), space.on_facets(facets)
            trace, _ = self._traces(basis)
            dofs = np.asarray(basis.element_dofs).T
            np.add.at(nodes, place[dofs], np.einsum("ebq,eq->eb", trace**2, np.asarray(basis.dx)))
            on = np.zeros(space.n, dtype=bool)
            on[place[np.asarray(basis.get_dofs(facets).flatten())]] = True
            shares.append(np.where(on, nodes, 0.0))
        held = np.flatnonzero(shares[0] + shares[1])
        v = np.zeros(space.n)
        v[held] = shares[0][held] / (shares[0] + shares[1])[held]
        if not isinstance(self.solution, FemSolution):  # its residual inside is zero whatever v is there
            free = np.setdiff1d(place, held)
            matrix = self._laplacian(place)
            v[free] = splu(matrix[free][:, free].tocsc()).solve(-matrix[free][:, held] @ v[held])
        return v[place]

    def _laplacian(self, place: np.ndarray) -> sparse.csr_array:
        trials, weight = self.space.all_cells
        slopes = trials[..., 1:]
        local = np.einsum("eq,eaqk,ebqk->eab", weight, slopes, slopes, optimize=True)
        dofs, n = place[self.space.dofs], self.space.n
        i, j = (np.broadcast_to(index, local.shape).ravel() for index in (dofs[:, :, None], dofs[:, None, :]))
        return sparse.csr_array((local.ravel(), (i, j)), shape=(n, n))

    @staticmethod
    def _traces(basis: Any, v: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Values (e, b, q) of the functions of a basis, and v at their degrees of freedom (e, b)."""
        shape = np.asarray(basis.dx).shape
        trace = np.stack([np.broadcast_to(np.asarray(phi[0]), shape) for phi in basis.basis], 1)
        return trace, np.zeros(0) if v is None else v[np.asarray(basis.element_dofs).T]


def _space(solution: Any, weak: WeakForm) -> GalerkinSpace:
    """The elements of a finite element solution, or quadratic ones on the problem's mesh, linear where it is large."""
    if isinstance(solution, FemSolution):
        return solution.space
    mesh = solution.problem.mesh
    extra = EXTRA_IN_SOLIDS if mesh.dimension == 3 or len(mesh.cells) > MANY else EXTRA
    order = 2 if len(mesh.points) * 2**mesh.dimension <= LARGEST[mesh.dimension] else 1
    return GalerkinSpace(solution.problem, weak, mesh, order, extra + 2 * (2 - order))


__all__ = ["boundary_flux"]
