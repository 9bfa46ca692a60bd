"""Boundary values that hold exactly: `u = g + d N` with g made of boundary values and d zero on the boundary; on boxes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection
from itertools import combinations, product

import numpy as np
import sympy as sp
import torch
from torch import Tensor

from kinn.formulations.program import Program
from kinn.geometry.mesh import Mesh
from kinn.networks.jets import JetSpace
from kinn.statement.conditions import Dirichlet, Initial
from kinn.statement.fields import FieldComponent
from kinn.statement.parameters import Parameter
from kinn.statement.problem import Problem

Side = tuple[int, int]
CORNER_TOLERANCE = 1e-9
NOT_SMOOTH = (sp.Abs, sp.Max, sp.Min, sp.Heaviside, sp.sign, sp.Piecewise, sp.floor, sp.ceiling)


class Lift(ABC):
    """The functions g and d of each component. g reads boundary values only, so an exact solution cannot leak into it."""

    @abstractmethod
    def holds(self, component: int) -> bool:
        """Whether the component has boundary values that hold exactly; else it has no g, and its d is 1."""

    @abstractmethod
    def covers(self, component: int, facets: np.ndarray) -> np.ndarray:
        """Which of `facets` carry values of the component that hold exactly, (f,) booleans."""

    @abstractmethod
    def distance(self, component: int, x: Tensor, space: JetSpace) -> Tensor:
        """Jets (m, n) of d in physical coordinates, of a component that holds values."""

    @abstractmethod
    def values(self, component: int, x: Tensor, space: JetSpace) -> Tensor:
        """Jets (m, n) of g in physical coordinates, of a component that holds values."""

    @abstractmethod
    def without(self, sides: Collection[Side]) -> Lift | None:
        """The lift of all but these sides of the domain."""


class BoxLift(Lift):
    """For each component the sides of a box that carry boundary values, and the functions g and d they give.

    d is the product of the distances to those sides, scaled to 1. g is the transfinite interpolant (Gordon and Hall,
    doi:10.1007/BF01436298): the boolean sum over the axes of linear interpolation between the values on opposite sides.

    Attributes:
        sides: one dict (axis, 0 lower | 1 upper) -> value for each component; empty dicts have no lift.
    """

    def __init__(self, problem: Problem, sides: list[dict[Side, sp.Expr]]) -> None:
        self.problem, self.sides = problem, sides
        mesh: Mesh = problem.mesh
        self._lower, self._upper = mesh.lower, mesh.upper
        self._programs: dict[tuple[sp.Expr, tuple[int, ...]], Program] = {}

    @staticmethod
    def of(problem: Problem) -> BoxLift | None:
        """The lift of all boundary values that fill whole sides of a box and agree where sides meet; None if there is none."""
        faces = problem.mesh.box_sides()
        if faces is None:
            return None
        sides: list[dict[Side, sp.Expr]] = [{} for _ in problem.components]
        for component, value, facets in essential_values(problem):
            if value.atoms(Parameter, FieldComponent) or value.has(*NOT_SMOOTH):
                continue  # such values stay a term of the loss: g would not have the derivatives that equations take
            for side, members in faces.items():
                if np.isin(members, facets).all():
                    sides[problem.index(component)][side] = value
        lift = BoxLift(problem, sides)
        lift.sides = [own if lift._agrees(index) else {} for index, own in enumerate(sides)]
        return lift if any(lift.sides) else None

    def without(self, sides: Collection[Side]) -> BoxLift | None:
        left = [{side: value for side, value in own.items() if side not in sides} for own in self.sides]
        return BoxLift(self.problem, left) if any(left) else None

    def holds(self, component: int) -> bool:
        return bool(self.sides[component])

    def covers(self, component: int, facets: np.ndarray) -> np.ndarray:
        faces = self.problem.mesh.box_sides() or {}
        held = [faces[side] for side in self.sides[component]]
        return np.isin(facets, np.concatenate(held)) if held else np.zeros(len(facets), dtype=bool)

    def distance(self, component: int, x: Tensor, space: JetSpace) -> Tensor:
        factors = []
        for axis in range(space.dimension):
            ends = sorted(end for a, end in self.sides[component] if a == axis)
            low, high = self._lower[axis], self._upper[axis]
            t, slope = (x[:, axis] - low) / (high - low), 1 / (high - low)
            one, zero = torch.ones_like(t), torch.zeros_like(t)
            rows = {
                (): [one],
                (0,): [t, slope * one],
                (1,): [1 - t, -slope * one],
                (0, 1): [4 * t * (1 - t), 4 * slope * (1 - 2 * t), -8 * slope**2 * one],
            }[tuple(ends)]
            factors.append(rows + [zero] * (space.order + 1 - len(rows)))
        return _products(factors, space)

    def values(self, component: int, x: Tensor, space: JetSpace) -> Tensor:
        sides, total = self.sides[component], x.new_zeros(len(space.indices), len(x))
        axes = sorted({axis for axis, _ in sides})
        for size in range(1, len(axes) + 1):
            for chosen in combinations(axes, size):
                for ends in product(*([end for a, end in sorted(sides) if a == axis] for axis in chosen)):
                    value = sides[chosen[0], ends[0]]
                    if value != 0:
                        corner = dict(zip(chosen, ends, strict=True))
                        total += (-1) ** (size + 1) * self._blend(component, value, corner, x, space)
        return total

    def _blend(self, component: int, value: sp.Expr, corner: dict[int, int], x: Tensor, space: JetSpace) -> Tensor:
        """Jets of `value` on the side, edge or corner where the axes of `corner` sit at their ends, blended over the box."""
        at, blend = x.clone(), {}
        for axis, end in corner.items():
            low, high = float(self._lower[axis]), float(self._upper[axis])
            at[:, axis] = high if end else low
            t = (x[:, axis] - low) / (high - low)
            both = (axis, 1 - end) in self.sides[component]
            slope = torch.full_like(t, (1 if end else -1) / (high - low))
            rows = [t if end else 1 - t, slope] if both else [torch.ones_like(t)]
            blend[axis] = rows + [torch.zeros_like(t)] * (space.order + 1 - len(rows))
        jets = []
        for index in space.indices:
            rest = tuple(0 if axis in corner else order for axis, order in enumerate(index))
            term = self._evaluate(value, rest, at)
            for axis in corner:
                term = term * blend[axis][index[axis]]
            jets.append(term)
        return torch.stack(jets)

    def _evaluate(self, value: sp.Expr, index: tuple[int, ...], x: Tensor) -> Tensor:
        if (value, index) not in self._programs:
            expression = value
            for coordinate, order in zip(self.problem.mesh.coordinates, index, strict=True):
                expression = expression.diff(coordinate, order) if order else expression
            self._programs[value, index] = Program([expression], self.problem)
        program = self._programs[value, index]
        return program(x.new_zeros(0, len(x)), x, None, None, program.tabulate(x))[0]

    def _agrees(self, component: int) -> bool:
        """Whether g takes the given values on every side: it does unless they contradict each other where sides meet."""
        sides = self.sides[component]
        unit = torch.rand(
            64, self.problem.mesh.dimension, generator=torch.Generator().manual_seed(0), dtype=torch.float64
        )
        inside = torch.as_tensor(self._lower) + unit * torch.as_tensor(self._upper - self._lower)
        space = JetSpace.of([], self.problem.mesh.dimension)
        places = {}
        for (axis, end), value in sides.items():
            at = inside.clone()
            at[:, axis] = float((self._upper if end else self._lower)[axis])
            places[axis, end] = at, self._evaluate(value, (0,) * space.dimension, at)
        size = max((wanted.abs().max().item() for _, wanted in places.values()), default=0.0)
        return all(
            (self.values(component, at, space)[0] - wanted).abs().max().item() <= CORNER_TOLERANCE * size
            for at, wanted in places.values()
        )


def essential_values(problem: Problem) -> list[tuple[FieldComponent, sp.Expr, np.ndarray]]:
    """The Dirichlet and initial values of a problem: component, value and facets."""
    return [
        (component, sp.sympify(value), problem.mesh.facets_of(condition.on))
        for condition in problem.conditions
        if isinstance(condition, (Dirichlet, Initial)) and condition.components is not None
        for component, value in zip(condition.components, condition.value, strict=True)
    ]


def _products(factors: list[list[Tensor]], space: JetSpace) -> Tensor:
    """Jets of a product of functions of one coordinate each, from their derivatives."""
    rows = []
    for index in space.indices:
        row = factors[0][index[0]]
        for axis in range(1, len(index)):
            row = row * factors[axis][index[axis]]
        rows.append(row)
    return torch.stack(rows)


__all__ = ["BoxLift", "Lift", "essential_values"]
