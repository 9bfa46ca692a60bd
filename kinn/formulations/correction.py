"""The finite element correction as a measure of a trial solution: `e = -A^-1 R`, what the elements say is missing from it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import sparse

from kinn.formulations.factor import Factor, SingularTangent
from kinn.formulations.galerkin import GalerkinSpace


class Correction:
    """The correction of a trial solution with residual R and boundary misfits b, and its size in H1.

    `A e = -R` on free unknowns, `e = -b` on given ones, with A the derivative of the statement's weak form. The exact solution
    has no correction on any mesh, since its R vanishes; for others `|e|` is their error as far as the elements see it. Unlike
    the residual itself, e does not depend on how stiff a body or how small a diffusion is: a slender beam that bends and
    one that is stretched count alike. Where A is singular (a pair of elements that is not stable), a multiple of the inner
    product of H1 stands in for it.

    Args:
        sizes: for each component the H1 norm that its field is expected to have.
        gains: for each component what one unit of H1 norm makes of the residual; used where A is singular.
    """

    def __init__(
        self, space: GalerkinSpace, tangent: sparse.csr_array, sizes: Sequence[float], gains: Sequence[float]
    ) -> None:
        self.fixed, self.singular = space.fixed, ""
        self.free = np.setdiff1d(np.arange(space.size), self.fixed)
        inner = list(space.h1)
        try:
            self.factor = Factor(space, tangent, self.free)
        except SingularTangent as singular:
            self.singular = str(singular)
            tangent = sparse.csr_array(sparse.block_diag([g * h for g, h in zip(gains, inner, strict=True)]))
            self.factor = Factor(space, tangent, self.free)
        self._coupling = tangent[self.free][:, self.fixed].tocsr()
        self.metric = sparse.csr_array(sparse.block_diag([h / size**2 for h, size in zip(inner, sizes, strict=True)]))

    def __call__(self, residual: np.ndarray, misfit: np.ndarray) -> np.ndarray:
        """e (size, ...) of residuals (size, ...) and misfits (fixed, ...)."""
        e = np.zeros_like(residual)
        e[self.fixed] = -misfit
        e[self.free] = self.factor.solve(self._coupling @ misfit - residual[self.free])
        return e

    def adjoint(self, e: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """What a functional of the correction is of residual and misfit: `e @ self(residual, misfit) = r @ residual + m @ misfit`."""
        r = np.zeros_like(e)
        r[self.free] = -self.factor.adjoint(e[self.free])
        return r, -e[self.fixed] - self._coupling.T @ r[self.free]


__all__ = ["Correction"]
