"""Levenberg-Marquardt steps: one factorization, many damping values."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass
class Quadratic:
    """The model `loss(theta + D p) = loss + 2 g.p + |R p|^2` of a sum of squares, its columns scaled by D.

    `triangle` is R of a QR factorization of the scaled Jacobian (P, P) or None, `gram` is `R'R`; `gradient` is g (P,).
    """

    gram: Tensor
    gradient: Tensor
    triangle: Tensor | None = None
    projected: Tensor | None = None

    def step(self, damping: float) -> tuple[Tensor, float] | None:
        """Minimizer of the model plus `damping |p|^2` and the decrease that the model promises; None if not positive definite."""
        identity = torch.eye(len(self.gradient), dtype=self.gradient.dtype, device=self.gradient.device)
        if self.triangle is not None and self.projected is not None:
            # orthogonal factorization keeps the digits that forming R'R would lose
            stacked = torch.cat([self.triangle, damping**0.5 * identity])
            q, r = torch.linalg.qr(stacked)
            right = q[: len(self.gradient)].T @ self.projected
            step = -torch.linalg.solve_triangular(r, right[:, None], upper=True)[:, 0]
        else:
            factor, failed = torch.linalg.cholesky_ex(self.gram + damping * identity)
            if failed.item():
                return None
            step = -torch.cholesky_solve(self.gradient[:, None], factor)[:, 0]
        if not torch.isfinite(step).all():
            return None
        curvature = step @ (self.gram @ step) if self.triangle is None else (self.triangle @ step).square().sum()
        return step, -(2 * step @ self.gradient + curvature).item()
