"""The proof that a stated exact solution satisfies its own equations and conditions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import sympy as sp

from kinn.statement.calculus import expanded
from kinn.statement.coefficients import CoefficientFunction
from kinn.statement.conditions import unique_labels
from kinn.statement.errors import StatementError
from kinn.statement.fields import FieldComponent, VectorField, normal_of, space_of
from kinn.statement.parameters import Parameter
from kinn.statement.places import facets, sample_cells, sample_facets

if TYPE_CHECKING:
    from kinn.statement.problem import Problem


def verify(problem: Problem, exact: Mapping[Any, Any], samples: int, tolerance: float) -> dict[str, float]:
    """Per term, the largest residual of the exact solution relative to the largest summand of the term.

    The summands are measured in the whole domain, so that a value that is zero on a wall is no division by zero.
    """
    known = _known(problem, exact)
    if not known:
        raise StatementError("there is no exact solution to verify; give Problem(..., exact={u: expression})")
    inside = sample_cells(problem.mesh, samples)
    terms: list[tuple[str, tuple[sp.Expr, ...], np.ndarray, np.ndarray | None]] = []
    for name, equation in problem.equations.items():
        points = sample_cells(problem.mesh, samples, equation.on) if equation.on else inside
        terms.append((name, equation.residuals(), points, None))
    for name, condition in zip(unique_labels(problem.conditions), problem.conditions, strict=True):
        points, normals = sample_facets(problem.mesh, facets(problem.mesh, condition.on), samples)
        terms.append((name, condition.residuals(), points, normals))
    results: dict[str, float] = {}
    for name, residuals, points, normals in terms:
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


def _known(problem: Problem, exact: Mapping[Any, Any]) -> dict[Any, sp.Expr]:
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
    values: dict[Any, Any] = {}
    for node in plain.atoms(sp.Derivative, FieldComponent, Parameter):
        base = node.expr if isinstance(node, sp.Derivative) else node
        if isinstance(base, CoefficientFunction):
            continue
        if base not in known:
            raise StatementError(f"the exact solution says nothing about {base}; add it to exact={{...}}")
        exact = known[base]
        values[node] = sp.diff(exact, *node.variable_count) if isinstance(node, sp.Derivative) else exact
    marks = {node: sp.Dummy() for node in values}
    marked = plain.xreplace(marks)
    # Expanded, since k*(a + b) as one summand would hide that a and b are large; long expressions stay as they are.
    marked = sp.expand(marked) if marked.count_ops() < 500 else marked
    back = {mark: values[node] for node, mark in marks.items()}
    summands = [term.xreplace(back) for term in sp.Add.make_args(marked)]
    arguments = [*problem.mesh.coordinates, *normal_of(space_of(*problem.components, mesh=problem.mesh))]
    coefficients = {name: _numeric(function) for name, function in problem.coefficients.items()}
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


def _numeric(function: CoefficientFunction) -> Any:
    def call(*arrays: np.ndarray) -> np.ndarray:
        try:
            return np.asarray(function.function(*arrays), dtype=float)
        except Exception as error:
            raise StatementError(
                f"coefficient {function.func.__name__!r} does not evaluate on numpy arrays ({error}); "
                "verify() needs a SymPy expression or a function that takes arrays"
            ) from None

    return call
