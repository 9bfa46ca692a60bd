"""A run in a process of its own, with a limit of its own: whatever becomes of it, there is a row."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kinn.comparison.perform import Size, perform
from kinn.comparison.run import Run
from kinn.statement.errors import StatementError

THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
GRACE = 300.0  # seconds beyond the limit, for imports, the reference and comparisons with it
ERROR_TEXT = 2_000  # characters of stderr that a row keeps


def isolated(run: Mapping[str, Any], folder: str, size: Size | None, pictures: str | None) -> dict:
    """The row of a run, made by another process; of one that failed, died or took too long a row that says so.

    Plain arguments, so that any executor can send them elsewhere.
    """
    wanted = Run(**run)
    limit = 2 * wanted.time_limit + GRACE
    with tempfile.TemporaryDirectory() as scratch:
        answer = Path(scratch) / "row.json"
        task = {"run": dict(run), "folder": folder, "size": size, "pictures": pictures, "answer": str(answer),
                "parent": os.getpid()}  # fmt: skip
        threads = str(wanted.threads)
        environment = {**os.environ, **dict.fromkeys(THREADS, threads)}
        start = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, "-m", "kinn.comparison"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE, text=True, env=environment, start_new_session=True,
        )  # fmt: skip
        try:
            _, errors = process.communicate(json.dumps(task), timeout=limit)
        except subprocess.TimeoutExpired:
            _kill(process)
            return wanted.row("timed_out", f"killed after {limit:g} s")
        except BaseException:
            _kill(process)
            raise
        wall = time.perf_counter() - start
        if answer.is_file():
            return {**json.loads(answer.read_text(encoding="utf-8")), "wall_seconds": wall}
        lines = errors.strip().splitlines()
        message = lines[-1] if lines else f"exit code {process.returncode}"
        return wanted.row("died", message, exit=process.returncode, stderr=errors[-ERROR_TEXT:], wall_seconds=wall)


def _kill(process: subprocess.Popen) -> None:
    """The process and all that it started."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        process.kill()
    process.wait()


def work() -> None:
    """What the other process does: a task from stdin, its row to the file that the task names."""
    task = json.loads(sys.stdin.read())
    threading.Thread(target=_end_with, args=(task["parent"],), daemon=True).start()
    run, pictures = Run(**task["run"]), task["pictures"]
    try:
        row = perform(run, Path(task["folder"]), task["size"], None if pictures is None else Path(pictures))
    except StatementError as error:
        row = run.row("refused", str(error))
    answer = Path(task["answer"])
    part = answer.with_suffix(".part")
    part.write_text(json.dumps(row, allow_nan=False), encoding="utf-8")
    part.replace(answer)


def _end_with(parent: int) -> None:
    """End when the parent is gone: a run that nobody waits for would take the time of the next sweep."""
    while os.getppid() == parent:
        time.sleep(1.0)
    os._exit(1)


__all__ = ["isolated", "work"]
