"""Where a run stands and when it ends."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from kinn.optimize import LBFGS, Adam, AdamState, LBFGSState, LevenbergMarquardt
from kinn.result import Status

NO_ESTIMATE = "there is no estimate of the error, but the residuals are a hundredth of the tolerance, or of what the data can tell"
FACTORIZATION = 6  # an orthogonal one takes as long as so many steps
GROWTH = 1.25  # the time to judge a solution grows with this power of the size of the judge


class Stop(Exception):
    """Ends the training from inside, with the status that says why."""

    def __init__(self, status: Status, message: str = "") -> None:
        super().__init__(message)
        self.status, self.message = status, message or status.value


def check_finite(losses: Mapping[str, float]) -> None:
    """Raise Stop with the name of the first term that is infinite or NaN."""
    for name, value in losses.items():
        if not math.isfinite(value):
            raise Stop(Status.NONFINITE, f"the term {name!r} is infinite or NaN; {Status.NONFINITE.value}")


@dataclass
class Limits:
    """What ends a run: an error estimate below `tolerance`, `steps`, `time_limit` in seconds."""

    tolerance: float = 1e-6
    steps: int | None = None
    time_limit: float | None = None


@dataclass
class Course:
    """Where a run stands; with the unknowns all that its next steps depend on.

    Attributes:
        raced: whether one of the initial networks has been chosen.
        stage: which of `stages` runs; `adam` and `lbfgs` are the states of one of Adam and of L-BFGS.
        rounds, ratio, idle, best_check, damping: what one round of Gauss-Newton hands to the next: how many there were,
            the factor of its number of points, rounds without improvement, the lowest check, the optimizer's damping.
        optimizer, losses, before: of the round that runs: its state, its losses, the free parameters at its start.
        estimate_per_residual: of the last judgement.
        held: whether steps leave alone what data determine, which finite elements move after each round.
    """

    raced: bool = False
    stage: int = 0
    adam: AdamState | None = None
    lbfgs: LBFGSState | None = None
    rounds: int = 0
    ratio: int = 1
    idle: int = 0
    best_check: float = math.inf
    damping: float = 1.0
    optimizer: LevenbergMarquardt | None = None
    losses: list[float] = field(default_factory=list)
    before: Tensor = field(default_factory=lambda: torch.zeros(0))
    estimate_per_residual: float = math.inf
    held: bool = False

    def next_stage(self) -> None:
        self.stage, self.adam, self.lbfgs = self.stage + 1, None, None

    def descent(self, stage: Adam | LBFGS) -> AdamState | LBFGSState:
        """The state of a stage on gradients: as it stands, or a new one."""
        if isinstance(stage, Adam):
            self.adam = self.adam or AdamState(stage.learning_rate)
            return self.adam
        self.lbfgs = self.lbfgs or LBFGSState()
        return self.lbfgs


@dataclass
class Pace:
    """The seconds that the longest recent step took, and the last judgement of a solution, relative to the size of the judge.

    Where no elements tell deviations of parameters, a factorization `closing` the run does.
    """

    stepping: float = 0.0
    judging: float = 0.0
    closing: bool = False

    def stepped(self, seconds: float) -> None:
        # a step with an exact Jacobian takes ten times as long as others: it is remembered
        self.stepping = max(0.9 * self.stepping, seconds)

    def judged(self, seconds: float, cost: float) -> None:
        self.judging = seconds / cost**GROWTH

    def ahead(self, cost: float) -> float:
        """What another step and the judgement of what it leads to may take, by a judge of size `cost`."""
        closing = FACTORIZATION * self.stepping if self.closing else 0.0
        return 1.5 * (self.stepping + self.judging * cost**GROWTH) + closing


@dataclass
class Clock:
    """Seconds since the start, without the time spent in callbacks."""

    start: float = field(default_factory=time.perf_counter)
    paused: float = 0.0

    def seconds(self) -> float:
        return time.perf_counter() - self.start - self.paused
