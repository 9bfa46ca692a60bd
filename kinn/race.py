"""Which of a few initial networks goes on."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence

from kinn.formulations.system import System
from kinn.formulations.unknowns import Unknowns
from kinn.limits import Stop, check_finite
from kinn.optimize import LevenbergMarquardt

SHARE = 0.2  # of the time limit that a race may take
ROUNDS, STEPS = (3, 2, 1), 5  # how many networks are left after each round of a race, and its steps
LINEAR_DAMPING = 1e-8  # of the first step of what one step solves


def race(
    candidates: Sequence[Unknowns],
    system_of: Callable[[Unknowns], System],
    time_is_up: Callable[[], bool],
    time_limit: float | None = None,
) -> Unknowns:
    """A few steps for each initial network, a few more for the better ones; the one with the lowest loss goes on.

    The race ends early where it would take more than its share of a run's `time_limit` (seconds).
    """
    end = math.inf if time_limit is None else time.perf_counter() + SHARE * time_limit

    def is_over() -> bool:
        return time.perf_counter() > end or time_is_up()

    racers: list[tuple[Unknowns, LevenbergMarquardt | None]] = [(candidate, None) for candidate in candidates]
    broken = None
    for kept in ROUNDS:
        if len(racers) == 1:
            break
        reached = []
        for candidate, optimizer in racers:
            system = system_of(candidate)
            optimizer = optimizer or LevenbergMarquardt(LINEAR_DAMPING if system.linear else 1.0)
            try:
                check_finite(system.losses())
            except Stop as stop:
                broken = stop
                continue
            loss = system.loss()
            for _ in range(STEPS):
                if is_over() or (step := optimizer.step(system)) is None:
                    break
                loss = step
            reached.append((loss, candidate, optimizer))
            if is_over():
                break
        if not reached and broken is not None:
            raise broken
        racers = [(candidate, optimizer) for _, candidate, optimizer in sorted(reached, key=lambda r: r[0])[:kept]]
    return racers[0][0]


__all__ = ["race"]
