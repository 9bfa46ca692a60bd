"""What a problem leaves open: constants of components and rigid rotations of vector fields that no term of it sees."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import sympy as sp
import torch

from kinn.formulations.integrals import integral_points
from kinn.formulations.lift import essential_values
from kinn.formulations.program import Program
from kinn.formulations.scaling import pointwise_slopes, sample_term
from kinn.geometry import Points, sample
from kinn.statement.integrals import Integral, integrals_of
from kinn.statement.places import translation
from kinn.statement.problem import Problem
from kinn.statement.terms import NoWeakForm, PeriodicTie, Term, WeakForm, strong_terms, weak_terms

TOLERANCE = 1e-9  # of what a motion does to a term, relative to the sizes that cancel in it
PROBES = 64


@dataclass(frozen=True)
class Motion:
    """A constant of one component, or a rotation of the components `first` and `second` in the plane of their axes.

    The rotation is `u_first = -x_second_axis, u_second = x_first_axis`, about the center of the mesh, in units of its extent.
    """

    field: str
    first: int
    second: int | None = None
    axes: tuple[int, int] = (0, 0)


class Motions:
    """The motions that a problem might leave open, as functions on its mesh.

    Attributes:
        members: constants of all components; rotations of every field with one component per axis of space.
    """

    def __init__(self, problem: Problem) -> None:
        self.problem, mesh = problem, problem.mesh
        self.center, self.length = (mesh.lower + mesh.upper) / 2, float(mesh.scale[: mesh.spatial_dimension].max())
        d = mesh.spatial_dimension
        self.members: list[Motion] = []
        for name, components in problem.fields.items():
            if components[0].on:
                continue  # it lives on a boundary
            own = [problem.index(component) for component in components]
            self.members += [Motion(name, index) for index in own]
            if len(own) == d:
                self.members += [Motion(name, own[a], own[b], (a, b)) for a in range(d) for b in range(a + 1, d)]

    def __len__(self) -> int:
        return len(self.members)

    def jet(self, component: int, index: tuple[int, ...], x: np.ndarray) -> np.ndarray:
        """(n, k): a derivative of one component of every motion at points x (n, d)."""
        found = np.zeros((len(x), len(self.members)))
        for k, motion in enumerate(self.members):
            if motion.second is None:
                found[:, k] = float(component == motion.first and not any(index))
            elif component in (motion.first, motion.second):
                axis = motion.axes[1] if component == motion.first else motion.axes[0]
                sign = -1.0 if component == motion.first else 1.0
                if not any(index):
                    found[:, k] = sign * (x[:, axis] - self.center[axis]) / self.length
                elif sum(index) == index[axis] == 1:
                    found[:, k] = sign / self.length
        return found

    def names(self, coefficients: np.ndarray) -> list[str]:
        """What the combinations (k, m) of motions are, such as "a constant of T" and "a translation of u along x".

        Combinations are written with as few motions as there are: a rotation about any point is a rotation.
        """
        order = sorted(range(len(self.members)), key=lambda k: self.members[k].second is None)
        turns = sum(motion.second is not None for motion in self.members)
        found = [[order[k] for k in np.flatnonzero(row)] for row in _reduced(coefficients[order].T)]
        return [self._name(held) for held in sorted(found, key=lambda held: order.index(held[0]) < turns)]

    def _name(self, held: list[int]) -> str:
        motions = [self.members[k] for k in held]
        turns = [motion for motion in motions if motion.second is not None]
        texts = []
        d, symbols = self.problem.mesh.spatial_dimension, self.problem.mesh.coordinate_names
        for motion in turns or motions:
            components = self.problem.fields[motion.field]
            if motion.second is not None:
                about = f" about {symbols[3 - sum(motion.axes)]}" if d == 3 else ""
                text = f"a rotation of {motion.field}{about}"
            elif len(components) == d > 1:
                axis = symbols[components.index(self.problem.components[motion.first])]
                text = f"a translation of {motion.field} along {axis}"
            else:
                text = f"a constant of {self.problem.components[motion.first].name}"
            texts.append(text)
        return " with ".join(texts)


@dataclass(frozen=True, eq=False)
class NullSpace:
    """The combinations `coefficients` (k, m) of motions that can be added to a solution."""

    motions: Motions
    coefficients: np.ndarray

    def __len__(self) -> int:
        return self.coefficients.shape[1]

    def jet(self, component: int, index: tuple[int, ...], x: np.ndarray) -> np.ndarray:
        """(n, m): a derivative of one component of each open motion at points x (n, d)."""
        return self.motions.jet(component, index, x) @ self.coefficients

    def names(self) -> list[str]:
        return self.motions.names(self.coefficients)

    def terms(self) -> list[Term]:
        """One term that asks for a solution without the open motions, in L2: any other one is as good, and trains slower."""
        problem = self.motions.problem
        x = problem.mesh.coordinates
        weights: list[list[sp.Expr]] = [[sp.S.Zero] * len(problem.components) for _ in range(len(self))]
        for motion, row in zip(self.motions.members, self.coefficients, strict=True):
            for own, factor in zip(weights, row, strict=True):
                if motion.second is None:
                    own[motion.first] += factor
                else:
                    a, b = ((x[k] - self.motions.center[k]) / self.motions.length for k in motion.axes)
                    own[motion.first] -= factor * b
                    own[motion.second] += factor * a
        products = [sp.Add(*(w * u for w, u in zip(own, problem.components, strict=True))) for own in weights]
        expressions = tuple(Integral(product) / problem.mesh.measure for product in products)
        return [Term("open motions", "integral", expressions)] if expressions else []

    def __str__(self) -> str:
        *first, last = self.names() or [""]
        return f"{', '.join(first)} and {last}" if first else last


def null_space(problem: Problem, weak: WeakForm | None = None) -> NullSpace:
    """The rigid motions and constants that no equation, condition or datum of a problem sees.

    Every term is derived in the direction of every motion, at random points and around random jets: what is zero for all
    of them is zero for any solution, of a nonlinear problem too.

    >>> str(null_space(problem))                                    # doctest: +SKIP
    'a translation of u along x, a translation of u along y and a rotation of u'
    """
    motions = Motions(problem)
    open_ones = np.eye(len(motions))
    for seen in _seen(problem, weak, motions):
        if not open_ones.shape[1]:
            break
        rows = seen @ open_ones
        if not np.isfinite(rows).all():
            return NullSpace(motions, open_ones[:, :0])
        triangle = np.linalg.qr(rows, mode="r") if len(rows) > rows.shape[1] else rows
        _, sizes, directions = np.linalg.svd(triangle)
        rank = int((sizes > TOLERANCE * np.sqrt(len(rows))).sum())
        open_ones = open_ones @ directions[rank:].T
    return NullSpace(motions, np.where(np.abs(open_ones) > 1e-12, open_ones, 0.0))


def _seen(problem: Problem, weak: WeakForm | None, motions: Motions) -> Iterator[np.ndarray]:
    """For each term (rows, k): the derivative of its residuals towards each motion, relative to what cancels in it."""
    for component, _, facets in essential_values(problem):
        points = sample(problem.mesh, PROBES, facets=facets.tolist())
        yield motions.jet(problem.index(component), (0,) * problem.mesh.dimension, points.x)
    if problem.jumps:  # a strong residual is blind to jumps of fluxes
        try:
            weak = weak_terms(problem) if weak is None else weak
        except NoWeakForm:
            yield np.eye(len(motions))  # neither form: nothing is known to be open
            return
        terms = [Term(row.name, "equation", (*row.flux, row.source), row.on) for row in weak.rows]
        terms += [Term(row.name, "natural", (g,), on) for row in weak.rows for on, g in row.boundary]
        for tie in weak.ties:
            if isinstance(tie, PeriodicTie):
                component = problem.components[tie.component_index]
                shift = tuple(np.asarray(translation(problem.mesh, tie.first, tie.second)).tolist())
                terms.append(Term("", "periodic", (component,), tie.first, None, shift))
        terms += weak.other
    else:
        terms = [term for term in strong_terms(problem) if term.kind != "essential"]
    for term in terms:
        if term.kind == "integral":
            yield _of_integrals(problem, term.expressions, motions)
        else:
            points = sample_term(problem, term, PROBES, seed=3)
            yield _at_points(problem, term.expressions, points, motions, term.shift)
    for data in problem.observations:
        if data.is_global:
            yield _of_integrals(problem, [data.expression], motions)
        else:
            points = Points(np.asarray(data.points), np.ones(len(data)))
            yield _at_points(problem, [data.expression], points, motions)


def _at_points(
    problem: Problem,
    expressions: Sequence[sp.Expr],
    points: Points,
    motions: Motions,
    shift: tuple[float, ...] | None = None,
) -> np.ndarray:
    change, size = _changes(Program(expressions, problem), problem, points, motions, shift)
    size = np.where(size > 0, size, 1.0)[..., None]
    return (change / size).reshape(-1, len(motions))


def _of_integrals(problem: Problem, expressions: Sequence[sp.Expr], motions: Motions) -> np.ndarray:
    rows = []
    for expression in expressions:
        nodes = integrals_of(expression)
        marks: list[sp.Symbol] = [sp.Dummy(real=True) for _ in nodes]
        outer: sp.Expr = expression.xreplace(dict(zip(nodes, marks, strict=True)))  # type: ignore[assignment]
        values: dict[Any, Any] = {mark: 1 + 0.1 * k for k, mark in enumerate(marks)}  # any numbers would do
        values.update({p: p.guess for p in problem.parameters.values()})
        total, total_size = np.zeros(len(motions)), 0.0
        for node, mark in zip(nodes, marks, strict=True):
            slope = float(outer.diff(mark).subs(values))
            points = integral_points(problem.mesh, node.over)
            change, size = _changes(Program([node.integrand], problem), problem, points, motions)
            total += slope * (points.weight @ change[0])
            total_size += abs(slope) * float(points.weight @ size[0])
        rows.append(total / (total_size or 1.0))
    return np.array(rows)


def _changes(
    program: Program, problem: Problem, points: Points, motions: Motions, shift: tuple[float, ...] | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Derivatives (e, n, k) of expressions towards each motion, and the sizes (e, n) of what cancels in them.

    With a `shift` it is the motion there minus that here.
    """
    x = torch.tensor(points.x)
    normal = None if points.normal is None else torch.tensor(points.normal)
    guesses = torch.tensor([p.guess for p in problem.parameters.values()], dtype=torch.float64)
    generator = torch.Generator().manual_seed(7)
    z = 0.1 * (1 + torch.rand(len(program.jets), len(x), generator=generator, dtype=torch.float64))
    with torch.enable_grad():
        z.requires_grad_()
        values = program(z, x, normal, guesses, program.tabulate(x))
    count = len(program.expressions)
    change, size = np.zeros((count, len(x), len(motions))), np.zeros((count, len(x)))
    if not program.jets:
        return change, size
    for row, slope in enumerate(pointwise_slopes(values, z)):
        for (component, index), factor in zip(program.jets, slope.numpy(), strict=True):
            moved = motions.jet(component, index, points.x)
            if shift is not None:
                moved = motions.jet(component, index, points.x + np.array(shift)) - moved
            change[row] += factor[:, None] * moved
            size[row] += np.abs(factor) * motions.length ** -sum(index)
    return change, size


def _reduced(rows: np.ndarray) -> np.ndarray:
    """The reduced row echelon form of rows (m, k): a basis of their span in which each has an entry of its own."""
    rows, at = rows.copy(), 0
    for column in range(rows.shape[1]):
        if at == len(rows):
            break
        pivot = at + int(np.abs(rows[at:, column]).argmax())
        if abs(rows[pivot, column]) < 1e-7:
            rows[at:, column] = 0
            continue
        rows[[at, pivot]] = rows[[pivot, at]]
        rows[at] /= rows[at, column]
        for other in range(len(rows)):
            if other != at:
                rows[other] -= rows[other, column] * rows[at]
        at += 1
    return np.where(np.abs(rows) > 1e-7, rows, 0.0)


__all__ = ["Motion", "Motions", "NullSpace", "null_space"]
