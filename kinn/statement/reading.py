"""How the arguments of equations and conditions are read: names, expressions, one value per component."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import sympy as sp

from kinn.statement.errors import StatementError
from kinn.statement.fields import FieldComponent, VectorField

Names = str | Iterable[str] | None


def names_of(on: Names, what: str, default: tuple[str, ...] | None = None) -> tuple[str, ...]:
    """`on` as a tuple of names."""
    names = default if on is None else (on,) if isinstance(on, str) else tuple(on)
    if names is None or (not names and default is None) or not all(isinstance(name, str) for name in names):
        raise StatementError(f"{what} with on={on!r}: give the name of a part of the boundary, or a list of names")
    return tuple(dict.fromkeys(names))


def on_text(names: tuple[str, ...]) -> str:
    """The end of a label: ` on left, right`."""
    return f" on {', '.join(names)}" if names else ""


def as_expression(value: Any, what: str) -> Any:
    """The value as a SymPy expression or matrix; `lhs == rhs` and sp.Eq get a clear answer."""
    if isinstance(value, bool):
        raise StatementError(f"{what} is {value}: in Python '==' compares; write lhs - rhs, which is 0 where it holds")
    try:
        many = isinstance(value, (list, tuple))
        result: Any = sp.ImmutableDenseMatrix(value) if many else sp.sympify(value, strict=True)
    except (sp.SympifyError, TypeError, ValueError):
        raise StatementError(f"{what} is {value!r}; give a SymPy expression or a number") from None
    if isinstance(result, sp.Eq):
        return result.args[0] - result.args[1]  # type: ignore[operator]
    if not isinstance(result, (sp.Expr, sp.MatrixBase)):
        raise StatementError(f"{what} is {value}; give an expression that is 0 where it holds")
    mutable = isinstance(result, sp.MatrixBase) and not isinstance(result, VectorField)
    return sp.ImmutableDenseMatrix(result) if mutable else result


def flat(value: Any) -> tuple[Any, ...]:
    """The entries of a matrix, or the one expression."""
    return tuple(value.flat()) if isinstance(value, sp.MatrixBase) else (value,)


def column(value: Any, size: int, what: str) -> tuple[sp.Expr, ...]:
    """`size` expressions from a list, a column or one value for all."""
    entries = flat(as_expression(value, f"the value of {what}"))
    if len(entries) == 1:
        return entries * size
    if len(entries) != size:
        raise StatementError(
            f"{what} has {len(entries)} values for {size} components; give {size} values or one for all"
        )
    return entries


def checked_field(field: Any, what: str) -> None:
    """Refuse what is neither a field nor one component of it."""
    if not isinstance(field, (VectorField, FieldComponent)):
        raise StatementError(
            f"{what} of {field}: give a field or one component of it; "
            "for an expression use Condition(expression, on=...)"
        )
