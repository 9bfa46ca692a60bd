"""Observations as terms of the loss, with the noise that the user gave or that the misfits show."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from kinn.formulations.blocks import PointBlock, RowBlock
from kinn.formulations.integrals import IntegralBlock, IntegralTerm
from kinn.formulations.program import Program
from kinn.formulations.surrogate import Surrogate
from kinn.formulations.unknowns import Unknowns
from kinn.geometry import Points
from kinn.statement.fields import FieldComponent
from kinn.statement.observations import Observations
from kinn.statement.problem import Problem

SMALLEST_NOISE = 1e-5  # relative to the spread of the values: data that fit better count no more


@dataclass
class Data:
    """Observations with their programs and the standard deviations in force.

    `relative` is the smallest noise over spread, of data of the solution where there are any: known values of a coefficient
    say nothing of how exact the solution must be.
    """

    problem: Problem
    programs: list[Program | IntegralTerm]
    sigmas: list[np.ndarray]
    spreads: list[float]
    relative: float

    @staticmethod
    def of(problem: Problem) -> Data:
        sigmas, spreads = (
            [first_noise(data) for data in problem.observations],
            list(map(spread_of, problem.observations)),
        )
        programs = [
            IntegralTerm(f"data {data.name}", [data.expression], problem)
            if data.is_global
            else Program([data.expression], problem)
            for data in problem.observations
        ]
        found = Data(problem, programs, sigmas, spreads, 1.0)
        found._relate()
        return found

    def _relate(self) -> None:
        ratios = [float(sigma.mean()) / spread for sigma, spread in zip(self.sigmas, self.spreads, strict=True)]
        held = [data.expression.atoms(FieldComponent) for data in self.problem.observations]
        own = [r for r, fields in zip(ratios, held, strict=True) if not fields <= set(self.problem.identified)]
        self.relative = min(own or ratios, default=1.0)

    def residuals(self, unknowns: Unknowns) -> list[np.ndarray]:
        """Misfits in the units of the data."""
        found = data_blocks(
            self.problem, self.programs, unknowns.surrogate, [np.ones_like(s) for s in self.sigmas], 1.0
        )
        return [block.residuals(unknowns)[0].cpu().numpy() for block in found]

    def estimate_noise(self, unknowns: Unknowns, determined: float) -> bool:
        """Replace the standard deviations that the user did not give by those of the misfits; whether one moved by 5 %.

        `determined` is how many unknowns all data together determine; each set has its share of them.
        """
        total, moved = sum(len(data) for data in self.problem.observations), False
        for i, (data, misfit) in enumerate(zip(self.problem.observations, self.residuals(unknowns), strict=True)):
            if data.sigma is None:
                sigma = noise_of(data, misfit, min(determined, 0.9 * total) * len(data) / total)
                moved = moved or abs(float(sigma[0]) / float(self.sigmas[i][0]) - 1) > 0.05
                self.sigmas[i] = sigma
        self._relate()
        return moved

    def shift(self, slopes: np.ndarray, misfits: np.ndarray) -> float:
        """How many standard deviations parameters are from their best values, where `misfits` (n,) change by `slopes` (n, p)
        with them; inf without parameters."""
        if not slopes.shape[1]:
            return math.inf
        sigma = np.concatenate(self.sigmas)
        directions = np.linalg.svd(slopes / sigma[:, None], full_matrices=False)[0]
        return float(np.linalg.norm(directions.T @ (misfits / sigma)))


def spread_of(data: Observations) -> float:
    """What noise is small against: the range of the values. Readings of one number differ by noise alone: then their size."""
    values = np.asarray(data.values)
    return (0.0 if data.is_global else float(np.ptp(values))) or float(np.abs(values).max()) or 1.0


def first_noise(data: Observations) -> np.ndarray:
    """Standard deviations (n,), as given or assumed before there are misfits."""
    return np.full(len(data), 0.01 * spread_of(data)) if data.sigma is None else np.asarray(data.sigma)


def noise_of(data: Observations, misfit: np.ndarray, n_parameters: float) -> np.ndarray:
    """Standard deviations (n,), as given or as the misfits (n,) of a fit of `n_parameters` show."""
    if data.sigma is not None:
        return np.asarray(data.sigma)
    found = math.sqrt(float(misfit @ misfit) / max(len(misfit) - n_parameters, 1))
    return np.full(len(misfit), max(found, SMALLEST_NOISE * spread_of(data)))


def data_blocks(
    problem: Problem,
    programs: Sequence[Program | IntegralTerm],
    surrogate: Surrogate,
    sigmas: Sequence[np.ndarray],
    weight: float,
) -> list[RowBlock]:
    """`weight sum ((f(x_i) - value_i) / sigma_i)^2` for each set of observations; of integrals f is one number."""
    blocks: list[RowBlock] = []
    for data, program, sigma in zip(problem.observations, programs, sigmas, strict=True):
        factor, values, certain = math.sqrt(weight), np.asarray(data.values), 1 / np.asarray(sigma) ** 2
        if isinstance(program, IntegralTerm):
            blocks.append(IntegralBlock(program, surrogate, factor, values, certain))
            continue
        points, target = Points(np.asarray(data.points), certain), torch.as_tensor(values)
        blocks.append(PointBlock(f"data {data.name}", program, points, surrogate, factor, target, sums=True))
    return blocks
