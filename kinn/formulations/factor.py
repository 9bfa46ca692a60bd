"""Sparse factorizations of a tangent matrix, its constant null spaces taken out."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy import sparse
from scipy.sparse import linalg

from kinn.formulations.galerkin import GalerkinSpace

ROUNDING = 1e-10
LARGEST_GROWTH = 1e13


class SingularTangent(ValueError):
    """A tangent matrix that determines nothing: an unstable pair of elements, or a condition that it does not hold."""


def _checked_solve(matrix: sparse.csc_array) -> Callable[[np.ndarray], np.ndarray]:
    """The solve of a sparse LU factorization; raises SingularTangent where rounding would decide the answer."""
    try:
        solve = linalg.splu(matrix).solve
    except RuntimeError as error:
        raise SingularTangent(str(error)) from None
    right = np.random.default_rng(0).standard_normal(len(matrix.indptr) - 1)
    size = float(np.sqrt((matrix.data**2).sum()))
    growth = np.linalg.norm(solve(right)) * size / np.linalg.norm(right)
    if not growth < LARGEST_GROWTH:
        raise SingularTangent(f"its condition number is about {growth:.0e}")
    return solve


class Factor:
    """Solves `A[free, free] x = b`.

    A component without any fixed value whose constants A maps to zero (pure Neumann, a pressure) is determined up to a
    constant: one of its unknowns is held, the right-hand side is made compatible, and the answer gets mean zero.
    """

    def __init__(self, space: GalerkinSpace, tangent: sparse.csr_array, free: np.ndarray) -> None:
        n = space.basis.N
        self.free = free
        floating: list[tuple[int, np.ndarray]] = []
        size = abs(tangent).sum(1).max() if tangent.nnz else 1.0
        for component in range(space.size // n):
            own = np.arange(component * n, (component + 1) * n)
            constant = np.zeros(space.size)
            constant[own] = 1
            if np.isin(own, free).all() and np.abs(tangent @ constant).max() <= ROUNDING * size:
                floating.append((component, np.flatnonzero(np.isin(free, own))))
        self.floating = [component for component, _ in floating]
        self._mass = space.masses
        self._floating = [places for _, places in floating]
        held = [places[0] for places in self._floating]
        self._kept = np.setdiff1d(np.arange(len(free)), held)
        inner = free[self._kept]
        self._solve = _checked_solve(tangent[inner][:, inner].tocsc()) if len(inner) else lambda b: b

    def solve(self, right: np.ndarray) -> np.ndarray:
        right = right.copy()
        for places in self._floating:
            right[places] -= self._mass * (right[places].sum() / self._mass.sum())
        found = np.zeros(len(self.free))
        found[self._kept] = self._solve(right[self._kept])
        for places in self._floating:
            found[places] -= (self._mass @ found[places]) / self._mass.sum()
        return found
