"""A row of a sweep, run again from what it says."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path

from kinn.comparison.bench import digest_of
from kinn.comparison.isolated import isolated
from kinn.comparison.run import Run
from kinn.comparison.sweep import Row, read_rows
from kinn.statement.errors import StatementError

ROOM = 2.0  # beyond the least and the largest error of the seeds: times on a shared machine differ as much


@dataclass(frozen=True)
class Rerun:
    """A row, what the same run gives now, and the least and largest error that its seeds had."""

    before: Row
    now: Row
    spread: tuple[float, float]

    @property
    def agrees(self) -> bool:
        """Whether the error is one that the seeds have, or the run fails as it did."""
        error = self.now.get("error")
        if error is None or math.isinf(self.spread[1]):
            return self.now["status"] == self.before["status"] or (error is not None and error <= ROOM * self.spread[1])
        return self.spread[0] / ROOM <= error <= ROOM * self.spread[1]


def rerun(path: Path, number: int) -> Rerun:
    """Run row `number` (from 1) of a sweep's file again.

    Raises StatementError for a file or a row that is not there, and for a problem file that says something else today.
    """
    rows = read_rows(path)
    if not 1 <= number <= len(rows):
        raise StatementError(f"{path} has {len(rows)} rows, no row {number}; they are counted from 1")
    before = rows[number - 1]
    run = Run.of(before)
    if (digest := digest_of(path.parent / run.file, run.solver)) != run.digest:
        raise StatementError(
            f"{path.parent / run.file} has changed since row {number} was made ({digest}, {run.digest})"
        )
    others = {row["key"]: row for row in rows}
    size = others.get(run.like or "", {}).get("network_size")
    own = [row for row in rows if _alike(Run.of(row)) == _alike(run)]
    errors = [math.inf if row.get("error") is None else row["error"] for row in own]
    now = isolated(vars(run), str(path.parent.resolve()), size, None)
    return Rerun(before, now, (min(errors), max(errors)))


def _alike(run: Run) -> Run:
    """What runs have in common that differ by the seed."""
    return replace(run, seed=0, like=None)


__all__ = ["Rerun", "rerun"]
