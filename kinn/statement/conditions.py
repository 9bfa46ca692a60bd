"""Equations and the conditions on parts of the boundary, as plain frozen data.

Every class has `on` (names of parts of the mesh), `residuals()` (expressions that are 0 there) and `label`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import sympy as sp

from kinn.statement.calculus import flux_rows
from kinn.statement.errors import StatementError
from kinn.statement.fields import FieldComponent, VectorField, components_of, field_of, normal_of, space_of

Names = str | Iterable[str] | None


@dataclass(frozen=True)
class Equation:
    """`expression = 0` in the whole domain, or in the named subdomains only."""

    expression: Any
    on: Any = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "expression", _expression(self.expression, "an equation"))
        object.__setattr__(self, "on", names_of(self.on, "an equation", default=()))

    def residuals(self) -> tuple[sp.Expr, ...]:
        return _flat(self.expression)

    @property
    def label(self) -> str:
        return "equation" + _on(self.on)


@dataclass(frozen=True)
class Dirichlet:
    """A field, or one component of it, has a given value: `field = value` on a part of the boundary.

    `value` is an expression of coordinates and parameters; for a vector a list, a column or one value for all.
    """

    field: Any
    value: Any
    on: Any

    def __post_init__(self) -> None:
        _whole_field(self.field, "Dirichlet")
        object.__setattr__(self, "value", _column(self.value, len(self.components), f"Dirichlet of {self.field}"))
        object.__setattr__(self, "on", names_of(self.on, "Dirichlet"))

    @property
    def components(self) -> tuple[FieldComponent, ...]:
        return components_of(self.field) if isinstance(self.field, VectorField) else (self.field,)

    def residuals(self) -> tuple[sp.Expr, ...]:
        return tuple(u - value for u, value in zip(self.components, self.value, strict=True))

    @property
    def label(self) -> str:
        name = field_of(self.field) if isinstance(self.field, VectorField) else self.field.name
        return name + _on(self.on)


@dataclass(frozen=True)
class Neumann:
    """The flux out of the domain is given: `flux . n = value`, n the exterior unit normal.

    `flux` stands, up to its sign, under a `div` of an equation. `value` may hold fields (a nonlinear exchange). A
    matrix (c, d), a stress, has a value with c entries, a traction.
    """

    flux: Any
    value: Any
    on: Any

    def __post_init__(self) -> None:
        object.__setattr__(self, "flux", _flux(self.flux, "Neumann"))
        object.__setattr__(self, "value", _column(self.value, len(self.rows), "Neumann"))
        object.__setattr__(self, "on", names_of(self.on, "Neumann"))

    @property
    def rows(self) -> tuple[Any, ...]:
        """The flux of each scalar equation, a column (d, 1)."""
        return flux_rows(self.flux)

    def residuals(self) -> tuple[sp.Expr, ...]:
        normal = normal_of(space_of(self.flux))
        return tuple(row.dot(normal) - value for row, value in zip(self.rows, self.value, strict=True))

    @property
    def label(self) -> str:
        return "flux" + _on(self.on)


@dataclass(frozen=True)
class Robin:
    """Exchange with the surroundings: `flux . n = coefficient * (ambient - u)`.

    With flux = k grad T and coefficient h this is Newton's law of cooling.
    """

    flux: Any
    u: Any
    coefficient: Any
    ambient: Any
    on: Any

    def __post_init__(self) -> None:
        object.__setattr__(self, "flux", _flux(self.flux, "Robin"))
        for name in ("u", "coefficient", "ambient"):
            object.__setattr__(self, name, _column(getattr(self, name), len(self.rows), f"Robin's {name}"))
        object.__setattr__(self, "on", names_of(self.on, "Robin"))

    @property
    def rows(self) -> tuple[Any, ...]:
        return flux_rows(self.flux)

    @property
    def value(self) -> tuple[sp.Expr, ...]:
        """What `flux . n` equals, one entry per row."""
        return tuple(h * (a - u) for h, a, u in zip(self.coefficient, self.ambient, self.u, strict=True))

    def residuals(self) -> tuple[sp.Expr, ...]:
        normal = normal_of(space_of(self.flux))
        return tuple(row.dot(normal) - value for row, value in zip(self.rows, self.value, strict=True))

    @property
    def label(self) -> str:
        return "exchange" + _on(self.on)


@dataclass(frozen=True)
class Initial:
    """The value of a field, or of its time derivative, at the lower end of the interval of `mesh * Interval`.

    `on` is filled in by the Problem, which knows the mesh.
    """

    field: Any
    value: Any
    on: Any = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "field", _expression(self.field, "Initial"))
        object.__setattr__(self, "value", _column(self.value, len(_flat(self.field)), f"Initial of {self.field}"))
        object.__setattr__(self, "on", names_of(self.on, "Initial", default=()))

    @property
    def components(self) -> tuple[FieldComponent, ...] | None:
        """The components whose values are given, or None if a derivative is."""
        entries = _flat(self.field)
        return entries if all(isinstance(entry, FieldComponent) for entry in entries) else None  # type: ignore[return-value]

    def residuals(self) -> tuple[sp.Expr, ...]:
        return tuple(u - value for u, value in zip(_flat(self.field), self.value, strict=True))

    @property
    def label(self) -> str:
        if isinstance(self.field, (VectorField, FieldComponent)):
            return "initial " + self.field.name
        return "initial " + ", ".join(str(entry) for entry in _flat(self.field))


@dataclass(frozen=True)
class Condition:
    """Any other condition: `expression = 0` on a part of the boundary; it may hold derivatives and `mesh.normal`."""

    expression: Any
    on: Any

    def __post_init__(self) -> None:
        object.__setattr__(self, "expression", _expression(self.expression, "Condition"))
        object.__setattr__(self, "on", names_of(self.on, "Condition"))

    def residuals(self) -> tuple[sp.Expr, ...]:
        return _flat(self.expression)

    @property
    def label(self) -> str:
        return "condition" + _on(self.on)


AnyCondition = Dirichlet | Neumann | Robin | Initial | Condition


def unique_labels(entries: Iterable[Any]) -> list[str]:
    """The labels of conditions, numbered where two are equal: the names of terms in tables and progress lines."""
    names: list[str] = []
    for entry in entries:
        label, n = entry.label, 2
        while label in names:
            label, n = f"{entry.label} ({n})", n + 1
        names.append(label)
    return names


def names_of(on: Names, what: str, default: tuple[str, ...] | None = None) -> tuple[str, ...]:
    """`on` as a tuple of names."""
    names = default if on is None else (on,) if isinstance(on, str) else tuple(on)
    if names is None or (not names and default is None) or not all(isinstance(name, str) for name in names):
        raise StatementError(f"{what} with on={on!r}: give the name of a part of the boundary, or a list of names")
    return tuple(dict.fromkeys(names))


def _on(names: tuple[str, ...]) -> str:
    return f" on {', '.join(names)}" if names else ""


def _expression(value: Any, what: str) -> Any:
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


def _flat(value: Any) -> tuple[Any, ...]:
    return tuple(value.flat()) if isinstance(value, sp.MatrixBase) else (value,)


def _column(value: Any, size: int, what: str) -> tuple[sp.Expr, ...]:
    entries = _flat(_expression(value, f"the value of {what}"))
    if len(entries) == 1:
        return entries * size
    if len(entries) != size:
        raise StatementError(
            f"{what} has {len(entries)} values for {size} components; give {size} values or one for all"
        )
    return entries


def _flux(flux: Any, what: str) -> Any:
    flux = _expression(flux, f"the flux of {what}")
    flux_rows(flux)
    return flux


def _whole_field(field: Any, what: str) -> None:
    if not isinstance(field, (VectorField, FieldComponent)):
        raise StatementError(
            f"{what} of {field}: give a field or one component of it; "
            "for an expression use Condition(expression, on=...)"
        )
