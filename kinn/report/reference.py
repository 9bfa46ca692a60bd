"""What a solution is compared with: formulas, functions, numbers, or another solution, behind one interface."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import sympy as sp
import torch
from sympy.core.function import AppliedUndef

from kinn.formulations.program import Program
from kinn.report.integrals import integral
from kinn.report.matching import as_points, has_normals, scalars
from kinn.report.section import embedded
from kinn.result import Estimated
from kinn.statement.calculus import expanded
from kinn.statement.errors import StatementError, suggest
from kinn.statement.fields import FieldComponent, VectorField, field_of
from kinn.statement.parameters import Parameter
from kinn.statement.problem import Problem


class Evaluable(Protocol):
    """A trained solution, a finite element solution, or a reference: what errors and quantities need."""

    @property
    def problem(self) -> Problem: ...
    def evaluate(self, expression: Any, points: Any, normal: Any = None, /) -> np.ndarray: ...


class Reference:
    """The reference of a problem: `{field or parameter, or its name: what it is}`, or a whole other solution.

    A field is a SymPy expression of the coordinates (a list or matrix for a vector), a callable on points (n, d) ->
    (n,) or (n, c), a number, or a solution (also by finite elements, also on another mesh) that has a field of this
    name. A parameter is a number. No solver sees a reference.

    Attributes:
        problem: the problem whose symbols it speaks.
        truths: name of a parameter -> true value.
        solutions: the distinct solutions in it, to be named in tables.

    Raises StatementError for a key or value that does not fit.
    """

    def __init__(self, problem: Problem, reference: Any) -> None:
        self.problem = problem
        self._formulas: dict[str, tuple[sp.Expr, ...]] = {}
        self._functions: dict[str, Callable[..., Any]] = {}
        self._computed: dict[str, Evaluable] = {}
        if is_solution(reference):
            known = [name for name in problem.fields if name in reference.problem.fields]
            if not known:
                raise StatementError(
                    f"the reference has no field of the problem{suggest('', reference.problem.fields)}"
                )
            reference = dict.fromkeys(known, reference)
        if not isinstance(reference, Mapping):
            raise StatementError(
                f"the reference is a {type(reference).__name__}; give {{field: expression}} or a solution"
            )
        named = {_key(key, problem): value for key, value in _whole_fields(reference, problem).items()}
        self.truths = {name: _number(name, value) for name, value in named.items() if name in problem.parameters}
        truths = {problem.parameters[name]: sp.Float(value, 17) for name, value in self.truths.items()}
        for name, value in named.items():
            if name in problem.fields:
                self._enter(name, value, truths)

    def _enter(self, name: str, value: Any, truths: dict[Any, Any]) -> None:
        size = len(self.problem.fields[name])
        if is_solution(value):
            theirs = value.problem.fields.get(name)
            if theirs is None or len(theirs) != size:
                raise StatementError(f"the reference of field {name!r} has no such field of {size} components"
                                     f"{suggest(name, value.problem.fields)}")  # fmt: skip
            self._computed[name] = value
            return
        if callable(value) and not isinstance(value, (sp.Basic, sp.MatrixBase)):
            self._functions[name] = value
            return
        formulas = [expanded(entry).xreplace(truths) for entry in scalars(value, self.problem)]
        formulas = formulas * size if len(formulas) == 1 else formulas
        if len(formulas) != size:
            raise StatementError(
                f"the reference of field {name!r} has {len(formulas)} expressions for {size} components"
            )
        for formula in formulas:
            held = sorted(
                formula.atoms(FieldComponent) | (formula.free_symbols - set(self.problem.mesh.coordinates)), key=str
            )
            if held:
                raise StatementError(
                    f"the reference of field {name!r} holds {held[0]}; give an expression of the coordinates"
                )
        self._formulas[name] = tuple(formulas)

    @property
    def fields(self) -> tuple[str, ...]:
        """Names of the fields it knows, in the problem's order."""
        return tuple(n for n in self.problem.fields if n in {*self._formulas, *self._functions, *self._computed})

    @property
    def parameters(self) -> dict[str, Estimated]:
        """The true parameters, as a solution gives its estimates."""
        return {name: Estimated(value, 0.0, value, value) for name, value in self.truths.items()}

    @property
    def solutions(self) -> tuple[Any, ...]:
        return tuple({id(entry): entry for entry in self._computed.values()}.values())

    @property
    def computed(self) -> Evaluable | None:
        """The one solution that says all it knows; its fluxes through the boundary can be conservative."""
        alone = len(self.solutions) == 1 and not (self._formulas or self._functions or self.truths)
        return self.solutions[0] if alone else None

    def has_derivatives(self, name: str) -> bool:
        return name not in self._functions

    def evaluate(self, expression: Any, points: Any, normal: Any = None, **at: Any) -> np.ndarray:
        """Values (n,) or (n, k) of expressions of the problem with the reference in place of fields and parameters.

        Coordinates can be held by name, as a solution does it. Raises StatementError if the reference does not know a field, parameter or derivative in them.
        """
        sequence = isinstance(expression, (list, tuple, sp.MatrixBase))
        expressions = scalars(expression, self.problem)
        sequence = sequence or len(expressions) > 1
        x, single = as_points(points, max(1, self.problem.mesh.dimension - len(at)))
        x = embedded(self.problem.mesh, x, at) if at else x
        n = np.zeros_like(x) if normal is None else np.asarray(normal, dtype=float).reshape(len(x), -1)
        if normal is None and has_normals(expressions):
            raise StatementError(f"{expressions[0]} holds the boundary normal; pass normal (n, d)")
        values = self._values(sorted(set().union(*(_atoms(e) for e in expressions)), key=str), x)
        marks = {atom: sp.Dummy() for atom in values}
        symbols = [*self.problem.mesh.coordinates, *self.problem.mesh.normal]
        evaluate = sp.lambdify(
            [*marks.values(), *symbols], [e.xreplace(marks) for e in expressions], ["scipy", "numpy"]
        )
        space = len(self.problem.mesh.normal)
        with np.errstate(all="ignore"):
            columns = evaluate(*values.values(), *x.T, *n.T[:space])
        rows = np.stack([np.broadcast_to(np.asarray(column, dtype=float), len(x)) for column in columns], axis=1)
        rows = rows if sequence else rows[:, 0]
        return rows[0] if single else rows

    def __call__(self, points: Any, **at: Any) -> np.ndarray:
        """Values of all fields: (n,) for one scalar, else (n, components)."""
        components = self.problem.components
        return self.evaluate(components[0] if len(components) == 1 else list(components), points, **at)

    def integral(self, expression: Any, over: str | Iterable[str] | None = None, side: str | None = None) -> float:
        """The integral over the domain or named parts, as a solution has it; fluxes of formulas by plain quadrature."""
        return integral(self, expression, over, side)

    def _values(self, atoms: Sequence[Any], x: np.ndarray) -> dict[Any, np.ndarray]:
        """The value (n,) of each atom; a solution is asked once for all of them, since it has to look for cells."""
        values: dict[Any, np.ndarray] = {}
        for solution in self.solutions:
            asked = [atom for atom in atoms if self._computed.get(_field_name(atom) or "") is solution]
            if asked:
                found = np.asarray(solution.evaluate(scalars(asked, solution.problem), x))
                values.update(zip(asked, found.reshape(len(x), len(asked)).T, strict=True))
        return values | {atom: self._value(atom, x) for atom in atoms if atom not in values}

    def _value(self, atom: Any, x: np.ndarray) -> np.ndarray:
        if isinstance(atom, Parameter):
            if atom.name not in self.truths:
                raise StatementError(f"the reference says nothing about parameter {atom.name!r}")
            return np.full(len(x), self.truths[atom.name])
        component = atom.expr if isinstance(atom, sp.Derivative) else atom
        if not isinstance(component, FieldComponent):
            program, at = Program([atom], self.problem), torch.tensor(x)  # a coefficient is what it is
            given = at.new_zeros(len(self.problem.parameters))
            return program(at.new_zeros((0, len(x))), at, None, given, program.tabulate(at))[0].numpy()
        name = field_of(component)
        if name in self._formulas:
            formula: Any = self._formulas[name][component.index]
            if isinstance(atom, sp.Derivative):
                formula = formula.diff(*atom.variable_count)
            with np.errstate(all="ignore"):
                value = sp.lambdify(self.problem.mesh.coordinates, formula, ["scipy", "numpy"])(*x.T)
            return np.broadcast_to(np.asarray(value, dtype=float), len(x))
        if name not in self._functions:
            raise StatementError(f"the reference says nothing about field {name!r}{suggest(name, self.fields)}")
        if isinstance(atom, sp.Derivative):
            raise StatementError(
                f"the reference of {name!r} is a function without derivatives; give an expression for {atom}"
            )
        return self._called(name, x)[:, component.index]

    def _called(self, name: str, x: np.ndarray) -> np.ndarray:
        size = len(self.problem.fields[name])
        try:
            array = np.asarray(self._functions[name](x.copy()), dtype=float)
        except TypeError as error:
            raise StatementError(f"the reference of field {name!r} failed on points (n, d): {error}") from None
        if array.ndim == 1 and size == 1:
            array = array[:, None]
        if array.shape != (len(x), size):
            raise StatementError(
                f"the reference of field {name!r} gave shape {array.shape} at {len(x)} points; give (n, {size})"
            )
        return array


def is_solution(value: Any) -> bool:
    return hasattr(value, "evaluate") and hasattr(value, "problem")


def _whole_fields(reference: Mapping[Any, Any], problem: Problem) -> dict[Any, Any]:
    """The reference with the formulas of single components, `{u[0]: ..., u[1]: ...}`, joined into those of their fields."""
    joined = dict(reference)
    for name, components in problem.fields.items():
        given = [component for component in components if component in reference]
        if len(components) > 1 and given:
            if len(given) < len(components):
                missing = next(component for component in components if component not in reference)
                raise StatementError(f"the reference of field {name!r} lacks its component {missing}; give all of them")
            joined[name] = [joined.pop(component) for component in components]
    return joined


def _key(key: Any, problem: Problem) -> str:
    name = key
    if isinstance(key, (FieldComponent, VectorField)):
        name = field_of(key)
    elif isinstance(key, Parameter):
        name = key.name
    if name not in problem.fields and name not in problem.parameters:
        known = [*problem.fields, *problem.parameters]
        raise StatementError(
            f"the reference names {str(key)!r}, no field or parameter of the problem{suggest(str(key), known)}"
        )
    return name


def _number(name: str, value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        raise StatementError(f"the reference of parameter {name!r} is {value!r}; give a number") from None


def _atoms(expression: sp.Expr) -> Sequence[Any]:
    derivatives = expression.atoms(sp.Derivative)
    bare = expression.xreplace({node: sp.Dummy() for node in derivatives})
    return [*derivatives, *bare.atoms(AppliedUndef), *bare.atoms(Parameter)]


def _field_name(atom: Any) -> str | None:
    component = atom.expr if isinstance(atom, sp.Derivative) else atom
    return field_of(component) if isinstance(component, FieldComponent) else None


__all__ = ["Evaluable", "Reference", "is_solution"]
