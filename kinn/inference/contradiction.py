"""Whether data and statement agree, in words: misfits beyond the noise, and where they are largest."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from kinn.formulations.data import spread_of
from kinn.statement.observations import Observations
from kinn.statement.problem import Problem

BEYOND = 5.0  # standard deviations of chi squared
LARGEST_NOISE = 0.3  # of the spread of values: what is not explained to this part is not explained
ORDER = 8.0  # a factor between data and solution that looks like a unit


def contradictions(problem: Problem, misfits: Sequence[np.ndarray], sigmas: Sequence[np.ndarray]) -> str:
    """What sets of observations misfit the solution beyond their noise, solution minus value in `misfits`; empty if none does."""
    found = []
    for data, misfit, sigma in zip(problem.observations, misfits, sigmas, strict=True):
        text = _contradiction(data, misfit, sigma)
        if text:
            found.append(
                f"data {data.name} contradict the statement: {text}{_unit(data, misfit)}{_where(problem, data, misfit / sigma)}"
            )
    return "; ".join(found)


def _contradiction(data: Observations, misfit: np.ndarray, sigma: np.ndarray) -> str:
    count = len(data)
    if data.sigma is not None and data.loss is None:
        square = float(((misfit / sigma) ** 2).sum())
        if square > count + BEYOND * np.sqrt(2 * count):
            return f"misfits are {np.sqrt(square / count):.2g} times what sigma says"
    elif float(np.median(sigma)) > LARGEST_NOISE * spread_of(data) and count > 2:
        return f"misfits are {float(np.median(sigma)) / spread_of(data):.0%} of the range of the values"
    return ""


def _unit(data: Observations, misfit: np.ndarray) -> str:
    """That another unit would explain most of the misfit, if it would."""
    found = data.values + misfit
    ratio = float(data.values @ found) / (float(found @ found) or 1.0)
    left = float(((data.values - ratio * found) ** 2).sum())
    if left < 0.1 * float(misfit @ misfit) and ratio > 0 and not 1 / ORDER < ratio < ORDER:
        return f"; the values are about {ratio:.2g} times the solution: check the unit of {data.name}"
    return ""


def _where(problem: Problem, data: Observations, z: np.ndarray) -> str:
    if data.is_global:
        return ""
    worst = int(np.argmax(np.abs(z)))
    names = problem.mesh.coordinate_names
    place = ", ".join(f"{name} = {x:.4g}" for name, x in zip(names, data.points[worst], strict=True))
    return f"; the largest, {abs(z[worst]):.1f} standard deviations, at {place} (solution.misfits() has all)"


__all__ = ["contradictions"]
