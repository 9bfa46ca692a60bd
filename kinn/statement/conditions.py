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
from kinn.statement.integrals import is_global
from kinn.statement.reading import as_expression, checked_field, column, flat, names_of, on_text


@dataclass(frozen=True)
class Equation:
    """`expression = 0` in the whole domain, or in the named subdomains only."""

    expression: Any
    on: Any = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "expression", as_expression(self.expression, "an equation"))
        object.__setattr__(self, "on", names_of(self.on, "an equation", default=()))

    def residuals(self) -> tuple[sp.Expr, ...]:
        return flat(self.expression)

    @property
    def label(self) -> str:
        return "equation" + on_text(self.on)


@dataclass(frozen=True)
class Dirichlet:
    """A field, or one component of it, has a given value: `field = value` on a part of the boundary.

    `value` is an expression of coordinates and parameters; for a vector a list, a column or one value for all.
    """

    field: Any
    value: Any
    on: Any

    def __post_init__(self) -> None:
        checked_field(self.field, "Dirichlet")
        object.__setattr__(self, "value", column(self.value, len(self.components), f"Dirichlet of {self.field}"))
        object.__setattr__(self, "on", names_of(self.on, "Dirichlet"))

    @property
    def components(self) -> tuple[FieldComponent, ...]:
        return components_of(self.field) if isinstance(self.field, VectorField) else (self.field,)

    def residuals(self) -> tuple[sp.Expr, ...]:
        return tuple(u - value for u, value in zip(self.components, self.value, strict=True))

    @property
    def label(self) -> str:
        name = field_of(self.field) if isinstance(self.field, VectorField) else self.field.name
        return name + on_text(self.on)


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
        object.__setattr__(self, "value", column(self.value, len(self.rows), "Neumann"))
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
        return "flux" + on_text(self.on)


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
            object.__setattr__(self, name, column(getattr(self, name), len(self.rows), f"Robin's {name}"))
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
        return "exchange" + on_text(self.on)


@dataclass(frozen=True)
class Initial:
    """The value of a field, or of its time derivative, at the lower end of the interval of `mesh * Interval`.

    `on` is filled in by the Problem, which knows the mesh.
    """

    field: Any
    value: Any
    on: Any = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "field", as_expression(self.field, "Initial"))
        object.__setattr__(self, "value", column(self.value, len(flat(self.field)), f"Initial of {self.field}"))
        object.__setattr__(self, "on", names_of(self.on, "Initial", default=()))

    @property
    def components(self) -> tuple[FieldComponent, ...] | None:
        """The components whose values are given, or None if a derivative is."""
        entries = flat(self.field)
        return entries if all(isinstance(entry, FieldComponent) for entry in entries) else None  # type: ignore[return-value]

    def residuals(self) -> tuple[sp.Expr, ...]:
        return tuple(u - value for u, value in zip(flat(self.field), self.value, strict=True))

    @property
    def label(self) -> str:
        if isinstance(self.field, (VectorField, FieldComponent)):
            return "initial " + self.field.name
        return "initial " + ", ".join(str(entry) for entry in flat(self.field))


@dataclass(frozen=True)
class Condition:
    """Any other condition: `expression = 0` on a part of the boundary; it may hold derivatives and `mesh.normal`.

    On an interface inside the domain `side` names the subdomain that `mesh.normal` points out of, and the expression
    says with `jump` and `average` what happens there: `Condition(jump(flux.dot(mesh.normal)) - q, "weld", side="steel")`.
    Without one the field and the flux are continuous. An expression of `Integral`s alone, one number, has no place:
    `Condition(Integral(p))`.
    """

    expression: Any
    on: Any = None
    side: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "expression", as_expression(self.expression, "Condition"))
        number = all(is_global(residual) for residual in self.residuals())
        object.__setattr__(self, "on", names_of(self.on, "Condition", default=() if number else None))
        if number and self.on:
            raise StatementError(f"Condition with on={self.on}: {self.expression} is one number; leave on= out")
        if self.side is not None and not isinstance(self.side, str):
            raise StatementError(f"Condition with side={self.side!r}: give the name of one subdomain")

    @property
    def is_global(self) -> bool:
        """Whether it says something about integrals alone, at no place."""
        return not self.on

    def residuals(self) -> tuple[sp.Expr, ...]:
        return flat(self.expression)

    @property
    def label(self) -> str:
        return "condition" + on_text(self.on)


@dataclass(frozen=True)
class Periodic:
    """A field repeats: its value on `second` is its value on `first` plus `jump`, and the fluxes are the same.

    `first` and `second` name opposite parts of the boundary, one a translation of the other, meshed alike. `jump` is
    a number or an expression of the coordinates of `first`, for a vector one per component or one for all.

    >>> Periodic(u, "left", "right").label          # doctest: +SKIP
    'periodic left - right'
    """

    field: Any
    first: Any
    second: Any
    jump: Any = 0

    def __post_init__(self) -> None:
        checked_field(self.field, "Periodic")
        object.__setattr__(self, "first", names_of(self.first, "the first side of Periodic"))
        object.__setattr__(self, "second", names_of(self.second, "the second side of Periodic"))
        object.__setattr__(self, "jump", column(self.jump, len(self.components), f"Periodic of {self.field}"))

    @property
    def components(self) -> tuple[FieldComponent, ...]:
        return components_of(self.field) if isinstance(self.field, VectorField) else (self.field,)

    @property
    def on(self) -> tuple[str, ...]:
        return (*self.first, *self.second)

    def residuals(self) -> tuple[sp.Expr, ...]:
        """Nothing: the condition joins two points, so no expression at one point is 0."""
        return ()

    @property
    def label(self) -> str:
        return f"periodic {', '.join(self.first)} - {', '.join(self.second)}"


AnyCondition = Dirichlet | Neumann | Robin | Initial | Condition | Periodic


def unique_labels(entries: Iterable[Any]) -> list[str]:
    """The labels of conditions, numbered where two are equal: the names of terms in tables and progress lines."""
    names: list[str] = []
    for entry in entries:
        label, n = entry.label, 2
        while label in names:
            label, n = f"{entry.label} ({n})", n + 1
        names.append(label)
    return names


def _flux(flux: Any, what: str) -> Any:
    flux = as_expression(flux, f"the flux of {what}")
    flux_rows(flux)
    return flux
