"""From a statement to a result: discretize, race a few initial networks, train from coarse to fine, check, estimate."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor

from kinn.formulations.blocks import Block
from kinn.formulations.form import Form
from kinn.formulations.program import Program
from kinn.formulations.strong import data_blocks
from kinn.formulations.system import System
from kinn.formulations.unknowns import Unknowns
from kinn.optimize import Adam, AdamState, GaussNewton, LevenbergMarquardt
from kinn.result import Record, Status
from kinn.statement.problem import Problem

POINTS_PER_PARAMETER = 5
LARGEST_NETWORK = 2400
RACE_STEPS = 15
WINDOW, RATE = 8, 0.7  # a stage ends when the loss falls slower than by RATE a step over WINDOW steps
STAGE_STEPS = 60
PATIENCE = 3  # stages at the largest size that may pass without halving the residual
DATA_WEIGHT_START, DATA_WEIGHT = 1e-2, 1e-4  # relative to the squared noise: how soft physics is at first and in the end


class Stop(Exception):
    """Ends the training from inside, with the status that says why."""

    def __init__(self, status: Status, message: str = "") -> None:
        super().__init__(message)
        self.status, self.message = status, message or status.value


@dataclass
class Limits:
    """What ends a run: an error estimate below `tolerance`, `steps`, `time_limit` in seconds."""

    tolerance: float = 1e-6
    steps: int | None = None
    time_limit: float | None = None


@dataclass
class Clock:
    """Seconds since the start, without the time spent in callbacks."""

    start: float = field(default_factory=time.perf_counter)
    paused: float = 0.0

    def seconds(self) -> float:
        return time.perf_counter() - self.start - self.paused


@dataclass
class Data:
    """Observations with their programs and the standard deviations in force."""

    problem: Problem
    programs: list[Program]
    sigmas: list[np.ndarray]
    spreads: list[float]
    relative: float

    @staticmethod
    def of(problem: Problem) -> Data:
        sigmas, spreads, ratios = [], [], []
        for data in problem.observations:
            values = np.asarray(data.values)
            spread = float(np.ptp(values)) or float(np.abs(values).max()) or 1.0
            sigma = np.full(len(values), 0.01 * spread) if data.sigma is None else np.asarray(data.sigma)
            sigmas.append(sigma)
            spreads.append(spread)
            ratios.append(float(sigma.mean()) / spread)
        programs = [Program([data.expression], problem) for data in problem.observations]
        return Data(problem, programs, sigmas, spreads, min(ratios, default=1.0))

    def residuals(self, unknowns: Unknowns) -> list[np.ndarray]:
        """Misfits in the units of the data."""
        found = data_blocks(self.problem, self.programs, unknowns.surrogate, [np.ones_like(s) for s in self.sigmas], 1.0)
        return [block.residuals(unknowns)[0].cpu().numpy() for block in found]  # type: ignore[attr-defined]

    def estimate_noise(self, unknowns: Unknowns) -> None:
        """Replace the standard deviations that the user did not give by those of the misfits."""
        n_free = len(self.problem.parameters)
        for i, (data, misfit) in enumerate(zip(self.problem.observations, self.residuals(unknowns), strict=True)):
            if data.sigma is None:
                freedom = max(len(misfit) - n_free, 1)
                sigma = max(math.sqrt(float(misfit @ misfit) / freedom), 1e-7 * self.spreads[i])
                self.sigmas[i] = np.full(len(misfit), sigma)


class Training:
    """One run. `form` and `unknowns` come prepared; `run` moves `unknowns` to the best solution it finds."""

    def __init__(
        self,
        problem: Problem,
        form: Form,
        candidates: Sequence[Unknowns],
        limits: Limits,
        seed: int,
        clock: Clock,
        on_record: Callable[[Record, Unknowns, dict[str, float]], None],
    ) -> None:
        self.problem, self.form, self.candidates = problem, form, list(candidates)
        self.limits, self.seed, self.clock, self.on_record = limits, seed, clock, on_record
        self.data = Data.of(problem)
        self.data_weight = DATA_WEIGHT_START
        self.unknowns = self.candidates[0]
        self.best: tuple[float, Unknowns] | None = None
        self.history: list[Record] = []
        self.steps = 0
        self.terms: dict[str, float] = {}
        self._last_record = -math.inf

    # What one stage trains on.

    def _blocks(self, surrogate_of: Unknowns, n: int, seed: int) -> list[Block]:
        blocks = self.form.blocks(surrogate_of.surrogate, n, seed)
        programs, sigmas = self.data.programs, self.data.sigmas
        return blocks + data_blocks(self.problem, programs, surrogate_of.surrogate, sigmas, self.data_factor)

    @property
    def data_factor(self) -> float:
        """What one squared standardized misfit counts in the loss."""
        return self.data_weight * self.data.relative**2

    def final_system(self) -> System:
        """All terms at the present solution, as they count in the end."""
        self.data_weight = DATA_WEIGHT
        return System(self.unknowns, self._blocks(self.unknowns, self._size(self.unknowns), self.seed + 1))

    def _size(self, unknowns: Unknowns) -> int:
        return math.ceil(POINTS_PER_PARAMETER * unknowns.size)

    # The course of a run.

    def run(self, stages: Sequence[Adam | GaussNewton]) -> tuple[Status, str]:
        """Run the stages; returns why it ended. The best solution so far is in `unknowns` even after Ctrl-C."""
        try:
            self._race()
            for stage in stages:
                if isinstance(stage, Adam):
                    self._adam(stage)
                else:
                    self._gauss_newton(stage)
            raise Stop(Status.STEP_LIMIT)
        except Stop as stop:
            status, message = stop.status, stop.message
        except KeyboardInterrupt:
            status, message = Status.INTERRUPTED, Status.INTERRUPTED.value
        if self.best is not None and status is not Status.CONVERGED:
            self.unknowns = self.best[1]
        return status, message

    def _race(self) -> None:
        """A few steps for each initial network; the one with the lowest loss goes on."""
        if len(self.candidates) == 1:
            return
        losses = []
        for number, candidate in enumerate(self.candidates):
            self.unknowns = candidate
            system = System(candidate, self._blocks(candidate, self._size(candidate), self.seed))
            self._check_finite(system)
            optimizer = LevenbergMarquardt()
            for _ in range(RACE_STEPS):
                if self._out_of_time():
                    break
                if optimizer.step(system) is None:
                    break
            losses.append(system.loss())
            if number and self._out_of_time():
                break
        self.unknowns = self.candidates[int(np.argmin(losses))]

    def _adam(self, stage: Adam) -> None:
        system = System(self.unknowns, self._blocks(self.unknowns, self._size(self.unknowns), self.seed + 1))
        self._check_finite(system)
        state = AdamState(stage.learning_rate)
        for _ in range(stage.steps):
            loss = state.step(system)
            if loss is None:
                raise Stop(Status.NONFINITE, f"the gradient became infinite or NaN in Adam; {Status.NONFINITE.value}")
            self._after_step(loss)
        self._after_stage(system, system.loss(), self._size(self.unknowns))

    def _gauss_newton(self, stage: GaussNewton) -> None:
        number, ratio, idle, best_check = 0, 1, 0, math.inf
        damping = 1.0
        while True:
            number += 1
            n = ratio * self._size(self.unknowns)
            system = System(self.unknowns, self._blocks(self.unknowns, n, self.seed + 1000 * number))
            self._check_finite(system)
            optimizer = LevenbergMarquardt(damping, stage.exact)
            self._descend(optimizer, system)
            loss = system.loss()
            check = self._after_stage(system, loss, n)
            damping = min(max(optimizer.damping, 1e-10), 1e-2)
            if check > 8 * loss and ratio < 8:
                ratio *= 2
            idle = 0 if check < 0.5 * best_check else idle + 1
            best_check = min(check, best_check)
            if self._settle_data():
                idle = 0
            finer = self.unknowns.surrogate.refined()
            if finer is not None and finer.network.n_parameters <= LARGEST_NETWORK:
                self.unknowns = replace(self.unknowns, surrogate=finer)
                idle = min(idle, 1)
            if idle >= PATIENCE:
                if check > 30 * loss:
                    raise Stop(Status.UNDER_INTEGRATED)
                raise Stop(Status.STALLED)

    def _settle_data(self) -> bool:
        """Estimate unknown noise and let physics count more; whether the loss changed its meaning."""
        if not self.problem.observations:
            return False
        self.data.estimate_noise(self.unknowns)
        if self.data_weight > DATA_WEIGHT:
            self.data_weight = max(self.data_weight * 0.1, DATA_WEIGHT)
            return True
        return False

    def _descend(self, optimizer: LevenbergMarquardt, system: System) -> None:
        losses: list[float] = []
        for _ in range(STAGE_STEPS):
            loss = optimizer.step(system)
            if loss is None:
                return
            losses.append(loss)
            self._after_step(loss)
            if len(losses) > WINDOW and losses[-1] > losses[-1 - WINDOW] * RATE**WINDOW:
                return

    # What happens between.

    def _after_step(self, loss: float) -> None:
        self.steps += 1
        seconds = self.clock.seconds()
        if seconds - self._last_record > max(0.25, 0.02 * seconds):
            self._record(Record(seconds, self.steps, math.sqrt(loss), None, None, self.unknowns.size))
        if self.limits.steps is not None and self.steps >= self.limits.steps:
            self._final(Status.STEP_LIMIT)
        if self._out_of_time():
            self._final(Status.TIME_LIMIT)

    def _final(self, status: Status) -> None:
        """Check and estimate what a limit leaves behind, then stop."""
        self._judge(self._size(self.unknowns), None)
        raise Stop(status)

    def _after_stage(self, system: System, loss: float, n: int) -> float:
        """Check on independent points, estimate the error; returns the checked loss. Stops when the tolerance is met."""
        check, estimate = self._judge(n, loss)
        if estimate is not None and estimate < self.limits.tolerance and not self._data_open():
            raise Stop(Status.CONVERGED)
        return check

    def _data_open(self) -> bool:
        return bool(self.problem.observations) and self.data_weight > DATA_WEIGHT

    def _judge(self, n: int, loss: float | None) -> tuple[float, float | None]:
        judgement = self.form.judge(self.unknowns, n)
        check, estimate = sum(judgement.terms.values()), judgement.estimate
        self.terms = {name: math.sqrt(value) for name, value in judgement.terms.items()}
        if not math.isfinite(check):
            raise Stop(Status.NONFINITE, f"the term {_worst(judgement.terms)!r} is not finite; {Status.NONFINITE.value}")
        score = check if estimate is None else estimate
        if self.problem.observations or self.best is None or score <= self.best[0]:
            self.best = score, _copy(self.unknowns)
        shown = check if loss is None else loss
        seconds = self.clock.seconds()
        self._record(Record(seconds, self.steps, math.sqrt(shown), math.sqrt(check), estimate, self.unknowns.size))
        return check, estimate

    def _record(self, record: Record) -> None:
        self.history.append(record)
        self._last_record = record.seconds
        before = time.perf_counter()
        self.on_record(record, self.unknowns, self.terms)
        self.clock.paused += time.perf_counter() - before

    def _out_of_time(self) -> bool:
        return self.limits.time_limit is not None and self.clock.seconds() >= self.limits.time_limit

    def _check_finite(self, system: System) -> None:
        losses = system.losses()
        if not math.isfinite(sum(losses.values())):
            raise Stop(Status.NONFINITE, f"the term {_worst(losses)!r} is infinite or NaN; {Status.NONFINITE.value}")


def _worst(losses: dict[str, float]) -> str:
    return next((name for name, value in losses.items() if not math.isfinite(value)), next(iter(losses)))


def _copy(unknowns: Unknowns) -> Unknowns:
    surrogate = replace(unknowns.surrogate, network=copy.deepcopy(unknowns.surrogate.network))
    return Unknowns(unknowns.problem, surrogate, unknowns.free.clone())


def physical_parameters(unknowns: Unknowns) -> Tensor:
    """Values of the parameters in the statement's units."""
    with torch.no_grad():
        return unknowns.parameters().detach()
