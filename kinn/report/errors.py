"""Relative errors of a solution against a reference, on points that no training saw."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import sympy as sp

from kinn.geometry.sampling import sample
from kinn.report.reference import Evaluable, Reference
from kinn.statement.calculus import expanded
from kinn.statement.errors import StatementError
from kinn.statement.fields import FieldComponent
from kinn.statement.problem import Problem
from kinn.statement.terms import strong_terms

SEED = 987_654_321  # of the points of comparison; training takes small seeds


@dataclass(frozen=True)
class Errors:
    """Relative errors of one field; `relative_h1` is None where the reference has no derivatives.

    relative_l2 = |e| / |u|, relative_h1 = sqrt((|e|^2 + L^2 |grad e|^2) / (|u|^2 + L^2 |grad u|^2)) with L half the
    largest extent of the domain in space, which makes it free of the unit of length, and maximum = max|e| / max|u|.
    """

    relative_l2: float
    relative_h1: float | None
    maximum: float

    def __repr__(self) -> str:
        h1 = "" if self.relative_h1 is None else f", relative H1 {self.relative_h1:.3g}"
        return f"relative L2 {self.relative_l2:.3g}{h1}, maximum {self.maximum:.3g}"


class Comparison:
    """A reference tabulated once at `n` points, so that many solutions of a problem can be compared with it.

    Points are quasi-random and spread by area. Vectors count with their Euclidean norm, gradients are spatial. Where
    the problem fixes a component only up to a constant (nothing holds its value), its mean error is taken away.

    Raises StatementError for a reference that does not fit, is not finite or is zero everywhere.
    """

    def __init__(self, problem: Problem, reference: Any, n: int = 20_000, seed: int = SEED) -> None:
        self.problem = problem
        self.reference = reference if isinstance(reference, Reference) else Reference(problem, reference)
        mesh = problem.mesh
        self.points = sample(mesh, n, seed=seed).x
        self.length = float(mesh.scale[: mesh.spatial_dimension].max())
        self.floating = floating_components(problem)
        self._tables: dict[str, tuple[np.ndarray, np.ndarray | None]] = {}
        for name in self.reference.fields:
            components = list(problem.fields[name])
            values = self.reference.evaluate(components, self.points)
            slopes = None
            if self.reference.has_derivatives(name):
                slopes = self.reference.evaluate(self._gradient(name), self.points)
            bad = ~np.isfinite(values if slopes is None else np.hstack([values, slopes])).all(axis=1)
            what = f"the reference of field {name!r}"
            if bad.any():
                at = ", ".join(f"{value:g}" for value in self.points[bad][0])
                raise StatementError(f"{what} is not finite at {bad.sum()} of {n} points, such as ({at}); correct it")
            if not self._centered(name, values).any():
                raise StatementError(f"{what} is zero everywhere, so nothing is relative to it; leave the field out")
            self._tables[name] = values, slopes

    def errors(self, solution: Evaluable) -> dict[str, Errors]:
        """Errors of each field that the reference knows."""
        return {name: self._errors(name, solution) for name in self._tables}

    def relative_l2(self, solution: Evaluable) -> dict[str, float]:
        """Only the relative L2 errors, without derivatives: cheap enough for every record of a history."""
        found = {}
        for name, (values, _) in self._tables.items():
            error = self._centered(name, solution.evaluate(list(self.problem.fields[name]), self.points) - values)
            found[name] = _ratio(_square(error), _square(self._centered(name, values)))
        return found

    def _errors(self, name: str, solution: Evaluable) -> Errors:
        values, slopes = self._tables[name]
        wanted = list(self.problem.fields[name])
        count = len(wanted)
        found = solution.evaluate(wanted if slopes is None else wanted + self._gradient(name), self.points)
        error, size = self._centered(name, found[:, :count] - values), self._centered(name, values)
        h1 = None
        if slopes is not None:
            weight = self.length**2
            h1 = _ratio(
                _square(error) + weight * _square(found[:, count:] - slopes), _square(size) + weight * _square(slopes)
            )
        maximum = float(np.linalg.norm(error, axis=1).max() / np.linalg.norm(size, axis=1).max())
        return Errors(_ratio(_square(error), _square(size)), h1, maximum)

    def _gradient(self, name: str) -> list[sp.Expr]:
        space = self.problem.mesh.coordinates[: self.problem.mesh.spatial_dimension]
        return [component.diff(x) for component in self.problem.fields[name] for x in space]

    def _centered(self, name: str, values: np.ndarray) -> np.ndarray:
        free = np.array([component in self.floating for component in self.problem.fields[name]])
        return values - free * values.mean(axis=0) if free.any() else values


def errors(solution: Any, reference: Any, n: int = 20_000, seed: int = SEED) -> dict[str, Errors]:
    """Relative errors per field of a solution against a reference (see `Reference`).

    >>> errors(solution, {u: sp.sin(x)})["u"].relative_l2     # doctest: +SKIP
    3.2e-06
    """
    return Comparison(solution.problem, reference, n, seed).errors(solution)


def floating_components(problem: Problem) -> set[FieldComponent]:
    """Components that enter the statement by their derivatives only, so that a constant can be added to them."""
    expressions = [row.expression for row in problem.rows] + [data.expression for data in problem.observations]
    expressions += [residual for condition in problem.conditions for residual in condition.residuals()]
    if not problem.jumps:  # with jumps there is no strong form, hence no list of its implicit conditions
        expressions += [residual for term in strong_terms(problem) for residual in term.expressions]
    held: set[Any] = set()
    for expression in expressions:
        plain = expanded(expression)
        bare = plain.xreplace({node: sp.Dummy() for node in plain.atoms(sp.Derivative)})
        held |= bare.atoms(FieldComponent)
    return set(problem.components) - held


def _square(values: np.ndarray) -> float:
    return float(np.mean(np.sum(values**2, axis=1)))


def _ratio(error: float, size: float) -> float:
    return float(np.sqrt(error / size))


__all__ = ["Comparison", "Errors", "errors", "floating_components"]
