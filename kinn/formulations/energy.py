"""What priors say of unknown coefficient fields: energies, of networks at points, of tensor splines exactly."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from kinn.formulations.blocks import Block, PointBlock
from kinn.formulations.evidence import Evidence, evidence
from kinn.formulations.program import Program
from kinn.formulations.quadratic import QuadraticBlock
from kinn.formulations.spline_energy import energy_matrix
from kinn.formulations.system import System
from kinn.formulations.unknowns import Unknowns
from kinn.geometry import Points, sample
from kinn.networks import Network, Separate, TensorSpline
from kinn.networks.jets import MAX_ORDER
from kinn.statement.errors import StatementError
from kinn.statement.fields import FieldComponent
from kinn.statement.priors import ORDERS, Expectation, GaussianField
from kinn.statement.problem import Problem

MORE = 0.1  # of the logarithm of the evidence: another shape must have so much more
COARSE = 600  # weights: of more the shape is chosen on cells of twice the size
POINTS = {1: 256, 2: 512, 3: 1024, 4: 2048}  # on which an energy is integrated, by dimension of the mesh
DENSER = 8  # times as many points for an energy that is not a square: of a tensor spline too it is taken at points
SHORTER, SHORTEST = 0.5**0.5, 5  # a step between lengths of a prior, and how many there are


class Shape(NamedTuple):
    """The order of an energy, and by how many steps its lengths are shorter than those of the prior."""

    order: int
    shorter: int = 0


@dataclass
class Energy:
    """The energy of one unknown field: `strength` times the sum over `points` of the squares of the program of its order.

    `strength` is one over the squared deviation of the field; `given` says that the user gave it. The orders that may be are those
    of the prior, of a network the keys of `programs`. `chosen` is the squared misfit for which the shape was chosen.
    """

    component: FieldComponent
    programs: dict[int, Program]
    points: Points
    strength: float
    given: bool
    shape: Shape
    chosen: float = math.inf
    _grams: dict[tuple[Shape, int], Tensor] = field(default_factory=dict, repr=False)

    @property
    def name(self) -> str:
        return f"prior {self.component.name}"

    def check(self, network: Network, problem: Problem) -> None:
        """Raise StatementError for an order that the field's network has no derivatives for."""
        spline = self._spline_in(network, problem)
        highest = MAX_ORDER if spline is None else spline.basis.degree
        if self.shape.order > highest:
            what = "a network" if spline is None else f"a spline of degree {highest}"
            raise StatementError(
                f"the prior of {self.component.name!r} is of order {self.shape.order}, but the field is {what}; give order "
                f"{max(order for order in ORDERS if order <= max(highest, 2))} at most"
            )

    def block(self, unknowns: Unknowns, weight: float, shape: Shape | None = None) -> Block:
        shape, surrogate = shape or self.shape, unknowns.surrogate
        spline = self._spline(unknowns)
        if spline is None:
            program = self.programs[shape.order]
            return PointBlock(self.name, program, self.points, surrogate, math.sqrt(weight), sums=True)
        place, own = unknowns.problem.index(self.component), weights_of(unknowns, self.component)
        scale, shift = float(surrogate.amplitude[place]), float(surrogate.offset[place])
        return QuadraticBlock(self.name, weight * self._gram(unknowns, spline, shape), own, scale, shift)

    def form(self, unknowns: Unknowns, shape: Shape | None = None) -> tuple[float, Tensor, Tensor]:
        """The energy of strength 1, half its second derivative (p, p) and half its slope (p,) in the weights of the field."""
        block, own = self.block(unknowns, 1.0, shape), weights_of(unknowns, self.component)
        size, matrix, slope = System(unknowns, [block]).normal_equations()
        return size, matrix[own][:, own].cpu().double(), slope[own].cpu().double()

    def choose(self, unknowns: Unknowns, gram: Tensor, toward: Tensor) -> None:
        """Take the shape with the largest evidence beside a misfit `2 toward d + d gram d` of changes d of the weights (p,), and
        the strength that belongs to it."""
        spline, place = self._spline(unknowns), unknowns.problem.index(self.component)
        if spline is not None and len(gram) > COARSE and (coarser := spline.coarser()) is not None:
            functions = len(gram) // spline.weight.shape[1]
            # how smooth a field is and over which lengths needs no fine cells: that of weights zero is changed
            present = unknowns.vector()[weights_of(unknowns, self.component)].to(gram)
            spline, matrix = coarser[0], torch.block_diag(*[coarser[1]] * functions)
            gram, toward = matrix @ gram @ matrix.T, matrix @ (toward - gram @ present)
            scale, none = float(unknowns.surrogate.amplitude[place]) ** 2, torch.zeros_like(toward)

            def form(shape: Shape) -> tuple[float, Tensor, Tensor]:
                return 0.0, scale * self._gram(unknowns, spline, shape), none
        else:

            def form(shape: Shape) -> tuple[float, Tensor, Tensor]:
                return self.form(unknowns, shape)

        present = form(self.shape)[0]

        def of(shape: Shape) -> Evidence:
            size, matrix, slope = form(shape)
            first = self.strength if self.given or not size * present > 0 else self.strength * present / size
            return evidence(gram, toward, size, matrix, slope, first, self.given)

        found, best = {self.shape: of(self.shape)}, self.shape
        while True:
            for shape in self._near(best, spline):
                found[shape] = found[shape] if shape in found else of(shape)
            now = max(found, key=lambda shape: found[shape].logarithm)
            if found[now].logarithm < found[best].logarithm + MORE:
                break
            best = now
        self.shape, self.strength = best, found[best].strength

    def _near(self, shape: Shape, spline: TensorSpline | None) -> list[Shape]:
        """The shapes that are a little smoother or rougher, over longer or shorter lengths."""
        prior = expected(self.component).prior
        orders = [o for o in prior.orders if o <= spline.basis.degree] if spline is not None else list(self.programs)
        at = orders.index(shape.order)
        found = [shape._replace(order=order) for order in orders[max(at - 1, 0) : at + 2]]
        if spline is not None and isinstance(prior, GaussianField) and prior.length is None:
            found += [one._replace(shorter=one.shorter + more) for one in found for more in (-1, 1)]
        return [one for one in found if 0 <= one.shorter <= SHORTEST]

    def _spline(self, unknowns: Unknowns) -> TensorSpline | None:
        """The tensor spline that the field is, under a prior of which such a one knows the energy."""
        return self._spline_in(unknowns.surrogate.network, unknowns.problem)

    def _spline_in(self, network: Network, problem: Problem) -> TensorSpline | None:
        if not isinstance(network, Separate) or not isinstance(expected(self.component).prior, GaussianField):
            return None
        part = network.part_of(problem.index(self.component))[0]
        return part if isinstance(part, TensorSpline) else None

    def values(self, unknowns: Unknowns) -> Tensor:
        """The free field (n,) at the points."""
        program = Program([self.component], unknowns.problem, free=True)
        points = Points(self.points.x, np.ones(len(self.points.x)))
        return PointBlock("", program, points, unknowns.surrogate, sums=True).residuals(unknowns)[0]

    def _gram(self, unknowns: Unknowns, spline: TensorSpline, shape: Shape) -> Tensor:
        """The energy of strength 1 of a tensor spline, a matrix (p, p)."""
        key = shape, spline.basis.cells
        if key not in self._grams:
            problem, scale, prior = unknowns.problem, unknowns.surrogate.scale.tolist(), expected(self.component).prior
            assert isinstance(prior, GaussianField)
            extents = [scale[axis] for axis in spline.axes]
            reach = tuple(lengths_of(problem, self.component)[axis] * SHORTER**shape.shorter for axis in spline.axes)
            total = energy_matrix(spline.basis, extents, prior.derivatives(reach, len(reach), shape.order))
            total /= math.prod(reach)
            whole = self._spline(unknowns)
            functions = 1 if whole is None else len(weights_of(unknowns, self.component)) // whole.weight.shape[1]
            self._grams[key] = torch.block_diag(*[total] * functions)
        return self._grams[key]


def expected(component: FieldComponent) -> Expectation:
    """What is said of an unknown coefficient field, or the defaults where nothing is."""
    return component.expected or Expectation()


def lengths_of(problem: Problem, component: FieldComponent) -> tuple[float, ...]:
    """The units of length of a field's prior, along each coordinate."""
    return expected(component).prior.lengths(tuple(2 * float(s) for s in problem.mesh.scale))


def terms(problem: Problem, component: FieldComponent) -> tuple[dict[int, Program], Points]:
    """For each order the rows of a field's energy in its free field, and points whose weights make their squares the energy."""
    mesh, prior = problem.mesh, expected(component).prior
    dimension = mesh.dimension - (1 if component.on else 0)
    lengths = lengths_of(problem, component)
    programs = {
        order: Program(prior.rows(component, lengths, max(dimension, 1), order), problem, free=True)
        for order in prior.orders
        if order <= MAX_ORDER
    }
    count = POINTS[mesh.dimension] * (1 if isinstance(prior, GaussianField) else DENSER)
    points = sample(mesh, count, on=component.on or None, seed=5)
    unit = float(np.prod(lengths)) ** (max(dimension, 1) / mesh.dimension)
    return programs, Points(points.x, points.weight / unit)


def weights_of(unknowns: Unknowns, component: FieldComponent) -> Tensor:
    """The places among all unknowns of the weights that a component depends on: of its network, of a tensor spline its own."""
    network, place, count = (
        unknowns.surrogate.network,
        unknowns.problem.index(component),
        len(unknowns.problem.components),
    )
    if not isinstance(network, Separate):
        return torch.arange(network.n_parameters)
    every, (part, places) = network.weights_of(place), network.part_of(place)
    if not isinstance(part, TensorSpline):
        return every
    return every.reshape(part.weight.shape)[[other % count == place for other in places]].flatten()


__all__ = ["Energy", "Shape", "expected", "terms", "weights_of"]
