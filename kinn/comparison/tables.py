"""The tables of a comparison, as headers and rows of cells, and as markdown."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from typing import Any

from kinn.comparison.conditions import stated
from kinn.comparison.run import CAP, FEM, LEVELS
from kinn.comparison.summary import AHEAD, LEVEL, Group, Verdict, matching
from kinn.comparison.sweep import Row

Cells = list[list[Any]]
Table = tuple[list[str], Cells]


def errors_table(found: Sequence[Group]) -> Table:
    """A row for each contender on each problem; of finite elements with the last solution of their series."""
    names = [f"{level:.0e}" for level in LEVELS]
    levels = [name for name in names if any(g.capped(name) < len(g.rows) for g in found)]
    header = ["problem", "contender", "runs", "error: median", "quartiles", "worst"]
    header += [f"s to {name}" for name in levels] + ["parameters", "flops a point", "seconds", "status"]
    rows: Cells = []
    for group in found:
        low, high = group.quartiles
        cells: list[Any] = [
            group.problem,
            group.contender,
            len(group.rows),
            group.median,
            f"{_short(low)} to {_short(high)}",
        ]
        cells += [float(group.errors.max()), *(_time(group, name) for name in levels)]
        sizes = [group.middle(name) for name in ("n_parameters", "flops")]
        rows.append([*cells, *(None if s is None else int(s) for s in sizes), group.middle("seconds"), group.statuses])
    return header, rows


def elements_table(found: Sequence[Group]) -> Table:
    """What finite elements need for the median error of each contender, or why they have no row."""
    header = ["problem", "contender", "its error", "its seconds", "elements: seconds", "unknowns"]
    rows: Cells = []
    for group in found:
        own = [other for other in found if other.problem == group.problem and other.contender == FEM]
        if group.contender == FEM or not own:
            continue
        seconds, match = _seconds_to_median(group), matching(group, own)
        if match is None:
            lowest = min((e for row in own[0].rows for *_, e in row.get("history", ()) if e is not None), default=None)
            reason = next((row["message"] for row in own[0].rows if row["message"]), "not as exact in this time")
            text = reason if lowest is None else f"{_short(lowest)} at best"
            rows.append([group.problem, group.contender, group.median, seconds, text, None])
        else:
            rows.append([group.problem, group.contender, group.median, seconds, match[0], int(match[1])])
    return header, rows


def verdicts_table(found: Sequence[Verdict]) -> Table:
    """The first contender beside each other one."""
    levels = [name for name in (f"{level:.0e}" for level in LEVELS) if any(name in v.speedups for v in found)]
    header = ["contender", "beside", "problems", f"ahead (<= {AHEAD:g})", f"level (<= {LEVEL:g})", "behind",
              "mean ratio of errors", "p"]  # fmt: skip
    header += [f"times faster to {name}" for name in levels]
    rows: Cells = []
    for v in found:
        cells = [v.contender, v.other, len(v.ratios), v.ahead, v.level, v.behind, v.mean, v.p]
        rows.append([*cells, *(_speedup(v, name) for name in levels)])
    return header, rows


def sentences(found: Sequence[Verdict]) -> list[str]:
    """Where the first contender wins, ties and loses, in words."""
    lines = []
    for v in found:
        parts = []
        kinds = (("ahead", 0, AHEAD), ("level", AHEAD, LEVEL), ("behind", LEVEL, math.inf))
        for name, low, high in kinds:
            own = [p for p, ratio in v.ratios.items() if low < ratio <= high or (name == "ahead" and ratio == 0)]
            if own:
                parts.append(f"{name} on {len(own)} of {len(v.ratios)} ({', '.join(own)})")
        if parts:
            lines.append(f"{v.contender} beside {v.other}: {'; '.join(parts)}.")
    return lines


def notes(rows: Sequence[Row]) -> list[str]:
    """Conditions of the runs, settings of peers, and what tables mean."""
    lines = [
        f"Times: medians over seeds; a run that never reaches a level counts as {CAP:g} s (the number of them in brackets)."
    ]
    where = [row["conditions"] for row in rows if "conditions" in row]
    for text in dict.fromkeys(stated(one) for one in where):
        lines.append(f"{text}.")
    if where:
        rates = [one["gflops"] for one in where]
        dates = sorted(one["date"] for one in where)
        lines.append(f"Matrix products at {min(rates):.0f} to {max(rates):.0f} gigaflops; {dates[0]} to {dates[-1]}.")
    floors = {row["run"]["file"]: row["floor"] for row in rows if row.get("floor")}
    if floors:
        texts = ", ".join(
            f"{file.rsplit('/', 1)[-1].removesuffix('.py')} {floor:.0e}" for file, floor in floors.items()
        )
        lines.append(f"References by finite elements, with their estimated errors (H1): {texts}.")
    for setting in dict.fromkeys(f"{row['run']['solver']}: {row['setting']}" for row in rows if row.get("setting")):
        lines.append(setting)
    return lines


def markdown(table: Table) -> str:
    header, rows = table
    lines = [f"| {' | '.join(header)} |", f"|{'---|' * len(header)}"]
    cells = [[shown(cell).replace("|", "\\|") for cell in row] for row in rows]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in cells)])


def shown(value: Any) -> str:
    """A cell as text."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return _short(value) if isinstance(value, float) else str(value)


def _short(value: float) -> str:
    return "none" if math.isinf(value) or math.isnan(value) else f"{value:.2g}"


def _time(group: Group, level: str) -> str:
    capped = group.capped(level)
    text = f">{CAP:g}" if 2 * capped > len(group.rows) else _short(group.time(level))
    return f"{text} ({capped})" if capped else text


def _speedup(v: Verdict, level: str) -> str | None:
    if level not in v.speedups:
        return None
    one, two = v.caps[level]
    return f"{_short(v.speedups[level])}" + (f" ({one} and {two})" if one or two else "")


def _seconds_to_median(group: Group) -> float | None:
    """The median over the seeds of when each first was at the median error; None where most never are."""
    times = [
        next((s for s, _, _, e in row.get("history", ()) if e is not None and e <= group.median), math.inf)
        for row in group.rows
    ]
    middle = statistics.median(times)
    return middle if math.isfinite(middle) else None


__all__ = ["Table", "elements_table", "errors_table", "markdown", "notes", "sentences", "shown", "verdicts_table"]
