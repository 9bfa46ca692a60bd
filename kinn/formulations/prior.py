"""Priors of unknown coefficient fields as terms of the loss, as strong as the data ask for."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import sympy as sp
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
SETTLED, IMPROVED = 1.3, 0.01  # changes of a strength, and falls of misfits and energies, that are the last
RIDGE = 1e-13  # of the scaled Gauss-Newton matrix: what counts less than this is not determined


@dataclass
class Energy:
    """The energy of one unknown field: `strength` times the sum over `points` of the squares of its program.

    `strength` is one over the squared deviation of the field; `given` says that the user gave it.
    """

    component: FieldComponent
    program: Program
    points: Points
    strength: float
    given: bool

    @property
    def name(self) -> str:
        return f"prior {self.component.name}"


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
            rows, points = terms(problem, component)
            given = prior.deviation is not None
            found.append(Energy(component, Program(rows, problem, free=True), points, deviation**-2, given))
        return Priors(found)

    def blocks(self, surrogate: Surrogate, weight: float) -> list[Block]:
        """One block for each energy, `weight` what a squared standardized misfit counts."""
        return [
            PointBlock(e.name, e.program, e.points, surrogate, math.sqrt(weight * e.strength), sums=True)
            for e in self.energies
        ]

    def settle(self, unknowns: Unknowns, blocks: Sequence[Block], weight: float) -> tuple[float, bool]:
        """How many unknowns the data determine, and whether a strength still moved or the field improved.

        A strength makes the evidence of the data largest: MacKay's fixed point `strength s'P s = gamma` with gamma the number
        of the field's unknowns that others than its prior determine (doi:10.1162/neco.1992.4.3.415).
        """
        if not self.energies:
            return float(len(unknowns.free)), False
        named = [block for block in blocks if block.name.startswith(("data ", "prior "))]
        before, self.objective = self.objective, System(unknowns, named).loss() / weight
        total = System(unknowns, blocks).normal_equations()[1].cpu().double() / weight
        scale = total.diagonal().clamp_min(1e-300).rsqrt()
        scaled = total * scale[:, None] * scale
        values, vectors = torch.linalg.eigh(scaled)
        inverse = (vectors / values.clamp_min(RIDGE * float(values[-1]))) @ vectors.T
        gamma, moved = float(len(unknowns.free)), self.objective < (1 - IMPROVED) * before
        for energy in self.energies:
            own = System(unknowns, [block for block in blocks if block.name == energy.name])
            loss, gram, _ = own.normal_equations()
            rest = scaled - gram.cpu().double() / weight * scale[:, None] * scale
            here = weights_of(unknowns, energy.component)
            determined = float((inverse[here] * rest[:, here].T).sum())
            gamma += determined
            if not energy.given and loss > 0:
                change = max(determined, 0.1) / (loss / weight)
                change = min(max(change, 1 / LARGEST_CHANGE), LARGEST_CHANGE)
                energy.strength *= change
                moved = moved or not 1 / SETTLED < change < SETTLED
        return gamma, moved


def expected(component: FieldComponent) -> Expectation:
    """What is said of an unknown coefficient field, or the defaults where nothing is."""
    return component.expected or Expectation()


def terms(problem: Problem, component: FieldComponent) -> tuple[list[sp.Expr], Points]:
    """The rows of a field's energy in its free field, and points whose weights make their squares the energy."""
    mesh, prior = problem.mesh, expected(component).prior
    dimension = mesh.dimension - (1 if component.on else 0)
    lengths = prior.lengths(tuple(2 * float(s) for s in mesh.scale))
    rows = prior.rows(component, lengths, max(dimension, 1))
    points = sample(mesh, POINTS[mesh.dimension], on=component.on or None, seed=5)
    unit = float(np.prod(lengths)) ** (max(dimension, 1) / mesh.dimension)
    return rows, Points(points.x, points.weight / unit)


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
