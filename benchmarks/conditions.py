"""Under which conditions a figure was measured, and where results are kept."""

from __future__ import annotations

import json
import platform
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results"
PACKAGES = ("kinn", "torch", "numpy", "scipy", "sympy", "scikit-fem")


def conditions(threads: int) -> dict[str, Any]:
    """Commit, versions, device, threads and date. Times on a shared machine are compared only inside one run."""
    return {
        "commit": _git("rev-parse", "--short", "HEAD"),
        "uncommitted": bool(_git("status", "--porcelain", "--", "kinn", "problems", "benchmarks/*.py")),
        "versions": {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}},
        "device": f"cpu: {_processor()}",
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


def _git(*arguments: str) -> str:
    found = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    return found.stdout.strip() if found.returncode == 0 else "unknown"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def write(name: str, document: dict[str, Any], folder: Path) -> Path:
    """Write `name`.json; an earlier file survives until the new one is complete."""
    folder.mkdir(parents=True, exist_ok=True)
    path, part = folder / f"{name}.json", folder / f".{name}.part"
    part.write_text(json.dumps(document, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    return part.replace(path)


def write_table(
    name: str, title: str, header: Sequence[str], rows: Sequence[Sequence[Any]], notes: Sequence[str], folder: Path
) -> str:
    """Write `name`.md, a markdown table with notes below it; returns the text."""
    lines = [f"# {title}", "", f"| {' | '.join(header)} |", f"|{'---|' * len(header)}"]
    lines += [f"| {' | '.join(shown(cell) for cell in row)} |" for row in rows]
    text = "\n".join([*lines, *(line for note in notes for line in ("", note))]) + "\n"
    (folder / f"{name}.md").write_text(text, encoding="utf-8")
    return text


def shown(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.2g}" if isinstance(value, float) else str(value)
