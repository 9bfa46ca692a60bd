"""Whether units matter: each problem in other units, as many steps, beside the run as stated."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks import kept
from benchmarks.conditions import conditions, write_table
from benchmarks.runs import finite, solve, thinned, worst
from benchmarks.suite import ONE_EACH, UNITS, Case, selected

WITHIN = 2
SECONDS, LONGER = 20.0, {"conduction_3d": 60.0, "elastic_bracket_3d": 60.0, "parametric_plate": 60.0}
HEADER = ("run", "error as stated", "steps", "length x 1e3", "size x 1e-4", "shift by 100", "met")


def run(seed: int, problems: str | None, threads: int, within: float, limit: float | None, folder: Path) -> str:
    """The ratio of the relative L2 error in other units to the one as stated, after equally many steps.

    Steps are counted, not seconds, so that a busy machine does not decide.
    """
    where = {**conditions(threads), "seed": seed, "within": within, "limit": limit}
    for case in selected(ONE_EACH, problems):
        seconds = within * seconds_of(case) if limit is None else min(limit, seconds_of(case))
        plain = solve(case.problem, seed, threads, seconds, case.tolerance)
        runs = {"as stated": plain}
        if plain.get("steps"):
            for name, value in UNITS.items():
                runs[name] = solve(
                    case.problem, seed, threads, None, case.tolerance, plain["steps"], settings={name: value}
                )
        base = worst(plain.get("relative_l2"))
        ratios = {name: finite(worst(runs.get(name, {}).get("relative_l2")) / base) for name in UNITS}
        met = all(ratio is not None and 1 / WITHIN <= ratio <= WITHIN for ratio in ratios.values())
        entry = {"conditions": where, "seconds": seconds, "ratios": ratios, "met": met}
        records = {name: thinned(record, history=False) for name, record in runs.items()}
        kept.keep("scales", case, {**entry, "runs": records}, folder)
    return table(folder)


def seconds_of(case: Case) -> float:
    """Seconds of the run as stated, which need not reach what `figures` asks for."""
    return min(LONGER.get(case.problem, SECONDS), case.time_limit)


def table(folder: Path) -> str:
    """The table of the results in a folder, written there too."""
    entries = kept.read("scales", folder)
    rows = [table_row(case, entry) for case, entry in kept.listed(ONE_EACH, entries)]
    title = "Errors in other units over the error as stated"
    return write_table("scales", title, HEADER, rows, kept.notes(entries), folder)


def table_row(case: Case, entry: dict[str, Any]) -> list[Any]:
    plain = entry["runs"]["as stated"]
    error = finite(worst(plain.get("relative_l2")))
    return [case.name, error, plain.get("steps"), *entry["ratios"].values(), entry["met"]]
