"""SymPy expressions as torch code: one straight-line function per set of expressions.

SymPy's own torch printer sends numbers to torch functions, prints Max with two arguments only and lets Piecewise fall
into torch's default dtype. Here every constant subexpression becomes a Python float first, so that dtype and device
are those of the tensors, and what is left is printed with the functions below.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Literal

import sympy as sp
import torch
from sympy.printing.pycode import AbstractPythonCodePrinter
from torch import Tensor

from kinn.statement.errors import StatementError

Number = float | Tensor
Compiled = Callable[..., tuple[Number, ...]]

_UNARY = {
    sp.Abs: "abs", sp.acos: "acos", sp.acosh: "acosh", sp.asin: "asin", sp.asinh: "asinh", sp.atan: "atan",
    sp.atanh: "atanh", sp.ceiling: "ceil", sp.cos: "cos", sp.cosh: "cosh", sp.erf: "erf", sp.erfc: "erfc",
    sp.erfinv: "erfinv", sp.exp: "exp", sp.floor: "floor", sp.log: "log", sp.loggamma: "lgamma", sp.sign: "sign",
    sp.sin: "sin", sp.sinh: "sinh", sp.tan: "tan", sp.tanh: "tanh", sp.digamma: "digamma",
}  # fmt: skip
# Functions that torch lacks, by those it has.
_REWRITTEN: dict[Any, Callable[..., sp.Expr]] = {
    sp.sec: lambda x: 1 / sp.cos(x),
    sp.csc: lambda x: 1 / sp.sin(x),
    sp.cot: lambda x: 1 / sp.tan(x),
    sp.sech: lambda x: 1 / sp.cosh(x),
    sp.csch: lambda x: 1 / sp.sinh(x),
    sp.coth: lambda x: 1 / sp.tanh(x),
    sp.acot: lambda x: sp.atan(1 / x),
}
_SINGULAR = (sp.log, sp.acos, sp.asin, sp.acosh, sp.atanh, sp.loggamma, sp.tan, sp.atan2)


class _Printer(AbstractPythonCodePrinter):
    """Prints an expression without constant subexpressions other than numbers."""

    def __init__(self, names: dict[sp.Symbol, str]) -> None:
        super().__init__({"fully_qualified_modules": False, "allow_unknown_functions": False})
        self._names = names

    def _print_Symbol(self, expr: sp.Symbol) -> str:
        return self._names.get(expr, expr.name)

    _print_Dummy = _print_Symbol

    def _number(self, expr: sp.Expr) -> str:
        return repr(float(expr))

    _print_Integer = _print_Rational = _print_Float = _print_Half = _number  # type: ignore[assignment]
    _print_Zero = _print_One = _print_NegativeOne = _number  # type: ignore[assignment]

    def _print_Pow(self, expr: sp.Pow, rational: bool = False) -> str:
        base, exponent = self._print(expr.base), expr.exp
        special = {
            2: "torch.square({})", 3: "({})**3", 4: "torch.square(torch.square({}))", -1: "torch.reciprocal({})",
            -2: "torch.reciprocal(torch.square({}))", sp.S.Half: "torch.sqrt({})", -sp.S.Half: "torch.rsqrt({})",
        }  # fmt: skip
        if exponent in special:
            return special[exponent].format(base)
        if exponent.is_Integer:
            return f"({base})**({int(exponent)})"
        return f"torch.pow({base}, {self._print(exponent)})"

    def _print_Function(self, expr: Any) -> str:
        name = _UNARY.get(type(expr))
        if name is None or len(expr.args) != 1:
            raise StatementError(
                f"{type(expr).__name__} in {expr} has no torch counterpart; write it with elementary functions, or "
                "wrap a torch function of the coordinates in kinn.Coefficient"
            )
        return f"torch.{name}({self._print(expr.args[0])})"

    def _print_exp(self, expr: Any) -> str:
        return f"torch.exp({self._print(expr.args[0])})"

    def _print_not_supported(self, expr: Any) -> str:
        return self._print_Function(expr)

    emptyPrinter = _print_not_supported  # noqa: N815
    _print_log = _print_sign = _print_Abs = _print_floor = _print_ceiling = _print_Function

    def _print_atan2(self, expr: Any) -> str:
        return f"_atan2({self._print(expr.args[0])}, {self._print(expr.args[1])})"

    def _print_besselj(self, expr: Any) -> str:
        order, argument = expr.args
        if order not in (0, 1):
            return self._print_Function(expr)
        return f"_Bessel{int(order)}.apply({self._print(argument)})"

    def _print_sinc(self, expr: Any) -> str:
        return f"torch.sinc({self._print(expr.args[0])}/{math.pi!r})"

    def _print_Mod(self, expr: Any) -> str:
        return f"_remainder({self._print(expr.args[0])}, {self._print(expr.args[1])})"

    def _print_Max(self, expr: Any) -> str:
        return self._folded("_maximum", expr)

    def _print_Min(self, expr: Any) -> str:
        return self._folded("_minimum", expr)

    def _folded(self, name: str, expr: Any) -> str:
        text = self._print(expr.args[0])
        for argument in expr.args[1:]:
            text = f"{name}({text}, {self._print(argument)})"
        return text

    def _print_Heaviside(self, expr: Any) -> str:
        return f"_heaviside({self._print(expr.args[0])}, {self._print(expr.args[1])})"

    def _print_Relational(self, expr: Any) -> str:
        return f"(({self._print(expr.lhs)}) {expr.rel_op} ({self._print(expr.rhs)}))"

    def _print_And(self, expr: Any) -> str:
        return "(" + " & ".join(self._print(argument) for argument in expr.args) + ")"

    def _print_Or(self, expr: Any) -> str:
        return "(" + " | ".join(self._print(argument) for argument in expr.args) + ")"

    def _print_Not(self, expr: Any) -> str:
        return f"(~{self._print(expr.args[0])})"

    def _print_BooleanTrue(self, expr: Any) -> Literal["True"]:
        return "True"

    def _print_BooleanFalse(self, expr: Any) -> Literal["False"]:
        return "False"


def _like(value: Number, other: Number) -> Tensor:
    """A number as a tensor of the other's dtype and device."""
    if isinstance(value, Tensor):
        return value
    if not isinstance(other, Tensor):
        return torch.tensor(value, dtype=torch.float64)
    return torch.as_tensor(value, dtype=other.dtype, device=other.device)


def _pairwise(function: Callable[[Tensor, Tensor], Tensor]) -> Callable[[Number, Number], Tensor]:
    return lambda a, b: function(_like(a, b), _like(b, a))


def _heaviside(x: Tensor, half: Number) -> Tensor:
    return (x > 0).to(x.dtype) + half * (x == 0).to(x.dtype)


class _Bessel0(torch.autograd.Function):
    """J_0 with its derivative -J_1; torch has the values only."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return torch.special.bessel_j0(x)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        return -grads[0] * _Bessel1.apply(ctx.saved_tensors[0])


class _Bessel1(torch.autograd.Function):
    """J_1 with its derivative J_0 - J_1 / x, which is 1/2 at 0."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return torch.special.bessel_j1(x)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        (x,) = ctx.saved_tensors
        safe = torch.where(x == 0, torch.ones_like(x), x)
        j1: Any = _Bessel1.apply(safe)
        quotient = torch.where(x == 0, torch.full_like(x, 0.5), j1 / safe)
        return grads[0] * (_Bessel0.apply(x) - quotient)


_NAMESPACE = {
    "torch": torch, "_heaviside": _heaviside, "_maximum": _pairwise(torch.maximum),
    "_minimum": _pairwise(torch.minimum), "_atan2": _pairwise(torch.atan2), "_Bessel0": _Bessel0,
    "_remainder": _pairwise(torch.remainder), "_Bessel1": _Bessel1,
}  # fmt: skip


def compile_torch(symbols: Sequence[sp.Symbol], expressions: Sequence[sp.Expr]) -> Compiled:
    """A function of one tensor per symbol that returns one tensor (or Python float) per expression.

    Common subexpressions are computed once. Raises StatementError for a function that torch lacks, a complex or
    non-finite constant, and an unknown symbol.
    """
    for expression in expressions:
        pending = sorted(expression.atoms(sp.Integral, sp.Sum, sp.Product, sp.Limit, sp.Subs), key=str)
        if pending:
            raise StatementError(f"{pending[0]} is not evaluated; use doit() and see that a formula comes out")
    prepared = [_with_numbers(expression) for expression in expressions]
    names = {symbol: f"s{i}" for i, symbol in enumerate(symbols)}
    unknown = set().union(*(e.free_symbols for e in prepared)) - set(symbols)
    if unknown:
        name = min(map(str, unknown))
        raise StatementError(f"unknown symbol {name!r} in {expressions[0]}; use coordinates and parameters")
    # A Piecewise becomes a call of its own, and hides from the common subexpressions: see _select.
    nodes: dict[sp.Expr, sp.Symbol] = {}
    outer = [_without_piecewise(expression, nodes) for expression in prepared]
    namespace = dict(_NAMESPACE)
    lines = [f"def program({', '.join(names.values())}):"]
    printer = _Printer(names)
    for i, (node, mark) in enumerate(nodes.items()):
        used: list[Any] = sorted(node.free_symbols, key=lambda s: names[s])  # type: ignore[index]
        namespace[f"_select{i}"] = _selection(used, node)
        lines.append(f"    {mark.name} = _select{i}({', '.join(names[s] for s in used)})")
    shared, results = sp.cse(outer, symbols=sp.numbered_symbols("c", real=True), order="none")
    for symbol, value in shared:
        lines.append(f"    {symbol.name} = {printer.doprint(value)}")
    lines.append(f"    return ({', '.join(str(printer.doprint(value)) for value in results)},)")
    exec(compile("\n".join(lines), "<torch program>", "exec"), namespace)
    return namespace["program"]


def _with_numbers(expression: sp.Expr) -> sp.Expr:
    """Every constant subexpression (sqrt(2), cosh(pi)) as a number of double precision; missing functions rewritten."""
    if not expression.args or isinstance(expression, (sp.Number, sp.NumberSymbol)):
        return _number(expression) if expression.is_number else expression
    if not expression.free_symbols and isinstance(expression, sp.Expr):
        return _number(expression)
    arguments = [_with_numbers(argument) for argument in expression.args]  # type: ignore[arg-type]
    function = _REWRITTEN.get(expression.func, expression.func)
    if function is expression.func and all(a is b for a, b in zip(arguments, expression.args, strict=True)):
        return expression
    return function(*arguments)


def _number(expression: sp.Expr) -> sp.Expr:
    value = expression.evalf(17)
    if isinstance(expression, sp.Rational) and abs(value) < 1e308:
        return expression  # exponents stay whole numbers and roots
    if not (value.is_Number and value.is_finite and abs(value) < 1e308):
        reason = "is complex" if value.is_number and value.is_real is False and value.is_finite else "is not finite"
        raise StatementError(f"the constant {expression} {reason}; write the expression with finite real numbers")
    return sp.Float(value, 17)


def _without_piecewise(expression: sp.Expr, nodes: dict[sp.Expr, sp.Symbol]) -> sp.Expr:
    if isinstance(expression, sp.Piecewise):
        return nodes.setdefault(expression, sp.Symbol(f"p{len(nodes)}", real=True))
    if not expression.has(sp.Piecewise):
        return expression
    return expression.func(*(_without_piecewise(argument, nodes) for argument in expression.args))  # type: ignore[arg-type]


def _selection(symbols: list[sp.Symbol], node: Any) -> Callable[..., Tensor]:
    """A Piecewise as a function: each branch where its condition is the first to hold, NaN where none does.

    A branch such as sqrt(x) has an infinite derivative outside its region, and 0 * inf is NaN in the gradient. Such a
    branch is evaluated with its inputs replaced, outside its region, by those of a point inside.
    """
    branches: list[tuple[Compiled, Compiled | None, bool]] = []
    for value, condition in node.args:
        holds = None if condition == sp.true else compile_torch(symbols, [condition])
        branches.append((compile_torch(symbols, [value]), holds, _is_singular(value)))

    def select(*inputs: Tensor) -> Tensor:
        inputs = torch.broadcast_tensors(*inputs)
        result = torch.full_like(inputs[0], math.nan)
        free = torch.ones_like(inputs[0], dtype=torch.bool)
        for branch, holds, singular in branches:
            here = free if holds is None else free & torch.as_tensor(holds(*inputs)[0], device=free.device)
            free = free & ~here
            arguments = inputs
            if singular:
                if not here.any():
                    continue
                inside = here.flatten().to(torch.uint8).argmax()
                arguments = tuple(torch.where(here, x, x.detach().flatten()[inside]) for x in inputs)
            result = torch.where(here, _like(branch(*arguments)[0], result), result)
        return result

    return select


def _is_singular(value: sp.Expr) -> bool:
    if value.has(*_SINGULAR):
        return True
    return any(power.exp.is_nonnegative is not True or not power.exp.is_integer for power in value.atoms(sp.Pow))


__all__ = ["compile_torch"]
