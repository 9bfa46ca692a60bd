"""KANs beside MLPs on all problems: same stages, scaling, race, trial space and seconds; MLPs as the library makes them, and
with as many parameters as the KAN of the same seed has in the end.

An MLP cannot grow, so the number of parameters that a KAN ends with may be too many for an MLP in the same time.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import kinn
from benchmarks.conditions import ROOT, write_table
from benchmarks.runs import latest
from benchmarks.suite import MESHES, ONE_EACH, Case, selected
from kinn.comparison.page import write_report
from kinn.comparison.summary import AHEAD, LEVEL, Group, Verdict, groups, verdicts
from kinn.comparison.sweep import ROWS, read_rows
from kinn.comparison.tables import notes, sentences
from kinn.problem_file import ProblemFile

NAME, TITLE = "networks", "KAN beside MLP, relative L2 errors"
MATCHES = ("time", "parameters")
SEEDS = range(10, 15)  # the defaults were chosen with seeds 0 to 9
SECONDS = {
    "helmholtz_1_4": 10.0, "poisson_lshape": 10.0, "koch_snowflake": 10.0, "heat_multiscale": 20.0,
    "inverse_grf_conductivity": 20.0, "inverse_inclusion": 20.0, "inverse_burgers": 10.0, "inverse_flow": 40.0,
}  # fmt: skip
SECONDS_BY_DIMENSION = {1: 3.0, 2: 5.0, 3: 12.0}
ENOUGH, MOST = 0.5, 0.8  # parts of the problems on which KANs must be ahead, and ahead or level
TOGETHER = 9  # of the problems with meshes, on which KANs must be ahead or level at equal parameters
HEADER = (
    "problem", "seconds", "KAN parameters", "KAN median", "worst", "MLP parameters", "MLP, same seconds", "worst", "KAN / MLP",
    "MLP, same parameters", "worst", "KAN / MLP",
)  # fmt: skip
CONTENDERS = ("kan", "mlp", "mlp, as many parameters")


def run(seeds: int, problems: str | None, threads: int, limit: float | None, folder: Path) -> str:
    """Every problem with the seeds; rows that the folder has are not made again."""
    where, chosen = folder / NAME, list(range(SEEDS[0], SEEDS[0] + seeds))
    for seconds, files in _by_seconds(selected(ONE_EACH, problems)).items():
        kinn.bench(
            files, match=MATCHES, seeds=chosen, time_limit=limit or seconds, fem=False, threads=threads, output=where
        )
    write_report(latest(read_rows(where / ROWS)), where, TITLE)
    return table(folder)


def _by_seconds(cases: Sequence[Case]) -> dict[float, list[Path]]:
    found: dict[float, list[Path]] = {}
    for case in cases:
        path = ROOT / "problems" / f"{case.problem}.py"
        seconds = SECONDS.get(case.problem) or SECONDS_BY_DIMENSION[ProblemFile.load(path).problem().mesh.dimension]
        found.setdefault(seconds, []).append(path)
    return found


def table(folder: Path) -> str:
    """The table of the rows in a folder, written there too."""
    rows = latest(read_rows(folder / NAME / ROWS))
    found = groups(rows)
    names = [case.problem for case in ONE_EACH]
    known = sorted({group.problem for group in found}, key=names.index)
    lines = [cells(problem, found) for problem in known]
    said = verdicts(found)
    return write_table(NAME, TITLE, HEADER, lines, [*asked(said), *sentences(said), *notes(rows)], folder)


def cells(problem: str, found: Sequence[Group]) -> list[Any]:
    """A line of the table."""
    kan, *others = (
        next((g for g in found if g.problem == problem and g.contender == name and g.ran), None) for name in CONTENDERS
    )
    line: list[Any] = [problem, *_of(kan)] if kan else [problem, None, None, None, None]
    for number, other in enumerate(others):
        errors = _of(other)[1:] if other else [None] * 3
        ratio = next(iter(verdicts([kan, other])[0].ratios.values())) if kan and other else None
        line += [*(errors if number == 0 else errors[1:]), ratio]
    return line


def _of(group: Group) -> list[Any]:
    """Seconds, parameters, median and worst error."""
    parameters = group.middle("n_parameters")
    return [
        group.middle("seconds"), None if parameters is None else int(parameters), group.median, float(group.errors.max())
    ]  # fmt: skip


def asked(said: Sequence[Verdict]) -> list[str]:
    """On how many problems KANs are ahead and level, and whether that is enough."""
    lines = []
    for verdict in said:
        count = len(verdict.ratios)
        level, ahead = verdict.ahead + verdict.level, verdict.ahead
        met = level >= MOST * count and ahead >= ENOUGH * count
        lines.append(
            f"KAN beside {verdict.other}: error at most {LEVEL:g} times as large on {level} of {count} problems (asked: "
            f"{MOST:.0%}), at most {AHEAD:g} times on {ahead} (asked: {ENOUGH:.0%}): {'met' if met else 'not met'}."
        )
        wanted = [case.problem for case in ONE_EACH if case in MESHES]
        own = [ratio for problem, ratio in verdict.ratios.items() if problem in wanted]
        if len(own) == len(wanted):
            together = sum(ratio <= LEVEL for ratio in own)
            lines[-1] += f" Of the {len(own)} with meshes on {together} (asked: {TOGETHER})."
    return lines
