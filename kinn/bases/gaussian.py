"""Gaussian bumps."""

from __future__ import annotations

import torch
from torch import Tensor

from kinn.bases.basis import Basis, padded_identity


class Gaussian(Basis):
    """`exp(-z^2 / 2)` with `z = (x - center) / width`; refinement adds narrower bumps between the centers and keeps the old.

    Derivatives by Hermite polynomials: `B^(k) = (-1 / width)^k He_k(z) B`, `He_{k+1} = z He_k - k He_{k-1}`.
    """

    name = "gaussian"

    def __init__(self, centers: int | list[float] = 5, widths: list[float] | None = None) -> None:
        if isinstance(centers, int):
            if centers < 2:
                raise ValueError(f"a Gaussian basis with {centers} center(s) cannot vary over [-1, 1]; use at least 2")
            widths = [2 / (centers - 1)] * centers
            centers = torch.linspace(-1, 1, centers, dtype=torch.float64).tolist()
        if widths is None or len(widths) != len(centers):
            raise ValueError("a Gaussian basis with given centers needs one width for each center")
        self.centers, self.widths = list(centers), list(widths)

    @property
    def n_functions(self) -> int:
        return len(self.centers)

    @property
    def smoothness(self) -> None:
        return None

    def derivatives(self, x: Tensor, order: int) -> Tensor:
        width = x.new_tensor(self.widths)
        z = (x[..., None] - x.new_tensor(self.centers)) / width
        before, current = torch.zeros_like(z), torch.exp(-0.5 * z * z)
        rows = [current]
        for k in range(order):
            # the factor (-1)^k / width^k is carried along in the recurrence
            before, current = current, -(z * current + k * before / width) / width
            rows.append(current)
        return torch.stack(rows)

    def refined(self) -> tuple[Gaussian, Tensor]:
        nodes = sorted(self.centers)
        middle = [(a + b) / 2 for a, b in zip(nodes, nodes[1:], strict=False)]
        finer = Gaussian(self.centers + middle, self.widths + [min(self.widths) / 2] * len(middle))
        return finer, padded_identity(self.n_functions, finer.n_functions)

    def settings(self) -> dict[str, float | int | list[float]]:
        return {"centers": self.centers, "widths": self.widths}
