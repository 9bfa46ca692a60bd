"""Residual expressions as torch functions of jets, points, normals, parameters and tabulated coefficients."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sympy as sp
import torch
from torch import Tensor

from kinn.formulations.printer import compile_torch
from kinn.statement.calculus import expanded
from kinn.statement.coefficients import CoefficientFunction
from kinn.statement.coordinates import Coordinate, Normal
from kinn.statement.errors import StatementError
from kinn.statement.fields import FieldComponent
from kinn.statement.fluxes import jet_of
from kinn.statement.integrals import integrals_of
from kinn.statement.parameters import Parameter
from kinn.statement.problem import Problem

MAX_ORDER = 4
Jet = tuple[int, tuple[int, ...]]


class Program:
    """Compiled expressions f(z, x, normal, parameters, tables), pointwise and differentiable.

    Attributes:
        jets: the derivatives it reads, (output index, multi-index over all mesh coordinates), by order; the rows of z.
        parameters: indices into `problem.parameters` of those it reads.
        tables: (coefficient name, multi-index) of the rows that `tabulate` returns.
        needs_normal: whether it reads the boundary normal.

    The jets of a field with bounds or a guess are those of its free field, which networks and elements stand for (see
    `Expectation`); with `free` the expressions read these themselves.

    Results have the dtype and device of the inputs. Raises StatementError for a derivative of order above 4, a function
    that torch lacks, a non-finite constant, an unknown symbol or an `Integral`.

    >>> program = Program([-div(grad(u)).doit() - 1], problem)      # doctest: +SKIP
    >>> program.jets                                                # doctest: +SKIP
    ((0, (0, 2)), (0, (2, 0)))
    >>> residual = program(z, x)                                    # z (2, n), x (n, 2) -> (1, n)  # doctest: +SKIP
    """

    def __init__(self, expressions: Sequence[sp.Expr], problem: Problem, free: bool = False) -> None:
        plain = [expanded(sp.sympify(expression)) for expression in expressions]
        self.expressions: tuple[sp.Expr, ...] = tuple(plain)
        if not free:
            values = {c: c.expected.value(c) for c in problem.identified if c.expected is not None}
            plain = [expanded(expression.xreplace(values)) for expression in plain] if values else plain
        for node in (node for expression in plain for node in integrals_of(expression)):
            raise StatementError(
                f"not supported yet: {node} beside what is taken at points; write a kinn.Parameter c in its place and "
                f"add Condition({node} - c)"
            )
        index = {component: i for i, component in enumerate(problem.components)}
        jets: dict[Jet, Any] = {}
        tables: dict[tuple[Any, tuple[int, ...]], Any] = {}
        for node in _outermost(plain):
            function, orders = jet_of(node)
            if function in index:
                if sum(orders) > MAX_ORDER:
                    raise StatementError(
                        f"{node} is of order {sum(orders)}; networks supply derivatives up to {MAX_ORDER}"
                    )
                jets[index[function], orders] = node
            elif isinstance(function, CoefficientFunction):
                tables[function, orders] = node
            else:
                raise StatementError(f"{function} is no field of the problem{_fields(problem)}")
        self.jets: tuple[Jet, ...] = tuple(sorted(jets, key=lambda jet: (sum(jet[1]), jet)))
        self._coefficients = sorted(tables, key=lambda key: (key[0].func.__name__, sum(key[1]), key[1]))
        named = ((function.func.__name__, orders) for function, orders in self._coefficients)
        self.tables: tuple[tuple[str, tuple[int, ...]], ...] = tuple(named)
        all_parameters = list(problem.parameters.values())
        symbols = set().union(*(e.free_symbols for e in plain))
        used = [p for p in all_parameters if p in symbols]
        self.parameters: tuple[int, ...] = tuple(all_parameters.index(p) for p in used)
        self._axes = sorted((s for s in symbols if isinstance(s, Coordinate)), key=lambda s: s.axis)
        self._normals = sorted((s for s in symbols if isinstance(s, Normal)), key=lambda s: s.axis)
        self.needs_normal: bool = bool(self._normals)
        nodes = [jets[jet] for jet in self.jets] + [tables[key] for key in self._coefficients]
        marks = [sp.Dummy(f"z{i}", real=True) for i in range(len(nodes))]
        replaced = dict(zip(nodes, marks, strict=True))
        marked = [e.xreplace(replaced) for e in plain]
        # Coordinates can vanish (x occurred only as an argument of u) or be of another mesh: the compiler tells.
        own = set(problem.mesh.coordinates)
        live = set().union(*(e.free_symbols for e in marked))
        self._axes = [s for s in self._axes if s in live and s in own]
        self._function = compile_torch([*marks, *self._axes, *self._normals, *used], marked)

    def tabulate(self, x: Tensor) -> Tensor:
        """Coefficients and their derivatives at points x (n, d): (number of tables, n), once per set of points."""
        if not self._coefficients:
            return x.new_zeros((0, len(x)))
        return torch.stack([_derivative(function, orders, x) for function, orders in self._coefficients])

    def __call__(
        self,
        z: Tensor,
        x: Tensor,
        normal: Tensor | None = None,
        parameters: Tensor | None = None,
        tables: Tensor | None = None,
    ) -> Tensor:
        """Values (number of expressions, n).

        `z` (len(jets), n) in the order of `jets`, `x` (n, d), `normal` (n, d), `parameters` (n_parameters,) or, one set
        per point, (n_parameters, n), of all the problem's parameters; `tables` from `tabulate(x)`.
        """
        if tables is None:
            tables = self.tabulate(x)
        arguments = [*z.unbind(0), *tables.unbind(0), *(x[:, s.axis] for s in self._axes)]
        if self._normals:
            if normal is None:
                raise ValueError("the program reads the boundary normal; pass normal (n, d)")
            arguments += [normal[:, s.axis] for s in self._normals]
        if self.parameters:
            if parameters is None:
                raise ValueError("the program reads parameters; pass parameters (n_parameters,) or (n_parameters, n)")
            arguments += [parameters[i] for i in self.parameters]
        values = self._function(*arguments)
        n = len(x)
        return torch.stack([v.expand(n) if isinstance(v, Tensor) else x.new_full((n,), v) for v in values])


def _outermost(expressions: Sequence[sp.Basic]) -> set[Any]:
    """Derivatives and functions that stand in no other derivative: u_x reads no value of u."""
    found: set[Any] = set()
    for expression in expressions:
        derivatives = expression.atoms(sp.Derivative)
        found |= derivatives
        bare = expression.xreplace({node: sp.S.One for node in derivatives}) if derivatives else expression
        found |= bare.atoms(FieldComponent, CoefficientFunction)
    return found


def evaluate_expression(expression: Any, coordinates: Sequence[Any], x: Tensor) -> Tensor:
    """The values (n,) of an expression of the coordinates alone at points x (n, d), in their dtype and device.

    Raises StatementError if it holds a field, a parameter or an unknown symbol.
    """
    expression = expanded(sp.sympify(expression))
    held = sorted(expression.atoms(FieldComponent, Parameter), key=str)
    if held:
        raise StatementError(f"{expression} holds {held[0]}; give an expression of the coordinates alone")
    nodes = sorted(_outermost([expression]), key=str)
    marks = [sp.Dummy(f"k{i}", real=True) for i in range(len(nodes))]
    marked = expression.xreplace(dict(zip(nodes, marks, strict=True)))
    (value,) = compile_torch([*marks, *coordinates], [marked])(
        *(_derivative(*jet_of(node), x) for node in nodes), *x.unbind(1)
    )
    return value.expand(len(x)) if isinstance(value, Tensor) else x.new_full((len(x),), value)


def _derivative(function: Any, orders: tuple[int, ...], x: Tensor) -> Tensor:
    """A partial derivative of a coefficient at x (n, d): its own one, or of a torch function by repeated autograd."""
    own = function.derivative(orders)
    if own is not None:
        return own(*x.detach().unbind(1))
    with torch.enable_grad():
        columns = [column.detach().clone().requires_grad_(any(orders)) for column in x.unbind(1)]
        value = torch.as_tensor(function.function(*columns), dtype=x.dtype, device=x.device).expand(len(x))
        for axis, order in enumerate(orders):
            for _ in range(order):
                if not value.requires_grad:
                    return torch.zeros_like(columns[0])
                slopes = torch.autograd.grad(value.sum(), columns[axis], create_graph=True, allow_unused=True)
                value = torch.zeros_like(columns[0]) if slopes[0] is None else slopes[0]
    return value.detach()


def _fields(problem: Problem) -> str:
    return "; it has: " + ", ".join(repr(name) for name in problem.fields)


__all__ = ["MAX_ORDER", "Program", "evaluate_expression"]
