"""The mistakes a statement can hold, each found before training and told in one line."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import sympy as sp
from sympy.core.function import AppliedUndef
from sympy.core.relational import Relational

from kinn.statement.calculus import Div
from kinn.statement.coefficients import CoefficientFunction
from kinn.statement.conditions import Condition, Dirichlet, Initial, Neumann, Periodic, Robin
from kinn.statement.coordinates import Coordinate, MeshSymbol, Normal
from kinn.statement.errors import StatementError, suggest
from kinn.statement.fields import FieldComponent
from kinn.statement.fluxes import Row, derivatives_of_fields, outer_divs, outflow, ratio, split
from kinn.statement.integrals import check_integral, integrals_of
from kinn.statement.interfaces import check_interface, refuse_jumps
from kinn.statement.parameters import Parameter
from kinn.statement.periodic import check_periodic
from kinn.statement.places import check_names, check_subdomains, facet_vertices, facets, midpoints
from kinn.statement.scope import check_boundary_fields, check_covered, check_identified

if TYPE_CHECKING:
    from kinn.statement.problem import Problem


def check(problem: Problem) -> tuple[str, ...]:
    """Raise the StatementError of the first mistake; return notes on what is odd but allowed."""
    for name, equation in problem.equations.items():
        check_subdomains(problem.mesh, equation.on, f"equation {name!r}")
        for residual in equation.residuals():
            _check_symbols(problem, residual, f"equation {name!r}", normals=False)
            refuse_jumps(residual, f"equation {name!r}")
            if not residual.atoms(FieldComponent):
                raise StatementError(
                    f"equation {name!r} holds no field: it reads {residual} = 0; "
                    "write it with a kinn.Field, as lhs - rhs"
                )
    for condition in problem.conditions:
        what = f"{type(condition).__name__} {condition.label!r}"
        check_names(problem.mesh, condition.on, what)
        for residual in condition.residuals():
            _check_symbols(problem, residual, what, normals=True)
        if isinstance(condition, (Neumann, Robin)):
            _check_flux(problem, condition, what)
        elif isinstance(condition, Dirichlet):
            held = next((value for value in condition.value if value.atoms(FieldComponent)), None)
            if held is not None:
                raise StatementError(f"{what}: its value {held} holds a field; use Condition(expression, on=...)")
        elif isinstance(condition, Periodic):
            for expression in (*condition.components, *condition.jump):
                _check_symbols(problem, expression, what, normals=False)
            check_periodic(problem, condition, what)
        elif not any(residual.atoms(FieldComponent) for residual in condition.residuals()):
            raise StatementError(f"{what} holds no field: it reads {condition.residuals()[0]} = 0")
        if isinstance(condition, Condition):
            check_interface(problem, condition, what)
        else:
            for residual in condition.residuals():
                refuse_jumps(residual, what)
    check_covered(problem)
    check_boundary_fields(problem)
    check_identified(problem)
    _check_natural(problem)
    _check_observations(problem)
    _check_unknowns(problem)
    return _check_values(problem)


def find_jumps(rows: Sequence[Row]) -> tuple[str, ...]:
    """One text per coefficient under a div that has, or may have, jumps."""
    texts: list[str] = []
    for row in rows:
        for node in outer_divs(row.expression):
            functions = node.atoms(CoefficientFunction, sp.Heaviside, sp.sign, sp.Piecewise, sp.floor, sp.ceiling)
            for function in sorted(functions, key=str):
                if isinstance(function, CoefficientFunction):
                    kinked = function.law is not None and function.law.kinked
                    if kinked or not function.continuous:
                        how = " (given on nodes: its gradient jumps)" if kinked else ""
                        texts.append(f"coefficient {function.func.__name__!r}{how} under the div of {row.name!r}")
                elif not isinstance(function, sp.Piecewise) or not _continuous(function):
                    texts.append(f"{function} under the div of {row.name!r}")
    if len({row.on for row in rows}) > 1 and any(
        derivatives_of_fields(node) for row in rows for node in outer_divs(row.expression)
    ):
        texts.append("the flux of equations that hold in different subdomains")
    return tuple(dict.fromkeys(texts))


def _continuous(function: Any) -> bool:
    """Whether a Piecewise in one symbol, split at points, has equal values on both sides of each; False if unsure."""
    branches: Any = function.args
    for (left, condition), (right, _) in zip(branches, branches[1:], strict=False):
        symbols = condition.free_symbols
        if not isinstance(condition, Relational) or len(symbols) != 1:
            return False
        (x,) = symbols
        relation: Any = condition
        difference = relation.lhs - relation.rhs
        slope = difference.diff(x)
        if not slope.is_number or slope == 0:
            return False
        split_at = -difference.subs(x, 0) / slope
        if sp.expand((left - right).subs(x, split_at)) != 0:
            return False
    return True


def _check_symbols(problem: Problem, expression: Any, what: str, normals: bool) -> None:
    mesh = problem.mesh
    integrals = integrals_of(expression)
    if integrals:
        for node in integrals:
            _check_symbols(problem, node.integrand, what, normals=check_integral(mesh, node, what))
        expression = expression.xreplace({node: sp.S.One for node in integrals})
    if expression.has(sp.nan, sp.zoo, sp.oo, -sp.oo):
        raise StatementError(f"{what} holds a number that is not finite: {expression}; correct the expression")
    for function in sorted(expression.atoms(AppliedUndef), key=str):
        if not isinstance(function, (FieldComponent, CoefficientFunction)):
            raise StatementError(f"{what}: {function} is no field of this library; make it with kinn.Field(name, mesh)")
        if function.mesh_id == mesh.identity and function.args != tuple(mesh.coordinates):
            raise StatementError(
                f"{what}: {function} is taken elsewhere than at {tuple(mesh.coordinates)}; this is not supported"
            )
        if function.mesh_id != mesh.identity:
            raise StatementError(
                f"{what}: {function} lives on another mesh than the problem; make it on the problem's mesh"
            )
    for symbol in sorted(expression.free_symbols, key=str):
        if isinstance(symbol, MeshSymbol):
            if symbol.mesh_id != mesh.identity:
                raise StatementError(f"{what}: {symbol} belongs to another mesh; take it from the problem's mesh")
            if isinstance(symbol, Normal) and not normals:
                raise StatementError(f"{what}: the normal {symbol} exists on the boundary only; use it in conditions")
        elif not isinstance(symbol, Parameter):
            known = [str(s) for s in (*mesh.coordinates, *problem.parameters)]
            raise StatementError(
                f"{what}: unknown symbol {str(symbol)!r}, neither a coordinate of the mesh nor a kinn.Parameter"
                f"{suggest(str(symbol), known)}"
            )


def _check_flux(problem: Problem, condition: Neumann | Robin, what: str) -> None:
    for row_flux, value in zip(condition.rows, condition.value, strict=True):
        if not any(stands_under(row.expression, row_flux, value) for row in problem.rows):
            names = ", ".join(repr(name) for name in problem.equations)
            raise StatementError(
                f"{what}: its flux ({', '.join(str(entry) for entry in row_flux)}) stands under no div in the "
                f"equations {names}; write the equation with div(flux), or use "
                "Condition(flux.dot(mesh.normal) - value, on=...)"
            )


def _check_natural(problem: Problem) -> None:
    """A flux is stated once on a facet: the weak form would add what two conditions say."""
    for row in problem.rows:
        parts = split(row.expression)
        if parts is None or not parts.fluxes:
            continue
        known: list[tuple[frozenset[int], Any, str, sp.Expr]] = []
        for condition in problem.conditions:
            if not isinstance(condition, (Neumann, Robin)):
                continue
            here = facets(problem.mesh, condition.on)
            for flux, value in zip(condition.rows, condition.value, strict=True):
                found = outflow(parts, flux, value)
                if found is None:
                    continue
                which = frozenset(found[0])
                for other, there, label, stated in known:
                    shared = np.intersect1d(here, there)
                    if label != condition.label and which & other and shared.size and (value != 0 or stated != 0):
                        raise StatementError(
                            f"the flux of {row.name!r} is stated by {label!r} and by {condition.label!r} on {shared.size} facets; "
                            "state it once there, or add the values"
                        )
                known.append((which, here, condition.label, value))


def stands_under(expression: sp.Expr, flux: Any, value: sp.Expr = sp.S.Zero) -> bool:
    """Whether a flux, up to a factor, stands under a div of the expression, or is all that its divs hold."""
    nodes = outer_divs(expression)
    if any(ratio(node.flux, flux) is not None for node in nodes):
        return True
    second_order = [node for node in nodes if derivatives_of_fields(node)]
    parts = split(expression) if len(second_order) > 1 else None
    return parts is not None and outflow(parts, flux, value) is not None


def _check_observations(problem: Problem) -> None:
    d = problem.mesh.dimension
    for data in problem.observations:
        what = f"observations of {data.name}"
        _check_symbols(problem, data.expression, what, normals=False)
        refuse_jumps(data.expression, what)
        if not data.expression.atoms(FieldComponent):
            raise StatementError(f"{what}: the expression {data.expression} holds no field")
        if data.is_global:
            continue
        if data.points.shape[1] != d:
            raise StatementError(f"{what}: points with {data.points.shape[1]} coordinates in a mesh with {d}")
        outside = np.flatnonzero(~np.asarray(problem.mesh.contains(data.points)))
        if outside.size:
            point = ", ".join(f"{value:g}" for value in data.points[outside[0]])
            box = zip(problem.mesh.points.min(axis=0), problem.mesh.points.max(axis=0), strict=True)
            ranges = " x ".join(f"[{low:g}, {high:g}]" for low, high in box)
            raise StatementError(
                f"{what}: {outside.size} of {len(data)} points lie outside the mesh, the first is row {outside[0]} at "
                f"({point}); the mesh spans {ranges}; correct the points or their units"
            )


def _check_unknowns(problem: Problem) -> None:
    conditions = set().union(*(r.atoms(FieldComponent) for c in problem.conditions for r in c.residuals()))
    conditions.update(*(c.components for c in problem.conditions if isinstance(c, Periodic)))
    data = set().union(*(entry.expression.atoms(FieldComponent) for entry in problem.observations))
    stated = set().union(*(row.expression.atoms(FieldComponent) for row in problem.rows))
    for component in problem.components:
        if component not in conditions | data | stated:
            raise StatementError(
                f"component {component.name!r} of field {component.field!r} has no equation, condition or data; "
                "give it one, or take fewer components"
            )
    # With fewer equations than unknowns and no data, an unknown without a condition is free to be anything.
    whole = all(not row.on for row in problem.rows)
    if len(problem.rows) < len(problem.components) and not problem.observations and whole:
        for component in problem.components:
            if component not in conditions:
                raise StatementError(
                    f"field {component.name!r} has no equation, condition or data of its own: "
                    f"{len(problem.rows)} equations for {len(problem.components)} unknowns; "
                    "add an equation or observations"
                )
    used = problem.parameters.values()
    for key in problem.exact:
        if isinstance(key, Parameter) and key not in used:
            raise StatementError(f"parameter {key.name!r} appears nowhere in equations, conditions or observations")


def _check_values(problem: Problem) -> tuple[str, ...]:
    """Two Dirichlet values of one component: different ones on a facet are a mistake, at a shared corner a note."""
    mesh = problem.mesh
    given: dict[Any, list[tuple[sp.Expr, tuple[str, ...], str]]] = {}
    for condition in problem.conditions:
        if isinstance(condition, (Dirichlet, Initial)) and condition.components is not None:
            for component, value in zip(condition.components, condition.value, strict=True):
                given.setdefault(component, []).append((value, condition.on, condition.label))
    notes: list[str] = []
    for component, entries in given.items():
        for i, (value, on, label) in enumerate(entries):
            for other_value, other_on, other_label in entries[i + 1 :]:
                if value == other_value:
                    continue
                mine, theirs = facets(mesh, on), facets(mesh, other_on)
                places = midpoints(mesh, np.intersect1d(mine, theirs))
                where = _first_difference(mesh, value, other_value, places)
                if where is not None:
                    raise StatementError(
                        f"{component.name} has two values on one facet, at {where}: from {label!r} and from "
                        f"{other_label!r}; a facet takes one value"
                    )
                corners = np.intersect1d(facet_vertices(mesh, mine), facet_vertices(mesh, theirs))
                shared = np.asarray(mesh.skfem.p)[:, corners].T
                where = _first_difference(mesh, value, other_value, shared, midpoints(mesh, np.union1d(mine, theirs)))
                if where is not None:
                    meeting = f"{label!r} and {other_label!r} meet"
                    notes.append(f"{component.name} has two values where {meeting}, at {where}")
    return tuple(notes)


def _first_difference(
    mesh: Any, value: sp.Expr, other: sp.Expr, points: np.ndarray, around: np.ndarray | None = None
) -> str | None:
    """The first of `points` at which two expressions of coordinates differ, compared with their size `around` too."""
    both = sp.Tuple(value, other)
    unknown = both.free_symbols - {symbol for symbol in both.free_symbols if isinstance(symbol, Coordinate)}
    if not len(points) or unknown or both.atoms(CoefficientFunction, FieldComponent, Div):
        return None  # nothing shared, or values that numbers cannot compare
    evaluate = sp.lambdify(mesh.coordinates, list(both), modules=["scipy", "numpy"])
    a, b = (np.broadcast_to(np.asarray(v, dtype=float), len(points)) for v in evaluate(*points.T))
    # Compared with the largest value anywhere, so that rounding of a value that should be zero is no difference.
    size = max(float(np.abs(a).max()), float(np.abs(b).max()))
    if around is not None:
        size = max([size, *(float(np.max(np.abs(v))) for v in evaluate(*around.T))])
    different = np.flatnonzero(np.abs(a - b) > 1e-9 * size)
    if not different.size:
        return None
    first = different[0]
    return f"({', '.join(f'{x:g}' for x in points[first])}): {a[first]:.6g} and {b[first]:.6g}"
