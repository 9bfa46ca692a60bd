"""Which form fits a problem, and why."""

from __future__ import annotations

from dataclasses import dataclass

from kinn.statement.errors import StatementError, suggest
from kinn.statement.problem import Problem
from kinn.statement.terms import NoWeakForm, Term, WeakForm, strong_terms, weak_terms

FORMS = ("strong", "weak")


@dataclass(frozen=True)
class Choice:
    """The form, the reason, and what it is made of; `weak` is None where the statement has no weak form (then `lacking` says why)."""

    form: str
    reason: str
    strong: tuple[Term, ...]
    weak: WeakForm | None
    lacking: str


def choose(problem: Problem, form: str | None = None) -> Choice:
    """The form asked for, or the one that fits: strong where statement and mesh promise a smooth solution, else weak.

    Raises StatementError for an unknown form, and for one that the statement does not have or that would train to a wrong
    answer.
    """
    if form is not None and form not in FORMS:
        raise StatementError(f"form {form!r} is not known{suggest(form, FORMS)}")
    weak, lacking = None, ""
    try:
        weak = weak_terms(problem)
    except NoWeakForm as error:
        if form == "weak":
            raise
        lacking = str(error)
    corners = problem.mesh.reentrant_corners()
    if form is not None:
        chosen, reason = form, "asked for"
    elif problem.jumps:
        chosen, reason = "weak", f"{problem.jumps[0]} is discontinuous"
    elif len(corners):
        at = ", ".join(f"{v:g}" for v in corners[0])
        more = f" and {len(corners) - 1} more" if len(corners) > 1 else ""
        chosen, reason = (
            "weak",
            f"the mesh has a re-entrant corner at ({at}){more}, where second derivatives are unbounded",
        )
    else:
        chosen, reason = "strong", "no re-entrant corner and no jump in the coefficients: a smooth solution is expected"
    if chosen == "weak" and weak is None:
        chosen, reason = "strong", f"{reason}, but {lacking}"
    return Choice(chosen, reason, tuple(strong_terms(problem)) if chosen == "strong" else (), weak, lacking)
