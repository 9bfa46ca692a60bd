"""Whether intervals are true: many draws of the noise, each identified from the solution of the first one.

Draw 0 is solved from scratch, and every other draw goes on from it (`start=`), never from another draw or the truth.
Deviations are those of the free numbers, in which intervals are formed: of logarithms for parameters with one bound.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean, median, variance
from time import perf_counter
from typing import Any

import torch

import kinn
from benchmarks import kept
from benchmarks.conditions import ROOT, conditions, write_table
from benchmarks.suite import COVERAGE, Case, selected
from kinn.problem_file import ProblemFile
from kinn.result import Estimated

MEAN, POOLED_MEAN, POOLED_VARIANCE = 0.3, 0.2, (0.75, 1.3)
RATIO, COMPARED = 0.25, 5  # to `kinn.fem.identify`, on so many draws
SECONDS = 10.0
HEADER = ("problem", "asked", "measured", "met")


def run(draws: int, problems: str | None, threads: int, limit: float | None, folder: Path) -> str:
    """Draws 1, 2, ... of each problem; returns the table of all that was ever measured into the folder."""
    torch.set_num_threads(threads)
    for case in selected(COVERAGE, problems):
        where = {**conditions(threads), "limit": limit}
        begin = perf_counter()
        start = kinn.solve(drawn(case, 0), time_limit=limit, progress=False)
        first = {"status": start.status.label, "seconds": perf_counter() - begin}
        known = kept.read("coverage", folder).get(case.name, {}).get("conditions", {}).get("draws", 0)
        runs: list[dict[str, Any]] = []
        for draw in range(1, draws + 1):
            runs.append(one_draw(case, draw, start, limit))
            if draw in (draws, known) or draw > known:  # what was measured survives an interruption, and more draws
                entry = {"conditions": {**where, "draws": draw}, "from scratch": first, **summary(runs), "runs": runs}
                kept.keep("coverage", case, entry, folder)
    return table(folder)


def drawn(case: Case, draw: int) -> kinn.Problem:
    """The problem with a draw of its noise."""
    return ProblemFile.load(ROOT / "problems" / f"{case.problem}.py", {"draw": draw}).problem()


def one_draw(case: Case, draw: int, start: kinn.Solution, limit: float | None) -> dict[str, Any]:
    """What is identified of a draw and how long that takes; of the first draws, what finite elements say too."""
    problem, begin = drawn(case, draw), perf_counter()
    solution = kinn.solve(problem, start=start, time_limit=limit, progress=False)
    found: dict[str, Any] = {"draw": draw, "status": solution.status.label, "seconds": perf_counter() - begin}
    found["parameters"] = {
        name: compared(parameter, solution.parameters[name], float(problem.exact[parameter]))
        for name, parameter in problem.parameters.items()
    }
    if draw <= COMPARED:
        identified = kinn.fem.identify(problem).parameters
        found["identify"] = {name: {"estimate": one.estimate, "sd": one.sd} for name, one in identified.items()}
    return found


def compared(parameter: kinn.Parameter, found: Estimated, truth: float) -> dict[str, Any]:
    """An estimate beside the truth: z, their difference in standard deviations, and whether the interval covers the truth.

    Without a standard deviation that is finite z is None and nothing is covered.
    """
    free, z, covers = parameter.to_free(found.estimate), None, False
    spread = (found.sd or math.inf) / abs(parameter.slope(free))
    if math.isfinite(spread) and found.lower is not None and found.upper is not None:
        z, covers = (free - parameter.to_free(truth)) / spread, found.lower <= truth <= found.upper
    known = {"estimate": found.estimate, "sd": found.sd if z is not None else None, "truth": truth}
    return {**known, "z": z, "covers": covers}


def summary(runs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Statistics of z, sd and estimates beside those of finite elements, and seconds of a problem's draws."""
    both = [
        (one["parameters"][name], other)
        for one in runs
        for name, other in one.get("identify", {}).items()
        if one["parameters"][name]["sd"] and other["sd"]
    ]
    seconds = [one["seconds"] for one in runs]
    return {
        "all": statistics([one for row in runs for one in row["parameters"].values()]),
        "each": {name: statistics([row["parameters"][name] for row in runs]) for name in runs[0]["parameters"]},
        "ratios": [own["sd"] / other["sd"] for own, other in both],
        "apart": [(own["estimate"] - other["estimate"]) / other["sd"] for own, other in both],
        "median_seconds": median(seconds),
        "worst_seconds": max(seconds),
    }


def statistics(found: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Mean and variance of z, the share of intervals that cover the truth, and how many estimates have no z."""
    z = [one["z"] for one in found if one["z"] is not None]
    return {
        "count": len(found),
        "lacking": len(found) - len(z),
        "mean": fmean(z) if z else None,
        "variance": variance(z) if len(z) > 1 else None,
        "covered": fmean(one["covers"] for one in found),
    }


def table(folder: Path) -> str:
    """The table of the results in a folder, written there too."""
    entries = kept.listed(COVERAGE, kept.read("coverage", folder))
    rows = [row for case, entry in entries for row in table_rows(case, entry)]
    title = "Identified parameters over draws of the noise"
    rows += pooled_rows([entry for _, entry in entries])
    return write_table(
        "coverage", title, HEADER, rows, kept.notes({case.name: entry for case, entry in entries}), folder
    )


def table_rows(case: Case, entry: Mapping[str, Any]) -> list[list[Any]]:
    """The rows of a case, from its entry in the results; what is not asked has no answer."""
    own, ratios, worst = entry["all"], entry["ratios"], entry["worst_seconds"]
    rows = [
        [f"mean of z 0 +- {MEAN:g}", number(own["mean"]), within(own, "mean", -MEAN, MEAN)],
        ["variance of z", number(own["variance"]), None],
        ["95% intervals that cover the truth", f"{own['covered']:.1%} of {own['count']}", None],
    ]
    if len(entry["each"]) > 1:
        for name, one in entry["each"].items():
            text = f"mean {number(one['mean'])}, variance {number(one['variance'])}, {one['covered']:.1%} covered"
            rows.append([f"z of {name}", text, None])
    if ratios:
        close = all(abs(ratio - 1) <= RATIO for ratio in ratios)
        spread, apart = f"{min(ratios):.3f} to {max(ratios):.3f}", max(map(abs, entry["apart"]))
        rows.append([f"sd / identify's sd 1 +- {RATIO:g}", spread, close])
        rows.append(["estimate beside identify's", f"{apart:.2g} sd apart at most", None])
    text = f"median {entry['median_seconds']:.1f}, worst {worst:.1f}"
    rows.append([f"a warm-started draw within {SECONDS:g} s", text, worst <= SECONDS])
    return [[case.name, *row] for row in rows]


def pooled_rows(entries: Sequence[Mapping[str, Any]]) -> list[list[Any]]:
    """The rows of all estimates of all problems together."""
    if not entries:
        return []
    own = statistics([one for entry in entries for row in entry["runs"] for one in row["parameters"].values()])
    low, high = POOLED_VARIANCE
    rows = [
        [f"mean of z 0 +- {POOLED_MEAN:g}", number(own["mean"]), within(own, "mean", -POOLED_MEAN, POOLED_MEAN)],
        [f"variance of z {low:g} to {high:g}", number(own["variance"]), within(own, "variance", low, high)],
        ["95% intervals that cover the truth", f"{own['covered']:.1%} of {own['count']}", None],
    ]
    return [["together", *row] for row in rows]


def number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def within(own: Mapping[str, Any], name: str, low: float, high: float) -> bool:
    """Whether a statistic of estimates, all of which have a z, lies between two bounds."""
    return own[name] is not None and not own["lacking"] and low <= own[name] <= high
