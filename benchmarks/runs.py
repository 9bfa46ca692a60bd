"""One run of the command line in its own process, and what its record says."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.conditions import ROOT
from kinn.comparison.run import Run
from kinn.comparison.sweep import Row


def solve(
    problem: str,
    seed: int,
    threads: int,
    time_limit: float | None = None,
    tolerance: float | None = None,
    steps: int | None = None,
    settings: Mapping[str, float] | None = None,
    options: Sequence[str] = (),
) -> dict[str, Any]:
    """`kinn solve` on a problem file: its record with `exit`; of a failure, a result too, `exit` and `stderr`."""
    with tempfile.TemporaryDirectory() as folder:
        record = Path(folder) / "record.json"
        command = [sys.executable, "-m", "kinn", "solve", str(ROOT / "problems" / f"{problem}.py"), "--quiet"]
        command += ["--seed", str(seed), "--threads", str(threads), "--json", str(record), "--output", folder, *options]
        limits = {"--time-limit": time_limit, "--tolerance": tolerance, "--steps": steps}
        command += [text for name, value in limits.items() if value is not None for text in (name, str(value))]
        command += [text for name, value in (settings or {}).items() for text in ("--set", f"{name}={value}")]
        environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
        ended = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=ROOT, check=False)
        if not record.is_file():
            return {"exit": ended.returncode, "stderr": ended.stderr[-2000:], "seed": seed, "problem": problem}
        return {"exit": ended.returncode, **json.loads(record.read_text(encoding="utf-8"))}


def worst(errors: Mapping[str, float | None] | None) -> float:
    """The largest error over the fields; inf where there is none."""
    values = [float("inf") if value is None else value for value in (errors or {}).values()]
    return max(values, default=float("inf"))


def seconds_to(record: Mapping[str, Any], level: float) -> float | None:
    """When the history first shows a relative L2 error at or below `level`; None if it never does."""
    rows = (row["seconds"] for row in record.get("history", ()) if worst(row["relative_l2"]) <= level)
    return next(rows, None)


def error_at(record: Mapping[str, Any], seconds: float) -> float:
    """The smallest relative L2 error that the history shows up to `seconds`."""
    rows = [worst(row["relative_l2"]) for row in record.get("history", ()) if row["seconds"] <= seconds]
    return min(rows, default=float("inf"))


def derived_error(record: Mapping[str, Any], name: str) -> float:
    """The relative L2 error of a named expression at the end; inf where there is none."""
    return worst({name: record.get("derived", {}).get(name)})


def quantity_error(record: Mapping[str, Any], name: str, unit: tuple[str, str] | None = None) -> float:
    """The error of a quantity at the end over its reference, or over the difference of two references; inf without any."""
    found = record.get("quantities", {})
    value, truth = (found.get(name, {}).get(key) for key in ("value", "reference"))
    ends = [found.get(end, {}).get("reference") for end in unit or ()]
    if value is None or truth is None or None in ends:
        return float("inf")
    size = abs(ends[0] - ends[1]) if unit else abs(truth)
    return abs(value - truth) / size if size else float("inf")


def thinned(record: dict[str, Any], history: bool = True) -> dict[str, Any]:
    """The record with the rows of its history that say something: a check, or a lower error than before; or without them."""
    rows, lowest = [], float("inf")
    for row in record.get("history", ()) if history else ():
        error = worst(row["relative_l2"])
        if error < lowest or row["check"] is not None:
            rows.append(row)
        lowest = min(lowest, error)
    return {**record, "history": rows} if history else {k: v for k, v in record.items() if k != "history"}


def ratio_of_estimate(record: Mapping[str, Any]) -> float | None:
    """The error estimate over the true relative H1 error at the end."""
    true = worst(record.get("relative_h1"))
    estimate = record.get("estimate")
    return estimate / true if estimate is not None and 0 < true < float("inf") else None


def latest(rows: Sequence[Row]) -> list[Row]:
    """The rows of the last version of each problem file, with the last limit, where a folder has several."""
    last = {Run.of(row).problem: (Run.of(row).digest, Run.of(row).time_limit) for row in rows}
    return [row for row in rows if last[Run.of(row).problem] == (Run.of(row).digest, Run.of(row).time_limit)]


def middle(values: Sequence[float]) -> float:
    """The median, where inf (a failed or missing value) counts as the worst."""
    return median(values) if values else float("inf")


def finite(value: float | None) -> float | None:
    """JSON has no infinity and no NaN."""
    return value if value is not None and math.isfinite(value) else None
