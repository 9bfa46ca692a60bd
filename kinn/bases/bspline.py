"""B-splines on uniform cells."""

from __future__ import annotations

from functools import cached_property
from math import comb

import torch
from torch import Tensor

from kinn.bases.basis import Basis


class BSpline(Basis):
    """B-splines of any `degree` on `cells` equal cells of [-1, 1], the knots continued evenly beyond both ends.

    On each cell every spline is a polynomial in the local coordinate, the same one on all cells, so an evaluation is one small
    matrix product and a scatter. Refinement halves the cells by the two-scale relation
    `B(x) = 2^-p sum_j C(p+1, j) B_fine(2 x - j)`, which is exact (de Boor, A Practical Guide to Splines, 1978).
    """

    name = "bspline"

    def __init__(self, degree: int = 5, cells: int = 1) -> None:
        if degree < 1 or cells < 1:
            raise ValueError(f"a B-spline needs degree >= 1 and cells >= 1, not degree {degree} and cells {cells}")
        self.degree, self.cells = degree, cells

    @property
    def n_functions(self) -> int:
        return self.cells + self.degree

    @property
    def smoothness(self) -> int:
        return self.degree - 1

    @cached_property
    def _local(self) -> Tensor:
        """(p + 1, p + 1): row j holds the monomial coefficients of the j-th spline that lives on a cell, in t in [0, 1]."""
        pieces = [[1.0]]
        for p in range(1, self.degree + 1):
            # cardinal recurrence: p N_p(t + m) = (t + m) N_{p-1}(t + m) + (p + 1 - t - m) N_{p-1}(t + m - 1)
            raised = []
            for m in range(p + 1):
                row = [0.0] * (p + 1)
                if m < p:
                    for e, c in enumerate(pieces[m]):
                        row[e] += m * c / p
                        row[e + 1] += c / p
                if m > 0:
                    for e, c in enumerate(pieces[m - 1]):
                        row[e] += (p + 1 - m) * c / p
                        row[e + 1] -= c / p
                raised.append(row)
            pieces = raised
        return torch.tensor(pieces[::-1], dtype=torch.float64)

    def derivatives(self, x: Tensor, order: int) -> Tensor:
        values, index = self.local(x, order)
        rows = [x.new_zeros(*x.shape, self.n_functions).scatter(-1, index, value) for value in values]
        return torch.stack(rows)

    def local(self, x: Tensor, order: int) -> tuple[Tensor, Tensor]:
        """Values and derivatives (order + 1, *s, p + 1) of the splines that are not zero at `x` (any shape s), and their
        numbers (*s, p + 1)."""
        p, width = self.degree, 2 / self.cells
        position = (x + 1) / width
        cell = position.detach().floor().clamp(0, self.cells - 1)
        t = position - cell
        powers = torch.stack([t**e for e in range(p + 1)], -1)
        index = cell.long()[..., None] + torch.arange(p + 1, device=x.device)
        local, rows = self._local.to(x), []
        for k in range(order + 1):
            rows.append(powers[..., : p + 1 - k] @ local.T[: p + 1 - k] if k <= p else torch.zeros_like(powers))
            steps = torch.arange(1, max(local.shape[1], 1), dtype=x.dtype, device=x.device)
            local = local[:, 1:] * steps / width
        return torch.stack(rows), index

    def refined(self) -> tuple[BSpline, Tensor]:
        p, finer = self.degree, BSpline(self.degree, 2 * self.cells)
        matrix = torch.zeros(self.n_functions, finer.n_functions, dtype=torch.float64)
        for coarse in range(self.n_functions):
            for j in range(p + 2):
                fine = 2 * coarse - p + j
                if 0 <= fine < finer.n_functions:
                    matrix[coarse, fine] = comb(p + 1, j) / 2**p
        return finer, matrix

    def settings(self) -> dict[str, float | int | list[float]]:
        return {"degree": self.degree, "cells": self.cells}
