"""What the formulations consume: the terms of a strong least-squares form, or the integrals of a weak form."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import sympy as sp

from kinn.statement.calculus import expanded
from kinn.statement.conditions import AnyCondition, Condition, Dirichlet, Initial, Neumann, Robin, unique_labels
from kinn.statement.errors import StatementError
from kinn.statement.fields import FieldComponent, normal_of
from kinn.statement.fluxes import Row, Split, outflow, pair, split
from kinn.statement.places import facets, subdomain_facets, time_ends
from kinn.statement.problem import Problem

Kind = Literal["equation", "essential", "natural", "condition", "data"]


@dataclass(frozen=True)
class Term:
    """Residuals that are 0 on a part of the mesh.

    `expressions` hold no `Div`; normals are `Normal` symbols. `on` names boundary parts, for an equation subdomains;
    () is the whole domain. `facets` is set only where no names select the facets (the unnamed rest of a boundary).
    """

    name: str
    kind: Kind
    expressions: tuple[sp.Expr, ...]
    on: tuple[str, ...] = ()
    facets: tuple[int, ...] | None = None


class NoWeakForm(StatementError):
    """The statement has no weak form of first derivatives; the text says why."""


@dataclass(frozen=True)
class WeakRow:
    """One test function's equation.

    R(v) = int flux . grad v + source v dx + sum int_on g v ds, grad over the spatial coordinates, v zero where the
    component `component_index` has an essential condition. `boundary` holds the pairs (names, g); `on` are subdomains.
    """

    name: str
    component_index: int
    flux: tuple[sp.Expr, ...]
    source: sp.Expr
    boundary: tuple[tuple[tuple[str, ...], sp.Expr], ...]
    on: tuple[str, ...] = ()


@dataclass(frozen=True)
class WeakForm:
    """Rows in the order of `problem.components`, essential values, and what stays a soft least-squares term."""

    rows: tuple[WeakRow, ...]
    essential: tuple[tuple[int, sp.Expr, tuple[str, ...]], ...]
    other: tuple[Term, ...]


def strong_terms(problem: Problem) -> list[Term]:
    """Equations, conditions, and the implicit "insulated" terms of the strong form.

    A boundary facet that carries no condition for an equation with a div gets `flux . n = 0`, what the weak form does
    there by itself, so that strong, weak and finite elements solve the same problem.

    Raises StatementError for a coefficient that jumps under a div: the residual is blind to the jump of the flux.
    """
    if problem.jumps:
        raise StatementError(
            f"{problem.jumps[0]} is discontinuous; a strong residual is blind to the jump of the flux there and would "
            "train to a wrong answer; use form='weak'"
        )
    terms = [
        Term(name, "equation", tuple(expanded(r) for r in equation.residuals()), equation.on)
        for name, equation in problem.equations.items()
    ]
    for name, condition in zip(unique_labels(problem.conditions), problem.conditions, strict=True):
        terms.append(Term(name, _kind(condition), tuple(expanded(r) for r in condition.residuals()), condition.on))
    return terms + _insulated(problem)


def weak_terms(problem: Problem) -> WeakForm:
    """The weak form of a problem.

    E = sum_j c_j div(F_j) + s is tested with v and integrated by parts: flux = -c_j F_j, source = s - F_j . grad c_j,
    and c_j F_j . n on the boundary, where a Neumann or Robin condition gives its value and nothing else stands for 0.

    Raises NoWeakForm with the reason.
    """
    groups: dict[tuple[str, ...], list[Row]] = {}
    for row in problem.rows:
        groups.setdefault(row.on, []).append(row)
    count = len(problem.components)
    if len(groups) > 1 and () in groups:
        raise NoWeakForm("no weak form: some equations hold in the whole domain and others in subdomains only")
    rows: list[WeakRow] = []
    used: set[int] = set()
    for members in groups.values():
        if len(members) != count:
            raise NoWeakForm(f"no weak form: {len(members)} equations for {count} unknowns")
        for row, index in zip(members, pair(members, problem.components), strict=True):
            rows.append(_weak_row(problem, row, index, used))
    rows.sort(key=lambda row: row.component_index)
    essential: list[tuple[int, sp.Expr, tuple[str, ...]]] = []
    other: list[Term] = []
    for i, (name, condition) in enumerate(zip(unique_labels(problem.conditions), problem.conditions, strict=True)):
        if isinstance(condition, (Dirichlet, Initial)) and condition.components is not None:
            pairs = zip(condition.components, condition.value, strict=True)
            essential += [(problem.index(component), value, condition.on) for component, value in pairs]
        elif i not in used:
            other.append(Term(name, _kind(condition), tuple(expanded(r) for r in condition.residuals()), condition.on))
    return WeakForm(tuple(rows), tuple(essential), tuple(other))


def _weak_row(problem: Problem, row: Row, index: int, used: set[int]) -> WeakRow:
    """One row; the numbers of the natural conditions that it takes in are added to `used`."""
    parts = split(row.expression)
    if parts is None:
        raise NoWeakForm(f"no weak form: a div enters {row.name!r} nonlinearly")
    space = problem.mesh.coordinates[: problem.mesh.spatial_dimension]
    size = range(len(space))
    pairs = list(zip(parts.factors, parts.fluxes, strict=True))
    flux = tuple(expanded(sp.Add(*(-c * f[k] for c, f in pairs))) for k in size)
    source = parts.source - sp.Add(*(f[k] * c.diff(x) for c, f in pairs for k, x in enumerate(space)))
    source = expanded(source)
    _refuse_second_derivatives(row, flux, source)
    boundary: list[tuple[tuple[str, ...], sp.Expr]] = []
    component = problem.components[index]
    covered = _essential_facets(problem, component)
    if parts.fluxes:
        for i, condition in enumerate(problem.conditions):
            for value in _outflows(parts, condition):
                used.add(i)
                covered = np.union1d(covered, facets(problem.mesh, condition.on))
                if value != 0:
                    boundary.append((condition.on, value))
        # A general condition does not say what the flux is: there it stays c F . n, a boundary integral of the unknown.
        held = {component} | parts.total.atoms(FieldComponent)
        for condition in problem.conditions:
            if isinstance(condition, Condition) and _mentions(condition, held):
                here = facets(problem.mesh, condition.on)
                free = np.setdiff1d(here, covered)
                if free.size and free.size < here.size:
                    raise NoWeakForm(
                        f"no weak form: {condition.label!r} overlaps another condition on a part of its facets"
                    )
                if free.size:
                    covered = np.union1d(covered, here)
                    boundary.append((condition.on, expanded(parts.total.dot(normal_of(space)))))
    return WeakRow(row.name, index, flux, source, tuple(boundary), row.on)


def _refuse_second_derivatives(row: Row, flux: Sequence[sp.Expr], source: sp.Expr) -> None:
    for place, expressions in (("under", flux), ("outside", (source,))):
        for expression in expressions:
            for node in sorted(expression.atoms(sp.Derivative), key=str):
                if isinstance(node.expr, FieldComponent) and node.derivative_count > 1:
                    order = {2: "second", 3: "third", 4: "fourth"}.get(int(node.derivative_count), "high")
                    name = node.expr.name
                    raise NoWeakForm(f"no weak form: a {order} derivative of {name} {place} a div in {row.name!r}")


def _outflows(parts: Split, condition: AnyCondition) -> list[sp.Expr]:
    """The values of sum_j c_j F_j . n that a Neumann or Robin condition gives for an equation."""
    if not isinstance(condition, (Neumann, Robin)):
        return []
    found = [outflow(parts, flux, value) for flux, value in zip(condition.rows, condition.value, strict=True)]
    return [expanded(entry[1]) for entry in found if entry is not None]


def _insulated(problem: Problem) -> list[Term]:
    terms: list[Term] = []
    mesh = problem.mesh
    normal = normal_of(mesh.coordinates[: mesh.spatial_dimension])
    found: list[tuple[sp.Expr, np.ndarray]] = []
    for on in dict.fromkeys(row.on for row in problem.rows):
        rows = [row for row in problem.rows if row.on == on]
        for row, index in zip(rows, pair(rows, problem.components), strict=True):
            parts = split(row.expression)
            if parts is None or not parts.fluxes:
                continue
            component = problem.components[index]
            covered = [_essential_facets(problem, component), facets(mesh, time_ends(mesh))]
            held = {component} | parts.total.atoms(FieldComponent)
            for condition in problem.conditions:
                general = isinstance(condition, Condition) and _mentions(condition, held)
                if general or _outflows(parts, condition):
                    covered.append(facets(mesh, condition.on))
            free = np.setdiff1d(subdomain_facets(mesh, on), np.concatenate(covered))
            if free.size:
                found.append((expanded(parts.total.dot(normal)), free))
    # Rows with the same free facets, as the rows of a vector equation, share one term.
    grouped: dict[tuple[int, ...], list[sp.Expr]] = {}
    for expression, free in found:
        grouped.setdefault(tuple(int(f) for f in free), []).append(expression)
    for i, (free, expressions) in enumerate(grouped.items()):
        names = tuple(name for name, part in mesh.boundaries.items() if len(part) and set(part.tolist()) <= set(free))
        named = ("boundary",) if len(free) == len(facets(mesh, ("boundary",))) else names
        whole = bool(named) and len(facets(mesh, named)) == len(free)
        label = "insulated" if i == 0 else f"insulated ({i + 1})"
        rest = None if whole else free
        terms.append(Term(label, "natural", tuple(expressions), named if whole else ("boundary",), rest))
    return terms


def _essential_facets(problem: Problem, component: FieldComponent) -> np.ndarray:
    parts = [np.zeros(0, dtype=int)]
    for condition in problem.conditions:
        if isinstance(condition, (Dirichlet, Initial)) and component in (condition.components or ()):
            parts.append(facets(problem.mesh, condition.on))
    return np.unique(np.concatenate(parts))


def _mentions(condition: Condition, components: set[Any]) -> bool:
    return any(residual.atoms(FieldComponent) & components for residual in condition.residuals())


def _kind(condition: AnyCondition) -> Kind:
    if isinstance(condition, (Neumann, Robin)):
        return "natural"
    if isinstance(condition, (Dirichlet, Initial)) and condition.components is not None:
        return "essential"
    return "condition"


__all__ = ["NoWeakForm", "Term", "WeakForm", "WeakRow", "strong_terms", "weak_terms"]
