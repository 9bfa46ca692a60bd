"""The plain data that the formulations consume: terms of a strong form, rows and ties of a weak form."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import sympy as sp

from kinn.statement.errors import StatementError

Kind = Literal["equation", "essential", "natural", "condition", "periodic", "integral", "data"]


@dataclass(frozen=True)
class Term:
    """Residuals that are 0 on a part of the mesh.

    `expressions` hold no `Div`; normals are `Normal` symbols. `on` names boundary parts, for an equation subdomains;
    () is the whole domain. `facets` is set only where no names select the facets (the unnamed rest of a boundary).
    Of kind "periodic" the residual of the k-th expression e is `e(x + shift) - e(x) - jumps[k]` for x on `on`; `shift`
    has one entry per coordinate of the mesh, and `jumps[k]` is an expression taken at x. Of kind "integral" an expression
    is one number, made of inert `Integral` nodes.
    """

    name: str
    kind: Kind
    expressions: tuple[sp.Expr, ...]
    on: tuple[str, ...] = ()
    facets: tuple[int, ...] | None = None
    shift: tuple[float, ...] | None = None
    jumps: tuple[sp.Expr, ...] = ()


class NoWeakForm(StatementError):
    """The statement has no weak form of first derivatives; the text says why."""


@dataclass(frozen=True)
class WeakRow:
    """One test function's equation.

    R(v) = int flux . grad v + source v dx + sum int_on g v ds, grad over the spatial coordinates, v zero where the
    component `component_index` has an essential condition. `boundary` holds the pairs (names, g); `on` are subdomains.
    """

    name: str
    component_index: int
    flux: tuple[sp.Expr, ...]
    source: sp.Expr
    boundary: tuple[tuple[tuple[str, ...], sp.Expr], ...]
    on: tuple[str, ...] = ()


@dataclass(frozen=True)
class PeriodicTie:
    """The component's value on boundaries `second` minus its value on `first` (a translation) is `value`, taken on `first`.

    Test functions are periodic without a jump: then the fluxes through both sides cancel, as they should.
    """

    component_index: int
    first: tuple[str, ...]
    second: tuple[str, ...]
    value: sp.Expr


@dataclass(frozen=True)
class InterfaceTie:
    """On the interface `on` the component's value on the other side minus that on subdomain `side` is `value`.

    Test functions stay continuous there: then the flux is continuous too, but for the row's boundary integrals.
    """

    component_index: int
    on: tuple[str, ...]
    side: str
    value: sp.Expr


@dataclass(frozen=True)
class WeakForm:
    """Rows in the order of `problem.components`, essential values, what stays a soft least-squares term, and ties.

    A tie joins the values of one component on two sides, and its test functions.
    """

    rows: tuple[WeakRow, ...]
    essential: tuple[tuple[int, sp.Expr, tuple[str, ...]], ...]
    other: tuple[Term, ...]
    ties: tuple[PeriodicTie | InterfaceTie, ...] = ()
