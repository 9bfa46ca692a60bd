"""Periodicity: which derivatives are equal on the two sides, and what breaks it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import sympy as sp

from kinn.statement.calculus import Div, expanded
from kinn.statement.coefficients import CoefficientFunction
from kinn.statement.conditions import Dirichlet, Initial, Neumann, Periodic, Robin
from kinn.statement.coordinates import Coordinate
from kinn.statement.errors import StatementError
from kinn.statement.fields import FieldComponent
from kinn.statement.places import exterior, facet_vertices, facets, time_ends, translation

if TYPE_CHECKING:
    from kinn.statement.problem import Problem

TOLERANCE = 1e-6  # of the largest value: how far an initial value may be from periodic


@dataclass(frozen=True)
class Match:
    """`expression` at x + shift minus `expression` at x is `jump` for x on the first side."""

    component: FieldComponent
    order: int
    expression: sp.Expr
    jump: sp.Expr


def matches(problem: Problem, condition: Periodic, shift: np.ndarray) -> list[Match]:
    """What is equal on both sides: the value and, for equations of order m across them, m - 1 derivatives along `shift`.

    A second-order equation thus has equal fluxes, a first-order one (or a period in time) only equal values. `shift`
    (d,) comes from `places.translation`.
    """
    found: list[Match] = []
    for component, jump in zip(condition.components, condition.jump, strict=True):
        found.append(Match(component, 0, component, jump))
        for k in range(1, _order(problem, component, shift)):
            found.append(Match(component, k, along(component, problem.mesh, shift, k), sp.S.Zero))
    return found


def along(expression: Any, mesh: Any, shift: np.ndarray, order: int) -> Any:
    """The directional derivative of an expression along `shift`, whose largest component counts as 1."""
    size = float(np.abs(shift).max())
    slopes = {x: round(float(s) / size, 9) for x, s in zip(mesh.coordinates, shift, strict=True)}
    exact = {x: sp.Integer(int(c)) if c == int(c) else sp.Float(c) for x, c in slopes.items()}
    for _ in range(order):
        expression = sp.Add(*(c * expression.diff(x) for x, c in exact.items() if c != 0))
    return expression


def check_periodic(problem: Problem, condition: Periodic, what: str) -> None:
    """Raise StatementError for sides that do not match, and for values that contradict the periodicity."""
    mesh = problem.mesh
    sides = facets(mesh, condition.on)
    if np.setdiff1d(sides, exterior(mesh)).size:
        raise StatementError(f"{what}: a part of it lies inside the mesh; periodic sides are parts of the boundary")
    for jump in condition.jump:
        held = jump.atoms(FieldComponent)
        if held:
            raise StatementError(f"{what}: its jump {jump} holds a field; give an expression of coordinates")
    shift = translation(mesh, condition.first, condition.second)
    for other in problem.conditions:
        if isinstance(other, (Dirichlet, Initial)) and other.components is not None:
            both = [c.name for c in condition.components if c in other.components]
            if both and np.intersect1d(sides, facets(mesh, other.on)).size:
                raise StatementError(
                    f"{both[0]} has the value of {other.label!r} on a side of {condition.label!r}; state one of them there"
                )
        if isinstance(other, (Neumann, Robin)) and np.intersect1d(sides, facets(mesh, other.on)).size:
            given = [value for value in other.value if value != 0]
            if given and any(r.atoms(FieldComponent) & set(condition.components) for r in other.residuals()):
                raise StatementError(
                    f"{other.label!r} states a flux of {given[0]} on a side of {condition.label!r}, where it is that of the "
                    "other side; state one of them there"
                )
        if isinstance(other, Initial) and other.components is not None:
            _check_initial(problem, condition, other, shift)


def _check_initial(problem: Problem, condition: Periodic, initial: Initial, shift: np.ndarray) -> None:
    """An exact initial value keeps its kink for all times, and no residual inside sees it: refuse it here."""
    mesh = problem.mesh
    start = facets(mesh, time_ends(mesh)[:1])
    corners = np.intersect1d(facet_vertices(mesh, facets(mesh, condition.first)), facet_vertices(mesh, start))
    if not corners.size:
        return  # periodic in time
    points = np.asarray(mesh.skfem.p).T
    here, around = points[corners], points[np.unique(facet_vertices(mesh, start))]
    values = dict(zip(initial.components or (), initial.value, strict=True))
    for match in matches(problem, condition, shift):
        value = values.get(match.component)
        if value is None or match.order > 1:
            continue
        first = along(value, mesh, shift, match.order)
        read = _reader(mesh, first, match.jump)
        if read is None:
            continue
        (one, jump), (two, _), (size, _) = read(here), read(here + shift), read(around)
        off = np.abs(two - one - jump)
        k = int(np.argmax(off))
        if off[k] > TOLERANCE * max(float(np.abs(size).max()), float(np.abs(one).max()), float(np.abs(two).max())):
            which = "value" if match.order == 0 else "derivative across the sides"
            raise StatementError(
                f"{initial.label!r} contradicts {condition.label!r}: its {which} is {one[k]:.6g} at "
                f"({', '.join(f'{x:g}' for x in here[k])}) and {two[k]:.6g} at "
                f"({', '.join(f'{x:g}' for x in here[k] + shift)}); give a periodic initial value, or state "
                "Dirichlet or Neumann conditions instead"
            )


def _reader(mesh: Any, *expressions: Any) -> Any:
    """A function points (n, d) -> (len(expressions), n), or None where numbers cannot tell."""
    both: Any = sp.Tuple(*(expanded(e) for e in expressions))
    free = {s for s in both.free_symbols if not isinstance(s, Coordinate)}
    if free or both.atoms(FieldComponent, Div):
        return None
    functions: Any = both.atoms(CoefficientFunction)
    if functions and both.atoms(sp.Derivative):
        return None
    modules = [{f.func.__name__: f.numeric for f in functions}, "scipy", "numpy"]
    evaluate = sp.lambdify(mesh.coordinates, list(both), modules=modules)

    def read(x: np.ndarray) -> np.ndarray:
        with np.errstate(all="ignore"):
            return np.array([np.broadcast_to(np.asarray(v, dtype=float), len(x)) for v in evaluate(*x.T)])

    return read


def _order(problem: Problem, component: FieldComponent, shift: np.ndarray) -> int:
    """The highest order of a derivative of the component across the sides in any equation."""
    size = np.abs(shift).max()
    across = {x for x, s in zip(problem.mesh.coordinates, shift, strict=True) if abs(s) > 1e-9 * size}
    highest = 0
    for row in problem.rows:
        nodes: Any = expanded(row.expression).atoms(sp.Derivative)
        for node in nodes:
            if node.expr == component:
                highest = max(highest, sum(int(n) for x, n in node.variable_count if x in across))
    return highest
