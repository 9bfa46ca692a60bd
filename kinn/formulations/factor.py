"""Sparse factorizations of a tangent matrix, its constant null spaces taken out."""

from __future__ import annotations

import numpy as np
from scipy import sparse
from scipy.sparse import linalg

from kinn.formulations.galerkin import GalerkinSpace

ROUNDING = 1e-10


class Factor:
    """Solves `A[free, free] x = b`.

    A component without any fixed value whose constants A maps to zero (pure Neumann, a pressure) is determined up to a
    constant: one of its unknowns is held, the right-hand side is made compatible, and the answer gets mean zero.
    """

    def __init__(self, space: GalerkinSpace, tangent: sparse.csr_array, free: np.ndarray) -> None:
        n = space.basis.N
        self.free = free
        self._floating = []
        size = abs(tangent).sum(1).max() if tangent.nnz else 1.0
        for component in range(space.size // n):
            own = np.arange(component * n, (component + 1) * n)
            constant = np.zeros(space.size)
            constant[own] = 1
            if np.isin(own, free).all() and np.abs(tangent @ constant).max() <= ROUNDING * size:
                self._floating.append(np.flatnonzero(np.isin(free, own)))
        self._mass = space.masses
        held = [places[0] for places in self._floating]
        self._kept = np.setdiff1d(np.arange(len(free)), held)
        inner = free[self._kept]
        self._solve = linalg.splu(tangent[inner][:, inner].tocsc()).solve if len(inner) else lambda b: b

    def solve(self, right: np.ndarray) -> np.ndarray:
        right = right.copy()
        for places in self._floating:
            right[places] -= self._mass * (right[places].sum() / self._mass.sum())
        found = np.zeros(len(self.free))
        found[self._kept] = self._solve(right[self._kept])
        for places in self._floating:
            found[places] -= (self._mass @ found[places]) / self._mass.sum()
        return found
