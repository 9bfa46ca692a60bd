"""Pictures of solutions. Every function returns its matplotlib Axes and shows nothing: `axes.figure.savefig("u.png")`.

Coordinates given in `at` are held: `{"t": 0.5}` is a snapshot, `{"z": 0.5}` a slice. Where a line is left, a list of
values gives one curve each.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import sympy as sp
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.spatial import KDTree

from kinn.report.drawing import arrows, draw
from kinn.report.matching import scalars, unchecked
from kinn.report.reference import Evaluable, Reference
from kinn.report.section import free_axes
from kinn.report.surface import Surface, surface_of
from kinn.statement.errors import StatementError, suggest
from kinn.statement.fields import FieldComponent, field_of
from kinn.statement.fluxes import jet_of

At = Mapping[str, Any] | None


def plot_field(solution: Evaluable, what: Any = None, ax: Axes | None = None, at: At = None) -> Axes:
    """Values of a field or expression: a line in 1-D, colors in 2-D (also space-time), the boundary's surface in 3-D.

    Vectors are shown by their length, in a plane with arrows. `what` is None (the first field), a field, its name, or
    an expression.
    """
    expressions = scalars(next(iter(solution.problem.fields)) if what is None else what, solution.problem)
    name = name_of(what, expressions)
    title = name if len(expressions) == 1 else f"|{name}|"
    mesh = solution.problem.mesh
    for place, label, many in _places(at):
        surface = surface_of(mesh, place)
        _refuse_many(surface, many)
        values = tabulate(solution, expressions, surface)
        shown = values[:, 0] if len(expressions) == 1 else np.linalg.norm(values, axis=1)
        ax = draw(surface, shown, title if many else _at(title, label), "field", ax, label)
        if values.shape[1] == mesh.spatial_dimension and surface.spatial and surface.corners.shape[1] == 2:
            arrows(ax, surface, values[:, free_axes(mesh, place)])
    return _with_legend(ax, at)


def plot_error(solution: Evaluable, reference: Any, what: Any = None, ax: Axes | None = None, at: At = None) -> Axes:
    """Solution minus reference of a field (of a vector, the length of the difference)."""
    reference = reference if isinstance(reference, Reference) else Reference(solution.problem, reference)
    if what is None:
        what = next(iter(reference.fields), None)
    if what is None:
        raise StatementError("the reference has no field; give {field: expression} to plot an error")
    expressions = scalars(what, solution.problem)
    name = f"{name_of(what, expressions)} - reference"
    for place, label, many in _places(at):
        surface = surface_of(solution.problem.mesh, place)
        _refuse_many(surface, many)
        difference = tabulate(solution, expressions, surface) - tabulate(reference, expressions, surface)
        one = len(expressions) == 1
        values = difference[:, 0] if one else np.linalg.norm(difference, axis=1)
        title = name if one else f"|{name}|"
        ax = draw(surface, values, title if many else _at(title, label), "error" if one else "field", ax, label)
    return _with_legend(ax, at)


def plot_residual(solution: Evaluable, equation: str | None = None, ax: Axes | None = None, at: At = None) -> Axes:
    """The absolute residual of an equation in its strong form, on a logarithmic scale."""
    equations = solution.problem.equations
    if equation is None and len(equations) > 1:
        raise StatementError(f"the problem has {len(equations)} equations; name one{suggest('', equations)}")
    name = next(iter(equations)) if equation is None else equation
    if name not in equations:
        raise StatementError(f"the problem has no equation {name!r}{suggest(name, equations)}")
    title = f"|residual of {name}|"
    for place, label, many in _places(at):
        surface = surface_of(solution.problem.mesh, place, centers=True)
        _refuse_many(surface, many)
        values = np.linalg.norm(tabulate(solution, list(equations[name].residuals()), surface), axis=1)
        ax = draw(surface, values, title if many else _at(title, label), "residual", ax, label)
    return _with_legend(ax, at)


def tabulate(solution: Evaluable, expressions: Sequence[sp.Expr], surface: Surface) -> np.ndarray:
    """Values (n, k) at the surface's places.

    Straight pieces of a curved boundary may leave the domain by a sliver; a place out there takes the values of the
    nearest one inside.
    """
    mesh, places, solution = solution.problem.mesh, surface.places, unchecked(solution)
    held = mesh.contains(places)
    if held.all() or not held.any():
        return np.asarray(solution.evaluate(list(expressions), places))
    found = np.asarray(solution.evaluate(list(expressions), places[held]))
    values = np.empty((len(places), found.shape[1]))
    values[held] = found
    nearest = KDTree(places[held] / mesh.scale).query(places[~held] / mesh.scale)[1]
    values[~held] = found[nearest]
    return values


def _places(at: At) -> list[tuple[dict[str, Any], str, bool]]:
    """Held coordinates with a label, once for each of the values where a list is given, and whether one is."""
    at = dict(at or {})
    lists = [name for name, value in at.items() if np.ndim(value) > 0]
    if len(lists) > 1:
        raise StatementError(f"{' and '.join(lists)} have several values each; give a list for one of them")
    if not lists:
        return [(at, ", ".join(f"{name} = {_short(value)}" for name, value in at.items()), False)]
    (name,) = lists
    if not len(at[name]):
        raise StatementError(f"{name} has no value; give one or more")
    return [({**at, name: value}, f"{name} = {_short(value)}", True) for value in at[name]]


def plot_history(
    history: Sequence[Any], errors: Sequence[Mapping[str, float] | None] | None = None, ax: Axes | None = None
) -> Axes:
    """Loss, check, estimate and, where known, relative L2 errors {field: value} of each record against seconds."""
    axes = ax or Figure(figsize=(6.4, 4.2), layout="constrained").add_subplot()
    seconds = np.array([record.seconds for record in history])
    lines = {key: [getattr(record, key, None) for record in history] for key in ("loss", "check", "estimate")}
    labels = {"loss": "loss", "check": "check (independent points)", "estimate": "estimated error (relative H1)"}
    for found in errors or ():
        for name in found or ():
            lines.setdefault(f"error {name}", [(row or {}).get(name) for row in errors or ()])
            labels.setdefault(f"error {name}", f"error of {name} (relative L2)")
    drawn = False
    for key, row in lines.items():
        values = np.array([np.nan if value is None else value for value in row], dtype=float)
        known = np.isfinite(values) & (values > 0)
        if known.any():
            axes.plot(
                seconds[known], values[known], marker="." if known.sum() < 60 else None, lw=1.4, label=labels[key]
            )
            drawn = True
    if drawn:
        axes.set_yscale("log")
        axes.legend(frameon=False)
    axes.set_xlabel("seconds")
    axes.grid(alpha=0.3)
    axes.set_title("history")
    return axes


def name_of(what: Any, expressions: Sequence[sp.Expr]) -> str:
    """What a picture is called: the field's name, or the expression in LaTeX."""
    if isinstance(what, str):
        return what
    if all(isinstance(entry, FieldComponent) for entry in expressions):
        return field_of(expressions[0]) if len(expressions) > 1 else expressions[0].name  # type: ignore[attr-defined]
    text = ", ".join(f"${sp.latex(_shortened(entry))}$" for entry in expressions)
    return text if len(text) < 80 else "expression"


def _shortened(expression: sp.Expr) -> Any:
    """u_xx for the second derivative of u(x, y)."""
    names: dict[Any, sp.Symbol] = {
        component: sp.Symbol(component.name) for component in expression.atoms(FieldComponent)
    }
    for node in expression.atoms(sp.Derivative):
        function, orders = jet_of(node)
        axes = "".join(x.name * n for x, n in zip(function.args, orders, strict=True))
        names[node] = sp.Symbol(f"{function.func.__name__}_{axes}")
    return expression.xreplace(names)


def _short(value: Any) -> str:
    return f"{float(value):.4g}" if isinstance(value, (int, float, np.number)) else str(value)


def _at(title: str, label: str) -> str:
    return f"{title} at {label}" if label else title


def _refuse_many(surface: Surface, many: bool) -> None:
    if many and len(surface.names) > 1:
        raise StatementError(
            f"several values give curves, but {', '.join(surface.names)} are left here; give one value for a picture in "
            "colors, or solution.animate"
        )


def _with_legend(axes: Axes | None, at: At) -> Axes:
    assert axes is not None  # there is at least one place
    if any(np.ndim(value) > 0 for value in (at or {}).values()):
        axes.legend(frameon=False)
    return axes


__all__ = ["name_of", "plot_error", "plot_field", "plot_history", "plot_residual", "tabulate"]
