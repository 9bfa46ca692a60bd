"""Whether bands of unknown fields are true: many draws of the noise, each identified from scratch."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from statistics import fmean, median
from time import perf_counter
from typing import Any

import numpy as np
import torch

import kinn
from benchmarks import kept
from benchmarks.conditions import ROOT, conditions, write_table
from benchmarks.suite import BANDS, Case, selected
from kinn.geometry import sample
from kinn.problem_file import ProblemFile
from kinn.report.errors import Comparison
from kinn.report.reference import Reference

POINTS = 4000
COVERED = (0.90, 0.99)
HEADER = (
    "problem",
    "field",
    "asked",
    "error: median",
    "worst",
    "95% band covers: mean",
    "lowest",
    "highest",
    "seconds",
)


def run(draws: int, problems: str | None, threads: int, within: float, limit: float | None, folder: Path) -> str:
    """Draws 1, 2, ... of each problem; returns the table of all that was ever measured into the folder."""
    torch.set_num_threads(threads)
    for case in selected(BANDS, problems):
        where = {**conditions(threads), "draws": draws, "within": within, "limit": limit}
        seconds = within * case.time_limit if limit is None else min(limit, case.time_limit)
        runs: list[dict[str, Any]] = []
        for draw in range(1, draws + 1):
            runs.append(one_draw(case, draw, seconds))
            kept.keep("bands", case, {"conditions": {**where, "draws": draw}, "runs": runs}, folder)
    return table(folder)


def one_draw(case: Case, draw: int, limit: float) -> dict[str, Any]:
    """Error and coverage of each unknown field of a draw: the share of points where the truth lies in `k +- 1.96 sd`."""
    file = ProblemFile.load(ROOT / "problems" / f"{case.problem}.py", {"draw": draw})
    problem, found = file.problem(), {}
    reference, begin = file.names["reference"](problem), perf_counter()
    solution = kinn.solve(problem, time_limit=limit, progress=False)
    seconds = perf_counter() - begin
    errors = Comparison(problem, reference).errors(solution)
    for component in problem.identified:
        points = sample(problem.mesh, POINTS, on=component.on or None, seed=1).x
        truth = Reference(problem, reference).evaluate([component], points)[:, 0]
        away = np.abs(solution.evaluate(component, points) - truth)
        covered = float(np.mean(away <= 1.96 * solution.deviation(component, points)))
        found[str(component.func)] = {"error": errors[component.field].relative_l2, "covered": covered}
    return {"draw": draw, "status": solution.status.label, "seconds": seconds, "fields": found}


def table(folder: Path) -> str:
    """The table of the results in a folder, written there too."""
    entries = kept.read("bands", folder)
    rows = [row for case, entry in kept.listed(BANDS, entries) for row in table_rows(case, entry)]
    return write_table("bands", "Unknown fields over draws of the noise", HEADER, rows, kept.notes(entries), folder)


def table_rows(case: Case, entry: Mapping[str, Any]) -> list[list[Any]]:
    """A row for each field; coverage is asked of the mean over all draws."""
    rows, runs = [], entry["runs"]
    for name in runs[0]["fields"]:
        errors = [run["fields"][name]["error"] for run in runs]
        covered = [run["fields"][name]["covered"] for run in runs]
        asked = f"{case.levels[0].error:.0e}; {COVERED[0]:.0%} to {COVERED[1]:.0%}"
        shares = [f"{share:.1%}" for share in (fmean(covered), min(covered), max(covered))]
        seconds = f"{median(run['seconds'] for run in runs):.2g}"
        rows.append([case.name, name, asked, f"{median(errors):.2g}", f"{max(errors):.2g}", *shares, seconds])
    return rows
