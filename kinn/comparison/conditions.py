"""Under which conditions a figure was measured."""

from __future__ import annotations

import platform
import subprocess
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from kinn.report.record import version_of

PACKAGES = ("kinn", "torch", "numpy", "scipy", "sympy", "scikit-fem")
HERE = Path(__file__).parents[2]
SIZE, TIMES = 1024, 5  # of the matrices, and of the products, that tell how fast a machine is at a moment


def conditions(threads: int, device: str = "cpu", packages: tuple[str, ...] = ()) -> dict[str, Any]:
    """Commit, versions, processor, threads and date. Times on a shared machine are compared only inside one run."""
    return {
        "commit": _git("rev-parse", "--short", "HEAD"),
        "uncommitted": bool(_git("status", "--porcelain", "--", "kinn", "problems", "benchmarks/*.py")),
        "versions": {
            "python": platform.python_version(),
            **{name: version_of(name) for name in (*PACKAGES, *packages)},
        },
        "device": f"cpu: {_processor()}" if device == "cpu" else f"{device}: {torch.cuda.get_device_name(device)}",
        "threads": threads,
        "dtype": "float64",
        "date": datetime.now(UTC).isoformat(timespec="minutes"),
    }


def stated(where: dict[str, Any]) -> str:
    """Conditions in one line, without the date."""
    versions = ", ".join(f"{package} {number}" for package, number in where["versions"].items())
    changed = " with uncommitted changes" if where["uncommitted"] else ""
    machine = f"{where['device']}, {where['threads']} threads, {where['dtype']}"
    return f"Commit {where['commit']}{changed}; {machine}; {versions}"


def multiplication_rate() -> float:
    """Gigaflops of a product of two matrices in float64 on the present threads, the best of a few."""
    a = torch.ones(SIZE, SIZE, dtype=torch.float64)
    best = float("inf")
    for _ in range(TIMES):
        start = time.perf_counter()
        torch.mm(a, a)
        best = min(best, time.perf_counter() - start)
    return 2e-9 * SIZE**3 / best


def _git(*arguments: str) -> str:
    """What git says of the checkout that this package lies in; "unknown" where it is installed."""
    if not (HERE / ".git").exists():
        return "unknown"
    try:
        found = subprocess.run(["git", *arguments], cwd=HERE, capture_output=True, text=True, check=False)
    except OSError:
        return "unknown"
    return found.stdout.strip() if found.returncode == 0 else "unknown"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


__all__ = ["conditions", "multiplication_rate", "stated"]
