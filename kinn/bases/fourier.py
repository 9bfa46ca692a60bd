"""Fourier series of period 2."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from kinn.bases.basis import Basis, padded_identity


class Fourier(Basis):
    """`1, cos(pi k x), sin(pi k x)` for k = 1 ... degree; refinement adds waves, whose new coefficients are zero.

    Every function has period 2, the length of the reference interval: with these on its first layer and `base=False`, a KAN is
    periodic in its inputs, derivatives included. Of a function that is not periodic a Fourier series converges slowly.

    >>> import torch
    >>> Fourier(1).derivatives(torch.tensor([0.0], dtype=torch.float64), 1)[0, 0].tolist()
    [1.0, 1.0, 0.0]
    """

    name, constants = "fourier", 1

    def __init__(self, degree: int = 3) -> None:
        if degree < 1:
            raise ValueError(f"Fourier degree is {degree}, but an edge needs at least one wave, degree 1")
        self.degree = degree

    @property
    def n_functions(self) -> int:
        return 2 * self.degree + 1

    @property
    def smoothness(self) -> None:
        return None

    def derivatives(self, x: Tensor, order: int) -> Tensor:
        wave = math.pi * torch.arange(1, self.degree + 1, dtype=x.dtype, device=x.device)
        angle = x[..., None] * wave
        cosine, sine = torch.cos(angle), torch.sin(angle)
        constant, rows = torch.ones_like(x)[..., None], []
        for _ in range(order + 1):
            # 1, cos1, sin1, cos2, sin2, ...: a richer basis begins with this one
            rows.append(torch.cat([constant, torch.stack([cosine, sine], -1).flatten(-2)], -1))
            constant, cosine, sine = torch.zeros_like(constant), -wave * sine, wave * cosine
        return torch.stack(rows)

    def refined(self) -> tuple[Fourier, Tensor]:
        finer = Fourier(self.degree + max(1, math.ceil(0.4 * self.degree)))
        return finer, padded_identity(self.n_functions, finer.n_functions)

    def settings(self) -> dict[str, float | int | list[float]]:
        return {"degree": self.degree}
