"""How a finite element solution changes with the parameters of its statement."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from kinn.formulations.factor import Factor
from kinn.formulations.galerkin import GalerkinSpace
from kinn.formulations.pieces import Piece

STEP = 1e-5  # of a parameter's value, of its differences


def sensitivities(
    space: GalerkinSpace,
    jets: Sequence[Tensor],
    parameters: Tensor,
    factor: Factor,
    tangent: sparse.csr_array,
    pieces: Sequence[Piece] | None = None,
) -> np.ndarray:
    """(size, p): derivatives of the solution with `jets` in each parameter, `tangent` and its `factor` those at this solution.

    The residual depends on parameters in its integrands and through the given values; both derivatives are central
    differences, which are exact where it is affine in the parameters.
    """
    pieces = space.pieces if pieces is None else pieces
    fixed, free = space.fixed, factor.free
    found = np.zeros((space.size, len(parameters)))
    for j, (low, high) in enumerate(sides_of(parameters)):
        width = float(high[j] - low[j])
        (_, one), (_, two) = (space.essential_values(p) for p in (low, high))
        found[fixed, j] = np.nan_to_num(two - one) / width
        change = (space.residual(pieces, jets, high) - space.residual(pieces, jets, low)) / width
        found[free, j] = factor.solve(-change[free] - tangent[free] @ found[:, j])
    return found


def sides_of(parameters: Tensor) -> list[tuple[Tensor, Tensor]]:
    """For each parameter all of them with this one a little lower and higher, for central differences."""
    found = []
    for j, value in enumerate(parameters.tolist()):
        step = torch.zeros_like(parameters)
        step[j] = STEP * (abs(value) or 1.0)
        found.append((parameters - step, parameters + step))
    return found


__all__ = ["sensitivities", "sides_of"]
