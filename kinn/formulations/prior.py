"""Priors of unknown coefficient fields as terms of the loss, as strong as the data ask for."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from kinn.formulations.blocks import Block
from kinn.formulations.energy import Energy, Shape, expected, terms, weights_of
from kinn.formulations.evidence import evidence, explained
from kinn.formulations.surrogate import Surrogate
from kinn.formulations.system import System
from kinn.formulations.unknowns import Unknowns
from kinn.statement.problem import Problem

LARGEST_CHANGE = 100.0  # of a strength from one round to the next
SETTLED, IMPROVED = 1.3, 0.01  # changes of a strength, and falls of misfits and energies, that are the last
SAME = 1e-3  # of the squared misfit: the shape of a prior is not chosen again
RIDGE = 1e-13  # of the scaled Gauss-Newton matrix: what counts less than this is not determined


@dataclass
class Priors:
    """The energies of all unknown coefficient fields."""

    energies: list[Energy]
    objective: float = math.inf  # misfits and energies when the strengths were settled last

    @staticmethod
    def of(problem: Problem, surrogate: Surrogate) -> Priors:
        """Energies with the strengths that the deviations or the amplitudes of the fields suggest; none without data: then equations
        alone determine the fields."""
        found = []
        for component in problem.identified if problem.observations else ():
            prior = expected(component).prior
            amplitude = float(surrogate.amplitude[problem.index(component)])
            deviation = prior.deviation or amplitude
            given, first = prior.deviation is not None, prior.orders[0]
            programs, points = terms(problem, component)
            found.append(Energy(component, programs, points, deviation**-2, given, Shape(first)))
            found[-1].check(surrogate.network, problem)
        return Priors(found)

    def blocks(self, unknowns: Unknowns, weight: float) -> list[Block]:
        """One block for each energy, `weight` what a squared standardized misfit counts."""
        return [energy.block(unknowns, weight * energy.strength) for energy in self.energies]

    def form(self, unknowns: Unknowns) -> tuple[float, Tensor, Tensor]:
        """All energies, half their second derivative (q, q) and half their slope (q,) in what data determine."""
        columns = determined_by_data(unknowns)
        q = len(columns)
        size, matrix, slope = 0.0, torch.zeros(q, q, dtype=torch.float64), torch.zeros(q, dtype=torch.float64)
        for energy in self.energies:
            own = torch.searchsorted(columns, weights_of(unknowns, energy.component))
            found = energy.form(unknowns)
            size += energy.strength * found[0]
            matrix[own[:, None], own] += energy.strength * found[1]
            slope[own] += energy.strength * found[2]
        return size, matrix, slope

    def settle(self, unknowns: Unknowns, slopes: np.ndarray, misfits: np.ndarray) -> tuple[float, bool]:
        """Orders and strengths with the largest evidence near the present fields, from standardized misfits (n,) and what they
        change by with what data determine (n, q): how many of these numbers data determine, and whether one still moved.

        A strength makes the evidence of the data largest: MacKay's fixed point `strength s'P s = gamma` with gamma the number
        of the field's unknowns that others than its prior determine (doi:10.1162/neco.1992.4.3.415).
        """
        found = [self._settle_one(energy, unknowns, slopes, misfits) for energy in self.energies]
        return len(unknowns.free) + sum(determined for determined, _ in found), any(moved for _, moved in found)

    def settle_on(
        self, unknowns: Unknowns, physics: Sequence[Block], misfits: Sequence[Block], weight: float
    ) -> tuple[float, bool]:
        """The same where elements do not tell what data change by: from the Gauss-Newton matrix of all terms."""
        named = [*misfits, *self.blocks(unknowns, weight)]
        before, self.objective = self.objective, System(unknowns, named).loss() / weight
        total = System(unknowns, [*physics, *named]).normal_equations()[1].cpu().double() / weight
        scale = total.diagonal().clamp_min(1e-300).rsqrt()
        scaled = total * scale[:, None] * scale
        values, vectors = torch.linalg.eigh(scaled)
        inverse = (vectors / values.clamp_min(RIDGE * float(values[-1]))) @ vectors.T
        gamma, moved = float(len(unknowns.free)), self.objective < (1 - IMPROVED) * before
        for energy in self.energies:
            size, gram, _ = energy.form(unknowns)
            here = weights_of(unknowns, energy.component)
            rest = scaled[:, here].clone()
            rest[here] -= energy.strength * gram * scale[here, None] * scale[here]
            determined = float((inverse[here] * rest.T).sum())
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
                place = torch.searchsorted(columns, weights_of(unknowns, other.component))
                _, matrix, slope = other.form(unknowns)
                gram[place[:, None], place] += other.strength * matrix
                toward[place] += other.strength * slope
        if not own.all():
            known = torch.cat([gram[~own][:, own], toward[~own, None]], 1)
            left = explained(gram[~own][:, ~own], gram[~own][:, own], known)
            gram, toward = gram[own][:, own] - left[:, :-1], toward[own] - left[:, -1]
        misfit, change = float(misfits @ misfits), 1.0
        if abs(misfit - energy.chosen) > SAME * misfit:
            before, energy.chosen = energy.shape, misfit
            energy.choose(unknowns, gram, toward)
            change = 1.0 if energy.shape == before else LARGEST_CHANGE
        found = evidence(gram, toward, *energy.form(unknowns), energy.strength, energy.given)
        change, energy.strength = change * found.strength / energy.strength, found.strength
        return found.determined, not 1 / SETTLED < change < SETTLED


def determined_by_data(unknowns: Unknowns) -> Tensor:
    """The places among all unknowns of the weights of unknown coefficient fields, and of the parameters."""
    fields = [weights_of(unknowns, component) for component in unknowns.problem.identified]
    return torch.cat([*fields, torch.arange(unknowns.size - len(unknowns.free), unknowns.size)]).unique()


__all__ = ["Priors", "determined_by_data"]
