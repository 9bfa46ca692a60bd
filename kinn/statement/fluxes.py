"""How an equation is made of divergences: E = sum_j c_j div(F_j) + s, and which flux a Neumann condition means."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import permutations
from typing import Any

import sympy as sp

from kinn.statement.calculus import Div, expanded
from kinn.statement.coordinates import Coordinate
from kinn.statement.errors import StatementError
from kinn.statement.fields import FieldComponent


@dataclass(frozen=True)
class Row:
    """One scalar equation `expression = 0` (with inert `Div`) of the equation `name`, on subdomains `on`."""

    name: str
    expression: sp.Expr
    on: tuple[str, ...]


@dataclass(frozen=True)
class Split:
    """E = sum_j c_j div(F_j) + s with fluxes F_j that hold derivatives of a field; other divs are expanded into s."""

    factors: tuple[sp.Expr, ...]
    fluxes: tuple[Any, ...]
    source: sp.Expr

    @property
    def total(self) -> Any:
        """sum_j c_j F_j, what leaves through the boundary when E is integrated by parts."""
        size = len(self.fluxes[0])
        pairs = list(zip(self.factors, self.fluxes, strict=True))
        return sp.ImmutableDenseMatrix([sp.Add(*(c * flux[k] for c, flux in pairs)) for k in range(size)])


def split(expression: Any) -> Split | None:
    """The divergence form of an equation, or None if a `Div` enters nonlinearly.

    A div of a flux without derivatives (div(v) = 0, advection) is no second-order operator: integrating it by parts
    would put a condition on the boundary that nobody stated, so it is expanded instead.
    """
    nodes = sorted(outer_divs(expression), key=sp.default_sort_key)
    first_order = {node: node.doit() for node in nodes if not derivatives_of_fields(node)}
    expression = expression.xreplace(first_order)
    nodes = [node for node in nodes if node not in first_order]
    marks = [sp.Dummy(f"div_{i}") for i in range(len(nodes))]
    marked: Any = expression.xreplace(dict(zip(nodes, marks, strict=True)))
    zero = dict.fromkeys(marks, sp.S.Zero)
    factors = tuple(marked.diff(mark) for mark in marks)
    if any(factor.has(*marks) for factor in factors if marks):
        return None
    fluxes = tuple(node.flux for node in nodes)
    return Split(factors, fluxes, expanded(marked.xreplace(zero)))


def outer_divs(expression: Any) -> set[Div]:
    """The `Div` nodes of an expression that stand in no other one."""
    if isinstance(expression, Div):
        return {expression}
    return {node for argument in expression.args for node in outer_divs(argument)}


def derivatives_of_fields(expression: sp.Basic) -> set[Any]:
    return {node for node in expression.atoms(sp.Derivative) if isinstance(node.expr, FieldComponent)}


def along_normal(expression: sp.Expr, normal: Sequence[Any]) -> Any:
    """The F (d,) of an expression `F . n`; None for another one."""
    flux = sp.ImmutableDenseMatrix([expression.diff(n) for n in normal])
    rest = sp.expand(expression.xreplace(dict.fromkeys(normal, sp.S.Zero)))
    return None if rest != 0 or flux.has(*normal) else flux


def ratio(flux: Any, stated: Any) -> Any:
    """The r with `flux = r * stated` (+1 and -1 first), or None. r may hold coefficients, but no derivative."""
    if flux == stated:
        return sp.S.One
    if flux == -stated:
        return sp.S.NegativeOne
    k = next((k for k, entry in enumerate(stated) if entry != 0), None)
    if k is None or flux[k] == 0:
        return None
    # As rational functions of plain symbols: cancel() would open every Piecewise.
    functions = _outermost([*flux, *stated])
    marks = {function: sp.Dummy() for function in functions}
    left = [entry.xreplace(marks) for entry in flux]
    right = [entry.xreplace(marks) for entry in stated]
    r = sp.cancel(left[k] / right[k]) if _small(flux) else left[k] / right[k]
    derivatives = {mark for function, mark in marks.items() if isinstance(function, sp.Derivative)}
    if r.free_symbols & derivatives or any(sp.expand(a - r * b) != 0 for a, b in zip(left, right, strict=True)):
        return None
    return r.xreplace({mark: function for function, mark in marks.items()})


def outflow(parts: Split, stated: Any, value: sp.Expr) -> tuple[tuple[int, ...], sp.Expr] | None:
    """What `stated . n = value` says about an equation: which of its fluxes it fixes, and their sum c_j F_j . n.

    Returns (indices j, outflow), or None if the stated flux is none of them, nor their total.
    """
    for j, (factor, flux) in enumerate(zip(parts.factors, parts.fluxes, strict=True)):
        r = ratio(flux, stated)
        if r is not None:
            return (j,), factor * r * value
    if len(parts.fluxes) > 1:
        r = ratio(parts.total, stated)
        if r is not None:
            return tuple(range(len(parts.fluxes))), r * value
    return None


def pair(rows: Sequence[Row], components: Sequence[FieldComponent]) -> list[int]:
    """For each row the component it determines: that whose highest and most derivatives it holds.

    With at most as many rows as components no component is taken twice; its test function multiplies the row.
    """
    scores = [_scores(row.expression, components) for row in rows]
    n, m = len(rows), len(components)
    if n > m:
        return [max(range(m), key=lambda j: (score[j], -j)) for score in scores]
    if n == m and all(max(range(m), key=lambda j: (score[j], -j)) == i for i, score in enumerate(scores)):
        return list(range(n))
    if m <= 6:
        return list(max(permutations(range(m), n), key=lambda order: sum(scores[i][j] for i, j in enumerate(order))))
    free, chosen = list(range(m)), []
    for score in scores:
        chosen.append(max(free, key=lambda j: (score[j], -j)))
        free.remove(chosen[-1])
    return chosen


def _scores(expression: Any, components: Sequence[FieldComponent]) -> list[int]:
    plain = expanded(expression)
    held: dict[Any, list[sp.Derivative]] = {}
    nodes: Any = plain.atoms(sp.Derivative)
    for node in nodes:
        held.setdefault(node.expr, []).append(node)
    present = plain.atoms(FieldComponent)
    scores = []
    for component in components:
        nodes = held.get(component, [])
        order = max((int(node.derivative_count) for node in nodes), default=0)
        top = [node for node in nodes if node.derivative_count == order]
        pure = sum(len(node.variable_count) == 1 for node in top)
        # A hundredfold per order: the Laplacian of a velocity outweighs first derivatives in two other rows.
        scores.append((component in present) + (100**order if order else 0) + 10 * pure + len(nodes))
    return scores


def jet_of(node: Any) -> tuple[Any, tuple[int, ...]]:
    """The function and the multi-index over its arguments of `u(x, y)` or `Derivative(u(x, y), (x, 2))`.

    Raises StatementError for a derivative of anything else, or by anything but a coordinate.
    """
    if not isinstance(node, sp.Derivative):
        return node, (0,) * len(node.args)
    function, counts = node.expr, dict.fromkeys(node.expr.args, 0)
    variables: Any = node.variable_count
    for variable, count in variables:
        if variable not in counts or not isinstance(variable, Coordinate):
            raise StatementError(f"{node} is no derivative by coordinates of the mesh; evaluate it with doit() first")
        counts[variable] += int(count)
    return function, tuple(counts.values())


def _outermost(expressions: Sequence[Any]) -> set[Any]:
    """The derivatives and functions that stand in no other one."""
    found: set[Any] = set()
    for expression in expressions:
        if isinstance(expression, (sp.Derivative, sp.Function)):
            found.add(expression)
        else:
            found |= _outermost(expression.args)
    return found


def _small(flux: Any) -> bool:
    # cancel() takes seconds on the long fluxes of nonlinear elasticity, whose quotients cancel by themselves or never
    return sum(entry.count_ops() for entry in flux) < 60
