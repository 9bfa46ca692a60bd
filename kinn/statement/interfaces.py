"""Conditions on an interface inside the domain: jumps of a value or of a flux, and what the weak form makes of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import sympy as sp

from kinn.statement.calculus import Div
from kinn.statement.coefficients import CoefficientFunction
from kinn.statement.conditions import Condition
from kinn.statement.coordinates import Normal
from kinn.statement.errors import StatementError
from kinn.statement.fields import FieldComponent, normal_of
from kinn.statement.fluxes import Split, outflow
from kinn.statement.places import cells_of, check_subdomains, facets, interior
from kinn.statement.reading import as_expression

if TYPE_CHECKING:
    from kinn.statement.problem import Problem


class TwoSided(sp.Expr):
    """An inert node for what an expression does across an interface; `operand` is the expression on one side."""

    is_commutative = True
    word = ""

    def __new__(cls, operand: Any) -> Any:
        return sp.Expr.__new__(cls, sp.sympify(operand))

    @property
    def operand(self) -> Any:
        return self.args[0]

    def _eval_derivative(self, symbol: Any) -> Any:
        return type(self)(self.operand.diff(symbol))

    def _sympystr(self, printer: Any) -> str:
        return f"{self.word}({printer._print(self.operand)})"

    def _pretty(self, printer: Any) -> Any:
        return printer._print(sp.Function(self.word)(self.operand))


class Jump(TwoSided):
    """The expression on the other side minus the expression on the condition's `side`."""

    word = "jump"

    def _latex(self, printer: Any) -> str:
        return rf"\left[\!\left[ {printer._print(self.operand)} \right]\!\right]"


class Average(TwoSided):
    """Half the sum of the expression on both sides."""

    word = "average"

    def _latex(self, printer: Any) -> str:
        return rf"\left\{{\!\left\{{ {printer._print(self.operand)} \right\}}\!\right\}}"


def jump(expression: Any) -> Any:
    """How much an expression changes across an interface: on the other side minus on the condition's `side`.

    `mesh.normal` points out of `side` in both. A matrix gives the jump of every entry. Only for
    `Condition(expression, on=interface, side=subdomain)`.

    >>> Condition(jump(u) - 1, on="contact", side="steel")                              # doctest: +SKIP
    >>> Condition(jump(flux.dot(mesh.normal)) - heating, on="contact", side="steel")    # doctest: +SKIP
    """
    return _each(Jump, as_expression(expression, "jump"))


def average(expression: Any) -> Any:
    """The mean of an expression on the two sides of an interface; see `jump`."""
    return _each(Average, as_expression(expression, "average"))


def _each(node: Any, expression: Any) -> Any:
    return expression.applyfunc(node) if isinstance(expression, sp.MatrixBase) else node(expression)


def at_interface(condition: Any) -> bool:
    """Whether a condition stands on an interface, with a side and a jump."""
    return isinstance(condition, Condition) and condition.side is not None


def value_jump(residual: Any) -> tuple[FieldComponent, sp.Expr] | None:
    """(component, value) if the residual says `jump(component) = value`, else None."""
    found = _solved(residual)
    plain = found is not None and isinstance(found[0], FieldComponent) and not found[1].atoms(FieldComponent)
    return found if plain else None


def flux_jump(residual: Any, space: Any) -> tuple[Any, sp.Expr] | None:
    """(flux (d, 1), value) if the residual says `jump(flux . n) = value`, else None."""
    found = _solved(residual)
    if found is None or found[1].has(sp.Derivative, Normal):
        return None
    normal = normal_of(space)
    flux = sp.ImmutableDenseMatrix([found[0].diff(n) for n in normal])
    linear = not flux.has(*normal) and sp.expand(found[0] - flux.dot(normal)) == 0
    return (flux, found[1]) if linear and not flux.is_zero_matrix else None


def interface_integrand(parts: Split, residual: Any, space: Any) -> sp.Expr | None:
    """The g of `int_interface g v ds` that a stated jump of the flux adds to a weak row, or None if it is another flux.

    A row E = div(F) + s is integrated by parts on each side of the interface, with the test function v continuous. The
    two sides leave `int (F_side . n - F_other . n) v ds = - int jump(F . n) v ds`, n out of `side`, since the other
    side's exterior normal is -n. So a stated `jump(F . n) = q` gives g = -q: the opposite sign of a Neumann condition,
    whose `F . n = q` gives g = q. Without a condition g = 0, and the flux is continuous by itself.
    """
    stated = flux_jump(residual, space)
    if stated is None or not parts.fluxes:
        return None
    flux, value = stated
    unit = outflow(parts, flux, sp.S.One)
    return -unit[1] * value if unit is not None and _smooth(unit[1]) else None


def touches(mesh: Any, on: tuple[str, ...], interface: tuple[str, ...]) -> bool:
    """Whether an equation on subdomains `on` holds in a cell next to the interface."""
    return bool(np.isin(np.asarray(mesh.skfem.f2t)[:, facets(mesh, interface)], cells_of(mesh, on)).any())


def holds_on_side(mesh: Any, on: tuple[str, ...], condition: Any) -> bool:
    """Whether an equation on subdomains `on` holds on the side of the interface that the condition names."""
    beside = np.intersect1d(np.asarray(mesh.skfem.f2t)[:, facets(mesh, condition.on)], _side(mesh, condition))
    return bool(np.isin(beside, cells_of(mesh, on)).any())


def _side(mesh: Any, condition: Condition) -> np.ndarray:
    return cells_of(mesh, (str(condition.side),))


def check_interface(problem: Problem, condition: Condition, what: str) -> None:
    """Raise StatementError for a jump without a side, a side without a jump, and facets that are no interface of it."""
    two_sided = [node for residual in condition.residuals() for node in residual.atoms(TwoSided)]
    if condition.side is None:
        if two_sided:
            raise StatementError(
                f"{what} holds {two_sided[0]}, but no side; give Condition(..., on=interface, side=subdomain), "
                "the normal points out of that subdomain"
            )
        return
    mesh = problem.mesh
    check_subdomains(mesh, (condition.side,), f"{what} with side={condition.side!r}")
    if not two_sided:
        raise StatementError(
            f"{what} has side={condition.side!r}, but neither jump nor average; on an interface say what jumps"
        )
    for node in two_sided:
        if node.operand.atoms(TwoSided, Div):
            raise StatementError(f"{what}: {node} holds another jump, average or div; write it as a plain expression")
    here = facets(mesh, condition.on)
    names = ", ".join(repr(name) for name in condition.on)
    outside = len(here) - len(interior(mesh, here))
    if outside:
        raise StatementError(
            f"{what}: {outside} of {len(here)} facets of {names} lie on the boundary of the mesh, where nothing can "
            "jump; name facets between two subdomains"
        )
    inside = np.isin(np.asarray(mesh.skfem.f2t)[:, here], _side(mesh, condition))
    wrong = int((inside.sum(axis=0) != 1).sum())
    if wrong:
        raise StatementError(
            f"{what}: {wrong} of {len(here)} facets of {names} do not lie between {condition.side!r} and another "
            "subdomain; name one of the two subdomains that meet there"
        )


def refuse_jumps(expression: Any, what: str) -> None:
    """Raise StatementError for a jump or average where there are no two sides."""
    found = sorted(expression.atoms(TwoSided), key=str)
    if found:
        raise StatementError(f"{what} holds {found[0]}; use it in Condition(..., on=interface, side=subdomain)")


def _solved(residual: Any) -> tuple[Any, sp.Expr] | None:
    """(operand, value) if the residual is `c * jump(operand) - c * value` with c free of fields, else None."""
    nodes = residual.atoms(TwoSided)
    if len(nodes) != 1 or not isinstance(next(iter(nodes)), Jump):
        return None
    (node,) = nodes
    mark = sp.Dummy()
    marked = residual.xreplace({node: mark})
    factor = marked.diff(mark)
    rest = marked.xreplace({mark: sp.S.Zero})
    if factor.has(mark) or factor.atoms(FieldComponent):
        return None
    return node.operand, -rest / factor


def _smooth(factor: Any) -> bool:
    """Whether the factor between the row's flux and the stated one is the same on both sides, so that jumps are equal."""
    functions = factor.atoms(FieldComponent, CoefficientFunction, sp.Piecewise, sp.Heaviside, sp.sign)
    return all(isinstance(f, CoefficientFunction) and f.continuous for f in functions)
