"""The parametric bootstrap: what is identified of data that the solution itself would give, drawn again and again."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from kinn.result import Status
from kinn.solution import Solution
from kinn.solver import solve
from kinn.statement.errors import StatementError
from kinn.statement.problem import Problem

ENDS = (0.025, 0.975)


@dataclass(frozen=True, eq=False)
class Bootstrap:
    """Estimates of many draws.

    Attributes:
        parameters: name -> estimates (draws,).
        statistics: what `statistic` gave, (draws, ...); None without one.
    """

    parameters: dict[str, np.ndarray]
    statistics: np.ndarray | None = None

    def deviation(self, name: str) -> float:
        """The standard deviation of a parameter's estimates."""
        return float(self.parameters[name].std(ddof=1))

    def interval(self, name: str) -> tuple[float, float]:
        """The 95 % interval of a parameter by its percentiles."""
        low, high = np.quantile(self.parameters[name], ENDS)
        return float(low), float(high)


def bootstrap(
    solution: Solution,
    draws: int = 100,
    statistic: Callable[[Solution], Any] | None = None,
    seed: int = 0,
    time_limit: float | None = None,
) -> Bootstrap:
    """Identify `draws` sets of data anew, each the solution's values with noise of the data's standard deviations.

    For intervals of a strongly nonlinear problem, or of what `statistic(solution)` computes; linearized intervals
    (`solution.parameters`) take one run. Every draw starts from the solution and takes seconds; Ctrl-C keeps those that are done.

    Raises StatementError for a solution without data, and for fewer than 2 draws.

    >>> kinn.bootstrap(solution, draws=200).interval("k")      # doctest: +SKIP
    """
    problem = solution.problem
    if not problem.observations:
        raise StatementError("bootstrap: the problem has no observations; there is nothing to draw again")
    if draws < 2:
        raise StatementError(f"bootstrap with draws={draws!r}; give at least 2")
    random, estimates, statistics = np.random.default_rng(seed), [], []
    try:
        for _ in range(draws):
            again = solve(_drawn(problem, solution, random), start=solution, time_limit=time_limit, progress=False)
            if again.status is Status.INTERRUPTED:
                raise KeyboardInterrupt
            estimates.append([again.parameters[name].estimate for name in problem.parameters])
            if statistic is not None:
                statistics.append(np.asarray(statistic(again)))
    except KeyboardInterrupt:
        if len(estimates) < 2:
            raise
    count = len(estimates) if statistic is None else len(statistics)
    table = np.array(estimates[:count]).reshape(count, -1)
    return Bootstrap(
        {name: table[:, j] for j, name in enumerate(problem.parameters)},
        np.stack(statistics) if statistic is not None else None,
    )


def _drawn(problem: Problem, solution: Solution, random: np.random.Generator) -> Problem:
    """The problem with a draw of its data."""
    found = []
    for data, z in zip(problem.observations, solution.misfits().values(), strict=True):
        sigma = solution.result.sigma_of(data)
        values = data.values + sigma * (z + random.standard_normal(len(data)))
        points = None if data.is_global else data.points
        found.append(replace(data, points=points, values=values))
    drawn = copy.copy(problem)
    drawn.observations = tuple(found)
    return drawn


__all__ = ["Bootstrap", "bootstrap"]
