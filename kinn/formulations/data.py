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

# Of robust losses: where Huber's becomes linear (95 % efficient for normal noise), the degrees of freedom of Student's t, and the
# median of |x| for a standard normal x.
HUBER, DEGREES, NORMAL_MEDIAN = 1.345, 4.0, 0.67449
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
        ratios = [float(np.median(sigma)) / spread for sigma, spread in zip(self.sigmas, self.spreads, strict=True)]
        held = [data.expression.atoms(FieldComponent) for data in self.problem.observations]
        own = [r for r, fields in zip(ratios, held, strict=True) if not fields <= set(self.problem.identified)]
        self.relative = min(own or ratios, default=1.0)

    def blocks(self, surrogate: Surrogate, weight: float) -> list[RowBlock]:
        """The misfits as terms of the loss, `weight` what a squared standardized one counts."""
        return data_blocks(self.problem, self.programs, surrogate, self.sigmas, weight)

    def residuals(self, unknowns: Unknowns) -> list[np.ndarray]:
        """Misfits in the units of the data."""
        ones = [np.ones_like(sigma) for sigma in self.sigmas]
        found = data_blocks(self.problem, self.programs, unknowns.surrogate, ones, 1.0)
        return [block.residuals(unknowns)[0].cpu().numpy() for block in found]

    def estimate_noise(self, unknowns: Unknowns, determined: float) -> bool:
        """Replace the standard deviations that the user did not give, or that a robust loss moves, by those of the misfits; whether
        one moved by 5 %.

        `determined` is how many unknowns all data together determine; each set has its share of them.
        """
        total, moved = sum(len(data) for data in self.problem.observations), False
        for i, (data, misfit) in enumerate(zip(self.problem.observations, self.residuals(unknowns), strict=True)):
            if data.sigma is None or data.loss is not None:
                sigma = noise_of(data, misfit, min(determined, 0.9 * total) * len(data) / total)
                moved = moved or not np.allclose(sigma, self.sigmas[i], rtol=0.05, atol=0)
                self.sigmas[i] = sigma
        self._relate()
        return moved


def spread_of(data: Observations) -> float:
    """What noise is small against: the range of the values. Readings of one number differ by noise alone: then their size."""
    values = np.asarray(data.values)
    return (0.0 if data.is_global else float(np.ptp(values))) or float(np.abs(values).max()) or 1.0


def first_noise(data: Observations) -> np.ndarray:
    """Standard deviations (n,), as given or assumed before there are misfits."""
    return np.full(len(data), 0.01 * spread_of(data)) if data.sigma is None else np.asarray(data.sigma)


def noise_of(data: Observations, misfit: np.ndarray, n_parameters: float) -> np.ndarray:
    """Standard deviations (n,), as given or as the misfits (n,) of a fit of `n_parameters` show.

    With a robust loss they grow with a misfit, so that its square counts what the loss says (iteratively reweighted least squares,
    doi:10.1080/03610917708812083).
    """
    if data.sigma is not None:
        sigma = np.asarray(data.sigma)
    else:
        per_value = len(misfit) / max(len(misfit) - n_parameters, 1)
        found = math.sqrt(_spread_of_misfits(data.loss, misfit) * per_value)
        sigma = np.full(len(misfit), max(found, SMALLEST_NOISE * spread_of(data)))
    return sigma if data.loss is None else sigma / np.sqrt(_weights(data.loss, misfit / sigma))


def _spread_of_misfits(loss: str | None, misfit: np.ndarray) -> float:
    """The mean square of misfits, without what is quite wrong where a loss is robust."""
    if loss is None:
        return float(misfit @ misfit) / len(misfit)
    square = float(np.median(np.abs(misfit)) / NORMAL_MEDIAN) ** 2
    for _ in range(50 if loss == "student" else 0):  # the most likely scale of Student's t
        square = float(np.mean((DEGREES + 1) / (DEGREES + misfit**2 / max(square, 1e-300)) * misfit**2))
    return square


def _weights(loss: str, z: np.ndarray) -> np.ndarray:
    """What squares of standardized misfits (n,) count."""
    if loss == "huber":
        return np.minimum(1.0, HUBER / np.maximum(np.abs(z), 1e-300))
    # times Fisher's information of one value, so that standard deviations come out right
    return (DEGREES + 1) / (DEGREES + z**2) * (DEGREES + 1) / (DEGREES + 3)


def counted(loss: str | None, z: np.ndarray) -> np.ndarray:
    """What standardized misfits (n,) count: their squares, or what a robust loss makes of them."""
    if loss is None:
        return z**2
    if loss == "huber":
        return np.where(np.abs(z) <= HUBER, z**2, 2 * HUBER * np.abs(z) - HUBER**2)
    return (DEGREES + 1) * np.log1p(z**2 / DEGREES) * (DEGREES + 1) / (DEGREES + 3)


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
