"""Whether units matter: each problem in other units, as many steps, beside the run as stated."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.conditions import conditions, write, write_table
from benchmarks.runs import finite, solve, worst
from benchmarks.suite import ONE_EACH, UNITS, selected

WITHIN = 2
HEADER = ("run", "error as stated", "steps", "length x 1e3", "size x 1e-4", "shift by 100", "met")


def run(problems: list[str] | None, seed: int, threads: int, limit: float | None, folder: Path) -> str:
    """The ratio of the relative L2 error in other units to the one as stated, after equally many steps.

    Steps are counted, not seconds, so that a busy machine does not decide.
    """
    document: dict[str, Any] = {"conditions": conditions(threads), "seed": seed, "time_limit": limit, "cases": {}}
    rows = []
    for case in selected(ONE_EACH, problems):
        seconds = case.time_limit if limit is None else min(limit, case.time_limit)
        plain = solve(case.problem, seed, threads, seconds)
        base, runs, ratios = worst(plain.get("relative_l2")), {"as stated": plain}, {}
        for name, value in UNITS.items():
            runs[name] = solve(case.problem, seed, threads, steps=plain.get("steps"), settings={name: value})
            ratios[name] = worst(runs[name].get("relative_l2")) / base
        met = all(1 / WITHIN <= ratio <= WITHIN for ratio in ratios.values())
        document["cases"][case.name] = {"ratios": {n: finite(r) for n, r in ratios.items()}, "met": met, "runs": runs}
        write("scales", document, folder)
        rows.append([case.name, base, plain.get("steps"), *ratios.values(), met])
    title = "Errors in other units over the error as stated"
    return write_table("scales", title, HEADER, rows, document["conditions"], folder)
