"""What one run of a comparison is, and the row that it leaves."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from kinn.optimize import LBFGS, Adam, GaussNewton

NETWORKS = ("kan", "mlp")
FORMS = ("strong", "weak")
MATCHES = ("parameters", "flops", "time")
ADAM_STEPS = 2000  # before L-BFGS
NEVER = 1e-14  # a tolerance that nobody meets: all networks use all the time
OPTIMIZERS: dict[str, list[Adam | LBFGS | GaussNewton]] = {
    "gauss_newton": [GaussNewton()],
    "adam_lbfgs": [Adam(ADAM_STEPS), LBFGS()],
    "adam": [Adam(1_000_000_000)],
}
FEM = "fem"
LEVELS = tuple(10.0**-k for k in range(1, 9))
CAP = 600.0  # seconds that count where a run never reaches a level


@dataclass(frozen=True)
class Run:
    """Everything that decides one run.

    Attributes:
        file: the problem file, relative to the folder of the results; `digest` of what it says.
        options: of its `problem()`.
        solver: "kan", "mlp", "fem" or the name of a peer.
        form, optimizer: of a network; None where there is no choice.
        match: by what an MLP is made equal to the KAN of the run `like`: "parameters", "flops", or "time", which leaves it as
            the library makes it, with the same seconds.
        seed, time_limit, tolerance, threads, device: of the run.
    """

    file: str
    digest: str
    solver: str
    seed: int = 0
    options: Mapping[str, Any] = field(default_factory=dict)
    form: str | None = None
    optimizer: str | None = None
    match: str | None = None
    like: str | None = None
    time_limit: float = 60.0
    tolerance: float = NEVER
    threads: int = 2
    device: str = "cpu"

    @property
    def key(self) -> str:
        """The same for the same run, whatever came of it."""
        text = json.dumps(asdict(self), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    @property
    def problem(self) -> str:
        """Name of the problem with the options that were set."""
        stem = self.file.rsplit("/", 1)[-1].removesuffix(".py")
        return " ".join([stem, *(f"{name}={value}" for name, value in self.options.items())])

    @property
    def contender(self) -> str:
        """What is compared with others on the same problem: solver, match, form and optimizer."""
        parts = [self.solver]
        if self.match in ("parameters", "flops"):
            parts.append(f"as many {self.match}")
        parts += [self.form] if self.form else []
        parts += [self.optimizer] if self.optimizer not in (None, "gauss_newton") else []
        return ", ".join(parts)

    @staticmethod
    def of(row: Mapping[str, Any]) -> Run:
        """The run that a row tells of."""
        return Run(**row["run"])

    def row(self, status: str, message: str = "", **found: Any) -> dict[str, Any]:
        """The row of a run that ended; of one that failed it holds no more than why."""
        return {"key": self.key, "run": asdict(self), "status": status, "message": message, **found}


def seconds_to(history: Sequence[Sequence[Any]]) -> dict[str, float | None]:
    """When a history of (seconds, step, size, error) first shows each level of `LEVELS`; None if it never does."""
    found: dict[str, float | None] = {}
    for level in LEVELS:
        rows = (row[0] for row in history if row[3] is not None and row[3] <= level)
        found[f"{level:.0e}"] = next(rows, None)
    return found


def thinned(history: Sequence[Sequence[Any]]) -> list[list[Any]]:
    """The rows that show a lower error than all before, and the last."""
    kept: list[list[Any]] = []
    for row in history:
        if not kept or (row[3] is not None and (kept[-1][3] is None or row[3] < kept[-1][3])):
            kept.append(list(row))
    if history and kept[-1] != list(history[-1]):
        kept.append(list(history[-1]))
    return kept


__all__ = [
    "CAP",
    "FEM",
    "FORMS",
    "LEVELS",
    "MATCHES",
    "NETWORKS",
    "NEVER",
    "OPTIMIZERS",
    "Run",
    "seconds_to",
    "thinned",
]
