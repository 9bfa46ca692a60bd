"""Quantities of interest of a solution beside those of its reference: a flux, a peak, a tip."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import sympy as sp

from kinn.report.integrals import integral
from kinn.report.matching import has_normals, scalars
from kinn.report.reference import Reference
from kinn.statement.errors import StatementError
from kinn.statement.fields import FieldComponent


def quantity(what: sp.Expr | Callable[[Any], Any], solution: Any) -> float:
    """One number of a solution.

    A function is called with the solution. An expression of parameters alone has its value; one with fields is
    integrated over the domain, one with `mesh.normal` over the whole boundary. Over a part: a function, such as
    `lambda s: s.integral(flux.dot(mesh.normal), over="wall")`.

    >>> quantity(lambda s: s([0.5, 0.5]), solution)         # doctest: +SKIP
    0.0737
    """
    if callable(what) and not isinstance(what, sp.Basic):
        return float(np.asarray(what(solution), dtype=float).reshape(()))
    problem = solution.problem
    expressions = scalars(what, problem)
    if len(expressions) != 1:
        raise StatementError(f"a quantity is one number, {what} has {len(expressions)}; give a scalar expression")
    mesh, expression = problem.mesh, expressions[0]
    held = expression.atoms(FieldComponent) or expression.free_symbols & set(mesh.coordinates)
    if held or has_normals(expressions):
        return integral(solution, expression)
    return float(np.asarray(solution.evaluate([expression], mesh.points[:1])).reshape(()))


def quantities(
    wanted: Mapping[str, Any], solution: Any, reference: Reference | None = None
) -> dict[str, dict[str, float | None]]:
    """name -> {value, reference, relative_error}; the reference is None where it cannot say.

    Raises StatementError, with the name, for a quantity that fails on the solution.
    """
    table: dict[str, dict[str, float | None]] = {}
    for name, what in wanted.items():
        try:
            value = quantity(what, solution)
        except Exception as error:
            raise StatementError(f"quantity {name!r} failed: {type(error).__name__}: {error}") from error
        truth = None
        if reference is not None:
            try:
                truth = quantity(what, reference)
            except (StatementError, AttributeError, KeyError):  # it asks for what a reference does not have
                truth = None
        relative = abs(value - truth) / abs(truth) if truth else None
        table[name] = {"value": value, "reference": truth, "relative_error": relative}
    return table


__all__ = ["quantities", "quantity"]
