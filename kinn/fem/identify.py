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

from kinn.fem.modes import LARGEST, Modes, modes_of
from kinn.fem.solve import FemSolution, Solved, newton, solve
from kinn.formulations.data import first_noise, noise_of
from kinn.formulations.energy import expected
from kinn.formulations.galerkin import GalerkinSpace
from kinn.formulations.reaction import reading_of
from kinn.formulations.reading import jet_matrices, slopes_of
from kinn.formulations.sensitivity import sensitivities
from kinn.geometry import Mesh
from kinn.inference.identifiability import at_bounds, covariance_of
from kinn.inference.intervals import intervals
from kinn.result import Estimated
from kinn.statement.errors import StatementError
from kinn.statement.problem import Problem
from kinn.statement.terms import weak_terms

ROUNDS = 12  # of a mesh made anew for what was found, of noise and strengths of priors that the data show
MOVED = 0.1  # standard deviations: a smaller change of the parameters ends the rounds
REPEATS = 100  # of the fixed point for the strengths of priors, with derivatives held


@dataclass(frozen=True, eq=False)
class Identified:
    """What finite elements and least squares identify.

    Attributes:
        parameters: estimate, standard deviation and 95 % interval of each parameter.
        covariance: (q, q) of the parameters' free numbers, in which intervals are formed, and of the modes of fields.
        solution: the finite element solution at the estimates; unknown coefficient fields are part of it.
        sigmas: the standard deviation of each set of observations, as given or as estimated.
        seconds, evaluations: time of all, and how many solutions were made.
        note: which combinations of parameters the data determine, where they do not determine each.
    """

    parameters: dict[str, Estimated]
    covariance: np.ndarray
    solution: FemSolution
    sigmas: dict[str, float]
    seconds: float
    evaluations: int
    note: str = ""
    _modes: tuple[Modes, ...] = ()

    def deviation(self, field: Any, points: Any) -> np.ndarray:
        """The standard deviation (n,) of an unknown coefficient field at points (n, d).

        Raises StatementError for a field that was not identified.
        """
        start, solution = len(self.parameters), self.solution
        for modes in self._modes:
            own = slice(start, start := start + modes.shapes.shape[1])
            if modes.component == field:
                x = np.asarray(points, dtype=np.float64).reshape(-1, solution.mesh.dimension)
                zero = (solution.problem.index(field), (0,) * solution.mesh.dimension)
                (reading,) = jet_matrices(solution.space, x, (zero,))
                shapes = reading[:, modes.dofs] @ modes.shapes
                spread = np.sqrt(np.einsum("nj,jk,nk->n", shapes, self.covariance[own, own], shapes))
                return np.abs(expected(field).slope(solution.jets(x, (zero,))[0])) * spread
        raise StatementError(f"{field} is no unknown coefficient field of the problem")


def identify(problem: Problem, order: int = 2, tolerance: float = 1e-3) -> Identified:
    """What fits the observations best, each solution by finite elements on a mesh that meets `tolerance`.

    Minimizes `sum ((f(u, p) - value) / sigma)^2` by `scipy.optimize.least_squares`, from the guesses, within the bounds;
    derivatives come from one solve with the tangent matrix for each parameter. Unknown coefficient fields are sums of the
    modes of their priors, whose strengths make the evidence of the data largest. Standard deviations that are not given are
    those of the misfits. The mesh is refined for the guesses, then for the estimates until these stay.

    Raises StatementError for a problem without unknowns or observations, and for what `kinn.fem.solve` refuses.

    >>> kinn.fem.identify(problem).parameters["k"].estimate      # doctest: +SKIP
    """
    begin = time.perf_counter()
    problem.check()
    if not (problem.parameters or problem.identified) or not problem.observations:
        lacking = "no observations" if problem.parameters or problem.identified else "no parameter"
        raise StatementError(
            f"identify: the problem has {lacking}; give a Parameter or an unknown Field, and Observations that depend on it"
        )
    if any(term.kind == "integral" for term in weak_terms(problem).other):
        raise StatementError("identify: conditions on integrals are not taken; give the integral as Observations")
    symbols = list(problem.parameters.values())
    free = np.array([p.to_free(p.guess) for p in symbols])
    sigmas = [first_noise(data) for data in problem.observations]
    strengths, fit, evaluations = np.zeros(0), None, 0
    for _ in range(ROUNDS):
        if fit is None or not fit.modes:  # modes belong to a mesh
            values = {p.name: p.from_free(f) for p, f in zip(symbols, free, strict=True)}
            inside = any(not component.on for component in problem.identified)
            mesh = problem.mesh if inside else solve(problem, order, tolerance, values).mesh
            while problem.identified and len(mesh.refined().points) * order**mesh.dimension <= LARGEST:
                mesh = mesh.refined()
            fit = _Fit(problem, mesh, order)
            if fit.modes:
                free, strengths = np.concatenate([free, np.zeros(fit.n_modes)]), np.ones(len(fit.modes))
        before, known = free, fit.evaluations
        free, strengths, covariance, misfits, determined = fit.minimum(free, sigmas, strengths)
        evaluations += fit.evaluations - known
        total = sum(map(len, misfits))
        found = [
            noise_of(data, m, determined * len(m) / total)
            for data, m in zip(problem.observations, misfits, strict=True)
        ]
        settled = all(np.allclose(new, old, rtol=0.02) for new, old in zip(found, sigmas, strict=True))
        sigmas = found
        if settled and (np.abs(free - before) <= MOVED * np.sqrt(covariance.diagonal())).all():
            break
    assert fit is not None
    own = slice(len(symbols))
    return Identified(
        intervals(symbols, free[own].tolist(), np.sqrt(covariance.diagonal())[own].tolist()),
        covariance,
        fit.solution(free),
        {data.name or "": float(np.median(s)) for data, s in zip(problem.observations, sigmas, strict=True)},
        time.perf_counter() - begin,
        evaluations,
        "; ".join(text for text in (fit.note, at_bounds(symbols, fit.values(free))) if text),
        tuple(fit.modes),
    )


class _Fit:
    """Predictions and their derivatives on one mesh; free numbers are those of the parameters, then those of the modes."""

    def __init__(self, problem: Problem, mesh: Mesh, order: int) -> None:
        self.problem, self.symbols = problem, list(problem.parameters.values())
        self.space = GalerkinSpace(problem, weak_terms(problem), mesh, order)
        self.readings = [reading_of(self.space, data) for data in problem.observations]
        self.modes = [modes_of(self.space, component) for component in problem.identified]
        self.n_modes = sum(modes.shapes.shape[1] for modes in self.modes)
        self.evaluations, self.note = 0, ""
        self._last: tuple[np.ndarray, Solved] | None = None

    def minimum(
        self, free: np.ndarray, sigmas: Sequence[np.ndarray], strengths: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[np.ndarray], float]:
        """The best free numbers from a start, strengths of the priors, covariance, the misfits of each set of observations,
        and how many free numbers the data determine."""
        scale = 1 / np.concatenate(sigmas)
        measured = np.concatenate([np.asarray(data.values) for data in self.problem.observations])
        rows = np.hstack([np.zeros((self.n_modes, len(self.symbols))), np.diag(np.sqrt(self._each(strengths)))])

        def misfit(theta: np.ndarray) -> np.ndarray:
            return np.concatenate([scale * (self.predictions(theta) - measured), rows @ theta])

        def jacobian(theta: np.ndarray) -> np.ndarray:
            return np.vstack([scale[:, None] * self.derivatives(theta), rows])

        found = least_squares(
            misfit,
            free,
            cast(Any, jacobian),  # the stubs of SciPy know of names only
            x_scale="jac" if not self.n_modes else 1.0,
            xtol=1e-9,
            ftol=1e-12 if not self.n_modes else 1e-6,
            gtol=1e-12,
        )
        n = len(scale)
        misfits = np.split(found.fun[:n] / scale, np.cumsum([len(s) for s in sigmas])[:-1])
        strengths, covariance, determined = self._evidence(found.jac[:n], found.fun[:n], found.x, strengths)
        return found.x, strengths, covariance, misfits, determined

    def _each(self, strengths: np.ndarray) -> np.ndarray:
        """The strength (n_modes,) of each mode."""
        return np.repeat(strengths, [modes.shapes.shape[1] for modes in self.modes]).astype(float)

    def _evidence(
        self, jacobian: np.ndarray, misfit: np.ndarray, free: np.ndarray, strengths: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, float]:
        """Strengths with the largest evidence for these derivatives (MacKay's fixed point, doi:10.1162/neco.1992.4.3.415), the
        covariance then, and how many free numbers the data determine."""
        p, gram = len(self.symbols), jacobian.T @ jacobian
        target = jacobian.T @ (jacobian @ free - misfit)  # of the linear problem whose solution this is
        starts = p + np.cumsum([0, *(modes.shapes.shape[1] for modes in self.modes)])
        strengths = strengths.copy()
        for _ in range(REPEATS):
            matrix = gram + np.diag(np.concatenate([np.zeros(p), self._each(strengths)]))
            covariance = np.linalg.pinv(matrix, hermitian=True)
            best, before = covariance @ target, strengths.copy()
            for c, modes in enumerate(self.modes):
                own = slice(starts[c], starts[c + 1])
                gamma = starts[c + 1] - starts[c] - strengths[c] * covariance.diagonal()[own].sum()
                strengths[c] = modes.given or max(gamma, 1e-3) / max(best[own] @ best[own], 1e-300)
            if np.allclose(strengths, before, rtol=0.05):
                break
        determined = float(len(free) - (self._each(strengths) * covariance.diagonal()[p:]).sum())
        if p:
            rows = np.hstack([np.zeros((self.n_modes, p)), np.diag(np.sqrt(self._each(strengths)))])
            last = np.roll(np.arange(len(free)), -p)
            root = np.asarray(np.linalg.qr(np.vstack([jacobian, rows])[:, last], mode="r"))[-p:, -p:]
            covariance[:p, :p], self.note = covariance_of(root, self.symbols, free[:p].tolist())
        return strengths, covariance, determined

    def predictions(self, free: np.ndarray) -> np.ndarray:
        values = self.space.values(self._solved(free).values)
        return np.concatenate([reading(values, self._parameters(free)) for reading in self.readings])

    def derivatives(self, free: np.ndarray) -> np.ndarray:
        """(n, q): derivatives of the predictions in the free numbers."""
        solved, parameters = self._solved(free), self._parameters(free)
        space, factor, p = self.space, solved.factor, len(self.symbols)
        changes = np.zeros((space.size, len(free)))
        changes[:, :p] = sensitivities(space, space.jets_of(solved.values), parameters, factor, solved.tangent)
        start = p
        for modes in self.modes:
            own = slice(start, start := start + modes.shapes.shape[1])
            changes[modes.dofs, own] = modes.shapes
            changes[factor.free, own] = -factor.solve(solved.tangent[factor.free][:, modes.dofs] @ modes.shapes)
        moved, values = np.stack([space.values(column) for column in changes.T], 1), space.values(solved.values)
        found = slopes_of(self.readings, [values] * len(self.readings), moved, parameters)
        found[:, :p] *= [s.slope(f) for s, f in zip(self.symbols, free[:p].tolist(), strict=True)]
        return found

    def solution(self, free: np.ndarray) -> FemSolution:
        values = self.space.values(self._solved(free).values).reshape(len(self.problem.components), -1)
        return FemSolution(self.space, values, self._parameters(free), np.nan, 0.0)

    def values(self, free: np.ndarray) -> list[float]:
        return [p.from_free(f) for p, f in zip(self.symbols, free.tolist(), strict=False)]

    def _parameters(self, free: np.ndarray) -> Tensor:
        return torch.tensor(self.values(free), dtype=torch.float64)

    def _solved(self, free: np.ndarray) -> Solved:
        if self._last is None or not np.array_equal(self._last[0], free):
            start = np.zeros(self.space.size) if self._last is None else self._last[1].values.copy()
            at = len(self.symbols)
            for modes in self.modes:
                start[modes.dofs] = modes.shapes @ free[at : (at := at + modes.shapes.shape[1])]
            self._last = free.copy(), newton(self.space, self._parameters(free), start)
            self.evaluations += 1
        return self._last[1]


__all__ = ["Identified", "identify"]
