"""Priors of unknown coefficient fields as terms of the loss, as strong as the data ask for."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from kinn.formulations.blocks import Block, PointBlock
from kinn.formulations.program import Program
from kinn.formulations.surrogate import Surrogate
from kinn.formulations.system import System
from kinn.formulations.unknowns import Unknowns
from kinn.geometry import Points, sample
from kinn.networks import Separate
from kinn.statement.fields import FieldComponent
from kinn.statement.priors import Expectation
from kinn.statement.problem import Problem

POINTS = {1: 256, 2: 512, 3: 1024, 4: 2048}  # on which an energy is integrated, by dimension of the mesh
LARGEST_CHANGE = 100.0  # of a strength from one round to the next
SLIGHT = 1e-10  # of the prior's matrix: directions of the weights that change no function belong to the prior
MORE = 0.1  # of the logarithm of the evidence: another order must have so much more
SETTLED, IMPROVED = 1.3, 0.01  # changes of a strength, and falls of misfits and energies, that are the last
RIDGE = 1e-13  # of the scaled Gauss-Newton matrix: what counts less than this is not determined


@dataclass
class Energy:
    """The energy of one unknown field: `strength` times the sum over `points` of the squares of the program of its `order`.

    `strength` is one over the squared deviation of the field; `given` says that the user gave it. The orders that may be are the
    keys of `programs`.
    """

    component: FieldComponent
    programs: dict[int, Program]
    points: Points
    strength: float
    given: bool
    order: int

    @property
    def name(self) -> str:
        return f"prior {self.component.name}"

    def block(self, surrogate: Surrogate, weight: float, order: int | None = None) -> PointBlock:
        program = self.programs[self.order if order is None else order]
        return PointBlock(self.name, program, self.points, surrogate, math.sqrt(weight), sums=True)

    def form(self, unknowns: Unknowns, order: int) -> tuple[float, Tensor, Tensor]:
        """The energy of strength 1, half its second derivative (P, P) and half its slope (P,)."""
        size, matrix, slope = System(unknowns, [self.block(unknowns.surrogate, 1.0, order)]).normal_equations()
        return size, matrix.cpu().double(), slope.cpu().double()


Influence = tuple[np.ndarray, np.ndarray] | None


@dataclass
class Priors:
    """The energies of all unknown coefficient fields."""

    energies: list[Energy]
    objective: float = math.inf  # misfits and energies when the strengths were settled last

    @staticmethod
    def of(problem: Problem, surrogate: Surrogate) -> Priors:
        """Energies with the strengths that the deviations or the amplitudes of the fields suggest."""
        found = []
        for component in problem.identified:
            prior = expected(component).prior
            amplitude = float(surrogate.amplitude[problem.index(component)])
            deviation = prior.deviation or amplitude
            given, first = prior.deviation is not None, prior.orders[0]
            programs, points = terms(problem, component)
            found.append(Energy(component, programs, points, deviation**-2, given, first))
        return Priors(found)

    def blocks(self, surrogate: Surrogate, weight: float) -> list[Block]:
        """One block for each energy, `weight` what a squared standardized misfit counts."""
        return [energy.block(surrogate, weight * energy.strength) for energy in self.energies]

    def settle(
        self,
        unknowns: Unknowns,
        physics: Callable[[], list[Block]],
        misfits: Sequence[Block],
        weight: float,
        influence: Callable[[], Influence],
    ) -> tuple[float, bool]:
        """How many unknowns the data determine, and whether an order or a strength still moved or the field improved.

        A strength makes the evidence of the data largest: MacKay's fixed point `strength s'P s = gamma` with gamma the number
        of the field's unknowns that others than its prior determine (doi:10.1162/neco.1992.4.3.415). `influence` gives what
        standardized data (n, q) change by with what they determine, and their misfits (n,).
        """
        if not self.energies:
            return float(len(unknowns.free)), False
        named = [*misfits, *self.blocks(unknowns.surrogate, weight)]
        before, self.objective = self.objective, System(unknowns, named).loss() / weight
        if (known := influence()) is not None:
            found = [self._settle_one(energy, unknowns, *known) for energy in self.energies]
            gamma = len(unknowns.free) + sum(determined for determined, _ in found)
            return gamma, any(moved for _, moved in found) or self.objective < (1 - IMPROVED) * before
        total = System(unknowns, [*physics(), *named]).normal_equations()[1].cpu().double() / weight
        scale = total.diagonal().clamp_min(1e-300).rsqrt()
        scaled = total * scale[:, None] * scale
        values, vectors = torch.linalg.eigh(scaled)
        inverse = (vectors / values.clamp_min(RIDGE * float(values[-1]))) @ vectors.T
        gamma, moved = float(len(unknowns.free)), self.objective < (1 - IMPROVED) * before
        for energy in self.energies:
            size, gram, _ = energy.form(unknowns, energy.order)
            rest = scaled - energy.strength * gram * scale[:, None] * scale
            here = weights_of(unknowns, energy.component)
            determined = float((inverse[here] * rest[:, here].T).sum())
            gamma += determined
            if not energy.given and size > 0:
                change = max(determined, 0.1) / (energy.strength * size)
                change = min(max(change, 1 / LARGEST_CHANGE), LARGEST_CHANGE)
                energy.strength *= change
                moved = moved or not 1 / SETTLED < change < SETTLED
        return gamma, moved

    def _settle_one(
        self, energy: Energy, unknowns: Unknowns, slopes: np.ndarray, misfits: np.ndarray
    ) -> tuple[float, bool]:
        """Order and strength with the largest evidence near the present field: how many of its unknowns the data determine, and
        whether one of the two moved."""
        columns = determined_by_data(unknowns)
        own = torch.isin(columns, weights_of(unknowns, energy.component))
        jacobian = torch.from_numpy(slopes)
        gram, toward = jacobian.T @ jacobian, jacobian.T @ torch.from_numpy(misfits)
        for other in self.energies:
            if other is not energy:
                gram += other.strength * other.form(unknowns, other.order)[1][columns][:, columns]
        if not own.all():
            gram = gram[own][:, own] - _explained(gram[~own][:, ~own], gram[~own][:, own])
        found, present = {}, energy.form(unknowns, energy.order)[0]
        for order in energy.programs:
            size, matrix, slope = energy.form(unknowns, order)
            first = energy.strength if energy.given or not size * present > 0 else energy.strength * present / size
            here = columns[own]
            found[order] = _evidence(gram, toward[own], size, matrix[here][:, here], slope[here], first, energy.given)
        best = max(found, key=lambda order: found[order].logarithm)
        if found[best].logarithm < found[energy.order].logarithm + MORE:
            best = energy.order
        change = found[best].strength / energy.strength if best == energy.order else LARGEST_CHANGE
        energy.order, energy.strength = best, found[best].strength
        return found[best].determined, not 1 / SETTLED < change < SETTLED


class Evidence(NamedTuple):
    """The logarithm of the evidence, the strength that makes it largest, and how many unknowns others than the prior determine."""

    logarithm: float
    strength: float
    determined: float


def _explained(matrix: Tensor, coupling: Tensor) -> Tensor:
    """`coupling' matrix^-1 coupling`, directions that the matrix does not determine left out."""
    scale = matrix.diagonal().clamp_min(1e-300).rsqrt()
    values, vectors = torch.linalg.eigh(matrix * scale[:, None] * scale)
    turned = vectors.T @ (coupling * scale[:, None])
    return turned.T @ (turned / values.clamp_min(1e-10 * float(values[-1]))[:, None])


def _evidence(
    gram: Tensor, toward: Tensor, size: float, matrix: Tensor, slope: Tensor, strength: float, given: bool
) -> Evidence:
    """The evidence of an energy `size + 2 slope d + d matrix d` beside a misfit `2 toward d + d gram d` of changes d; `strength` is
    a first guess, or what is given."""
    first = strength
    scale = (gram.diagonal().clamp_min(0) + first * matrix.diagonal()).clamp_min(1e-300).rsqrt()
    own, rest = (part * scale[:, None] * scale for part in (first * matrix, gram))
    unit, slight, failed = torch.eye(len(scale), dtype=matrix.dtype), SLIGHT, True
    while failed:  # rounding may leave the rest slightly indefinite
        own, slight = own + slight * unit, 10 * slight
        root, info = torch.linalg.cholesky_ex(rest + own)
        failed = bool(info > 0) and slight < 1
    half = torch.linalg.solve_triangular(root, own, upper=False)
    part, vectors = torch.linalg.eigh(torch.linalg.solve_triangular(root, half.T, upper=False))
    part = part.clamp(1e-14, 1)  # of the prior in what determines each direction
    a, b = (
        vectors.T @ torch.linalg.solve_triangular(root, (x * scale)[:, None], upper=False)[:, 0]
        for x in (toward, slope)
    )
    for _ in range(1 if given else 30):
        whole = 1 - part + strength / first * part
        step = -(a + strength * b) / whole
        left = size + float((2 * b * step + part / first * step**2).sum())
        determined = float(((1 - part) / whole).sum())
        gain = float(((a + strength * b) ** 2 / whole + torch.log(strength / first * part / whole)).sum())
        now = Evidence((gain - strength * size) / 2, strength, determined)
        strength = max(determined, 0.1) / max(left, 1e-12 * size, 1e-300)
        if 0.95 < strength / now.strength < 1.05:
            break
    return now


def expected(component: FieldComponent) -> Expectation:
    """What is said of an unknown coefficient field, or the defaults where nothing is."""
    return component.expected or Expectation()


def terms(problem: Problem, component: FieldComponent) -> tuple[dict[int, Program], Points]:
    """For each order the rows of a field's energy in its free field, and points whose weights make their squares the energy."""
    mesh, prior = problem.mesh, expected(component).prior
    dimension = mesh.dimension - (1 if component.on else 0)
    lengths = prior.lengths(tuple(2 * float(s) for s in mesh.scale))
    programs = {
        order: Program(prior.rows(component, lengths, max(dimension, 1), order), problem, free=True)
        for order in prior.orders
    }
    points = sample(mesh, POINTS[mesh.dimension], on=component.on or None, seed=5)
    unit = float(np.prod(lengths)) ** (max(dimension, 1) / mesh.dimension)
    return programs, Points(points.x, points.weight / unit)


def weights_of(unknowns: Unknowns, component: FieldComponent) -> Tensor:
    """The places among all unknowns of the weights of a component's network."""
    network, output = unknowns.surrogate.network, unknowns.problem.index(component)
    if not isinstance(network, Separate):
        return torch.arange(network.n_parameters)
    return network.weights_of(output)


def determined_by_data(unknowns: Unknowns) -> Tensor:
    """The places among all unknowns of the weights of unknown coefficient fields, and of the parameters."""
    fields = [weights_of(unknowns, component) for component in unknowns.problem.identified]
    return torch.cat([*fields, torch.arange(unknowns.size - len(unknowns.free), unknowns.size)]).unique()


__all__ = ["Energy", "Priors", "determined_by_data", "expected", "terms", "weights_of"]
