"""The live line of a run."""

from __future__ import annotations

from types import TracebackType

from rich.console import Console
from rich.status import Status

from kinn.result import Record


class ProgressLine:
    """One line on stderr with step, time, residual, estimate and the user's own term names; silent if not enabled."""

    def __init__(self, enabled: bool) -> None:
        self._status = Status("setting up", console=Console(stderr=True)) if enabled else None

    def __enter__(self) -> ProgressLine:
        if self._status is not None:
            self._status.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._status is not None:
            self._status.stop()

    def show(self, record: Record, terms: dict[str, float]) -> None:
        """Replace the line by the state that `record` describes."""
        if self._status is None:
            return
        parts = [
            f"step {record.step}",
            f"{record.seconds:.1f} s",
            f"{record.n_parameters} parameters",
            f"residual {record.loss:.1e}",
        ]
        if record.estimate is not None:
            parts.append(f"estimated error {record.estimate:.1e}")
        parts += [f"{name} {value:.1e}" for name, value in terms.items()]
        self._status.update(", ".join(parts))
