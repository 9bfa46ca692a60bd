"""Which form fits a problem, and why."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import sympy as sp

from kinn.formulations.compatibility import incompatibility
from kinn.formulations.layers import peclet
from kinn.formulations.null_space import NullSpace, null_space
from kinn.formulations.singular import describe, singular_corners
from kinn.statement.calculus import expanded
from kinn.statement.conditions import unique_labels
from kinn.statement.errors import StatementError, suggest
from kinn.statement.integrals import integrals_of, is_global
from kinn.statement.places import subdomain_facets
from kinn.statement.problem import Problem
from kinn.statement.terms import NoWeakForm, PeriodicTie, Term, WeakForm, strong_terms, weak_terms

FORMS = ("strong", "weak")
LARGEST_PECLET = 10


@dataclass(frozen=True)
class Choice:
    """The form, the reason, and what it is made of; `weak` is None where the statement has no weak form (then `lacking` says why).

    `left_open` is what no term determines, such as a constant.
    """

    form: str
    reason: str
    strong: tuple[Term, ...]
    weak: WeakForm | None
    lacking: str
    left_open: NullSpace | None = None


def choose(problem: Problem, form: str | None = None) -> Choice:
    """The form asked for, or the one that fits: strong where the solution is smooth and easily held on the boundary, else weak.

    The strong form has boundary terms beside its equations, which must be weighed against each other; the weak form has
    natural conditions in it and measures everything as an error in H1.

    Raises StatementError for an unknown form, and for one that the statement does not have or that would train to a wrong
    answer.
    """
    if form is not None and form not in FORMS:
        raise StatementError(f"form {form!r} is not known{suggest(form, FORMS)}")
    _refuse_nonlocal(problem)
    weak, lacking = None, ""
    try:
        weak = weak_terms(problem)
    except NoWeakForm as error:
        if form == "weak":
            raise
        lacking = str(error)
    against = _against_strong(problem, weak)
    if form is not None:
        chosen, reason = form, "asked for"
    elif against:
        chosen, reason = "weak", against
    else:
        chosen, reason = "strong", "no re-entrant corner and no jump in the coefficients: a smooth solution is expected"
    if weak is None and problem.jumps:
        raise StatementError(lacking)
    if chosen == "weak" and weak is None:
        chosen, reason = "strong", f"{reason}, but {lacking}"
    strong = tuple(strong_terms(problem)) if chosen == "strong" else ()
    return Choice(chosen, reason, strong, weak, lacking, null_space(problem, weak))


def _against_strong(problem: Problem, weak: WeakForm | None) -> str:
    """What speaks against the strong form; empty if nothing does."""
    if problem.jumps:
        return f"{problem.jumps[0]} is discontinuous"
    mesh = problem.mesh
    corners = mesh.reentrant_corners()
    if len(corners):
        at = ", ".join(f"{v:g}" for v in corners[0])
        more = f" and {len(corners) - 1} more" if len(corners) > 1 else ""
        return f"the mesh has a re-entrant corner at ({at}){more}, where second derivatives are unbounded"
    if weak is None:
        return ""
    singular = singular_corners(problem, weak)
    if singular:
        return f"the solution behaves like {describe(singular[0][0])}, where second derivatives are unbounded"
    vector = next((name for name, components in problem.fields.items() if len(components) > 1), None)
    if not _evolves(problem) and has_natural(problem, weak):
        if vector is not None:
            return f"{vector!r} is a vector with natural conditions, which are exact in the weak form"
        if mesh.box_sides() is None:
            return "natural conditions on a shape that is no box are exact in the weak form"
    if problem.identified:
        return (
            f"{problem.identified[0].name!r} is an unknown coefficient, and data measure the solution as this form does"
        )
    if _evolves(problem) and (sudden := incompatibility(problem, strong_terms(problem))):
        return sudden
    number = peclet(problem, weak)
    if number > LARGEST_PECLET:
        return f"advection outweighs diffusion (Peclet number {number:.2g})"
    return ""


def _evolves(problem: Problem) -> bool:
    """Whether an equation holds a derivative along the last axis of a mesh times an interval: a time, not a parameter."""
    mesh = problem.mesh
    if mesh.spatial_dimension == mesh.dimension:
        return False
    last = mesh.coordinates[-1]
    nodes = [node for row in problem.rows for node in expanded(row.expression).atoms(sp.Derivative)]
    return any(last in node.variables for node in nodes)


def has_natural(problem: Problem, weak: WeakForm) -> bool:
    """Whether a flux is given, or zero, somewhere on the boundary."""
    mesh = problem.mesh
    ends = np.zeros(0, dtype=int) if mesh.interval_ends is None else mesh.facets_of(mesh.interval_ends)
    tied = [
        mesh.facets_of(side) for tie in weak.ties if isinstance(tie, PeriodicTie) for side in (tie.first, tie.second)
    ]
    for row in weak.rows:
        held = [mesh.facets_of(on) for component, _, on in weak.essential if component == row.component_index]
        if len(np.setdiff1d(subdomain_facets(mesh, row.on), np.concatenate([*held, *tied, ends]))):
            return True
    return False


def _refuse_nonlocal(problem: Problem) -> None:
    """Raise StatementError for an integral beside what is taken at points."""
    named = [(f"equation {row.name!r}", row.expression) for row in problem.rows]
    for name, condition in zip(unique_labels(problem.conditions), problem.conditions, strict=True):
        named += [(repr(name), residual) for residual in condition.residuals()]
    named += [(f"observations of {data.name}", data.expression) for data in problem.observations]
    for what, expression in named:
        nodes = integrals_of(expression)
        if nodes and not is_global(expression):
            raise StatementError(
                f"not supported yet: {what} holds {nodes[0]} beside what is taken at points; write a kinn.Parameter c in its "
                f"place and add Condition({nodes[0]} - c)"
            )
