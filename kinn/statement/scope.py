"""Where equations and fields hold: every cell needs an equation, and a field on a boundary stays there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from kinn.statement.conditions import Dirichlet, Initial, Periodic
from kinn.statement.errors import StatementError
from kinn.statement.fields import FieldComponent
from kinn.statement.integrals import integrals_of, outside_integrals
from kinn.statement.places import cells_of, check_names, facets

if TYPE_CHECKING:
    from kinn.statement.problem import Problem


def check_covered(problem: Problem) -> None:
    """Raise StatementError if a cell has no equation: a network would be free to be anything there."""
    mesh = problem.mesh
    bare = np.setdiff1d(cells_of(mesh, ()), np.concatenate([cells_of(mesh, row.on) for row in problem.rows]))
    if bare.size:
        center = np.asarray(mesh.skfem.p)[:, np.asarray(mesh.skfem.t)[:, bare[0]]].mean(axis=1)
        stated = {name for row in problem.rows for name in row.on}
        left = [name for name, part in mesh.subdomains.items() if np.isin(bare, part).any() and name not in stated]
        named = f" (in {', '.join(repr(name) for name in left)})" if left else ""
        raise StatementError(
            f"{bare.size} of {len(cells_of(mesh, ()))} cells have no equation{named}, the first at "
            f"({', '.join(f'{x:g}' for x in center)}); give an Equation(expression, on=...) for them too"
        )


def check_boundary_fields(problem: Problem) -> None:
    """Raise StatementError for a field of a boundary that is used where it does not live."""
    homes = {component.on for component in problem.components if component.on}
    for on in homes:
        check_names(problem.mesh, on, "a field on a boundary")
    if not homes:
        return
    for name, equation in problem.equations.items():
        for residual in equation.residuals():
            _check(problem, residual, None, f"equation {name!r}")
    for condition in problem.conditions:
        what = f"{type(condition).__name__} {condition.label!r}"
        held = condition.components if isinstance(condition, Periodic) else ()
        for residual in (*condition.residuals(), *held):
            _check(problem, residual, condition.on, what)
    for data in problem.observations:
        for node in integrals_of(data.expression):
            _check(problem, node.integrand, _boundaries(problem, node.over), f"observations of {data.name}")


def check_identified(problem: Problem) -> None:
    """Raise StatementError for a boundary value or period of a field that no equation determines: it is what data say of it."""
    for condition in problem.conditions:
        if isinstance(condition, (Dirichlet, Initial, Periodic)):
            for component in condition.components or ():
                if component in problem.identified:
                    raise StatementError(
                        f"{condition.label!r} is a condition on {component.name}, an unknown coefficient that no equation "
                        "determines; give its known values as Observations with a small sigma"
                    )


def _check(problem: Problem, expression: Any, on: tuple[str, ...] | None, what: str) -> None:
    """`on` are the boundary names where the expression stands, None inside the domain."""
    for node in integrals_of(expression):
        _check(problem, node.integrand, _boundaries(problem, node.over), what)
    for component in sorted(outside_integrals(expression).atoms(FieldComponent), key=str):
        if not component.on:
            continue
        home = ", ".join(repr(name) for name in component.on)
        if on is None:
            raise StatementError(
                f"{what} holds {component.name}, which lives on {home}; use it in conditions there, or make it a field "
                f"of the whole mesh: kinn.Field({component.field!r}, mesh)"
            )
        away = np.setdiff1d(facets(problem.mesh, on), facets(problem.mesh, component.on))
        if away.size:
            raise StatementError(
                f"{what} holds {component.name}, which lives on {home}, on {away.size} other facets; use it there only"
            )


def _boundaries(problem: Problem, over: tuple[str, ...]) -> tuple[str, ...] | None:
    return None if not over or over[0] in problem.mesh.subdomains else over
