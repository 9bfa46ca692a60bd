"""Networks beside finite elements with least squares on inverse problems: errors, deviations and seconds of both."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

import kinn
from benchmarks import kept
from benchmarks.conditions import ROOT, conditions, write_table
from benchmarks.runs import finite, solve, thinned
from benchmarks.suite import WITH_DATA, Case, selected
from kinn.problem_file import ProblemFile
from kinn.report.errors import Comparison

HEADER = ("problem", "what", "network", "elements", "network: seconds", "elements: seconds")


def run(seed: int, problems: str | None, threads: int, within: float, limit: float | None, folder: Path) -> str:
    """One run of the network and one of `kinn.fem.identify` for each inverse problem; returns the table."""
    torch.set_num_threads(threads)
    where = {**conditions(threads), "seed": seed, "within": within, "limit": limit}
    for case in selected(WITH_DATA, problems):
        seconds = within * case.time_limit if limit is None else min(limit, case.time_limit)
        record = thinned(solve(case.problem, seed, threads, seconds, case.tolerance), history=False)
        kept.keep("identified", case, {"conditions": where, "network": record, "elements": elements(case)}, folder)
    return table(folder)


def elements(case: Case) -> dict[str, Any]:
    """What `kinn.fem.identify` finds, as a record of a network's run says it."""
    file = ProblemFile.load(ROOT / "problems" / f"{case.problem}.py", {})
    problem = file.problem()
    start = time.perf_counter()
    found = kinn.fem.identify(problem)
    seconds = time.perf_counter() - start
    errors = Comparison(problem, file.names["reference"](problem)).errors(found.solution)
    return {
        "seconds": seconds,
        "n_unknowns": found.solution.n_unknowns,
        "relative_l2": {name: entry.relative_l2 for name, entry in errors.items()},
        "parameters": {name: {"estimate": e.estimate, "sd": finite(e.sd)} for name, e in found.parameters.items()},
    }


def table(folder: Path) -> str:
    """The table of the results in a folder, written there too."""
    entries = kept.read("identified", folder)
    rows = [row for case, entry in kept.listed(WITH_DATA, entries) for row in table_rows(case, entry)]
    title = "Identified by networks and by finite elements with least squares"
    return write_table("identified", title, HEADER, rows, kept.notes(entries), folder)


def table_rows(case: Case, entry: Mapping[str, Any]) -> list[list[Any]]:
    """A row for each field, its relative L2 error, and for each parameter, estimate and deviation."""
    one, two = entry["network"], entry["elements"]
    seconds = [finite(one.get("seconds")), two["seconds"]]
    known = one.get("relative_l2") or {}
    rows = [
        [case.name, f"{name}: error", known.get(name), error, *seconds] for name, error in two["relative_l2"].items()
    ]
    for name, estimated in two["parameters"].items():
        texts = [_text(found) for found in (one.get("parameters", {}).get(name, {}), estimated)]
        rows.append([case.name, name, *texts, *seconds])
    return rows


def _text(found: Mapping[str, Any]) -> str:
    estimate, sd = found.get("estimate"), found.get("sd")
    return "-" if estimate is None else f"{estimate:.5g}" + ("" if sd is None else f" +- {sd:.2g}")
