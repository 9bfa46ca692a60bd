"""One run of the command line in its own process, and what its record says."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.conditions import ROOT


def solve(
    problem: str,
    seed: int,
    threads: int,
    time_limit: float | None = None,
    tolerance: float | None = None,
    steps: int | None = None,
    settings: dict[str, float] | None = None,
) -> dict[str, Any]:
    """`kinn solve` on a problem file: its record with `exit`; of a failure, a result too, `exit` and `stderr`."""
    with tempfile.TemporaryDirectory() as folder:
        record = Path(folder) / "record.json"
        command = [sys.executable, "-m", "kinn", "solve", str(ROOT / "problems" / f"{problem}.py"), "--quiet"]
        command += ["--seed", str(seed), "--threads", str(threads), "--json", str(record), "--output", folder]
        options = {"--time-limit": time_limit, "--tolerance": tolerance, "--steps": steps}
        command += [text for name, value in options.items() if value is not None for text in (name, str(value))]
        command += [text for name, value in (settings or {}).items() for text in ("--set", f"{name}={value}")]
        environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
        ended = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=ROOT, check=False)
        if not record.is_file():
            return {"exit": ended.returncode, "stderr": ended.stderr[-2000:], "seed": seed, "problem": problem}
        return {"exit": ended.returncode, **json.loads(record.read_text(encoding="utf-8"))}


def worst(errors: dict[str, float | None] | None) -> float:
    """The largest error over the fields; inf where there is none."""
    values = [float("inf") if value is None else value for value in (errors or {}).values()]
    return max(values, default=float("inf"))


def seconds_to(record: dict[str, Any], level: float) -> float | None:
    """When the history first shows a relative L2 error at or below `level`; None if it never does."""
    rows = (row["seconds"] for row in record.get("history", ()) if worst(row["relative_l2"]) <= level)
    return next(rows, None)


def error_at(record: dict[str, Any], seconds: float) -> float:
    """The smallest relative L2 error that the history shows up to `seconds`."""
    rows = [worst(row["relative_l2"]) for row in record.get("history", ()) if row["seconds"] <= seconds]
    return min(rows, default=float("inf"))


def ratio_of_estimate(record: dict[str, Any]) -> float | None:
    """The error estimate over the true relative H1 error at the end."""
    true = worst(record.get("relative_h1"))
    estimate = record.get("estimate")
    return estimate / true if estimate is not None and 0 < true < float("inf") else None


def middle(values: list[float]) -> float:
    """The median, where inf (a failed or missing value) counts as the worst."""
    return median(values) if values else float("inf")


def finite(value: float | None) -> float | None:
    """JSON has no infinity and no NaN."""
    return value if value is not None and math.isfinite(value) else None
