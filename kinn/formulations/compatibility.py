"""Compatibility: whether initial values fit the conditions on the sides at the same moment."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import sympy as sp
import torch

from kinn.formulations.program import Program
from kinn.geometry import Points, sample
from kinn.statement.conditions import Initial
from kinn.statement.fields import FieldComponent
from kinn.statement.problem import Problem
from kinn.statement.terms import Term

SLIGHT = 1e-3  # of what a condition says of the initial values inside: not worth a word
POINTS = 256


def incompatibility(problem: Problem, terms: Sequence[Term]) -> str:
    """Which of the strong `terms` the initial values contradict where sides meet the beginning; empty if none.

    A wall that is suddenly hot, or a slope at an insulated wall: there a solution has derivatives without bound.
    """
    mesh = problem.mesh
    if mesh.interval_ends is None:
        return ""
    initial = {
        component: sp.sympify(value)
        for condition in problem.conditions
        if isinstance(condition, Initial) and condition.components is not None
        for component, value in zip(condition.components, condition.value, strict=True)
    }
    start = mesh.facets_of(mesh.interval_ends[0])
    for term in terms:
        if term.kind not in ("essential", "natural"):
            continue
        sides = np.setdiff1d(mesh.facets_of(term.on) if term.facets is None else np.array(term.facets), start)
        expressions = [e for e in term.expressions if e.atoms(FieldComponent) <= initial.keys()]
        at_start: list[sp.Expr] = [e.xreplace(initial).doit() for e in expressions]  # type: ignore[misc]
        if not len(sides) or not at_start or any(e.atoms(sp.Derivative, FieldComponent) for e in at_start):
            continue
        program = Program(at_start, problem)
        on_sides = _values(program, problem, sample(mesh, POINTS, seed=1, facets=sides.tolist()))
        inside = np.stack([_values(program, problem, points) for points in _all_directions(problem)])
        worst = np.abs(on_sides) - SLIGHT * np.abs(inside).max(axis=(0, 2))[:, None]
        if (worst > 0).any():
            return (
                f"{term.name!r} and the initial values contradict each other, so that derivatives are unbounded there"
            )
    return ""


def _all_directions(problem: Problem) -> list[Points]:
    """Places inside, with normals along each axis of space."""
    mesh = problem.mesh
    inside = sample(mesh, POINTS, seed=1)
    normals = np.eye(mesh.dimension)[: mesh.spatial_dimension]
    return [Points(inside.x, inside.weight, np.tile(normal, (len(inside.x), 1))) for normal in normals]


def _values(program: Program, problem: Problem, points: Points) -> np.ndarray:
    """(k, n): values at points that are moved to the beginning."""
    x = torch.as_tensor(points.x.copy())
    x[:, -1] = float(problem.mesh.lower[-1])
    normal = None if points.normal is None else torch.as_tensor(points.normal)
    guesses = torch.tensor([parameter.guess for parameter in problem.parameters.values()], dtype=x.dtype)
    return program(x.new_zeros(0, len(x)), x, normal, guesses, program.tabulate(x)).numpy()


__all__ = ["incompatibility"]
