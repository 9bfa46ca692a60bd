"""Many runs, their rows kept line by line: a sweep that was interrupted goes on where it was."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Executor, Future, as_completed
from pathlib import Path
from typing import Any

from kinn.comparison.isolated import isolated
from kinn.comparison.run import Run
from kinn.statement.errors import StatementError

ROWS, PICTURES = "runs.jsonl", "pictures"
RETRIED = ("refused", "died")
Row = dict[str, Any]


def read_rows(path: Path) -> list[Row]:
    """The rows of a file, in order; what a killed sweep left of a last line is no row.

    Raises StatementError for a line in the middle that cannot be read.
    """
    if not path.is_file():
        return []
    *lines, rest = path.read_text(encoding="utf-8").split("\n")
    rows = []
    for number, line in enumerate(lines, start=1):
        try:
            rows.append(json.loads(line))
        except ValueError:
            raise StatementError(f"line {number} of {path} is no row of a sweep; remove it") from None
    if rest:
        try:
            rows.append(json.loads(rest))
        except ValueError:
            pass
    return rows


def sweep(
    runs: Sequence[Run],
    folder: Path,
    executor: Executor | None = None,
    say: Callable[[int, int, Row], None] = lambda *_: None,
    perform: Callable[..., Row] = isolated,
) -> list[Row]:
    """The rows of all `runs`, in their order; those that `folder` has already are not made again, but for runs that could not be
    made (`RETRIED`): what stood in their way may be gone.

    Runs go one after another, or where `executor` (of `concurrent.futures`) sends them: then the folder has to be found there
    under the same path. Those that are matched to others come after these.
    """
    path, keys = folder / ROWS, {run.key for run in runs}
    found = {row["key"]: row for row in _mended(path, keys)}
    wanted = list({run.key: run for run in runs if run.key not in found}.values())

    def record(row: Row) -> None:
        found[row["key"]] = row
        _append(path, row)
        say(len(keys & found.keys()), len(keys), row)

    for level in (False, True):
        pending = [run for run in wanted if (run.like is not None) is level]
        _perform_all(pending, found, folder, executor, perform, record)
    return [found[run.key] for run in runs]


def _perform_all(
    pending: Iterable[Run],
    found: Mapping[str, Row],
    folder: Path,
    executor: Executor | None,
    perform: Callable[..., Row],
    record: Callable[[Row], None],
) -> None:
    futures: dict[Future, Run] = {}
    drawn: set[tuple[str, str]] = set()
    for run in pending:
        other = found.get(run.like or "", {})
        if run.like is not None and "network_size" not in other:
            reason = other.get("message") or other.get("status") or "missing"
            record(run.row("refused", f"the run that it is matched to has no network: {reason}"))
            continue
        first = (run.problem, run.contender) not in drawn
        drawn.add((run.problem, run.contender))
        pictures = str((folder / PICTURES).resolve()) if first else None
        arguments = vars(run), str(folder.resolve()), other.get("network_size"), pictures
        if executor is None:
            record(perform(*arguments))
        else:
            futures[executor.submit(perform, *arguments)] = run
    try:
        for future in as_completed(futures):
            record(_result(future, futures.pop(future)))
    except BaseException:
        for future, run in futures.items():
            if not future.cancel() and future.done():  # finished, but not told yet
                record(_result(future, run))
        raise


def _result(future: Future, run: Run) -> Row:
    try:
        return future.result()
    except Exception as error:  # a machine that is lost: its run is told, the others go on
        return run.row("died", f"{type(error).__name__}: {error}")


def _mended(path: Path, wanted: set[str]) -> list[Row]:
    """The rows of a file, which ends after the last complete one from now on, without wanted ones that are tried again."""
    rows = read_rows(path)
    kept = [row for row in rows if row["key"] not in wanted or row["status"] not in RETRIED]
    whole = not path.is_file() or path.read_bytes()[-1:] in (b"", b"\n")
    if len(kept) < len(rows) or not whole:
        part = path.with_suffix(".part")
        part.write_text("".join(json.dumps(row, allow_nan=False) + "\n" for row in kept), encoding="utf-8")
        part.replace(path)
    return kept


def _append(path: Path, row: Row) -> None:
    """One line, on the disk before the next run begins."""
    with path.open("a", encoding="utf-8") as stream:
        stream.write(json.dumps(row, allow_nan=False) + "\n")
        stream.flush()
        os.fsync(stream.fileno())


__all__ = ["PICTURES", "ROWS", "Row", "read_rows", "sweep"]
