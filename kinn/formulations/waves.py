"""Short waves in the statement: solutions follow them, so networks read them (two scales, `u(x) = U(x, phase(x))`)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import sympy as sp

from kinn.geometry import Mesh
from kinn.networks import Wave
from kinn.statement.calculus import expanded
from kinn.statement.problem import Problem

SHORT = 4.0  # lengths of a wave along an axis of the domain from which networks may have it as inputs
MANY = 12.0  # waves in the domain from which they have them: fewer ones their first edges learn as fast
MAX_WAVES = 4  # a statement with more of them has no scale of its own
HARMONICS = 3  # multiples of a wave that are smooth functions of it
CELL = math.pi / 2  # the largest angle by which a wave turns over a cell
SAME = 1e-9


def short_waves(problem: Problem) -> tuple[Wave, ...]:
    """The plane waves `sin` and `cos` of linear functions of the coordinates in equations and conditions, of which the domain
    is many lengths wide.

    Sources, coefficients and given values make solutions that oscillate with them (Bensoussan, Lions and Papanicolaou,
    Asymptotic Analysis for Periodic Structures, 1978), which no small network finds from the coordinates alone. An exact
    solution is not read.
    """
    if problem.identified:
        return ()  # unknown coefficients have splines of the coordinates alone
    mesh: Mesh = problem.mesh
    found: list[np.ndarray] = []
    most = np.ones(mesh.dimension)
    for vector in sorted(_vectors(problem), key=lambda k: (float(np.linalg.norm(k)), k.tolist())):
        lengths = lengths_of(vector, mesh)
        most = np.maximum(most, lengths)
        if lengths.max() >= SHORT and not any(_follows(vector, first) for first in found):
            found.append(vector)
    wanted = len(found) <= MAX_WAVES and most.prod() >= MANY
    return tuple(Wave(tuple(v.tolist())) for v in found) if wanted else ()


def _vectors(problem: Problem) -> list[np.ndarray]:
    """The wave vectors (d,) of all waves in the statement, each with its largest turn upwards."""
    coordinates, found = problem.mesh.coordinates, []
    for expression in problem.expressions():
        for wave in expanded(expression).atoms(sp.sin, sp.cos):
            slopes = [sp.diff(wave.args[0], x) for x in coordinates]
            if all(slope.is_number and slope.is_real for slope in slopes):
                vector = np.array([float(slope) for slope in slopes])
                found.append(vector * (1 if vector[np.abs(vector).argmax()] >= 0 else -1))
    return found


def lengths_of(vector: np.ndarray, mesh: Mesh) -> np.ndarray:
    """How many lengths of a wave the domain is wide along each axis, (d,)."""
    return np.abs(vector) * 2 * mesh.scale / (2 * math.pi)


def _follows(vector: np.ndarray, first: np.ndarray) -> bool:
    """Whether a wave is a low multiple of another, up to the direction."""
    ratio = round(float(vector @ first / (first @ first)))
    near = np.allclose(vector, ratio * first, rtol=0, atol=SAME * float(np.linalg.norm(first)))
    return near and 1 <= abs(ratio) <= HARMONICS


def coarse_cells(mesh: Mesh, waves: Sequence[Wave]) -> np.ndarray:
    """Which cells are larger than a quarter of a wave, (nc,) booleans: on these, quadratic tests do not see it."""
    found = np.zeros(len(mesh.cells), dtype=bool)
    for wave in waves:
        found |= np.ptp(mesh.points[mesh.cells] @ np.array(wave.vector), axis=1) > CELL * (1 + SAME)
    return found


def describe(waves: tuple[Wave, ...], mesh: Mesh) -> tuple[str, ...]:
    """Each wave in a few words."""
    names = mesh.coordinate_names
    return tuple(
        "cos and sin of "
        + " + ".join(f"{k:.4g} {name}" for k, name in zip(wave.vector, names, strict=True) if k).replace("+ -", "- ")
        for wave in waves
    )


__all__ = ["coarse_cells", "describe", "lengths_of", "short_waves"]
