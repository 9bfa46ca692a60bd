"""A boundary value problem: a mesh, equations, conditions and data, checked before anything is trained."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

import sympy as sp

from kinn.statement.calculus import expanded
from kinn.statement.check import check, find_jumps
from kinn.statement.coefficients import CoefficientFunction
from kinn.statement.conditions import AnyCondition, Condition, Dirichlet, Equation, Initial, Neumann, Periodic, Robin
from kinn.statement.errors import StatementError
from kinn.statement.fields import FieldComponent, components_of
from kinn.statement.fluxes import Row
from kinn.statement.integrals import Integral, integrals_of
from kinn.statement.interfaces import at_interface
from kinn.statement.observations import Observations
from kinn.statement.parameters import Parameter
from kinn.statement.places import time_ends
from kinn.statement.verify import verify


class Problem:
    """Equations, conditions and observations on a mesh.

    `equations` is a dict name -> expression that is 0 in the domain (or an `Equation`, or a matrix of expressions), a
    list of them, or one. `conditions` and `observations` are lists. `exact`, {field or parameter: expression}, is read
    by `verify()` alone, never by a solver.

    Attributes:
        fields: dict name -> its scalar components, in order of appearance.
        components: all components; the place here is the index of the network's output.
        parameters, coefficients: dicts name -> symbol or function.
        rows: the scalar equations.
        notes: remarks of `check()`.

    Raises StatementError for what cannot be read as a problem; `check()` finds the rest.

    >>> problem = Problem(mesh, {"poisson": -div(grad(u)) - 1}, [Dirichlet(u, 0, on="wall")])   # doctest: +SKIP
    """

    def __init__(
        self,
        mesh: Any,
        equations: Any,
        conditions: Iterable[AnyCondition] = (),
        observations: Iterable[Observations] = (),
        exact: Mapping[Any, Any] | None = None,
    ) -> None:
        self.mesh = mesh
        self.equations: dict[str, Equation] = _named_equations(equations)
        self.conditions: tuple[AnyCondition, ...] = tuple(_placed(c, mesh) for c in _listed(conditions, "conditions"))
        self.observations: tuple[Observations, ...] = _with_own_names(_listed(observations, "observations"))
        self.exact: dict[Any, Any] = dict(exact or {})
        self.notes: tuple[str, ...] = ()
        self.rows: tuple[Row, ...] = tuple(
            Row(name, residual, equation.on)
            for name, equation in self.equations.items()
            for residual in equation.residuals()
        )
        everything = self.expressions()
        self.fields: dict[str, tuple[FieldComponent, ...]] = {}
        for expression in everything:
            for component in sorted(expression.atoms(FieldComponent), key=lambda c: (c.field, c.components, c.mesh_id)):
                known = self.fields.setdefault(component.field, components_of(component))
                if component not in known and component.func not in {c.func for c in known}:
                    raise StatementError(f"two different fields are named {component.field!r}; give each its own name")
        self.components: tuple[FieldComponent, ...] = tuple(c for field in self.fields.values() for c in field)
        self.parameters: dict[str, Parameter] = _by_name(everything, Parameter, "parameters")
        self.coefficients: dict[str, CoefficientFunction] = _by_name(everything, CoefficientFunction, "coefficients")
        names = [*self.fields, *self.parameters, *self.coefficients]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice:
            raise StatementError(f"{twice!r} names two things among fields, parameters and coefficients; rename one")

    def expressions(self) -> list[sp.Expr]:
        """All that the statement says is 0, and the expressions that data observe."""
        entries = [row.expression for row in self.rows]
        for condition in self.conditions:
            entries += condition.residuals()
            if isinstance(condition, Periodic):
                entries += [*condition.components, *condition.jump]
        return entries + [data.expression for data in self.observations]

    @cached_property
    def integrals(self) -> tuple[Integral, ...]:
        """Every `Integral` of the statement, each once."""
        return tuple(dict.fromkeys(node for expression in self.expressions() for node in integrals_of(expression)))

    @cached_property
    def jumps(self) -> tuple[str, ...]:
        """Texts on what jumps, coefficients under a div first; a strong residual is blind to the jump of a flux."""
        stated = (f"the field or flux at {c.label!r}" for c in self.conditions if at_interface(c))
        return (*find_jumps(self.rows), *stated)

    @cached_property
    def is_linear(self) -> bool:
        """Whether equations and conditions are affine in the fields, all parameters held."""
        return all(_is_affine(expression) for expression in self.expressions())

    @cached_property
    def identified(self) -> tuple[FieldComponent, ...]:
        """Components that no equation determines: unknown coefficients, and fields on a part of the boundary.

        Those that say so, and where equations are fewer than unknowns those that enter them without a derivative.
        """
        said = {c for c in self.components if c.on or c.expected is not None}
        named = [name for row in self.rows for name in row.on]
        count = sum(not row.on for row in self.rows) + max((named.count(name) for name in set(named)), default=0)
        excess = len(self.components) - len(said) - count
        if excess > 0:
            held = {node.expr for row in self.rows for node in row.expression.atoms(sp.Derivative)}
            for condition in self.conditions:
                fixed = condition.components if isinstance(condition, (Dirichlet, Initial, Periodic)) else None
                held.update(fixed or ())
            plain = [c for c in self.components if c not in said and c not in held]
            said.update(plain if len(plain) == excess else ())
        return tuple(c for c in self.components if c in said)

    def index(self, component: FieldComponent) -> int:
        """The network's output that stands for a component."""
        return self.components.index(component)

    def check(self) -> Problem:
        """Raise the one clear StatementError for the first mistake; fill `notes`; return self."""
        self.notes = check(self)
        return self

    def verify(
        self, exact: Mapping[Any, Any] | None = None, samples: int = 200, tolerance: float = 1e-9
    ) -> dict[str, float]:
        """Substitute an exact solution into every equation and condition.

        Returns, per term, the largest residual at random points divided by the largest summand of the term. Raises
        StatementError naming the first term above `tolerance`.
        """
        return verify(self, self.exact if exact is None else exact, samples, tolerance)

    def fingerprint(self) -> str:
        """A hash of statement, mesh and data, by which a stored solution knows its problem."""
        lines = [self.mesh.identity]
        for name, equation in self.equations.items():
            lines += [f"equation {name} {equation.on}", *(str(residual) for residual in equation.residuals())]
        for condition in self.conditions:
            lines += [f"{type(condition).__name__} {condition.on}", *(str(r) for r in condition.residuals())]
            if isinstance(condition, Periodic):
                lines.append(f"{condition.components} {condition.first} {condition.second} {condition.jump}")
            if isinstance(condition, Condition) and condition.side:
                lines.append(f"side {condition.side}")
        lines += [f"output {component} {component.field} {component.index}" for component in self.components]
        lines += [f"home {component} {component.on}" for component in self.components if component.on]
        lines += [f"expected {component} {component.expected}" for component in self.components if component.expected]
        lines += [f"parameter {p.name} {p.guess!r} {p.lower!r} {p.upper!r}" for p in self.parameters.values()]
        laws = [(name, function.law) for name, function in self.coefficients.items()]
        lines += [f"coefficient {name} {law.key}" for name, law in laws if law is not None]
        lines += [f"part {name} {hashlib.sha256(part.tobytes()).hexdigest()}" for name, part in self._parts_named()]
        digest = hashlib.sha256("\n".join(lines).encode())
        for data in self.observations:
            digest.update(f"observations {data.name} {data.expression} {data.loss or ''}".encode())
            for array in (data.points, data.values, data.sigma):
                digest.update(b"none" if array is None else array.tobytes())
        return digest.hexdigest()

    def _parts_named(self) -> list[tuple[str, Any]]:
        """The named parts of the mesh that the statement speaks of, with the numbers of their facets or cells."""
        named: list[str] = [name for equation in self.equations.values() for name in equation.on]
        for condition in self.conditions:
            named += [*condition.on, *([condition.side] if isinstance(condition, Condition) and condition.side else [])]
        named += [name for node in self.integrals for name in node.over]
        named += [name for component in self.components for name in component.on]
        parts = {**self.mesh.boundaries, **self.mesh.subdomains}
        return [(name, parts[name]) for name in dict.fromkeys(named) if name in parts]

    def pretty(self) -> list[str]:
        """The statement in lines of plain text."""
        return [f"{name}: {text}" for name, text in self._lines(str)]

    def latex(self) -> list[str]:
        """The statement in lines of LaTeX, without dollar signs."""
        return [rf"\text{{{name}: }} {text}" for name, text in self._lines(sp.latex)]

    def _lines(self, write: Any) -> list[tuple[str, str]]:
        lines = [
            (row.name + (f" on {', '.join(row.on)}" if row.on else ""), f"{write(row.expression)} = 0")
            for row in self.rows
        ]
        for condition in self.conditions:
            lines += [(condition.label, f"{write(residual)} = 0") for residual in condition.residuals()]
            if isinstance(condition, Periodic):
                pairs = zip(condition.components, condition.jump, strict=True)
                lines += [(condition.label, f"{write(c)} + {write(jump)}" if jump else write(c)) for c, jump in pairs]
        for data in self.observations:
            number = f"{len(data)} values" if data.is_global else f"at {len(data)} points"
            lines.append((f"data {data.name}", f"{write(data.expression)} {number}"))
        return lines


def _listed(values: Any, what: str) -> list[Any]:
    if isinstance(values, (Mapping, str)) or not isinstance(values, Iterable):
        if isinstance(values, (Dirichlet, Neumann, Robin, Initial, Condition, Periodic, Observations)):
            return [values]
        raise StatementError(f"{what} is a {type(values).__name__}; give a list")
    return list(values)


def _with_own_names(entries: list[Any]) -> tuple[Observations, ...]:
    """The observations, numbered where two have one name: each is a term of its own in losses and tables."""
    found: list[Observations] = []
    for entry in entries:
        if not isinstance(entry, Observations):
            raise StatementError(f"observations hold {entry!r}; give kinn.Observations(expression, points, values)")
        name, n = entry.name, 2
        while name in {other.name for other in found}:
            name, n = f"{entry.name} ({n})", n + 1
        found.append(entry if name == entry.name else replace(entry, name=name))
    return tuple(found)


def _named_equations(equations: Any) -> dict[str, Equation]:
    if not isinstance(equations, Mapping):
        many = isinstance(equations, Sequence) and not isinstance(equations, str)
        entries = list(equations) if many else [equations]
        equations = {"equation" if len(entries) == 1 else f"equation {i + 1}": entry for i, entry in enumerate(entries)}
    if not equations:
        raise StatementError("the problem has no equation; give equations={'name': expression}")
    return {str(name): entry if isinstance(entry, Equation) else Equation(entry) for name, entry in equations.items()}


def _placed(condition: Any, mesh: Any) -> AnyCondition:
    if not isinstance(condition, (Dirichlet, Neumann, Robin, Initial, Condition, Periodic)):
        raise StatementError(
            f"conditions hold {condition!r}; give Dirichlet, Neumann, Robin, Initial, Periodic or Condition(expression, on=...)"
        )
    if isinstance(condition, Initial) and not condition.on:
        ends = time_ends(mesh)
        if not ends:
            raise StatementError(
                f"{condition.label}: the mesh has no time axis; make it with mesh * kinn.Interval('t', 0, 1)"
            )
        return replace(condition, on=(ends[0],))
    return condition


def _by_name(expressions: Sequence[sp.Expr], kind: Any, what: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for expression in expressions:
        for symbol in sorted(expression.atoms(kind), key=lambda s: s.name):
            if found.setdefault(symbol.name, symbol) != symbol:
                raise StatementError(f"two different {what} are named {symbol.name!r}; give each its own name")
    return found


def _is_affine(expression: sp.Expr) -> bool:
    plain = expanded(expression)
    nodes: list[Any] = [n for n in plain.atoms(sp.Derivative) if isinstance(n.expr, FieldComponent)]
    nodes += list(plain.atoms(FieldComponent))
    jets = {node: sp.Dummy(real=True) for node in nodes}
    marked = plain.xreplace(jets)
    marks = set(jets.values())
    return all(not (marked.diff(mark).free_symbols & marks) for mark in marks & marked.free_symbols)


__all__ = ["Problem"]
