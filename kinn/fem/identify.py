"""Identification by finite elements and least squares: the yardstick for what a network identifies."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from scipy.optimize import least_squares
from torch import Tensor

from kinn.fem.solve import FemSolution, Solved, newton, solve
from kinn.formulations.data import first_noise, noise_of
from kinn.formulations.galerkin import GalerkinSpace
from kinn.formulations.integrals import IntegralTerm
from kinn.formulations.program import Program
from kinn.formulations.sensitivity import sensitivities, sides_of
from kinn.formulations.settling import integral_pieces, integrated
from kinn.geometry import Mesh
from kinn.inference.intervals import intervals
from kinn.result import Estimated
from kinn.statement.errors import StatementError
from kinn.statement.observations import Observations
from kinn.statement.problem import Problem
from kinn.statement.terms import weak_terms

ROUNDS = 4  # of a mesh made anew for the parameters found, and of noise that is estimated from the misfits
MOVED = 0.1  # standard deviations: a smaller change of the parameters ends the rounds


@dataclass(frozen=True, eq=False)
class Identified:
    """What finite elements and least squares identify.

    Attributes:
        parameters: estimate, standard deviation and 95 % interval of each parameter.
        covariance: (p, p) of the parameters' free numbers, in which intervals are formed.
        solution: the finite element solution at the estimates.
        sigmas: the standard deviation of each set of observations, as given or as estimated.
        seconds, evaluations: time of all, and how many solutions were made.
    """

    parameters: dict[str, Estimated]
    covariance: np.ndarray
    solution: FemSolution
    sigmas: dict[str, float]
    seconds: float
    evaluations: int


def identify(problem: Problem, order: int = 2, tolerance: float = 1e-3) -> Identified:
    """The parameters that fit the observations best, each solution by finite elements on a mesh that meets `tolerance`.

    Minimizes `sum ((f(u, p) - value) / sigma)^2` by `scipy.optimize.least_squares`, from the guesses, within the bounds;
    derivatives come from one solve with the tangent matrix for each parameter. Standard deviations that are not given are
    those of the misfits. The mesh is refined for the guesses, then for the estimates until these stay.

    Raises StatementError for a problem without parameters or observations, and for what `kinn.fem.solve` refuses.

    >>> kinn.fem.identify(problem).parameters["k"].estimate      # doctest: +SKIP
    """
    begin = time.perf_counter()
    problem.check()
    if not problem.parameters or not problem.observations:
        lacking = "no parameter" if not problem.parameters else "no observations"
        raise StatementError(
            f"identify: the problem has {lacking}; give a Parameter, and Observations that depend on it"
        )
    if any(term.kind == "integral" for term in weak_terms(problem).other):
        raise StatementError("identify: conditions on integrals are not taken; give the integral as Observations")
    symbols = list(problem.parameters.values())
    free = np.array([p.to_free(p.guess) for p in symbols])
    sigmas = [first_noise(data) for data in problem.observations]
    evaluations = 0
    for _ in range(ROUNDS):
        values = {p.name: p.from_free(f) for p, f in zip(symbols, free, strict=True)}
        fit = _Fit(problem, solve(problem, order, tolerance, values).mesh, order)
        before = free
        free, covariance, misfits = fit.minimum(free, sigmas)
        evaluations += fit.evaluations
        found = [noise_of(data, m, len(symbols)) for data, m in zip(problem.observations, misfits, strict=True)]
        settled = all(np.allclose(new, old, rtol=0.02) for new, old in zip(found, sigmas, strict=True))
        sigmas = found
        if settled and (np.abs(free - before) <= MOVED * np.sqrt(covariance.diagonal())).all():
            break
    return Identified(
        intervals(symbols, free.tolist(), np.sqrt(covariance.diagonal()).tolist()),
        covariance,
        fit.solution(free),
        {data.name or "": float(s.mean()) for data, s in zip(problem.observations, sigmas, strict=True)},
        time.perf_counter() - begin,
        evaluations,
    )


class _Fit:
    """Predictions and their derivatives on one mesh."""

    def __init__(self, problem: Problem, mesh: Mesh, order: int) -> None:
        self.problem, self.symbols = problem, list(problem.parameters.values())
        self.space = GalerkinSpace(problem, weak_terms(problem), mesh, order)
        self.readings = [_Reading(self.space, data) for data in problem.observations]
        self.evaluations = 0
        self._last: tuple[np.ndarray, Solved] | None = None

    def minimum(
        self, free: np.ndarray, sigmas: Sequence[np.ndarray]
    ) -> tuple[np.ndarray, np.ndarray, list[np.ndarray]]:
        """The best free numbers from a start, their covariance, and the misfits of each set of observations."""
        scale = 1 / np.concatenate(sigmas)
        measured = np.concatenate([np.asarray(data.values) for data in self.problem.observations])

        def jacobian(theta: np.ndarray) -> np.ndarray:
            return scale[:, None] * self.derivatives(theta)

        found = least_squares(
            lambda theta: scale * (self.predictions(theta) - measured),
            free,
            cast(Any, jacobian),  # the stubs of SciPy know of names only
            x_scale="jac",
            xtol=1e-9,
            ftol=1e-12,
            gtol=1e-12,
        )
        covariance = np.linalg.pinv(found.jac.T @ found.jac, hermitian=True)
        misfits = np.split(found.fun / scale, np.cumsum([len(s) for s in sigmas])[:-1])
        return found.x, covariance, misfits

    def predictions(self, free: np.ndarray) -> np.ndarray:
        values = self._solved(free).values
        return np.concatenate([reading(values, self._parameters(free)) for reading in self.readings])

    def derivatives(self, free: np.ndarray) -> np.ndarray:
        """(n, p): derivatives of the predictions in the free numbers."""
        solved, parameters = self._solved(free), self._parameters(free)
        changes = sensitivities(
            self.space, self.space.jets_of(solved.values), parameters, solved.factor, solved.tangent
        )
        columns = []
        for j, (low, high) in enumerate(sides_of(parameters)):
            step = float(high[j] - low[j])
            ends = [
                np.concatenate([r(solved.values + side * step / 2 * changes[:, j], p) for r in self.readings])
                for side, p in ((-1, low), (1, high))
            ]
            columns.append((ends[1] - ends[0]) / step)
        return np.stack(columns, 1) * [p.slope(f) for p, f in zip(self.symbols, free.tolist(), strict=True)]

    def solution(self, free: np.ndarray) -> FemSolution:
        values = self.space.values(self._solved(free).values).reshape(len(self.problem.components), -1)
        return FemSolution(self.space, values, self._parameters(free), np.nan, 0.0)

    def _parameters(self, free: np.ndarray) -> Tensor:
        values = [p.from_free(f) for p, f in zip(self.symbols, free.tolist(), strict=True)]
        return torch.tensor(values, dtype=torch.float64)

    def _solved(self, free: np.ndarray) -> Solved:
        if self._last is None or not np.array_equal(self._last[0], free):
            start = None if self._last is None or self.problem.is_linear else self._last[1].values
            self._last = free.copy(), newton(self.space, self._parameters(free), start)
            self.evaluations += 1
        return self._last[1]


class _Reading:
    """What one set of observations would read of a finite element solution."""

    def __init__(self, space: GalerkinSpace, data: Observations) -> None:
        self.space, self.count = space, len(data)
        self.term = IntegralTerm(f"data {data.name}", [data.expression], space.problem) if data.is_global else None
        if self.term is not None:
            self.pieces = integral_pieces(space, self.term)
            return
        self.program, self.x = Program([data.expression], space.problem), np.asarray(data.points)
        self.cells = space.mesh.locate(self.x)
        self.tables = self.program.tabulate(torch.tensor(self.x))

    def __call__(self, values: np.ndarray, parameters: Tensor) -> np.ndarray:
        """(n,) of nodal values (size,)."""
        if self.term is not None:
            integrals = torch.cat(integrated(self.pieces, self.space.jets_of(values, self.pieces), parameters))
            return np.full(self.count, float(self.term.values(integrals, parameters)[0]))
        space = self.space
        solution = FemSolution(space, space.values(values).reshape(len(space.problem.components), -1), parameters, 0, 0)
        z = torch.tensor(solution.jets(self.x, self.program.jets, self.cells))
        return self.program(z, torch.tensor(self.x), None, parameters, self.tables)[0].numpy()


__all__ = ["Identified", "identify"]
