"""What a run gives back: plain data, and the evaluation of any expression of the statement."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum

import numpy as np
import sympy as sp
import torch
from torch import Tensor

from kinn.formulations.blocks import PointBlock
from kinn.formulations.data import Data
from kinn.formulations.prior import determined_by_data
from kinn.formulations.program import Program
from kinn.formulations.surrogate import Surrogate
from kinn.formulations.unknowns import Unknowns
from kinn.geometry import Points
from kinn.statement.errors import StatementError
from kinn.statement.observations import Observations
from kinn.statement.problem import Problem


class Status(Enum):
    """Why a run ended; the value is a sentence on what it means and what to do next."""

    CONVERGED = "the estimated error is below the tolerance"
    STEP_LIMIT = "the limit on steps was reached; continue with start=solution, with --resume DIR, or raise steps"
    TIME_LIMIT = "the time limit was reached; continue with start=solution, with --resume DIR, or raise time_limit"
    STALLED = "training no longer improves the solution; the estimate says how good it is (a larger network may go on)"
    INTERRUPTED = "stopped by the user; this is the best solution so far, continue with start=solution or --resume DIR"
    UNDER_INTEGRATED = "the loss on independent points stays far above the training loss; use a finer mesh"
    NONFINITE = "a term became infinite or NaN; this is the last good solution, look at the term that is named"

    @property
    def label(self) -> str:
        return self.name.lower()


@dataclass(frozen=True)
class Record:
    """One line of a run's history. `loss` and `check` are relative residuals on training and on independent points."""

    seconds: float
    step: int
    loss: float
    check: float | None = None
    estimate: float | None = None
    n_parameters: int = 0


@dataclass(frozen=True)
class Estimated:
    """An identified parameter: estimate, standard deviation and 95 % interval (None without data, infinite where they do not
    determine it)."""

    estimate: float
    sd: float | None = None
    lower: float | None = None
    upper: float | None = None


@dataclass(frozen=True, eq=False)
class Result:
    """A trained surrogate with how it was made; `terms` holds each term's relative residual on independent points.

    `note` says which combinations of parameters the data determine where they do not determine each, and which data contradict
    the statement; `root` is B (q, r) with
    B B' the covariance of the weights of unknown coefficient fields and of the parameters' free numbers, (0, 0) without data;
    `leverage` (n,) is by what part of its error each value moves its own prediction, empty where elements do not tell;
    `n_points` is how many points, or tests of the weak form, the last network asked for.
    """

    problem: Problem
    surrogate: Surrogate
    parameters: dict[str, Estimated]
    form: str
    reason: str
    network: str
    status: Status
    message: str
    seed: int
    seconds: float
    steps: int
    tolerance: float
    estimate: float | None
    estimate_note: str
    terms: dict[str, float]
    history: tuple[Record, ...]
    sigmas: dict[str, float] = field(default_factory=dict)
    note: str = ""
    root: Tensor = field(default_factory=lambda: torch.zeros(0, 0, dtype=torch.float64))
    leverage: Tensor = field(default_factory=lambda: torch.zeros(0, dtype=torch.float64))
    n_points: int = 0

    @property
    def n_parameters(self) -> int:
        return self.surrogate.network.n_parameters + len(self.parameters)

    def parameter_values(self, like: Tensor) -> Tensor:
        return like.new_tensor([self.parameters[name].estimate for name in self.problem.parameters])

    def evaluate(
        self, expressions: Sequence[sp.Expr], points: np.ndarray, normal: np.ndarray | None = None
    ) -> np.ndarray:
        """Values (n, len(expressions)) of expressions of fields, derivatives, parameters and coordinates at points (n, d)."""
        program = Program(expressions, self.problem)
        surrogate = self.surrogate
        rows = []
        for start in range(0, len(points), 4096):
            part = slice(start, start + 4096)
            x = torch.as_tensor(np.asarray(points[part], dtype=np.float64)).to(surrogate.center)
            n = None if normal is None else torch.as_tensor(normal[part]).to(x)
            with torch.no_grad():
                z = surrogate.values(x, program.jets)
                rows.append(program(z, x, n, self.parameter_values(x), program.tabulate(x)).T.cpu().numpy())
        return np.concatenate(rows) if rows else np.zeros((0, len(expressions)))

    def unknowns(self) -> Unknowns:
        """The surrogate and the parameters as what training moves."""
        values = [p.to_free(self.parameters[name].estimate) for name, p in self.problem.parameters.items()]
        return Unknowns(self.problem, self.surrogate, self.surrogate.center.new_tensor(values))

    def misfits(self, left_out: bool = False) -> dict[str, np.ndarray]:
        """Solution minus value over the standard deviation (n,) of each set of observations, given or as estimated; with `left_out`
        of the solution that all other values give, to first order (Allen's PRESS, doi:10.1080/00401706.1974.10489157).

        Raises StatementError where it is not known what each value has moved.
        """
        found, share = (
            Data.of(self.problem).residuals(self.unknowns()),
            np.ones(sum(map(len, self.problem.observations))),
        )
        if left_out:
            if not len(self.leverage):
                lacking = "elements do not have the whole statement" if len(self.root) else "nothing is unknown"
                raise StatementError(f"what each value has moved is not known: {self.note or lacking}")
            share = np.maximum(1 - self.leverage.cpu().numpy(), 1e-12)
        ends = np.cumsum([len(data) for data in self.problem.observations])[:-1]
        sets = zip(self.problem.observations, found, np.split(share, ends), strict=True)
        return {data.name or "": r / self.sigma_of(data) / part for data, r, part in sets}

    def sigma_of(self, data: Observations) -> np.ndarray:
        """Standard deviations (n,) of a set of observations, given or as estimated."""
        return np.broadcast_to(
            self.sigmas[data.name or ""] if data.sigma is None else np.asarray(data.sigma), len(data)
        )

    @property
    def correlations(self) -> np.ndarray:
        """(p, p) of the free numbers of the parameters; NaN where the data do not determine them."""
        count = len(self.problem.parameters)
        if not len(self.root):
            return np.full((count, count), np.nan)
        own = self.root[len(self.root) - count :]
        covariance = (own @ own.T).cpu().numpy()
        sd = np.sqrt(covariance.diagonal())
        return covariance / np.outer(sd, sd)

    def deviation(self, expression: sp.Expr, points: np.ndarray) -> np.ndarray:
        """The standard deviation (n,) of an expression of unknown coefficient fields and parameters at points (n, d), other
        fields as they are."""
        like, unknowns = self.surrogate.center, self.unknowns()
        at = Points(np.asarray(points, dtype=np.float64), np.ones(len(points)))
        block = PointBlock("", Program([expression], self.problem), at, self.surrogate, sums=True)
        columns, root = determined_by_data(unknowns), self.root.to(like)
        rows = [block.jacobian(unknowns, part)[1][:, columns] @ root for part in block.parts(unknowns)]
        return torch.cat(rows).norm(dim=1).cpu().numpy() if rows else np.zeros(0)
