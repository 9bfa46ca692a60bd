"""What `solve` returns: a trained solution to call, ask, compare, draw, write and keep."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import sympy as sp
from matplotlib.axes import Axes
from torch import nn

from kinn.report import export, storage
from kinn.report.animation import animate
from kinn.report.errors import Errors, errors
from kinn.report.integrals import integral
from kinn.report.matching import as_points, has_normals, scalars
from kinn.report.plots import plot_error, plot_field, plot_history, plot_residual
from kinn.report.section import embedded
from kinn.report.tables import describe
from kinn.result import Estimated, Record, Result, Status
from kinn.statement.errors import StatementError, suggest
from kinn.statement.problem import Problem


class Solution:
    """A trained solution; `print` it for a summary. All of it is in `result`, plain data.

    >>> solution = kinn.solve(problem)                      # doctest: +SKIP
    >>> solution([[0.5, 0.5]])                              # doctest: +SKIP
    array([0.99999983])
    """

    def __init__(self, result: Result) -> None:
        self.result = result

    @property
    def problem(self) -> Problem:
        return self.result.problem

    @property
    def parameters(self) -> dict[str, Estimated]:
        """Name -> estimate, standard deviation and 95 % interval of each identified parameter."""
        return self.result.parameters

    @property
    def history(self) -> tuple[Record, ...]:
        return self.result.history

    @property
    def status(self) -> Status:
        return self.result.status

    @property
    def estimate(self) -> float | None:
        """The estimated relative H1 error; None where there is no estimate (`result.estimate_note` says why)."""
        return self.result.estimate

    def __call__(self, points: Any, **at: Any) -> np.ndarray:
        """Values of all fields at points (n, d): (n,) for one scalar field, else (n, components) in their order.

        Coordinates can be held by name, `solution(points, t=0.3)`; points then have the others. One point (d,) gives one value. Raises StatementError for points outside the mesh by more than 1e-6 of its
        extent: a network has values there, but nothing has taught it any.
        """
        components = self.problem.components
        return self.evaluate(components[0] if len(components) == 1 else list(components), points, **at)

    def evaluate(self, expression: Any, points: Any, normal: Any = None, **at: Any) -> np.ndarray:
        """Values of an expression of fields, derivatives, parameters and coordinates.

        Args:
            expression: an expression or the name of a field, gives (n,); a sequence, matrix or vector field, gives
                (n, k). Fields are matched by name, so those of another mesh may be used.
            points: (n, d), an array, tensor or list, or one point (d,).
            normal: (n, d) unit vectors, where the expression holds `mesh.normal`.
            at: coordinates by name that are held, each at a number or at n; points then have the others.

        Raises StatementError for unknown names and for points outside the mesh.

        >>> solution.evaluate(k * grad(u), points)      # the flux, (n, 2)     # doctest: +SKIP
        >>> solution.evaluate(u, [0.25, 0.5, 0.75], t=0.3)      # on a rod     # doctest: +SKIP
        """
        expressions = scalars(expression, self.problem)
        many = isinstance(expression, (list, tuple, sp.MatrixBase)) or len(expressions) > 1
        mesh = self.problem.mesh
        free = mesh.dimension - len(at) if at else mesh.dimension
        x, single = as_points(points, max(free, 1))
        if at:
            x = embedded(mesh, x, at)
        outside = np.flatnonzero(~mesh.contains(x)) if len(x) else np.zeros(0)
        if len(outside):
            first = ", ".join(f"{value:g}" for value in x[outside[0]])
            raise StatementError(
                f"{len(outside)} of {len(x)} points lie outside the mesh, the first at ({first}); "
                "the solution is not defined there, leave them out (mesh.contains(points) tells which)"
            )
        if normal is None and has_normals(expressions):
            raise StatementError(
                f"{expressions[0]} holds the boundary normal; pass normal (n, {mesh.spatial_dimension})"
            )
        n = None if normal is None else np.asarray(normal, dtype=np.float64).reshape(len(x), -1)
        values = self.result.evaluate(expressions, x, n)
        values = values if many else values[:, 0]
        return values[0] if single else values

    def deviation(self, expression: Any, points: Any) -> np.ndarray:
        """The standard deviation (n,) of what data determine, at points (n, d): the band of a field is `k +- 1.96 sd`.

        `expression` is an unknown coefficient field, its name, or any expression of such fields, parameters and coordinates;
        other fields in it count as they were found.

        Raises StatementError where there were no data, or where they do not determine the parameters.

        >>> solution.deviation(k, points)       # doctest: +SKIP
        """
        (what,) = scalars(expression, self.problem)
        if not len(self.result.root):
            reason = self.result.note or "the problem has no data, or nothing unknown"
            raise StatementError(f"{what} has no deviation: {reason}")
        x, _ = as_points(points, self.problem.mesh.dimension)
        return self.result.deviation(what, x)

    def misfits(self, left_out: bool = False) -> dict[str, np.ndarray]:
        """For each set of observations solution minus value, in standard deviations (n,), in the order of the data: a map of where
        data and statement disagree. With `left_out` each value is compared with what all others say of it: a wrong value that
        the solution follows stands out.

        Raises StatementError for `left_out` where it is not known what each value has moved.

        >>> z = solution.misfits()["T"]; plt.scatter(*data.points.T, c=z)       # doctest: +SKIP
        """
        return self.result.misfits(left_out)

    def error(self, reference: Any, expressions: Mapping[str, Any] | None = None) -> dict[str, Errors]:
        """Relative L2, H1 and maximum errors of each field against a reference, on points outside training.

        `reference` is {field or name: SymPy expression, callable on points, number or solution}, or a solution, for
        instance `kinn.fem.solve(problem)`; fields are matched by name. `expressions`, such as
        {"von_mises": expression}, are compared too, without H1, where the reference has the derivatives in them.
        """
        return errors(self, reference, expressions=expressions)

    def integral(self, expression: Any, over: str | Iterable[str] | None = None, side: str | None = None) -> float:
        """The integral of an expression over the domain, or over boundaries or subdomains by name.

        On an interface inside the domain `side` names the subdomain whose values count and that the normal leaves. The flux
        of an equation through the boundary is conservative: the stated value where it is stated, the weak form's reaction
        where the field is held (on `mesh * Interval` plain quadrature).

        >>> solution.integral(k * grad(u).dot(mesh.normal), over="wall")      # the flux through it  # doctest: +SKIP
        """
        return integral(self, expression, over, side)

    def plot(self, what: Any = None, reference: Any = None, ax: Axes | None = None, **at: Any) -> Axes:
        """A picture; returns matplotlib Axes (`.figure.savefig("u.png")`) and shows nothing.

        `what` is a field, its name, an expression (None or "field": the first field), "residual" or an equation's name,
        "history", or "error", which needs a `reference`. With a reference a field's error is drawn. Coordinates can be
        held by name: `t=0.5` is a snapshot, `t=[0, 0.1, 1]` one curve for each on a line, `z=0.5` a slice of a solid.

        Raises StatementError for a picture that there is not.
        """
        fields, equations = self.problem.fields, self.problem.equations
        if isinstance(what, str) and what not in fields:
            if what == "history":
                return plot_history(self.history, ax=ax)
            if what == "residual" or what in equations:
                return plot_residual(self, None if what == "residual" else what, ax, at)
            if what not in ("field", "error"):
                known = ["field", *fields, "error", "residual", *equations, "history"]
                raise StatementError(f"there is no picture {what!r}{suggest(what, known)}")
            if what == "error" and reference is None:
                raise StatementError("an error needs something to compare with; give reference={field: expression}")
            what = None
        return plot_field(self, what, ax, at) if reference is None else plot_error(self, reference, what, ax, at)

    def animate(self, path: str | Path, what: Any = None, frames: int = 40, **at: Any) -> None:
        """Write an animated GIF of a field or expression along time, or along the axis of a parameter.

        >>> solution.animate("heat.gif", u)     # doctest: +SKIP
        """
        animate(self, path, what, frames, at)

    def write(self, path: str | Path, **named: Any) -> None:
        """Write fields, residuals, parameters and named expressions as a VTU file for ParaView.

        A coordinate of time or of a parameter can be held: `t=0.5` writes a snapshot on the mesh of space.

        >>> solution.write("bracket.vtu", stress=stress, heat_flux=-k * grad(u))    # doctest: +SKIP
        """
        export.write(self, path, **named)

    def write_series(self, path: str | Path, times: Iterable[float], **named: Any) -> None:
        """Write what `write` writes at each of `times` (or values of a parameter's axis): a .pvd or an .xdmf file.

        >>> solution.write_series("heat.pvd", times=[0, 0.1, 1], flux=-grad(u))     # doctest: +SKIP
        """
        export.write_series(self, path, times, **named)

    def save(self, path: str | Path) -> None:
        """Write everything to one file that `kinn.load(path, problem)` reads."""
        storage.save(self.result, path)

    def __str__(self) -> str:
        return describe(self.result)

    def __repr__(self) -> str:
        estimate = "no estimate" if self.estimate is None else f"estimate {self.estimate:.2g}"
        return f"Solution({', '.join(self.problem.fields)}: {self.result.network}, {self.status.label}, {estimate})"


def load(path: str | Path, problem: Problem, network: nn.Module | None = None) -> Solution:
    """The solution that `solution.save(path)` wrote; `problem` is the same problem, built again.

    A network of the user's own class is passed in as `network`. Raises StatementError for a file that is missing,
    corrupt, of another problem, or in the format of another kinn.
    """
    return Solution(storage.load(path, problem, network))


__all__ = ["Solution", "load"]
