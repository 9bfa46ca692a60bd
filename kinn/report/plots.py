"""Pictures of solutions. Every function returns its matplotlib Axes and shows nothing: `axes.figure.savefig("u.png")`.

Figures are made without pyplot, so that nothing is shared between threads and no window system is needed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import sympy as sp
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from matplotlib.tri import Triangulation

from kinn.geometry.mesh import Mesh
from kinn.report.matching import scalars
from kinn.report.reference import Evaluable, Reference
from kinn.report.surface import Surface, surface_of
from kinn.statement.errors import StatementError, suggest
from kinn.statement.fields import FieldComponent, field_of
from kinn.statement.fluxes import jet_of

COLORS = {"field": "viridis", "error": "RdBu_r", "residual": "magma"}


def plot_field(solution: Evaluable, what: Any = None, ax: Axes | None = None) -> Axes:
    """Values of a field or expression: a line in 1-D, colors in 2-D (also space-time), the boundary's surface in 3-D.

    Vectors are shown by their length, in a plane with arrows. `what` is None (the first field), a field, its name, or
    an expression.
    """
    expressions = scalars(next(iter(solution.problem.fields)) if what is None else what, solution.problem)
    name = _name(what, expressions, solution)
    surface = surface_of(solution.problem.mesh)
    values = solution.evaluate(expressions, surface.points)
    if len(expressions) == 1:
        return _draw(surface, values[:, 0], name, "field", ax)
    axes = _draw(surface, np.linalg.norm(values, axis=1), f"|{name}|", "field", ax)
    if values.shape[1] == 2 == solution.problem.mesh.spatial_dimension == surface.points.shape[1]:
        _arrows(axes, surface, values)
    return axes


def plot_error(solution: Evaluable, reference: Any, what: Any = None, ax: Axes | None = None) -> Axes:
    """Solution minus reference of a field (of a vector, the length of the difference)."""
    reference = reference if isinstance(reference, Reference) else Reference(solution.problem, reference)
    if what is None:
        what = next(iter(reference.fields), None)
    if what is None:
        raise StatementError("the reference has no field; give {field: expression} to plot an error")
    expressions = scalars(what, solution.problem)
    surface = surface_of(solution.problem.mesh)
    difference = solution.evaluate(expressions, surface.points) - reference.evaluate(expressions, surface.points)
    name = _name(what, expressions, solution)
    if len(expressions) > 1:
        return _draw(surface, np.linalg.norm(difference, axis=1), f"|{name} - reference|", "field", ax)
    return _draw(surface, difference[:, 0], f"{name} - reference", "error", ax)


def plot_residual(solution: Evaluable, equation: str | None = None, ax: Axes | None = None) -> Axes:
    """The absolute residual of an equation in its strong form, on a logarithmic scale."""
    equations = solution.problem.equations
    if equation is None and len(equations) > 1:
        raise StatementError(f"the problem has {len(equations)} equations; name one{suggest('', equations)}")
    name = next(iter(equations)) if equation is None else equation
    if name not in equations:
        raise StatementError(f"the problem has no equation {name!r}{suggest(name, equations)}")
    surface = surface_of(solution.problem.mesh, centers=True)
    values = np.linalg.norm(solution.evaluate(list(equations[name].residuals()), surface.points), axis=1)
    return _draw(surface, values, f"|residual of {name}|", "residual", ax)


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


def _name(what: Any, expressions: Sequence[sp.Expr], solution: Evaluable) -> str:
    if isinstance(what, str):
        return what
    if all(isinstance(entry, FieldComponent) for entry in expressions):
        return field_of(expressions[0]) if len(expressions) > 1 else expressions[0].name  # type: ignore[attr-defined]
    text = ", ".join(f"${sp.latex(_short(entry))}$" for entry in expressions)
    return text if len(text) < 80 else "expression"


def _short(expression: sp.Expr) -> Any:
    """u_xx for the second derivative of u(x, y)."""
    names: dict[Any, sp.Symbol] = {
        component: sp.Symbol(component.name) for component in expression.atoms(FieldComponent)
    }
    for node in expression.atoms(sp.Derivative):
        function, orders = jet_of(node)
        axes = "".join(x.name * n for x, n in zip(function.args, orders, strict=True))
        names[node] = sp.Symbol(f"{function.func.__name__}_{axes}")
    return expression.xreplace(names)


def _draw(surface: Surface, values: np.ndarray, name: str, style: str, ax: Axes | None) -> Axes:
    mesh = surface.mesh
    dimension = surface.points.shape[1]
    if dimension == 1:
        return _line(surface, values, name, style, ax)
    finite = values[np.isfinite(values)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
    norm: Any
    if style == "error":
        bound = max(abs(low), abs(high)) or 1.0
        norm = Normalize(-bound, bound)
    elif style == "residual" and high > 0:
        positive = finite[finite > 0]
        norm = LogNorm(min(max(float(np.quantile(positive, 0.01)), high * 1e-12), high / 10), high)
        values = np.maximum(values, norm.vmin)  # type: ignore[type-var]
    else:
        norm = Normalize(low, high if high > low else low + 1.0)
    if dimension == 3:
        return _solid(surface, values, name, norm, COLORS[style], ax)
    axes = ax or Figure(figsize=_size(mesh), layout="constrained").add_subplot()
    if not surface.centers:
        grid = Triangulation(surface.points[:, 0], surface.points[:, 1], surface.triangles)
        picture = axes.tripcolor(grid, values, shading="gouraud", norm=norm, cmap=COLORS[style], rasterized=True)
    else:
        grid = Triangulation(surface.corners[:, 0], surface.corners[:, 1], surface.triangles)
        picture = axes.tripcolor(grid, facecolors=values[surface.owner], norm=norm, cmap=COLORS[style], rasterized=True)
    for edge in mesh.skfem.facets[:, mesh.exterior].T:
        axes.plot(*mesh.points[edge].T, color="black", lw=0.8)
    axes.figure.colorbar(picture, ax=axes, shrink=0.9)
    axes.set_xlabel(mesh.coordinate_names[0])
    axes.set_ylabel(mesh.coordinate_names[1])
    if mesh.spatial_dimension == 2:
        axes.set_aspect("equal")
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_locator(MaxNLocator(6))
    axes.set_title(name)
    return axes


def _line(surface: Surface, values: np.ndarray, name: str, style: str, ax: Axes | None) -> Axes:
    axes = ax or Figure(figsize=(6.4, 4.2), layout="constrained").add_subplot()
    order = np.argsort(surface.points[:, 0])
    x, values = surface.points[order, 0], values[order]
    if style == "residual" and (values > 0).any():
        axes.semilogy(x, np.where(values > 0, values, np.nan), lw=1.4)
        low, high = axes.get_ylim()
        axes.set_ylim(min(low, values.max() / 10), max(high, values.max() * 1.3))
    else:
        axes.plot(x, values, lw=1.6)
    axes.set_xlabel(surface.mesh.coordinate_names[0])
    axes.grid(alpha=0.3)
    axes.set_title(name)
    return axes


def _solid(surface: Surface, values: np.ndarray, name: str, norm: Normalize, colors: str, ax: Axes | None) -> Axes:
    axes: Any = ax or Figure(figsize=(6.8, 5.4), layout="constrained").add_subplot(projection="3d")
    corners = surface.points if not surface.centers else surface.corners
    on_triangles = values[surface.triangles].mean(axis=1) if not surface.centers else values[surface.owner]
    picture = axes.plot_trisurf(
        *corners.T, triangles=surface.triangles, cmap=colors, norm=norm, linewidth=0, antialiased=False, shade=False
    )
    picture.set_array(on_triangles)
    axes.figure.colorbar(picture, ax=axes, shrink=0.7, pad=0.1)
    for set_label, label in zip(
        (axes.set_xlabel, axes.set_ylabel, axes.set_zlabel), surface.mesh.coordinate_names, strict=True
    ):
        set_label(label)
    if surface.mesh.spatial_dimension == 3:
        axes.set_aspect("equal")
    for axis, extent in zip((axes.xaxis, axes.yaxis, axes.zaxis), surface.mesh.scale, strict=True):
        axis.set_major_locator(MaxNLocator(5 if extent > 0.4 * surface.mesh.scale.max() else 2))
    axes.set_title(name)
    return axes


def _arrows(axes: Axes, surface: Surface, values: np.ndarray) -> None:
    """About 15 x 15 arrows at the vertices nearest to an even grid."""
    low, high = surface.mesh.lower, surface.mesh.upper
    cell = np.floor((surface.points - low) / (high - low).max() * 15 - 0.5)
    chosen = np.unique(cell, axis=0, return_index=True)[1]
    x, v = surface.points[chosen], values[chosen]
    axes.quiver(*x.T, *v.T, color="white", edgecolor="black", linewidth=0.3, pivot="mid", width=0.004)


def _size(mesh: Mesh) -> tuple[float, float]:
    if mesh.spatial_dimension < 2:
        return 6.4, 4.4
    width, height = mesh.upper - mesh.lower
    return (6.4, float(np.clip(5.2 * height / width, 2.2, 7.0)) + 0.4)


__all__ = ["plot_error", "plot_field", "plot_history", "plot_residual"]
