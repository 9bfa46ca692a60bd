"""Identification from several first guesses: whether there are other answers, and which one the data prefer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from kinn.formulations.data import counted
from kinn.formulations.projection import NEAR
from kinn.report.tables import columns
from kinn.result import Status
from kinn.solution import Solution
from kinn.solver import solve
from kinn.statement.errors import StatementError
from kinn.statement.parameters import Parameter, guesses
from kinn.statement.problem import Problem

DECADES = 1.0  # by how many a guess is moved at most where no bounds say how far
OF_ONE_RUN = ("start", "checkpoint", "resume")  # options of `solve` that several runs cannot share


@dataclass(frozen=True, eq=False)
class Start:
    """One start: its first guesses, the solution, and minus twice the logarithm of the likelihood of the data, up to a constant
    (priors of unknown fields are not in it)."""

    guess: dict[str, float]
    solution: Solution
    deviance: float


@dataclass(frozen=True, eq=False)
class MultiStart:
    """All starts, the most likely first; those whose physics are not solved to a tenth come last: they fit data by breaking
    the statement. `print` shows a table of them."""

    starts: tuple[Start, ...]

    @property
    def best(self) -> Solution:
        """The most likely solution."""
        return self.starts[0].solution

    def __str__(self) -> str:
        names, first = list(self.starts[0].guess), self.starts[0].deviance
        rows = [[*(f"{name} from" for name in names), *names, "deviance above first", "estimate", "status"]]
        for start in self.starts:
            result = start.solution.result
            found = [f"{start.solution.parameters[name].estimate:.6g}" for name in names]
            error = "-" if result.estimate is None else f"{result.estimate:.1e}"
            given = [f"{value:.4g}" for value in start.guess.values()]
            rows.append([*given, *found, f"{start.deviance - first:.4g}", error, result.status.label])
        return "\n".join(columns(rows))


def multistart(problem: Problem, starts: int = 5, seed: int = 0, **options: Any) -> MultiStart:
    """Solve `starts` times from other first guesses of the parameters, with other seeds.

    Least squares go downhill from where they start; where the answer may depend on the guess (a frequency, a position, a time of
    arrival), this shows it. The first start is that of `solve(problem, seed=seed)`; then guesses are drawn between two bounds
    evenly, else at 0.1 to 10 times the guess's distance from its bound, or from zero. `options` are those of `solve`,
    such as `time_limit` of each start; Ctrl-C ends the one that runs and keeps all.

    Raises StatementError for a problem without parameters or data, for fewer than 2 starts, and for options of a single run.

    >>> print(kinn.multistart(problem, starts=8, time_limit=20))      # doctest: +SKIP
    """
    if not problem.parameters or not problem.observations:
        lacking = "parameters" if not problem.parameters else "observations"
        raise StatementError(f"multistart: the problem has no {lacking}; there is nothing to start from elsewhere")
    if starts < 2:
        raise StatementError(f"multistart with starts={starts!r}; give at least 2")
    for name in OF_ONE_RUN:
        if options.get(name) is not None:
            raise StatementError(f"multistart with {name}={options[name]!r}: that is for one run; leave it out")
    random, found = np.random.default_rng(seed), []
    guess = first = guesses(problem.parameters, options.pop("guess", None))
    for number in range(starts):
        solution = solve(problem, guess=guess, seed=seed + number, **options)
        found.append(Start(guess, solution, deviance(solution)))
        if solution.status is Status.INTERRUPTED:
            break
        guess = {name: drawn(problem.parameters[name], value, random) for name, value in first.items()}
    judged = any(start.solution.result.estimate is not None for start in found)
    return MultiStart(tuple(sorted(found, key=lambda start: (_is_rough(start.solution, judged), start.deviance))))


def drawn(symbol: Parameter, guess: float, random: np.random.Generator) -> float:
    """Another first guess of a parameter."""
    lower, upper = symbol.lower, symbol.upper
    if lower is not None and upper is not None:
        return float(random.uniform(lower + 0.01 * (upper - lower), upper - 0.01 * (upper - lower)))
    from_bound = lower if lower is not None else upper if upper is not None else 0.0
    distance = (guess - from_bound) or 1.0
    sign = 1.0 if guess != from_bound else float(random.choice([-1.0, 1.0]))
    return from_bound + sign * distance * 10 ** random.uniform(-DECADES, DECADES)


def deviance(solution: Solution) -> float:
    """What the standardized misfits count, their squares without a robust loss, plus `2 log sigma` of each value."""
    problem, result = solution.problem, solution.result
    misfits = zip(problem.observations, solution.misfits().values(), strict=True)
    total = sum(float((counted(data.loss, z) + 2 * np.log(result.sigma_of(data))).sum()) for data, z in misfits)
    return total if np.isfinite(total) else np.inf


def _is_rough(solution: Solution, judged: bool) -> bool:
    estimate = solution.result.estimate
    if solution.status is Status.NONFINITE or estimate is None:
        return judged or solution.status is Status.NONFINITE
    return not estimate <= NEAR


__all__ = ["MultiStart", "Start", "multistart"]
