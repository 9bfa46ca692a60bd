"""The figures that the library promises, measured through its command line."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import kept
from benchmarks.conditions import conditions, write_table
from benchmarks.runs import (
    derived_error,
    error_at,
    finite,
    middle,
    quantity_error,
    ratio_of_estimate,
    seconds_to,
    solve,
    thinned,
)
from benchmarks.suite import CASES, Case, Level, selected

WORST = 3  # the worst seed may miss by this factor
ESTIMATE = (1 / 5, 5)
HEADER = (
    "run", "asked", "median", "worst", "seconds to reach: median", "worst", "estimate / true H1", "met",
)  # fmt: skip
ENDS = ("lowest", "highest")


def run(seeds: int, problems: str | None, threads: int, within: float, limit: float | None, folder: Path) -> str:
    """Every case with seeds 0, 1, ...; returns the table of all that was ever measured into the folder.

    `within` shortens all time limits: what is met in less time is met, and what is asked of the end of a run counts only if
    that ends in time, which a run with just the seconds asked may miss by a step. `limit` cuts them, to try the suite out.
    """
    where = {**conditions(threads), "seeds": seeds, "within": within, "limit": limit}
    for case in selected(CASES, problems):
        seconds = within * case.time_limit if limit is None else min(limit, case.time_limit)
        records = [
            solve(case.problem, seed, threads, seconds, case.tolerance, options=case.options) for seed in range(seeds)
        ]
        entry = {"conditions": where, "tolerance": case.tolerance, **figures_of(case, records)}
        if case.refused:
            entry["refused"] = refused(case, solve(case.problem, 0, threads, steps=1, options=case.refused))
        kept.keep("figures", case, {**entry, "runs": [thinned(record) for record in records]}, folder)
    return table(folder)


def table(folder: Path) -> str:
    """The table of the results in a folder, written there too."""
    entries = kept.read("figures", folder)
    rows = [row for case, entry in kept.listed(CASES, entries) for row in table_rows(case, entry)]
    tolerances = {name: entry["tolerance"] for name, entry in entries.items() if entry.get("tolerance") is not None}
    notes = kept.notes(entries)
    if tolerances:
        listed = ", ".join(f"{name} {tolerance:.0e}" for name, tolerance in tolerances.items())
        notes.append(
            "Runs end at the time limit, or when the estimated relative H1 error is below 1e-06 or the `--tolerance` of the "
            f"run, a tenth of the lowest error asked but for `to 1e-9`: {listed}."
        )
    return write_table("figures", "Figures", HEADER, rows, notes, folder)


def figures_of(case: Case, records: list[dict[str, Any]]) -> dict[str, Any]:
    """All that is asked of a case, from the records of its runs."""
    final = [final_figures(wish, case.time_limit, records) for wish in wishes(case)]
    return {
        "levels": [level_figures(level, records) for level in case.levels],
        "final": final,
        **case_figures(case, records),
    }


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


@dataclass(frozen=True)
class Wish:
    """An error allowed when a run ends, how it reads in the table, and how to find it in a record."""

    text: str
    error: float
    measure: Callable[[Mapping[str, Any]], float]


def wishes(case: Case) -> list[Wish]:
    """What is asked of a case besides the relative L2 error of its fields."""
    found = [
        Wish(f"{name} {error:.0e}", error, lambda r, n=name: derived_error(r, n))
        for name, error in case.derived.items()
    ]
    for name, error in case.quantities.items():
        found.append(Wish(f"{name} within {100 * error:g}%", error, lambda r, n=name: quantity_error(r, n)))
    if case.overshoot is not None:
        text = f"within {100 * case.overshoot:g}% of the range"
        for name in ENDS:
            found.append(Wish(f"{name} {text}", case.overshoot, lambda r, n=name: quantity_error(r, n, ENDS)))
    return found


def final_figures(wish: Wish, limit: float, records: list[dict[str, Any]]) -> dict[str, Any]:
    """Median and worst error at the end, and how long the runs took; one that ended too late has not met it."""
    errors = [wish.measure(record) for record in records]
    seconds = [record.get("seconds", float("inf")) for record in records]
    met = middle(errors) <= wish.error and max(errors) <= WORST * wish.error
    return {
        "what": wish.text,
        "asked": wish.error,
        "within": limit,
        "errors": [finite(error) for error in errors],
        "median": finite(middle(errors)),
        "worst": finite(max(errors)),
        "seconds": [finite(time) for time in seconds],
        "median_seconds": finite(middle(seconds)),
        "worst_seconds": finite(max(seconds)),
        "met": met and max(seconds) <= limit,
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
            met = middle(relative) <= case.allowed(name) and max(relative) <= WORST * case.allowed(name)
            found["parameters"][name] = {
                "relative": relative,
                "deviations": [finite(d) for d in deviations],
                "met": met and len(own) == len(records) and (not case.noisy or max(deviations) <= 3),
            }
    return found


def refused(case: Case, record: Mapping[str, Any]) -> dict[str, Any]:
    """Whether the command refused the options with one line that says why, and that line."""
    reason = str(record.get("stderr", "")).strip()
    one_line = reason.startswith("error: ") and "\n" not in reason and "--help" not in reason
    return {"options": " ".join(case.refused), "reason": reason, "met": record["exit"] == 2 and one_line}


def table_rows(case: Case, entry: dict[str, Any]) -> list[list[Any]]:
    """The rows of a case, from its entry in the results."""
    ratios = [ratio for ratio in entry["ratios"] if ratio is not None]
    spread = f"{min(ratios):.2g} to {max(ratios):.2g}" if ratios else None
    rows = []
    for level in entry["levels"]:
        met = level["met"] and entry.get("estimate_met", True)
        asked = f"{level['asked']:.0e} within {level['within']:g} s"
        times = [level["median_seconds"], level["worst_seconds"]]
        rows.append([case.name, asked, level["median"], level["worst"], *times, spread, met])
    for final in entry.get("final", ()):
        asked = f"{final['what']}, {final['within']:g} s"
        times = [final["median_seconds"], final["worst_seconds"]]
        rows.append([case.name, asked, final["median"], final["worst"], *times, None, final["met"]])
    for name, found in entry.get("parameters", {}).items():
        allowed = [f"{100 * case.allowed(name):g}%"] if math.isfinite(case.allowed(name)) else []
        asked = f"{name} within {' and '.join([*allowed, *(['3 sd'] if case.noisy else [])])}"
        apart = f"{max((d for d in found['deviations'] if d is not None), default=0.0):.2g} sd at most"
        errors = [middle(found["relative"]), max(found["relative"])]
        rows.append([case.name, asked, *errors, None, None, apart, found["met"]])
    if "refused" in entry:
        no = entry["refused"]
        rows.append([case.name, f"`{no['options']}` refused with its reason", *[None] * 5, no["met"]])
    return rows
