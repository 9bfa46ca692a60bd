"""What the formulations consume: the terms of a strong least-squares form, or the integrals of a weak form."""

from __future__ import annotations

import numpy as np
import sympy as sp

from kinn.statement.calculus import expanded
from kinn.statement.conditions import Condition, Periodic, unique_labels
from kinn.statement.errors import StatementError
from kinn.statement.fields import FieldComponent, normal_of
from kinn.statement.fluxes import pair, split
from kinn.statement.forms import InterfaceTie, NoWeakForm, PeriodicTie, Term, WeakForm, WeakRow
from kinn.statement.natural import essential_facets, kind_of, mentions, outflows
from kinn.statement.periodic import matches
from kinn.statement.places import facets, subdomain_facets, time_ends, translation
from kinn.statement.problem import Problem
from kinn.statement.weak import weak_terms


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
        if isinstance(condition, Periodic):
            terms.append(_periodic(problem, name, condition))
            continue
        terms.append(Term(name, kind_of(condition), tuple(expanded(r) for r in condition.residuals()), condition.on))
    return terms + _insulated(problem)


def _periodic(problem: Problem, name: str, condition: Periodic) -> Term:
    """The pairs of values, and of derivatives across the sides where an equation is of second or higher order there."""
    shift = translation(problem.mesh, condition.first, condition.second)
    found = matches(problem, condition, shift)
    expressions = tuple(match.expression for match in found)
    return Term(
        name, "periodic", expressions, condition.first, None, tuple(shift.tolist()), tuple(m.jump for m in found)
    )


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
            covered = [essential_facets(problem, component), facets(mesh, time_ends(mesh))]
            held = {component} | parts.total.atoms(FieldComponent)
            for condition in problem.conditions:
                general = isinstance(condition, Condition) and mentions(condition, held)
                periodic = isinstance(condition, Periodic) and component in condition.components
                if general or periodic or outflows(parts, condition):
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


__all__ = [
    "InterfaceTie", "NoWeakForm", "PeriodicTie", "Term", "WeakForm", "WeakRow", "strong_terms", "weak_terms",
]  # fmt: skip
