"""The evidence of data for the energy of a field (MacKay, doi:10.1162/neco.1992.4.3.415)."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

SLIGHT = 1e-10  # of the prior's matrix: directions of the weights that change no function belong to the prior
FARTHEST = 1e6  # times the first guess, that a strength may be found from it


class Evidence(NamedTuple):
    """The logarithm of the evidence, the strength that makes it largest, and how many unknowns others than the prior determine."""

    logarithm: float
    strength: float
    determined: float


def explained(matrix: Tensor, left: Tensor, right: Tensor) -> Tensor:
    """`left' matrix^-1 right`, directions that the matrix does not determine left out."""
    scale = matrix.diagonal().clamp_min(1e-300).rsqrt()
    values, vectors = torch.linalg.eigh(matrix * scale[:, None] * scale)
    known = values > 1e-10 * values[-1]
    ends = [vectors[:, known].T @ (side * scale[:, None]) for side in (left, right)]
    return ends[0].T @ (ends[1] / values[known, None])


def evidence(
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
    # far from where the directions were found they are rounding, and a prior that outweighs all data needs no more strength
    lowest, highest = first / FARTHEST, first * max(1.0, FARTHEST * float((1 - part).max()))
    for _ in range(1 if given else 30):
        whole = 1 - part + strength / first * part
        step = -(a + strength * b) / whole
        left = size + float((2 * b * step + part / first * step**2).sum())
        determined = float(((1 - part) / whole).sum())
        gain = float(((a + strength * b) ** 2 / whole + torch.log(strength / first * part / whole)).sum())
        now = Evidence((gain - strength * size) / 2, strength, determined)
        strength = min(max(max(determined, 0.1) / max(left, 1e-12 * size, 1e-300), lowest), highest)
        if 0.95 < strength / now.strength < 1.05:
            break
    return now
