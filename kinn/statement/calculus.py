"""Spatial calculus: an eager gradient and an inert divergence.

`Div` stays unevaluated, since it is what the weak form integrates by parts and what a Neumann condition refers to;
`doit` expands it for a strong residual.
"""

from __future__ import annotations

from typing import Any

import sympy as sp
from sympy.core.function import AppliedUndef

from kinn.statement.coordinates import MeshSymbol
from kinn.statement.errors import StatementError
from kinn.statement.fields import MeshLike, space_of
from kinn.statement.parameters import Parameter


class Div(sp.Expr):
    """The inert divergence sum_k d F_k / d x_k of a column F of shape (d, 1) in the spatial coordinates X."""

    is_commutative = True

    def __new__(cls, flux: Any, coordinates: Any) -> Div:
        return sp.Expr.__new__(cls, sp.ImmutableDenseMatrix(flux), sp.Tuple(*coordinates))

    @property
    def flux(self) -> Any:
        return self.args[0]

    @property
    def coordinates(self) -> Any:
        return self.args[1]

    def doit(self, **hints: Any) -> sp.Expr:
        """The divergence as a sum of derivatives."""
        terms = [entry.doit(**hints).diff(x) for entry, x in zip(self.flux, self.coordinates, strict=True)]
        return sp.Add(*terms)

    def _eval_derivative(self, symbol: Any) -> Any:
        if not isinstance(symbol, (MeshSymbol, Parameter)):
            raise StatementError(
                f"{self} differentiates by coordinates and parameters only, not by {symbol}; use doit()"
            )
        return Div(self.flux.diff(symbol), self.coordinates)

    def _latex(self, printer: Any) -> str:
        return rf"\nabla \cdot {printer._print(self.flux)}"

    def _sympystr(self, printer: Any) -> str:
        return f"div({', '.join(printer._print(entry) for entry in self.flux)})"

    def _pretty(self, printer: Any) -> Any:
        return printer._print(sp.Function("div")(*self.flux))


def grad(u: Any, mesh: MeshLike | None = None) -> Any:
    """The spatial gradient, eagerly: d u / d x_k.

    A scalar gives a column (d, 1), a vector of shape (c, 1) the matrix (c, d) of d u_i / d x_k. On `mesh * Interval`
    only the spatial coordinates count. `mesh` is needed only for an expression that holds neither field nor coordinate.

    Raises StatementError for a matrix argument and for an expression of unknown space.
    """
    u = _as_expression(u)
    space = space_of(u, mesh=mesh)
    if not isinstance(u, sp.MatrixBase):
        return sp.ImmutableDenseMatrix([u.diff(x) for x in space])
    if u.cols != 1:
        raise StatementError(f"grad of a matrix of shape {u.shape}: give a scalar or a column (c, 1)")
    return sp.ImmutableDenseMatrix(u.rows, len(space), [entry.diff(x) for entry in u for x in space])


def div(flux: Any, mesh: MeshLike | None = None) -> Any:
    """The spatial divergence of a flux, kept inert (a `Div`; `doit()` expands it).

    A vector with d entries gives one `Div`; a matrix (c, d) a column of c, row by row. In one dimension a scalar is a
    vector. Raises StatementError for any other shape.
    """
    flux = _as_expression(flux)
    space = space_of(flux, mesh=mesh)
    d = len(space)
    if not isinstance(flux, sp.MatrixBase):
        if d != 1:
            raise StatementError(f"div of the scalar {flux} in {d} dimensions: give a flux with {d} entries")
        return Div([flux], space)
    if flux.shape in ((d, 1), (1, d)):
        return Div(flux.flat(), space)
    if flux.cols != d:
        raise StatementError(
            f"div of a matrix of shape {flux.shape}: give a vector with {d} entries or a matrix (c, {d})"
        )
    return sp.ImmutableDenseMatrix([Div(list(flux.row(i)), space) for i in range(flux.rows)])


def flux_rows(flux: Any) -> tuple[Any, ...]:
    """A flux as columns (d, 1), one per scalar equation: of a vector itself, of a matrix (c, d) its rows."""
    flux = _as_expression(flux)
    d = len(space_of(flux))
    if not isinstance(flux, sp.MatrixBase) and d == 1:
        flux = sp.ImmutableDenseMatrix([flux])
    if isinstance(flux, sp.MatrixBase):
        if flux.shape in ((d, 1), (1, d)):
            return (sp.ImmutableDenseMatrix(d, 1, flux.flat()),)
        if flux.cols == d:
            return tuple(sp.ImmutableDenseMatrix(d, 1, list(flux.row(i))) for i in range(flux.rows))
    shape = f"of shape {flux.shape}" if isinstance(flux, sp.MatrixBase) else "a scalar"
    raise StatementError(f"flux {flux} is {shape}; give a vector with {d} entries or a matrix (c, {d})")


def expanded(expression: Any) -> Any:
    """The expression with every `Div` and every derivative of a product carried out."""
    divs = expression.atoms(Div)
    if divs:
        expression = expression.xreplace({node: node.doit() for node in divs})
    # Derivatives of functions are already what a jet supplies; doit() of a long sum is slow, so only where it changes.
    pending = any(not isinstance(node.expr, AppliedUndef) for node in expression.atoms(sp.Derivative))
    return expression.doit() if pending else expression


def _as_expression(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return sp.ImmutableDenseMatrix(value)
    return sp.sympify(value)
