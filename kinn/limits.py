"""When a run ends."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from kinn.result import Status


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
