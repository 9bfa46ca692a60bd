"""Relative errors of a solution against a reference, on points that no training saw."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import sympy as sp

from kinn.formulations.null_space import null_space
from kinn.geometry.sampling import sample
from kinn.report.matching import scalars, unchecked
from kinn.report.reference import Evaluable, Reference
from kinn.statement.errors import StatementError
from kinn.statement.problem import Problem

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

    `derived` are expressions by name, such as a von Mises stress, that are compared too, with the same expression of
    the reference. Points are quasi-random and spread by area. Vectors count with their Euclidean norm, gradients are spatial. Where
    the problem leaves constants or rigid motions open (see `null_space`), errors and sizes are those without them.

    Raises StatementError for a reference that does not fit, is not finite or is zero everywhere, or cannot say what a
    derived expression is.
    """

    def __init__(
        self,
        problem: Problem,
        reference: Any,
        n: int = 20_000,
        seed: int = SEED,
        derived: Mapping[str, Any] | None = None,
    ) -> None:
        self.problem = problem
        self.reference = reference if isinstance(reference, Reference) else Reference(problem, reference)
        mesh = problem.mesh
        self.points = sample(mesh, n, seed=seed).x
        self.length = float(mesh.scale[: mesh.spatial_dimension].max())
        self._open = null_space(problem)
        self._tables: dict[str, tuple[np.ndarray, np.ndarray | None]] = {}
        homes = {name: problem.fields[name][0].on for name in self.reference.fields}
        self._points = {  # a field that lives on a boundary is compared there, without slopes
            name: sample(mesh, n, on=on, seed=seed).x if on else self.points for name, on in homes.items()
        }
        for name, points in self._points.items():
            values = self.reference.evaluate(list(problem.fields[name]), points)
            slopes = None
            if self.reference.has_derivatives(name) and not homes[name]:
                slopes = self.reference.evaluate(self._gradient(name), points)
            self._check(
                f"the reference of field {name!r}", values if slopes is None else np.hstack([values, slopes]), points
            )
            if not self._closed(name, values)[0].any():
                raise StatementError(
                    f"the reference of field {name!r} is zero everywhere, so nothing is relative to it; leave the field out"
                )
            self._tables[name] = values, slopes
        self._derived: dict[str, tuple[list[sp.Expr], np.ndarray]] = {}
        for name, what in (derived or {}).items():
            if name in problem.fields:
                raise StatementError(f"{name!r} is a field already; give the expression another name")
            expressions = scalars(what, problem)
            values = self.reference.evaluate(expressions, self.points)
            self._check(f"{name!r} of the reference", values, self.points)
            if not values.any():
                raise StatementError(f"{name!r} of the reference is zero everywhere, so nothing is relative to it")
            self._derived[name] = expressions, values

    def _check(self, what: str, values: np.ndarray, points: np.ndarray) -> None:
        bad = np.flatnonzero(~np.isfinite(values).all(axis=1))
        if len(bad):
            at = ", ".join(f"{value:g}" for value in points[bad[0]])
            raise StatementError(
                f"{what} is not finite at {len(bad)} of {len(values)} points, such as ({at}); correct it"
            )

    def errors(self, solution: Evaluable) -> dict[str, Errors]:
        """Errors of each field that the reference knows."""
        return {name: self._errors(name, solution) for name in self._tables}

    def derived(self, solution: Evaluable) -> dict[str, Errors]:
        """Errors of the derived expressions, without H1: relative L2 and maximum."""
        found = {}
        for name, (expressions, values) in self._derived.items():
            error = np.asarray(unchecked(solution).evaluate(expressions, self.points)) - values
            maximum = float(np.linalg.norm(error, axis=1).max() / np.linalg.norm(values, axis=1).max())
            found[name] = Errors(_ratio(_square(error), _square(values)), None, maximum)
        return found

    def relative_l2(self, solution: Evaluable) -> dict[str, float]:
        """Only the relative L2 errors, without derivatives: cheap enough for every record of a history."""
        found = {}
        for name, (values, _) in self._tables.items():
            error, _ = self._closed(
                name, unchecked(solution).evaluate(list(self.problem.fields[name]), self._points[name]) - values
            )
            found[name] = _ratio(_square(error), _square(self._closed(name, values)[0]))
        return found

    def _errors(self, name: str, solution: Evaluable) -> Errors:
        values, slopes = self._tables[name]
        wanted = list(self.problem.fields[name])
        count = len(wanted)
        found = unchecked(solution).evaluate(
            wanted if slopes is None else wanted + self._gradient(name), self._points[name]
        )
        moved = None if slopes is None else found[:, count:] - slopes
        error, moved = self._closed(name, found[:, :count] - values, moved)
        size, slopes = self._closed(name, values, slopes)
        h1 = None
        if slopes is not None and moved is not None:
            weight = self.length**2
            h1 = _ratio(_square(error) + weight * _square(moved), _square(size) + weight * _square(slopes))
        maximum = float(np.linalg.norm(error, axis=1).max() / np.linalg.norm(size, axis=1).max())
        return Errors(_ratio(_square(error), _square(size)), h1, maximum)

    def _gradient(self, name: str) -> list[sp.Expr]:
        space = self.problem.mesh.coordinates[: self.problem.mesh.spatial_dimension]
        return [component.diff(x) for component in self.problem.fields[name] for x in space]

    def _closed(
        self, name: str, values: np.ndarray, slopes: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Values (n, c) of a field, and its gradients (n, c d), without what the problem leaves open, in L2."""
        if not len(self._open):
            return values, slopes
        mesh, own = self.problem.mesh, [self.problem.index(component) for component in self.problem.fields[name]]
        indices = [tuple(int(a == axis) for a in range(mesh.dimension)) for axis in range(mesh.spatial_dimension)]
        motions = np.stack([self._open.jet(c, (0,) * mesh.dimension, self._points[name]) for c in own], 1)  # (n, c, m)
        parts = np.linalg.lstsq(motions.reshape(values.size, -1), values.ravel(), rcond=None)[0]
        if slopes is not None:
            turned = [self._open.jet(c, index, self._points[name]) @ parts for c in own for index in indices]
            slopes = slopes - np.stack(turned, 1)
        return values - motions @ parts, slopes


def errors(
    solution: Any, reference: Any, n: int = 20_000, seed: int = SEED, expressions: Mapping[str, Any] | None = None
) -> dict[str, Errors]:
    """Relative errors of a solution against a reference (see `Reference`): per field, then of named expressions.

    >>> errors(solution, {u: sp.sin(x)})["u"].relative_l2     # doctest: +SKIP
    3.2e-06
    """
    comparison = Comparison(solution.problem, reference, n, seed, expressions)
    return {**comparison.errors(solution), **comparison.derived(solution)}


def _square(values: np.ndarray) -> float:
    return float(np.mean(np.sum(values**2, axis=1)))


def _ratio(error: float, size: float) -> float:
    return float(np.sqrt(error / size))


__all__ = ["Comparison", "Errors", "errors"]
