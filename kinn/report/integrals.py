"""Integrals of expressions of a solution over a mesh and its named parts."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import sympy as sp

from kinn.geometry.mesh import Mesh
from kinn.geometry.points import Points, gauss
from kinn.report.matching import has_normals, scalars, unchecked
from kinn.report.reactions import boundary_flux
from kinn.statement.errors import StatementError, suggest

ORDER = 8  # of the Gauss rule; cells are small against what a solution varies over
ORDER_IN_SOLIDS = 4  # where 8 would be 216 points in a tetrahedron


def integral(solution: Any, expression: Any, over: str | Iterable[str] | None = None, side: str | None = None) -> float:
    """The integral of a scalar expression over the domain, or over boundaries or subdomains by name.

    With `mesh.normal` in the expression and no name it is over the whole boundary. An interface inside the domain has
    two sides: there `side` names the subdomain whose values count and out of which the normal points.
    The flux of an equation through the boundary, such as k grad(u) . n, is conservative: see `boundary_flux`.

    Raises StatementError for an expression with more than one entry, a normal inside cells or on an interface without
    a side, and unknown names.
    """
    problem = solution.problem
    expressions = scalars(expression, problem)
    if len(expressions) != 1:
        raise StatementError(f"{expression} has {len(expressions)} entries; an integral takes a scalar expression")
    mesh = problem.mesh
    if over is None and has_normals(expressions):
        over = "boundary"
    if mesh.is_boundary(over):
        flux = _conservative(solution, expressions[0], over or "boundary") if side is None else None
        if flux is not None:
            return flux
        points = _on_side(mesh, over, side, has_normals(expressions))
    elif has_normals(expressions):
        raise StatementError(f"{over!r} is no boundary, so {expressions[0]} has no normal there; name a boundary")
    else:
        points = gauss(mesh, ORDER if mesh.dimension < 3 else ORDER_IN_SOLIDS, over)
    values = unchecked(solution).evaluate(expressions, points.x, points.normal)
    return float(points.weight @ np.asarray(values).reshape(len(points)))


def _conservative(solution: Any, expression: sp.Expr, over: str | Iterable[str]) -> float | None:
    """`boundary_flux` of a solution, or of the one that a reference is; None where it does not apply."""
    computed = getattr(solution, "computed", solution)  # of a reference; None where it has formulas
    if computed is None or not has_normals([expression]):
        return None
    if computed is solution:
        return boundary_flux(computed, expression, over)
    try:
        (own,) = scalars(expression, computed.problem)
        return boundary_flux(computed, own, over)
    except StatementError:  # it calls parts or parameters by other names
        return None


def _on_side(mesh: Mesh, over: Any, side: str | None, oriented: bool) -> Points:
    """Points on facets with the normal out of `side`, those inside the domain or on a crack moved into their cell."""
    facets = mesh.facets_of(over)
    inner = ~np.isin(facets, mesh.exterior)
    points = gauss(mesh, ORDER, facets=facets.tolist())
    owner = mesh.skfem.f2t[0, facets].astype(np.int64)
    if side is not None:
        held = np.isin(mesh.skfem.f2t[:, facets], mesh.cells_of(side)) & (mesh.skfem.f2t[:, facets] >= 0)
        if (held.sum(axis=0) != 1).any():
            raise StatementError(f"{over!r} has facets without subdomain {side!r} on exactly one of their sides")
        owner = np.where(held[0], owner, mesh.skfem.f2t[1, facets])
    elif oriented and inner.any():
        raise StatementError(
            f"{over!r} lies inside the domain, where the normal has two senses; give side=, the subdomain it points out "
            f"of{suggest('', mesh.subdomains)}"
        )
    repeat = len(points) // len(facets)
    cells = np.repeat(owner, repeat)
    moved = np.repeat(inner | np.isin(facets, mesh.slit), repeat)[:, None]
    assert points.normal is not None and points.cell is not None
    normal = np.where((cells == points.cell)[:, None], points.normal, -points.normal)
    return Points(np.where(moved, mesh.inward(points.x, cells), points.x), points.weight, normal, cells)


__all__ = ["integral"]
