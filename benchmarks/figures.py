"""The figures that the library promises, measured through its command line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.conditions import conditions, write, write_table
from benchmarks.runs import error_at, finite, middle, ratio_of_estimate, seconds_to, solve
from benchmarks.suite import CASES, Case, Level, selected

WORST = 3  # the worst seed may miss by this factor
ESTIMATE = (1 / 5, 5)
HEADER = (
    "run", "asked", "median", "worst", "seconds to reach: median", "worst", "estimate / true H1", "met",
)  # fmt: skip


def run(seeds: int, problems: list[str] | None, threads: int, limit: float | None, folder: Path) -> str:
    """Every case with seeds 0, 1, ...; returns the table. `limit` shortens all time limits, to try the suite out."""
    document: dict[str, Any] = {"conditions": conditions(threads), "seeds": seeds, "time_limit": limit, "cases": {}}
    rows = []
    for case in selected(CASES, problems):
        seconds = case.time_limit if limit is None else min(limit, case.time_limit)
        records = [solve(case.problem, seed, threads, seconds, case.tolerance) for seed in range(seeds)]
        summary = [level_figures(level, records) for level in case.levels]
        checks = case_figures(case, records)
        document["cases"][case.name] = {"levels": summary, **checks, "runs": records}
        write("figures", document, folder)
        rows += table_rows(case, summary, checks)
    return write_table("figures", "Figures", HEADER, rows, document["conditions"], folder)


def level_figures(level: Level, records: list[dict[str, Any]]) -> dict[str, Any]:
    """Median and worst error within the time asked, and the seconds to reach the level."""
    errors = [error_at(record, level.seconds) for record in records]
    times = [seconds_to(record, level.error) for record in records]
    sorted_times = [float("inf") if time is None else time for time in times]
    return {
        "asked": level.error,
        "within": level.seconds,
        "errors": [finite(error) for error in errors],
        "median": finite(middle(errors)),
        "worst": finite(max(errors)),
        "seconds": times,
        "median_seconds": finite(middle(sorted_times)),
        "worst_seconds": finite(max(sorted_times)),
        "met": middle(errors) <= level.error and max(errors) <= WORST * level.error,
    }


def case_figures(case: Case, records: list[dict[str, Any]]) -> dict[str, Any]:
    """How true estimates and intervals are."""
    ratios = [ratio_of_estimate(record) for record in records]
    found: dict[str, Any] = {"ratios": ratios, "statuses": [record.get("status", "failed") for record in records]}
    if case.estimate:
        found["estimate_met"] = all(r is not None and ESTIMATE[0] <= r <= ESTIMATE[1] for r in ratios)
    if case.parameters is not None:
        found["parameters"] = {}
        for name in records[0].get("parameters", ()):
            own = [record["parameters"][name] for record in records if "parameters" in record]
            relative = [abs(p["estimate"] / p["truth"] - 1) for p in own]
            deviations = [abs(p["estimate"] - p["truth"]) / p["sd"] if p["sd"] else float("inf") for p in own]
            met = middle(relative) <= case.parameters and max(relative) <= WORST * case.parameters
            found["parameters"][name] = {
                "relative": relative,
                "deviations": [finite(d) for d in deviations],
                "met": met and len(own) == len(records) and middle(deviations) <= 3,
            }
    return found


def table_rows(case: Case, levels: list[dict[str, Any]], checks: dict[str, Any]) -> list[list[Any]]:
    ratios = [ratio for ratio in checks["ratios"] if ratio is not None]
    spread = f"{min(ratios):.2g} to {max(ratios):.2g}" if ratios else None
    rows = []
    for level in levels:
        met = level["met"] and checks.get("estimate_met", True)
        asked = f"{level['asked']:.0e} within {level['within']:g} s"
        times = [level["median_seconds"], level["worst_seconds"]]
        rows.append([case.name, asked, level["median"], level["worst"], *times, spread, met])
    for name, entry in checks.get("parameters", {}).items():
        asked = f"{name} within {case.parameters:.0%} and 3 sd"
        apart = f"{max((d for d in entry['deviations'] if d is not None), default=0.0):.2g} sd at most"
        errors = [middle(entry["relative"]), max(entry["relative"])]
        rows.append([case.name, asked, *errors, None, None, apart, entry["met"]])
    return rows
