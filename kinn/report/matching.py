"""Expressions of one problem read on another by the names in them: fields, coordinates, normals, parameters."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import sympy as sp

from kinn.statement.calculus import expanded
from kinn.statement.coefficients import CoefficientFunction
from kinn.statement.coordinates import Coordinate, MeshSymbol, Normal
from kinn.statement.errors import StatementError, suggest
from kinn.statement.fields import FieldComponent
from kinn.statement.fluxes import jet_of
from kinn.statement.parameters import Parameter
from kinn.statement.problem import Problem


def scalars(what: Any, problem: Problem) -> list[sp.Expr]:
    """The scalar expressions in a field, an expression, a matrix, the name of a field, or a sequence of these.

    All of them in the problem's own symbols, matched by name: a solution on one mesh can be asked about a field that
    was made on another. Raises StatementError for names that the problem does not have.
    """
    if isinstance(what, str):
        if what in problem.parameters:
            return [problem.parameters[what]]
        if what not in problem.fields:
            known = [*problem.fields, *problem.parameters]
            raise StatementError(f"{what!r} is no field and no parameter of the problem{suggest(what, known)}")
        return list(problem.fields[what])
    if isinstance(what, (sp.MatrixBase, list, tuple)):
        return [entry for part in what for entry in scalars(part, problem)]
    try:
        expression = sp.sympify(what, strict=True)
    except (sp.SympifyError, TypeError):
        raise StatementError(
            f"{what!r} is no expression; give a field, a SymPy expression or the name of a field"
        ) from None
    if not isinstance(expression, sp.Expr):
        raise StatementError(f"{what} is a {type(what).__name__}; give an expression, such as a field or grad(u)[0]")
    return [_matched(expanded(expression), problem)]


def _matched(expression: sp.Expr, problem: Problem) -> sp.Expr:
    mesh = problem.mesh
    marks: dict[Any, sp.Dummy] = {}
    back: dict[Any, Any] = {}
    for node in _nodes(expression):
        own = node
        function, orders = jet_of(node)
        if isinstance(function, FieldComponent) and function not in problem.components:
            own = _component(function, problem)
            for coordinate, order in zip(mesh.coordinates, orders, strict=False):
                own = own.diff(coordinate, order) if order else own
        elif isinstance(function, CoefficientFunction) and function.mesh_id != mesh.identity:
            raise StatementError(
                f"coefficient {function.func.__name__!r} is of another mesh; make it on the solution's mesh"
            )
        marks[node] = sp.Dummy()
        back[marks[node]] = own
    bare = expression.xreplace(marks)
    for symbol in bare.free_symbols - set(marks.values()):
        if isinstance(symbol, MeshSymbol):
            back[symbol] = _symbol(symbol, problem)
        elif isinstance(symbol, Parameter):
            if symbol.name not in problem.parameters:
                raise StatementError(
                    f"parameter {symbol.name!r} is not in the problem{suggest(symbol.name, problem.parameters)}"
                )
            back[symbol] = problem.parameters[symbol.name]
    return bare.xreplace(back)


def _nodes(expression: sp.Expr) -> Iterable[Any]:
    """Fields, coefficients and their derivatives that stand in no other derivative."""
    derivatives = expression.atoms(sp.Derivative)
    bare = expression.xreplace({node: sp.Dummy() for node in derivatives})
    return [*derivatives, *bare.atoms(FieldComponent, CoefficientFunction)]


def _component(component: FieldComponent, problem: Problem) -> Any:
    own = problem.fields.get(component.field)
    if own is None:
        raise StatementError(
            f"field {component.field!r} is not in the problem{suggest(component.field, problem.fields)}"
        )
    if len(own) != component.components:
        raise StatementError(
            f"field {component.field!r} has {component.components} components, but {len(own)} in the solution's problem"
        )
    return own[component.index]


def _symbol(symbol: MeshSymbol, problem: Problem) -> Any:
    coordinates = {x.name: x for x in problem.mesh.coordinates}
    normals = {n.name: n for n in problem.mesh.normal}
    table = coordinates if isinstance(symbol, Coordinate) else normals
    if symbol.name not in table:
        raise StatementError(
            f"{symbol.name!r} is no coordinate or normal of the solution's mesh{suggest(symbol.name, table)}"
        )
    return table[symbol.name]


def as_points(points: Any, dimension: int) -> tuple[np.ndarray, bool]:
    """Points (n, d) from an array, a tensor, a list or one point, and whether it was one point.

    On a line, n numbers are n points. Raises StatementError for another shape or numbers that are not finite.
    """
    if hasattr(points, "detach"):
        points = points.detach().cpu().numpy()
    try:
        array = np.array(points, dtype=np.float64)  # a copy, since torch does not take read-only arrays
    except (TypeError, ValueError):
        raise StatementError(
            f"points of type {type(points).__name__} are no array of numbers; give shape (n, {dimension})"
        ) from None
    single = array.ndim == 0 if dimension == 1 else array.ndim == 1
    if single:
        array = array.reshape(1, -1)
    elif dimension == 1 and array.ndim == 1:
        array = array[:, None]
    if array.ndim != 2 or array.shape[1] != dimension:
        raise StatementError(f"points of shape {np.shape(points)}: give (n, {dimension}), one row per point")
    bad = np.flatnonzero(~np.isfinite(array).all(axis=1))
    if bad.size:
        raise StatementError(f"point {bad[0]} is {array[bad[0]]} (rows count from 0); give finite coordinates")
    return array, single


def has_normals(expressions: Iterable[sp.Expr]) -> bool:
    return any(expression.atoms(Normal) for expression in expressions)


def unchecked(solution: Any) -> Any:
    """What evaluates without asking first whether points lie in the mesh, which takes longer than the evaluation."""
    return getattr(solution, "result", solution)


__all__ = ["as_points", "has_normals", "scalars", "unchecked"]
