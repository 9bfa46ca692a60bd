"""From a statement to a solution: race a few initial networks, train from coarse to fine, check and estimate after each stage."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NoReturn

from kinn.formulations.blocks import Block
from kinn.formulations.data import Data
from kinn.formulations.form import Form
from kinn.formulations.prior import Priors, determined_by_data
from kinn.formulations.projection import Settled, begin, moved, settle
from kinn.formulations.surrogate import Surrogate
from kinn.formulations.system import System
from kinn.formulations.unknowns import Unknowns
from kinn.limits import NO_ESTIMATE, Clock, Course, Limits, Pace, Stop, check_finite
from kinn.optimize import LBFGS, Adam, GaussNewton, LevenbergMarquardt
from kinn.race import race
from kinn.result import Record, Status
from kinn.statement.problem import Problem

POINTS_PER_PARAMETER, LARGEST_NETWORK = 3, 2400
# Steps of a stage at most, and between two moments from which a run can be continued: on gradients ten times as many.
STAGE_STEPS, STRIDE = 60, 10
# A stage ends when the loss falls slower than by a rate a step over a window of steps: early where refinement waits.
GROWING, FULL_GROWN = ((3, 0.99), (15, 0.85)), ((30, 0.995),)
PATIENCE, IMPROVEMENT = 3, 0.8  # stages in a row that may pass before the squared residual has fallen by this factor
# What a squared relative misfit counts against physics: at first, where elements lead parameters or data alone, and in the end.
DATA_WEIGHT_START, DATA_WEIGHT = {True: 1e-2, False: 1.0}, 1e-4
# What part of the noise of the data the error of the physics may be; for fields, known to a few hundredths; and where parameters
# were nearer to their best values than the last part of their deviations before the elements' last step.
NOISE_SHARE, FIELD_SHARE, LARGEST_SHARE, SHIFT = 2e-3, 1e-2, 0.3, 0.5
SETTLED = 1e-3  # a parameter has settled if its logarithm, or a part of it, moves less from stage to stage
PER_RESIDUAL = 100  # a relative residual stands for so large an error where there is no estimate


class Training:
    """One run: `run` moves `unknowns` to the best solution it finds, from one of the initial `candidates`."""

    def __init__(
        self,
        problem: Problem,
        form: Form,
        candidates: Sequence[Unknowns],
        limits: Limits,
        seed: int,
        clock: Clock,
        on_record: Callable[[Record, Unknowns, dict[str, float]], None],
        on_stand: Callable[[Training], None] = lambda _: None,
        started: bool = False,
    ) -> None:
        self.problem, self.form, self.candidates = problem, form, list(candidates)
        self.limits, self.seed, self.clock, self.on_record, self.on_stand = limits, seed, clock, on_record, on_stand
        self.data, self.priors = Data.of(problem), Priors.of(problem, self.candidates[0].surrogate)
        self.started, self.data_weight = started, DATA_WEIGHT if started else DATA_WEIGHT_START[form.has_elements]
        self.unknowns = self.candidates[0]
        self.best: tuple[float, float | None, Unknowns] | None = None
        self.history: list[Record] = []
        self.terms: dict[str, float] = {}
        self.course, self.steps = Course(), 0
        self._last_record, self._pace = -math.inf, Pace(closing=not form.has_elements and len(self.unknowns.free) > 0)
        self.settled: Settled | None = None

    @property
    def data_factor(self) -> float:
        """What one squared standardized misfit counts in the loss."""
        return self.data_weight * self.data.relative**2

    @property
    def estimate(self) -> float | None:
        """The estimated error of the best solution."""
        return None if self.best is None else self.best[1]

    @property
    def n_points(self) -> int:
        """How many points, or tests of the weak form, the present network asks for."""
        return self.course.ratio * self._size()

    def final_system(self) -> System:
        """All terms at the present solution, as they count in the end."""
        self.data_weight, self.course.held = DATA_WEIGHT, False
        return self._system(self._size(), self.seed + 1)

    def _system(self, n: int, seed: int) -> System:
        """The terms of a round: where elements move what data determine, the physics for what that is now."""
        held, factor = self.course.held, self.data_factor
        unknowns = (self.unknowns.holding_fields() if held else None) or self.unknowns
        blocks = list(self.form.blocks(unknowns, n, seed))
        if not held:
            blocks += [*self.data.blocks(unknowns.surrogate, factor), *self.priors.blocks(unknowns, factor)]
        return System(unknowns, blocks, held)

    def _size(self) -> int:
        return math.ceil(POINTS_PER_PARAMETER * self.unknowns.size)

    def run(self, stages: Sequence[Adam | LBFGS | GaussNewton]) -> tuple[Status, str]:
        """Run the stages; returns why the run ended. The best solution is in `unknowns`, after Ctrl-C too."""
        try:
            try:
                if not self.course.raced:
                    self._stand()
                    now = self.data, self.priors, self.form, self.candidates
                    races = any(isinstance(stage, GaussNewton) for stage in stages)
                    self.course.held = races and begin(*now, self._size(), self.seed, self._time_is_up)
                    racers = self.candidates if races else self.candidates[:1]
                    limits = self._time_is_up, self.limits.time_limit
                    self.unknowns, self.course.raced = race(racers, self._prepared(), *limits), True
                ended = False
                for stage in stages[self.course.stage :]:
                    self._stand()
                    if isinstance(stage, GaussNewton):
                        self._gauss_newton(stage)
                    ended = self._on_gradients(stage)
                    self.course.next_stage()
                raise Stop(Status.STALLED if ended else Status.STEP_LIMIT)
            except KeyboardInterrupt:
                self._judge(self._size(), None)
                raise Stop(Status.INTERRUPTED) from None
        except Stop as stop:
            status, message = stop.status, stop.message
        except KeyboardInterrupt:  # a second one, while the solution was judged
            status, message = Status.INTERRUPTED, Status.INTERRUPTED.value
        self.unknowns = self.unknowns if self.best is None else self.best[2]
        return status, message

    def _stand(self) -> None:
        """A moment from which the run can be continued: its state is in the attributes, nothing is on the way."""
        self.unknowns.assign(self.unknowns.vector())  # one layout in memory, here and when restored: sums round alike
        self.on_stand(self)

    def _prepared(self) -> Callable[[Unknowns], System]:
        """The terms of a race for each candidate: the same ones, made once, unless they depend on it."""
        shared: list[Block] = []

        def system_of(candidate: Unknowns) -> System:
            self.unknowns = candidate
            if shared and not (self.form.linearizes or self.problem.observations):
                return System(candidate, shared)
            system = self._system(self._size(), self.seed)
            system.held |= bool(self.problem.observations)  # what networks begin as tells nothing of parameters
            shared[:] = system.blocks
            return system

        return system_of

    def _on_gradients(self, stage: Adam | LBFGS) -> bool:
        """Adam or L-BFGS on points that stay; whether it ended by itself, since the loss fell no further."""
        system = self._system(self._size(), self.seed + 1)
        check_finite(system.losses())
        state = self.course.descent(stage)
        while state.count < stage.steps and not state.ended:
            if (loss := state.step(system)) is None:
                raise Stop(Status.NONFINITE, f"the gradient became infinite or NaN; {Status.NONFINITE.value}")
            self._after_step(loss)
            if state.count % (10 * STRIDE) == 0:
                self._stand()
                if self.form.linearizes:
                    system = self._system(self._size(), self.seed + 1)
                    state.restart()
        self._judge(self._size(), system.loss())
        return state.ended

    def _gauss_newton(self, stage: GaussNewton) -> NoReturn:
        course = self.course
        if self.started and self.problem.observations and not (course.rounds or course.held):
            shift = self._judge(self._size(), None)[2]  # what other data determine is found at once
            course.held = not stage.exact and math.isfinite(shift)
        while True:
            if course.optimizer is None:
                course.rounds, course.losses, course.before = course.rounds + 1, [], self.unknowns.free.clone()
                course.optimizer = LevenbergMarquardt(course.damping, stage.exact)
            optimizer, before = course.optimizer, course.before
            n, finer, ended = self.n_points, self._finer(stage), False
            while not ended:
                system = self._system(n, self.seed + 1000 * course.rounds)
                check_finite(system.losses())
                ended = self._descend(optimizer, system, FULL_GROWN if finer is None else GROWING)
            check, estimate, shift = self._judge(n, loss := system.loss())
            fields_held = course.held and self.problem.identified != ()
            course.held = not stage.exact and (fields_held or math.isfinite(shift))
            weighed = self._settle_data()
            change = moved(self.unknowns, before)
            # where no elements say how far parameters are from the best, they have settled
            shift = 0.0 if estimate is None and change < SETTLED else shift
            exact = math.sqrt(check) * self.course.estimate_per_residual < self._asked(shift)
            if exact and not weighed and (shift < SHIFT or (change < SETTLED and not fields_held)):
                raise Stop(Status.CONVERGED, NO_ESTIMATE if estimate is None else "")
            course.damping, course.optimizer = min(max(optimizer.damping, 1e-10), 1e-2), None
            course.ratio *= 2 if check > 8 * loss and course.ratio < 8 else 1
            course.idle = 0 if check < IMPROVEMENT * course.best_check or weighed else course.idle + 1
            course.best_check = min(check, course.best_check)
            # physics that are exact enough wait for the parameters, as long as they come nearer
            determined = self.problem.parameters or self.problem.identified
            finer = None if exact and determined and course.idle < PATIENCE else self._finer(stage)
            if finer is not None:
                self.unknowns = replace(self.unknowns, surrogate=finer)
            elif course.idle >= PATIENCE:
                raise Stop(Status.UNDER_INTEGRATED if check > 30 * loss else Status.STALLED)
            self._stand()
            if self._time_is_up():
                raise Stop(Status.TIME_LIMIT)

    def _finer(self, stage: GaussNewton) -> Surrogate | None:
        """The present function with a richer network, where there are points or tests enough to train it safely."""
        finer, capacity = self.unknowns.surrogate.refined() if stage.refine else None, self.form.capacity
        room = LARGEST_NETWORK if capacity is None else min(LARGEST_NETWORK, capacity / (2 * POINTS_PER_PARAMETER))
        fixed = len(determined_by_data(self.unknowns)) if self.course.held else 0
        return finer if finer is not None and finer.network.n_parameters - fixed <= room else None

    def _asked(self, shift: float) -> float:
        """How exact physics have to be: as asked, or as the data can tell, by their noise or by how far parameters moved."""
        noise = self.data.relative if self.problem.observations else 0.0
        share = FIELD_SHARE if self.priors.energies else NOISE_SHARE
        near = LARGEST_SHARE * noise if shift < SHIFT else 0.0
        return max(self.limits.tolerance, share * noise, near)

    def _settle_data(self) -> bool:
        """Estimate unknown noise and let physics count more; whether the loss changed its meaning."""
        if not self.problem.observations:
            return False
        if (settled := self.settled) is None:  # elements do not have the whole statement
            physics = self.form.blocks(self.unknowns, self._size(), self.seed + 1)
            misfits = self.data.blocks(self.unknowns.surrogate, self.data_factor)
            determined, changed = self.priors.settle_on(self.unknowns, physics, misfits, self.data_factor)
        else:
            determined, changed = settled.determined, settled.changed
        changed = self.data.estimate_noise(self.unknowns, determined) or changed
        if self.data_weight > DATA_WEIGHT and not self.course.held:
            self.data_weight = max(0.1 * self.data_weight, DATA_WEIGHT)
            return True
        return changed

    def _descend(self, optimizer: LevenbergMarquardt, system: System, ending: tuple[tuple[int, float], ...]) -> bool:
        """Steps until a round has ended, or to a stand where blocks that were linearized must be made anew: False."""
        losses, asked = self.course.losses, 0.7 * self._asked(math.inf)
        if self.course.rounds == 1 and self.estimate is not None:  # as exact as the start was for its own data
            asked = max(asked, min(self.estimate, self._asked(0.0)))
        while len(losses) < STAGE_STEPS:
            start = time.perf_counter()
            loss = optimizer.step(system)
            self._pace.stepped(time.perf_counter() - start)
            if loss is None:
                return True
            losses.append(loss)
            self._after_step(loss)
            slow = any(len(losses) > n and losses[-1] > losses[-1 - n] * rate**n for n, rate in ending)
            if slow or self.course.estimate_per_residual * math.sqrt(loss) < asked:
                return True
            if len(losses) % STRIDE == 0:
                self._stand()
                if self.form.linearizes:
                    return False
        return True

    def _after_step(self, loss: float) -> None:
        self.steps += 1
        seconds = self.clock.seconds()
        if seconds - self._last_record > max(0.25, 0.02 * seconds):
            self._record(Record(seconds, self.steps, math.sqrt(loss), None, None, self.unknowns.size))
        if (enough := self.limits.steps is not None and self.steps >= self.limits.steps) or self._time_is_up():
            self._judge(self._size(), loss)
            raise Stop(Status.STEP_LIMIT if enough else Status.TIME_LIMIT)

    def _judge(self, n: int, loss: float | None) -> tuple[float, float | None, float]:
        """Check on independent points, estimate the error and move the parameters by elements; keeps the best solution. Returns
        check, estimate, and by how many standard deviations parameters moved."""
        start, cost = time.perf_counter(), self.form.cost
        judgement = self.form.judge(self.unknowns, n)
        check, estimate = sum(judgement.terms.values()), judgement.estimate
        check_finite(judgement.terms)
        now = self.data, self.priors, self.form, self.unknowns
        self.settled, score = settle(*now, estimate, self._time_is_up), check if estimate is None else estimate
        # Estimates on the growing tests of the weak form become more honest: the latest counts unless it is clearly worse.
        slack = 1.0 if self.form.capacity is None else 1.5
        if self.problem.observations or self.best is None or score <= slack * self.best[0]:
            self.best = score, estimate, self.unknowns.copy()
            self.terms = {name: math.sqrt(value) for name, value in judgement.terms.items()}
        self._pace.judged(time.perf_counter() - start - judgement.preparation, cost)
        self.course.estimate_per_residual = PER_RESIDUAL if estimate is None else estimate / math.sqrt(check or 1e-300)
        residual = math.sqrt(check if loss is None else loss)
        self._record(Record(self.clock.seconds(), self.steps, residual, math.sqrt(check), estimate, self.unknowns.size))
        return check, estimate, math.inf if self.settled is None else self.settled.shift

    def _record(self, record: Record) -> None:
        self.history.append(record)
        self._last_record = record.seconds
        before = time.perf_counter()
        self.on_record(record, self.unknowns, self.terms)
        self.clock.paused += time.perf_counter() - before

    def _time_is_up(self) -> bool:
        """Whether there is no time left for more than a step and judging the solution."""
        limit = self.limits.time_limit
        return limit is not None and self.clock.seconds() + self._pace.ahead(self.form.cost) >= limit
