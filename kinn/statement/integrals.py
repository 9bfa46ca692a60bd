"""Integrals over a part of the mesh as one number: a mean, a load cell, a flow rate."""

from __future__ import annotations

from typing import Any

import sympy as sp
from sympy.core.symbol import Str

from kinn.statement.coordinates import Coordinate, MeshSymbol, Normal
from kinn.statement.errors import StatementError, suggest
from kinn.statement.fields import FieldComponent
from kinn.statement.reading import as_expression, names_of


class Integral(sp.Expr):
    """The inert integral of an expression over named boundaries or subdomains, over the whole mesh without a name.

    It is one number, so its derivative by a coordinate is 0. A matrix gives the integral of every entry. On boundaries
    the expression may hold `mesh.normal`. It stands in conditions, equations and observations:

    >>> Condition(Integral(p))                                                      # doctest: +SKIP
    >>> Observations(Integral(flux.dot(mesh.normal), over="right"), values=[3.2])   # doctest: +SKIP
    """

    is_commutative = True

    def __new__(cls, expression: Any, over: Any = None) -> Any:
        if isinstance(over, sp.Tuple):
            names = tuple(str(name) for name in over)
        else:
            names = names_of(over, "Integral", default=())
        expression = as_expression(expression, "Integral")
        if isinstance(expression, sp.MatrixBase):
            return expression.applyfunc(lambda entry: cls(entry, names))
        return sp.Expr.__new__(cls, expression, sp.Tuple(*(Str(name) for name in names)))

    @property
    def integrand(self) -> Any:
        return self.args[0]

    @property
    def over(self) -> tuple[str, ...]:
        """Names of boundaries or of subdomains; () is the whole mesh."""
        names: Any = self.args[1]
        return tuple(str(name) for name in names)

    def _eval_derivative(self, symbol: Any) -> Any:
        return sp.S.Zero if isinstance(symbol, MeshSymbol) else Integral(self.integrand.diff(symbol), self.over)

    def _sympystr(self, printer: Any) -> str:
        return f"Integral({printer._print(self.integrand)}{''.join(', ' + name for name in self.over)})"

    def _pretty(self, printer: Any) -> Any:
        return printer._print(sp.Function("Integral")(self.integrand, *(sp.Symbol(name) for name in self.over)))

    def _latex(self, printer: Any) -> str:
        where = r"_{\text{" + ", ".join(self.over) + "}}" if self.over else ""
        return rf"\int{where} {printer._print(self.integrand)}"


def integrals_of(expression: Any) -> list[Integral]:
    """The integrals in an expression, ordered by their text."""
    return sorted(expression.atoms(Integral), key=str)


def outside_integrals(expression: Any) -> Any:
    """The expression with a plain number's symbol for each of its integrals."""
    return expression.xreplace({node: sp.Dummy() for node in integrals_of(expression)})


def is_global(expression: Any) -> bool:
    """Whether an expression is one number: it holds integrals, and neither fields nor places outside of them."""
    if not integrals_of(expression):
        return False
    rest = outside_integrals(expression)
    return not rest.atoms(FieldComponent, Coordinate, Normal)


def check_integral(mesh: Any, node: Integral, what: str) -> bool:
    """Whether it is over boundaries; raise StatementError for names that are not in the mesh, mixed or nested."""
    if any(inner != node for inner in node.atoms(Integral)):
        raise StatementError(f"{what}: {node} holds another Integral; integrals are not nested")
    known = ["boundary", *mesh.boundaries, *mesh.subdomains]
    for name in node.over:
        if name not in known:
            raise StatementError(f"{what}: {name!r} in {node} is no part of the mesh{suggest(name, known)}")
    kinds = {name in mesh.subdomains for name in node.over}
    if len(kinds) == 2:
        raise StatementError(f"{what}: {node} mixes boundaries and subdomains; take two integrals")
    on_boundary = kinds == {False}
    if node.atoms(Normal) and not on_boundary:
        raise StatementError(
            f"{what}: {node} holds the normal; integrate it over a boundary, Integral(..., over='name')"
        )
    return on_boundary
