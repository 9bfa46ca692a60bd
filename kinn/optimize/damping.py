"""Levenberg-Marquardt steps: one factorization, many damping values."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from scipy import sparse
from scipy.sparse.linalg import splu
from torch import Tensor


@dataclass
class Quadratic:
    """The model `loss(theta + D p) = loss + 2 g.p + |R p|^2` of a sum of squares, its columns scaled by D.

    `gram` may be a sparse matrix. `triangle` is R of a QR factorization of the scaled Jacobian (P, P) or None, `gram` is `R'R`; `gradient` is g (P,).
    """

    gram: Tensor
    gradient: Tensor
    triangle: Tensor | None = None
    projected: Tensor | None = None

    def step(self, damping: float) -> tuple[Tensor, float] | None:
        """Minimizer of the model plus `damping |p|^2` and the decrease that the model promises; None if not positive definite."""
        if self.gram.is_sparse:
            return self._sparse_step(damping)
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

    def _sparse_step(self, damping: float) -> tuple[Tensor, float] | None:
        (rows, columns), values = self.gram.coalesce().indices().cpu(), self.gram.coalesce().values().cpu()
        matrix = sparse.csc_array((values.numpy(), (rows.numpy(), columns.numpy())), shape=tuple(self.gram.shape))
        damped = sparse.csc_array(matrix + damping * sparse.eye_array(len(self.gradient)))
        try:
            found = splu(damped, permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options={"SymmetricMode": True})
        except RuntimeError:  # singular
            return None
        step = torch.from_numpy(-found.solve(self.gradient.cpu().double().numpy())).to(self.gradient)
        if not torch.isfinite(step).all():
            return None
        return step, -(2 * step @ self.gradient + step @ (self.gram @ step)).item()


def diagonal_of(gram: Tensor) -> Tensor:
    """The diagonal (P,) of a matrix that may be sparse."""
    if not gram.is_sparse:
        return gram.diagonal().clone()
    gram = gram.coalesce()
    own = gram.indices()[0] == gram.indices()[1]
    return gram.values().new_zeros(len(gram)).index_copy(0, gram.indices()[0, own], gram.values()[own])


def scaled(gram: Tensor, root: Tensor) -> Tensor:
    """`diag(root) gram diag(root)`."""
    if not gram.is_sparse:
        return gram * root[:, None] * root
    gram = gram.coalesce()
    rows, columns = gram.indices()
    values = gram.values() * root[rows] * root[columns]
    return torch.sparse_coo_tensor(gram.indices(), values, gram.shape, check_invariants=False)
