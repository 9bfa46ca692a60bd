"""Chebyshev polynomials of the first kind."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from kinn.bases.basis import Basis, padded_identity


class Chebyshev(Basis):
    """`T_0 ... T_degree` with `T_m(cos a) = cos(m a)`; refinement raises the degree and new coefficients are zero.

    The derivatives follow from differentiating the three-term recurrence k times:
    `T_m^(k) = 2 x T_{m-1}^(k) + 2 k T_{m-1}^(k-1) - T_{m-2}^(k)`.

    >>> import torch
    >>> Chebyshev(3).derivatives(torch.tensor([0.5], dtype=torch.float64), 1)[:, 0, 2].tolist()
    [-0.5, 2.0]
    """

    name, constants = "chebyshev", 1

    def __init__(self, degree: int = 3) -> None:
        if degree < 1:
            raise ValueError(f"Chebyshev degree is {degree}, but an edge needs at least degree 1")
        self.degree = degree

    @property
    def n_functions(self) -> int:
        return self.degree + 1

    @property
    def smoothness(self) -> None:
        return None

    def derivatives(self, x: Tensor, order: int) -> Tensor:
        factor = 2 * torch.arange(1, order + 1, dtype=x.dtype, device=x.device).view(-1, *[1] * x.dim())
        before = x.new_zeros(order + 1, *x.shape)
        before[0] = 1
        current = torch.zeros_like(before)
        current[0] = x
        if order:
            current[1] = 1
        double, columns = 2 * x, [before, current]
        for _ in range(2, self.degree + 1):
            following = torch.addcmul(-columns[-2], double, columns[-1])
            if order:
                following[1:].addcmul_(factor, columns[-1][:-1])
            columns.append(following)
        # the functions stay first in memory, which costs less than to interleave them; products with weights take them as well
        return torch.stack(columns[: self.degree + 1]).movedim(0, -1)

    def refined(self) -> tuple[Chebyshev, Tensor]:
        finer = Chebyshev(self.degree + max(2, math.ceil(0.4 * self.degree)))
        return finer, padded_identity(self.n_functions, finer.n_functions)

    def settings(self) -> dict[str, float | int | list[float]]:
        return {"degree": self.degree}
