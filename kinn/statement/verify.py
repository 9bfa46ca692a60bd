"""The proof that a stated exact solution satisfies its own equations and conditions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import sympy as sp

from kinn.statement.calculus import expanded
from kinn.statement.coefficients import CoefficientFunction
from kinn.statement.conditions import Condition, Periodic, unique_labels
from kinn.statement.errors import StatementError
from kinn.statement.fields import FieldComponent, VectorField, normal_of, space_of
from kinn.statement.fluxes import jet_of
from kinn.statement.integrals import integrals_of
from kinn.statement.interfaces import Jump, TwoSided
from kinn.statement.parameters import Parameter
from kinn.statement.periodic import matches
from kinn.statement.places import facets, sample_cells, sample_facets, translation

if TYPE_CHECKING:
    from kinn.statement.problem import Problem

NEAR = 1e-12  # of the extent: how far from an interface its two sides are read


def verify(problem: Problem, exact: Mapping[Any, Any], samples: int, tolerance: float) -> dict[str, float]:
    """Per term, the largest residual of the exact solution relative to the largest summand of the term.

    The summands are measured in the whole domain, so that a value that is zero on a wall is no division by zero.
    """
    known = known_exactly(problem, exact)
    if not known:
        raise StatementError("there is no exact solution to verify; give Problem(..., exact={u: expression})")
    inside = sample_cells(problem.mesh, samples)
    terms: list[tuple[str, tuple[sp.Expr, ...], np.ndarray, np.ndarray | None]] = []
    for name, equation in problem.equations.items():
        points = sample_cells(problem.mesh, samples, equation.on) if equation.on else inside
        terms.append((name, equation.residuals(), points, None))
    named = list(zip(unique_labels(problem.conditions), problem.conditions, strict=True))
    for name, condition in named:
        if isinstance(condition, Condition) and condition.is_global:
            continue
        on, residuals = condition.on, condition.residuals()
        side: tuple[str, ...] = ()
        if isinstance(condition, Periodic):
            on, residuals = condition.first, _repetition(problem, condition, known)
        elif isinstance(condition, Condition) and condition.side is not None:
            side, residuals = (condition.side,), _across(problem, condition, known)
        points, normals = sample_facets(problem.mesh, facets(problem.mesh, on), samples, side=side)
        terms.append((name, residuals, points, normals))
    skipped = [name for name, residuals, _, _ in terms if any(integrals_of(residual) for residual in residuals)]
    skipped += [name for name, condition in named if isinstance(condition, Condition) and condition.is_global]
    texts = (f"verify() does not check {name!r}: it holds an Integral" for name in skipped)
    problem.notes = tuple(dict.fromkeys((*problem.notes, *texts)))
    results: dict[str, float] = {}
    for name, residuals, points, normals in terms:
        if name in skipped:
            continue
        worst, where = 0.0, points[0]
        for residual in residuals:
            value, scale = _relative(problem, residual, known, points, normals, inside)
            if not np.isfinite(value).all() or scale == 0 or value.max() / scale > worst:
                k = int(np.argmax(np.where(np.isfinite(value), value, np.inf)))
                worst, where = (float(value[k] / scale) if scale else 0.0), points[k]
        results[name] = worst
        if not worst <= tolerance:
            place = ", ".join(f"{x:g}" for x in where)
            raise StatementError(
                f"the exact solution does not satisfy {name!r}: at ({place}) the residual is {worst:.2e} of the "
                "largest summand; correct the exact solution or the statement"
            )
    return results


def _repetition(problem: Problem, condition: Periodic, known: dict[Any, sp.Expr]) -> tuple[sp.Expr, ...]:
    """What a periodic condition says of the exact solution at points of its first side."""
    shift = translation(problem.mesh, condition.first, condition.second)
    moved = {x: x + sp.Float(s) for x, s in zip(problem.mesh.coordinates, shift, strict=True)}
    found = []
    for match in matches(problem, condition, shift):
        exact: Any = match.expression.subs(match.component, _exact_of(match.component, known)).doit()
        found.append(exact.subs(moved, simultaneous=True) - exact - match.jump)
    return tuple(found)


def _across(problem: Problem, condition: Condition, known: dict[Any, sp.Expr]) -> tuple[sp.Expr, ...]:
    """An interface condition of the exact solution, a Piecewise: its two sides lie NEAR the facet along the normal."""
    mesh = problem.mesh
    step = sp.Float(NEAR * float(np.ptp(np.asarray(mesh.skfem.p), axis=1).max()))
    space = mesh.coordinates[: mesh.spatial_dimension]
    moves = [
        {x: x + sign * step * n for x, n in zip(space, normal_of(space).flat(), strict=True)} for sign in (1, -1)
    ]  # the other side, and the condition's own

    def sides(node: TwoSided) -> sp.Expr:
        exact: Any = expanded(node.operand)
        exact = exact.xreplace(_values(exact, known))
        other, own = (exact.subs(move, simultaneous=True) for move in moves)
        return other - own if isinstance(node, Jump) else (other + own) / 2

    residuals: Any = condition.residuals()
    return tuple(r.xreplace({node: sides(node) for node in r.atoms(TwoSided)}) for r in residuals)


def _values(plain: Any, known: dict[Any, sp.Expr]) -> dict[Any, sp.Expr]:
    """field, derivative or parameter -> what it is for the exact solution."""
    values: dict[Any, Any] = {}
    for node in plain.atoms(sp.Derivative, FieldComponent, Parameter):
        base = node.expr if isinstance(node, sp.Derivative) else node
        if isinstance(base, CoefficientFunction):
            continue
        exact = _exact_of(base, known)
        values[node] = sp.diff(exact, *node.variable_count) if isinstance(node, sp.Derivative) else exact
    return values


def _exact_of(component: Any, known: dict[Any, sp.Expr]) -> sp.Expr:
    if component not in known:
        raise StatementError(f"the exact solution says nothing about {component}; add it to exact={{...}}")
    return known[component]


def known_exactly(problem: Problem, exact: Mapping[Any, Any]) -> dict[Any, sp.Expr]:
    """component or parameter -> its exact expression."""
    known: dict[Any, sp.Expr] = {}
    components: Any
    for key, value in exact.items():
        if isinstance(key, str):
            key = problem.parameters.get(key) or problem.fields.get(key) or key
        if isinstance(key, VectorField):
            key = tuple(key.flat())
        components = list(key) if isinstance(key, tuple) else [key]
        many = isinstance(value, (list, tuple, sp.MatrixBase))
        values = sp.Matrix(value).flat() if many else [sp.sympify(value)]
        if len(components) != len(values) or not all(isinstance(c, (FieldComponent, Parameter)) for c in components):
            raise StatementError(f"exact[{key}] = {value} does not fit: give one expression per component of a field")
        known.update(zip(components, values, strict=True))
    return known


def _relative(
    problem: Problem,
    residual: sp.Expr,
    known: dict[Any, sp.Expr],
    points: np.ndarray,
    normals: np.ndarray | None,
    inside: np.ndarray,
) -> tuple[np.ndarray, float]:
    """The absolute residual at the points (n,), and the largest absolute summand."""
    plain: Any = expanded(residual)
    values = _values(plain, known)
    marks = {node: sp.Dummy() for node in values}
    marked = plain.xreplace(marks)
    # Expanded, since k*(a + b) as one summand would hide that a and b are large; long expressions stay as they are.
    marked = sp.expand(marked) if marked.count_ops() < 500 else marked
    back = {mark: values[node] for node, mark in marks.items()}
    summands = [term.xreplace(back) for term in sp.Add.make_args(marked)]
    summands, coefficients = _with_slopes(problem, summands)
    arguments = [*problem.mesh.coordinates, *normal_of(space_of(*problem.components, mesh=problem.mesh))]
    evaluate = sp.lambdify(arguments, summands, modules=[coefficients, "scipy", "numpy"])
    d = problem.mesh.spatial_dimension

    def summed(x: np.ndarray, n: np.ndarray) -> np.ndarray:
        with np.errstate(all="ignore"):
            parts = evaluate(*x.T, *n.T[:d])
        return np.array([np.broadcast_to(np.asarray(part, dtype=float), len(x)) for part in parts])

    here = summed(points, np.ones_like(points) if normals is None else normals)
    there = summed(inside, np.ones_like(inside))
    finite = [np.abs(array[np.isfinite(array)]) for array in (here, there)]
    return np.abs(here.sum(axis=0)), max(float(array.max(initial=0.0)) for array in finite)


def _with_slopes(problem: Problem, summands: list[Any]) -> tuple[list[Any], dict[str, Any]]:
    """The summands with functions for derivatives of coefficients, and what every coefficient's name means in numbers."""
    numbers: dict[str, Any] = {name: function.numeric for name, function in problem.coefficients.items()}
    slopes: dict[Any, Any] = {}
    nodes: Any = {node for term in summands for node in term.atoms(sp.Derivative)}
    for node in nodes:
        function, orders = jet_of(node)
        own = function.derivative(orders) if isinstance(function, CoefficientFunction) else None
        if own is None:
            raise StatementError(f"verify() cannot differentiate {function}; give it as an expression or a table")
        name = f"{function.func.__name__}_{'_'.join(str(n) for n in orders)}_"
        numbers[name], slopes[node] = own, sp.Function(name)(*function.args)
    return [term.xreplace(slopes) for term in summands], numbers
