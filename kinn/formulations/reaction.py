"""What is measured of a reaction, a load cell or a heat flow through a held boundary, as the weak form knows it."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import sympy as sp
import torch
from torch import Tensor

from kinn.formulations.galerkin import GalerkinSpace
from kinn.formulations.integrals import IntegralBlock, IntegralTerm
from kinn.formulations.reading import Reading
from kinn.formulations.unknowns import Unknowns
from kinn.geometry import Mesh
from kinn.statement.fluxes import along_normal, ratio
from kinn.statement.integrals import Integral
from kinn.statement.observations import Observations
from kinn.statement.places import subdomain_facets
from kinn.statement.problem import Problem
from kinn.statement.terms import PeriodicTie, WeakForm


class Reaction(Reading):
    """Observations of `r int F . n` over a part of the boundary where the field of an equation with the flux F is held.

    A gradient on the boundary is the weakest spot of a solution. The residual R of the weak form, tested with functions that
    are 1 on this part, is `- int F . n`: a number with twice as many digits where the solution fulfills the statement inside
    (Babuska and Miller, doi:10.1002/nme.1620200610).
    """

    held = True

    def __init__(self, space: GalerkinSpace, data: Observations, dofs: np.ndarray, factor: sp.Expr) -> None:
        self.space, self.count, self._dofs = space, len(data), dofs
        self.term = IntegralTerm(f"data {data.name}", [data.expression], space.problem)
        self._factor = sp.lambdify(list(space.problem.parameters.values()), -factor)

    def __call__(self, values: np.ndarray, parameters: Tensor) -> np.ndarray:
        """(n,) of nodal values (size,) that solve the equations of the elements."""
        space = self.space
        residual = space.residual(space.pieces, space.jets_of(space.vector(values)), parameters)
        return np.full(self.count, self._number(parameters) * residual[self._dofs].sum())

    def of_trial(self, unknowns: Unknowns, values: np.ndarray, parameters: Tensor) -> np.ndarray:
        assert self.term is not None
        with torch.no_grad():
            (number,) = IntegralBlock(self.term, unknowns.surrogate).residuals(unknowns).flatten().tolist()
        return np.full(self.count, number)

    def derivatives(self, values: np.ndarray, moved: np.ndarray, parameters: Tensor) -> np.ndarray:
        space = self.space
        tangent = space.tangent(space.jets_of(space.vector(values)), parameters)
        row = self._number(parameters) * np.asarray(tangent[self._dofs].sum(axis=0)).ravel()
        return np.tile(row @ space.vector(moved), (self.count, 1))

    def _number(self, parameters: Tensor) -> float:
        return float(self._factor(*parameters.tolist()))


def reading_of(space: GalerkinSpace, data: Observations) -> Reading:
    """How elements read a set of observations."""
    node, problem, mesh = data.expression, space.problem, space.problem.mesh
    if not isinstance(node, Integral) or not node.over or mesh.spatial_dimension < mesh.dimension or space.lower:
        return Reading(space, data)
    found = flux_through(problem, space.weak, node.integrand, node.over) if mesh.is_boundary(node.over) else None
    dofs = None if found is None else _held(space, found[0], node.over)
    return Reading(space, data) if found is None or dofs is None else Reaction(space, data, dofs, found[1])


def flux_through(
    problem: Problem, weak: WeakForm, expression: sp.Expr, over: str | Iterable[str]
) -> tuple[int, sp.Expr] | None:
    """(component, r) of an expression that is r F . n on boundaries `over`, F the flux of the component's equation there and r a
    number that may depend on parameters; None for another one."""
    mesh: Mesh = problem.mesh
    along = along_normal(expression, [*mesh.normal])
    for row in weak.rows if along is not None else ():
        factor = ratio(along, -sp.ImmutableDenseMatrix(row.flux))
        if factor is None or not factor.free_symbols <= set(problem.parameters.values()):
            continue
        if np.isin(mesh.facets_of(over), subdomain_facets(mesh, row.on)).all():
            return row.component_index, factor
    return None


def _held(space: GalerkinSpace, component: int, over: tuple[str, ...]) -> np.ndarray | None:
    """Numbers of the degrees of freedom on the facets of `over`; None unless the component is held on all of these and on no
    others that meet them."""
    mesh: Mesh = space.mesh
    facets = mesh.facets_of(over)
    given = [mesh.facets_of(where) for c, _, where in space.weak.essential if c == component]
    held = np.unique(np.concatenate([np.zeros(0, dtype=np.int64), *given]))
    others = np.setdiff1d(held, facets)
    beside = np.intersect1d(mesh.facet_nodes[facets], mesh.facet_nodes[others])
    tied = any(isinstance(tie, PeriodicTie) and tie.component_index == component for tie in space.weak.ties)
    if not np.isin(facets, held).all() or len(beside) or tied or not np.isin(facets, mesh.exterior).all():
        return None
    piece = space.piece(space.on_facets(facets), [sp.S.One], [(component, 0)], 0)
    on_facets = (piece.tests[..., 0].abs().amax(2) > 1e-9 * piece.tests.abs().max()).numpy()
    return component * space.n + np.unique(piece.dofs[on_facets])


__all__ = ["Reaction", "flux_through", "reading_of"]
