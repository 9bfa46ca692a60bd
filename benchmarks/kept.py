"""Results that grow problem by problem: what one run of a suite measures takes its place among the earlier ones."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.conditions import stated, write
from benchmarks.suite import Case


def read(name: str, folder: Path) -> dict[str, Any]:
    """Case -> entry as kept in `name`.json, each with its own `conditions`; empty without a file."""
    path = folder / f"{name}.json"
    if not path.is_file():
        return {}
    document = json.loads(path.read_text(encoding="utf-8"))
    # Files once had one set of conditions for all cases.
    shared = {**document.get("conditions", {}), **{key: document[key] for key in ("seeds", "seed") if key in document}}
    return {case: {"conditions": shared, **entry} for case, entry in document["cases"].items()}


def keep(name: str, case: Case, entry: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Put one case in `name`.json, also in the middle of a suite: what was measured survives an interruption."""
    cases = {**read(name, folder), case.name: entry}
    write(name, {"cases": cases}, folder)
    return cases


def listed(cases: Sequence[Case], entries: dict[str, Any]) -> list[tuple[Case, dict[str, Any]]]:
    """The cases that have results, in the order of the suite."""
    return [(case, entries[case.name]) for case in cases if case.name in entries]


def notes(entries: dict[str, Any]) -> list[str]:
    """Under which conditions the cases were measured: a line for each set of them, with its cases if there are several."""
    groups: dict[str, list[str]] = {}
    for name, entry in entries.items():
        groups.setdefault(_line(entry["conditions"]), []).append(name)
    lines = []
    for line, names in groups.items():
        dates = sorted(entries[name]["conditions"]["date"] for name in names)
        period = dates[0] if dates[0] == dates[-1] else f"{dates[0]} to {dates[-1]}"
        lines.append(f"{', '.join(names) + ': ' if len(groups) > 1 else ''}{line}; {period}.")
    return lines


def _line(where: dict[str, Any]) -> str:
    parts = [stated(where)]
    if "seeds" in where:
        parts.append(f"seeds 0 to {where['seeds'] - 1}")
    if "draws" in where:
        parts.append(f"draws 1 to {where['draws']}")
    if where.get("within", 1) != 1:
        parts.append(f"runs ended at {where['within']:g} of the seconds asked")
    if where.get("limit") is not None:
        parts.append(f"a try-out of at most {where['limit']:g} s a run")
    return "; ".join(parts)
