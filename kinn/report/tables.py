"""Results in words and columns of plain text."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from kinn.formulations.layers import describe as describe_layers
from kinn.formulations.singular import SingularMode
from kinn.formulations.singular import describe as describe_mode
from kinn.formulations.waves import describe as describe_waves
from kinn.geometry import Mesh
from kinn.report.balance import flux_jumps
from kinn.report.errors import Errors
from kinn.result import Estimated, Result

CORRELATED = 0.95  # what is worth a line


def describe(result: Result, truths: Mapping[str, float] | None = None) -> str:
    """A summary: form and why, status and what to do next, error estimate, every term by name, parameters, time."""
    given = {data.name for data in result.problem.observations if data.sigma is not None}
    names = ", ".join(result.problem.fields)
    title = f"{names}: {result.form} form, since {result.reason}" if result.reason else f"{names}: {result.form} form"
    rows = [
        ("network", f"{result.network}, {result.n_parameters} parameters"),
        ("status", f"{result.status.label}: {result.message or result.status.value}"),
        ("error", estimate_text(result)),
    ]
    rows += [(name, parameter_text(entry, (truths or {}).get(name))) for name, entry in result.parameters.items()]
    rows += [("identified", result.note)] if result.note else []
    rows += [("correlated", text) for text in correlated(result)]
    for name, sigma in result.sigmas.items():
        if name not in given:
            rows.append((f"noise of {name}", f"sd {sigma:.3g}, estimated from the data"))
    modes = singular_texts(result.surrogate.trial.modes)
    if modes:
        rows.append(("singular", "; ".join(modes)))
    layers = describe_layers(result.surrogate.trial.layers)
    if layers:
        rows.append(("layers", "; ".join(layers)))
    waves = describe_waves(result.surrogate.trial.waves, result.problem.mesh)
    if waves:
        rows.append(("waves", "; ".join(waves)))
    jumps = flux_jumps(result)
    if jumps:
        text = ", ".join(f"{name} {value:.1e}" if len(jumps) > 1 else f"{value:.1e}" for name, value in jumps.items())
        rows.append(("interfaces", f"flux continuous to {text} (relative L2)"))
    straight = straight_text(result.problem.mesh)
    rows += [("mesh", straight)] if straight else []
    rows.append(("time", f"{result.seconds:.1f} s, {result.steps} steps, seed {result.seed}"))
    lines = [title, *two_columns(rows)]
    if result.terms:
        lines.append("relative residuals on independent points")
        lines += two_columns([(name, f"{value:.2e}") for name, value in result.terms.items()])
    return "\n".join(lines)


def correlated(result: Result) -> list[str]:
    """Pairs of parameters whose estimates depend on each other so much that one interval says little without the other."""
    if not len(result.root):
        return []
    names, table = list(result.problem.parameters), result.correlations
    pairs = ((i, j) for i in range(len(names)) for j in range(i))
    return [f"{names[j]} and {names[i]}: {table[i, j]:+.3f}" for i, j in pairs if abs(table[i, j]) > CORRELATED]


def singular_texts(modes: Iterable[SingularMode]) -> list[str]:
    """The singular functions of a trial space, one text for each corner."""
    places: dict[str, list[str]] = {}
    for mode in modes:
        what, _, where = describe_mode(mode).partition(" at ")
        known = places.setdefault(where, [])
        known += [what] if what not in known else []
    return [f"{', '.join(known)} at {where}" for where, known in places.items()]


def straight_text(mesh: Mesh) -> str:
    """How far straight facets are from the curve they follow and what to do; empty where that is nothing."""
    error = mesh.straight_error()
    if error <= 1e-6:
        return ""
    return f"straight facets approximate a curve to {error:.1g} of the extent; use a second-order mesh (gmsh -order 2)"


def estimate_text(result: Result) -> str:
    """The error estimate, or why there is none."""
    note = f" ({result.estimate_note})" if result.estimate_note else ""
    if result.estimate is None:
        return "no estimate" + note
    return f"estimate {result.estimate:.2e}, relative H1; tolerance {result.tolerance:.0e}{note}"


def parameter_text(entry: Estimated, truth: float | None = None) -> str:
    """`1.02 +- 0.01, 95 %: 1 to 1.04`, with the truth where it is known."""
    text = f"{entry.estimate:.6g}"
    if entry.sd is None:
        text += ", not determined by the data" if entry.lower is None else ""
    else:
        text += f" +- {entry.sd:.2g}"
    if entry.lower is not None and entry.upper is not None:
        text += f", 95 %: {entry.lower:.5g} to {entry.upper:.5g}"
    if truth is not None:
        away = f", {abs(entry.estimate - truth) / entry.sd:.1f} sd away" if entry.sd else ""
        text += f"; truth {truth:.6g}{away}"
    return text


def comparison_lines(
    errors: Mapping[str, Errors],
    references: Sequence[Any],
    quantities: Mapping[str, Mapping[str, float | None]],
) -> list[str]:
    """Errors per field, the finite element solutions they are measured against, and quantities of interest."""
    table = [["field", "relative L2", "relative H1", "maximum"]]
    for name, entry in errors.items():
        h1 = "-" if entry.relative_h1 is None else f"{entry.relative_h1:.2e}"
        table.append([name, f"{entry.relative_l2:.2e}", h1, f"{entry.maximum:.2e}"])
    lines = columns(table) if errors else []
    for solution in references:
        parts = [
            "FEM" if hasattr(solution, "n_unknowns") else "another solution",
            f"{solution.n_unknowns} unknowns" if hasattr(solution, "n_unknowns") else "",
            f"estimate {solution.estimate:.1e} (relative H1)"
            if getattr(solution, "estimate", None) is not None
            else "",
            f"{solution.seconds:.1f} s" if getattr(solution, "seconds", None) is not None else "",
        ]
        lines.append("reference: " + ", ".join(part for part in parts if part))
    if quantities:
        table = [["quantity", "value", "reference", "relative error"]]
        for name, entry in quantities.items():
            cells = [entry["value"], entry["reference"], entry["relative_error"]]
            texts = ["-" if cell is None else f"{cell:.6g}" for cell in cells[:2]]
            table.append([name, *texts, "-" if cells[2] is None else f"{cells[2]:.2e}"])
        lines += columns(table)
    return lines


def two_columns(rows: Sequence[tuple[str, str]], width: int = 118) -> list[str]:
    """Names and texts, the texts aligned and wrapped."""
    indent = max((len(name) for name, _ in rows), default=0) + 4
    lines: list[str] = []
    for name, text in rows:
        wrapped = textwrap.wrap(text, width - indent) or [""]
        lines.append(f"  {name}".ljust(indent) + wrapped[0])
        lines += [" " * indent + line for line in wrapped[1:]]
    return lines


def columns(table: Sequence[Sequence[str]]) -> list[str]:
    """Rows of cells under a header, the first column to the left, the others to the right."""
    widths = [max(len(row[i]) for row in table) for i in range(len(table[0]))]
    return [
        "  " + "  ".join([row[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(row[1:], widths[1:], strict=True))])
        for row in table
    ]


__all__ = [
    "columns",
    "comparison_lines",
    "describe",
    "estimate_text",
    "parameter_text",
    "singular_texts",
    "straight_text",
    "two_columns",
]
