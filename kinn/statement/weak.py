"""The weak form of a statement: integration by parts, natural conditions, ties."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import sympy as sp

from kinn.statement.calculus import expanded
from kinn.statement.conditions import Condition, Dirichlet, Initial, Periodic, unique_labels
from kinn.statement.fields import FieldComponent, normal_of
from kinn.statement.fluxes import Row, pair, split
from kinn.statement.forms import InterfaceTie, NoWeakForm, PeriodicTie, Term, WeakForm, WeakRow
from kinn.statement.interfaces import at_interface, holds_on_side, interface_integrand, touches, value_jump
from kinn.statement.natural import essential_facets, kind_of, mentions, outflows
from kinn.statement.places import cells_of, check_subdomains, facets
from kinn.statement.problem import Problem


def weak_terms(problem: Problem) -> WeakForm:
    """The weak form of a problem.

    E = sum_j c_j div(F_j) + s is tested with v and integrated by parts: flux = -c_j F_j, source = s - F_j . grad c_j,
    and c_j F_j . n on the boundary, where a Neumann or Robin condition gives its value and nothing else stands for 0.
    Equations may hold in subdomains, as many in every cell as there are unknowns.

    Raises NoWeakForm with the reason.
    """
    rows: list[WeakRow] = []
    used: set[int] = set()
    tested = _tested(problem)
    for row, index in zip(problem.rows, tested, strict=True):
        rows.append(_weak_row(problem, row, index, used))
    rows.sort(key=lambda row: row.component_index)
    essential: list[tuple[int, sp.Expr, tuple[str, ...]]] = []
    other: list[Term] = []
    ties: list[PeriodicTie | InterfaceTie] = []
    for i, (name, condition) in enumerate(zip(unique_labels(problem.conditions), problem.conditions, strict=True)):
        if isinstance(condition, (Dirichlet, Initial)) and condition.components is not None:
            pairs = zip(condition.components, condition.value, strict=True)
            essential += [(problem.index(component), value, condition.on) for component, value in pairs]
        elif isinstance(condition, Periodic):
            for component, jump in zip(condition.components, condition.jump, strict=True):
                ties.append(PeriodicTie(problem.index(component), condition.first, condition.second, jump))
        elif at_interface(condition):
            ties += _interface_ties(problem, condition, tested)
        elif i not in used:
            other.append(
                Term(name, kind_of(condition), tuple(expanded(r) for r in condition.residuals()), condition.on)
            )
    return WeakForm(tuple(rows), tuple(essential), tuple(other), tuple(ties))


def _tested(problem: Problem) -> list[int]:
    """For each row the component whose test function multiplies it: paired cell by cell, since rows hold in subdomains."""
    rows = problem.rows
    fields = [component for component in problem.components if component not in problem.identified]
    count = len(fields)
    names = dict.fromkeys(name for row in rows for name in row.on)
    check_subdomains(problem.mesh, tuple(names), "equations")
    held = np.zeros((len(rows), len(cells_of(problem.mesh, ()))), dtype=bool)
    for i, row in enumerate(rows):
        held[i, cells_of(problem.mesh, row.on)] = True
    found: dict[int, int] = {}
    for pattern in np.unique(held, axis=1).T:
        members = [i for i in range(len(rows)) if pattern[i]]
        if len(members) != count:
            where = "" if pattern.all() else f" where {', '.join(repr(rows[i].name) for i in members) or 'none'} hold"
            raise NoWeakForm(
                f"no weak form: {len(members)} equations for {count} unknowns{where}; give a field that is an unknown "
                "coefficient a guess= or a prior="
            )
        for i, place in zip(members, pair([rows[i] for i in members], fields), strict=True):
            index = problem.index(fields[place])
            if found.setdefault(i, index) != index:
                raise NoWeakForm(
                    f"no weak form: {rows[i].name!r} stands for different unknowns in different subdomains"
                )
    return [found[i] for i in range(len(rows))]


def _interface_ties(problem: Problem, condition: Any, tested: Sequence[int]) -> list[InterfaceTie]:
    """The stated jumps of values; jumps of fluxes must be in the rows already.

    Raises NoWeakForm for a condition that is neither, and for one that not every equation there takes alike.
    """
    ties: list[InterfaceTie] = []
    beside = [c for c in problem.conditions if at_interface(c) and set(c.on) & set(condition.on)]
    jumping = {found[0] for c in beside for r in c.residuals() if (found := value_jump(r)) is not None}
    space = problem.mesh.coordinates[: problem.mesh.spatial_dimension]
    for residual in condition.residuals():
        found = value_jump(residual)
        if found is not None:
            ties.append(InterfaceTie(problem.index(found[0]), condition.on, condition.side, expanded(found[1])))
            continue
        meant: dict[int, set[Any]] = {}
        for row, index in zip(problem.rows, tested, strict=True):
            parts = split(row.expression)
            if parts is not None and touches(problem.mesh, row.on, condition.on):
                meant.setdefault(index, set()).add(interface_integrand(parts, residual, space))
        known = {index: found for index, found in meant.items() if found != {None}}
        if not known:
            raise NoWeakForm(
                f"no weak form: not supported yet: {condition.label!r} reads {residual} = 0; write jump(field) - value "
                "or jump(flux.dot(mesh.normal)) - value, with a flux that stands under a div"
            )
        for found in known.values():
            if len(found) > 1:
                raise NoWeakForm(
                    f"no weak form: {condition.label!r}: the equations on its two sides have different fluxes; write "
                    "one equation with a kinn.Coefficient of one value per subdomain"
                )
            if next(iter(found)).atoms(FieldComponent) & jumping:
                raise NoWeakForm(f"no weak form: not supported yet: {condition.label!r} reads a field that jumps there")
    return ties


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
    covered = essential_facets(problem, component)
    if parts.fluxes:
        for i, condition in enumerate(problem.conditions):
            for value in outflows(parts, condition):
                used.add(i)
                covered = np.union1d(covered, facets(problem.mesh, condition.on))
                if value != 0:
                    boundary.append((condition.on, value))
        for condition in problem.conditions:
            if at_interface(condition) and holds_on_side(problem.mesh, row.on, condition):
                for residual in condition.residuals():
                    value = interface_integrand(parts, residual, space)
                    if value is not None and value != 0:
                        boundary.append((condition.on, expanded(value)))
        # A general condition does not say what the flux is: there it stays c F . n, a boundary integral of the unknown.
        held = {component} | parts.total.atoms(FieldComponent)
        for condition in problem.conditions:
            if isinstance(condition, Condition) and condition.side is None and mentions(condition, held):
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
