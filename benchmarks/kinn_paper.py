"""The examples of the KINN paper (arXiv 2406.11045) that stand in `problems/`, beside the paper's own figures."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import kinn
from benchmarks.conditions import ROOT, write_table
from benchmarks.runs import latest, middle
from kinn.comparison.page import write_report
from kinn.comparison.run import FEM
from kinn.comparison.summary import Group, groups, verdicts
from kinn.comparison.sweep import ROWS, read_rows
from kinn.comparison.tables import notes, sentences

NAME, TITLE = "kinn_paper", "The examples of the KINN paper"
MATCHES = ("parameters", "time")


@dataclass(frozen=True)
class Example:
    """An example of the paper: as it is called there, its form and its errors; `problem` is None where we have none.

    `measure` is "error" (the largest relative L2 error of a field), "max" (the largest error over the largest value), or the name
    of a field, of a derived expression, or of a parameter.
    """

    name: str
    problem: str | None = None
    measure: str = "error"
    form: str = ""
    mlp: float | None = None
    kan: float | None = None
    seconds: float = 8.0


# Final values of the authors' runs, of the form that is best for the KAN; errors of parameters are relative.
EXAMPLES = (
    Example("crack of mode III", "crack_mode_iii", form="energy", mlp=1.94e-2, kan=6.55e-3),
    Example("plate with a hole: displacement", "plate_with_hole", form="energy", mlp=1.54e-3, kan=9.19e-4),
    Example("plate with a hole: von Mises", "plate_with_hole", "von Mises", "energy", 1.15e-2, 5.17e-3),
    Example("composite with a disk", "composite_disc", form="energy", mlp=0.152, kan=1.12e-2),
    Example("heat with 25 waves: largest error", "heat_multiscale", "max", "strong", 1.03, 1.51e-2, 30.0),
    Example("Koch's snowflake", "koch_snowflake", form="strong", mlp=1.94e-2, kan=1.19e-2),
    Example("flower", "flower", form="boundary integral", mlp=2.89e-4, kan=5.42e-3),
    Example("inverse: Young's modulus", "inverse_youngs_modulus", "E", "data, then traction", 3.5e-2, 0.102),
    Example("inverse: random conductivity", "inverse_grf_conductivity", "k", "strong", 9.83e-2, None, 20.0),
    Example("inverse: painting", "inverse_painting", "error", "strong", None, 5.5e-2, 5.0),
    Example("regression of two frequencies"),
    Example("regression of a kinked field"),
    Example("hyperelastic beam"),
    Example("fit of a painting"),
    Example("wedge of fourth order"),
)
CONTENDERS = ("kan", "mlp", "mlp, as many parameters")
HEADER = (
    "example", "the paper's form", "its MLP", "its KAN", "our KAN", "worst", "our MLP, same seconds", "worst",
    "our MLP, same parameters", "worst", "seconds", "elements", "their seconds",
)  # fmt: skip


def run(seeds: int, problems: str | None, threads: int, limit: float | None, folder: Path) -> str:
    """Every example with seeds 0, 1, ...; rows that the folder has are not made again."""
    where = folder / NAME
    for seconds, names in _by_seconds(problems).items():
        files = [ROOT / "problems" / f"{name}.py" for name in names]
        kinn.bench(files, match=MATCHES, seeds=seeds, time_limit=limit or seconds, threads=threads, output=where)
    write_report(latest(read_rows(where / ROWS)), where, TITLE)
    return table(folder)


def _by_seconds(problems: str | None) -> dict[float, list[str]]:
    wanted = None if problems is None else [name.strip() for name in problems.split(",")]
    known = {example.problem: example.seconds for example in EXAMPLES if example.problem}
    for name in wanted or ():
        if name not in known:
            raise SystemExit(f"no problem {name!r} in this suite; it has: {', '.join(known)}")
    found: dict[float, list[str]] = {}
    for name, seconds in known.items():
        if wanted is None or name in wanted:
            found.setdefault(seconds, []).append(name)
    return found


def table(folder: Path) -> str:
    """The table of the rows in a folder, written there too."""
    rows = latest(read_rows(folder / NAME / ROWS))
    found = groups(rows)
    lines = [cells(example, found) for example in EXAMPLES if example.problem]
    missing = ", ".join(example.name for example in EXAMPLES if example.problem is None)
    said = [
        f"Of the paper's examples these are not in `problems/` yet: {missing}.",
        "The paper's figures are the final values of its authors' runs, single seeds, on points of their training in part; forms and "
        "times differ from ours, so that the columns beside each other say what was reached, not why. Errors are relative, in L2; "
        "of Young's modulus, which has noise of 1 % here and none there, relative.",
        *sentences(verdicts(found)),
        *notes(rows),
    ]
    return write_table(NAME, TITLE, HEADER, lines, said, folder)


def cells(example: Example, found: Sequence[Group]) -> list[Any]:
    """A line of the table."""
    own = {group.contender: group for group in found if group.problem == example.problem}
    line: list[Any] = [example.name, example.form, example.mlp, example.kan]
    for name in CONTENDERS:
        errors = [measured(example.measure, row) for row in own[name].rows] if name in own else []
        line += [middle(errors), max(errors)] if errors else [None, None]
    line.append(own["kan"].middle("seconds") if "kan" in own else None)
    elements = own[FEM].rows[0] if FEM in own else None
    if elements is None or elements.get("error") is None:
        return [*line, None if elements is None else elements["message"], None]
    return [*line, measured(example.measure, elements), elements["seconds"]]


def measured(what: str, row: Mapping[str, Any]) -> float:
    """The error of a row that an example is judged by; inf where there is none."""
    parameter = row.get("parameters", {}).get(what)
    if parameter is not None:
        estimate, truth = parameter["estimate"], parameter["truth"]
        return math.inf if estimate is None or not truth else abs(estimate / truth - 1)
    if what == "max":
        return max((field["max"] for field in row.get("errors", {}).values() if field.get("max")), default=math.inf)
    field = row.get("errors", {}).get(what)
    value = field["l2"] if field else row.get("derived", {}).get(what) if what != "error" else row.get("error")
    return math.inf if value is None else float(value)
