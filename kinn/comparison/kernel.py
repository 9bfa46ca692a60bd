"""The neural tangent kernel of a network: which functions gradients teach it fast, and which hardly at all."""

from __future__ import annotations

import numpy as np
import torch

from kinn.formulations.blocks import PointBlock
from kinn.formulations.program import Program
from kinn.geometry import Points
from kinn.solution import Solution


def kernel_spectrum(solution: Solution, points: np.ndarray) -> np.ndarray:
    """Eigenvalues, largest first, of K = J J', J (n c, P) the derivatives of all components at points (n, d) in the weights.

    The neural tangent kernel (arXiv 1806.07572) of the solution as it is: under small steps along gradients an eigenvector is
    learned at a rate of its eigenvalue. There are n c of them, and no more than P above rounding.
    """
    problem, unknowns = solution.problem, solution.result.unknowns()
    at = Points(np.asarray(points, dtype=np.float64), np.ones(len(points)))
    program = Program(list(problem.components), problem)
    block = PointBlock("", program, at, unknowns.surrogate, sums=True)
    rows = torch.cat([block.jacobian(unknowns, part)[1] for part in block.parts(unknowns)])
    weights = rows[:, : unknowns.surrogate.network.n_parameters]
    found = torch.linalg.svdvals(weights).square().cpu().numpy()
    return np.concatenate([found, np.zeros(len(rows) - len(found))])


__all__ = ["kernel_spectrum"]
