"""Sparse factorizations of a tangent matrix, its null space of constants and rigid motions taken out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy import linalg as dense
from scipy import sparse
from scipy.sparse import linalg

from kinn.formulations.galerkin import GalerkinSpace
from kinn.formulations.null_space import Motions
from kinn.formulations.ordering import nested_dissection

ROUNDING = 1e-10
LARGEST_GROWTH = 1e13
# Tests and trials have one numbering, so the matrix has a symmetric pattern. An ordering for that keeps the factors in 2-D at half
# of the entries; SuperLU's own is as fast below `LARGE`. In 3-D nested dissection beats both (64,000 unknowns of elasticity: 13 s
# instead of 168 s).
SYMMETRIC: dict[str, Any] = {"diag_pivot_thresh": 0.01, "options": {"SymmetricMode": True}}
LARGE, LARGE_SOLID = 15_000, 2_000
# Rows of a pressure have a zero on the diagonal: a symmetric ordering fills up when they are exchanged (41,000 unknowns of a flow in
# 2-D: 0.9 s instead of 10.8 s).
SADDLE: dict[str, Any] = {"diag_pivot_thresh": 0.1}


class SingularTangent(ValueError):
    """A tangent matrix that determines nothing: an unstable pair of elements, or a condition that it does not hold."""


class Ordered:
    """A sparse LU factorization of unknowns in a given order."""

    def __init__(self, matrix: sparse.csc_array, order: np.ndarray) -> None:
        self._order = order
        self._lu = linalg.splu(matrix[order][:, order], permc_spec="NATURAL", **SYMMETRIC)

    def solve(self, right: np.ndarray, trans: str = "N") -> np.ndarray:
        found = np.empty_like(right)
        found[self._order] = self._lu.solve(right[self._order], trans)
        return found


def _makers(matrix: sparse.csc_array, places: np.ndarray, saddle: bool) -> list[Callable[[], Any]]:
    """What factorizes a matrix: first the fastest, if it is exact enough, then the most exact."""
    found: list[Callable[[], Any]] = [lambda: linalg.splu(matrix)]
    if saddle:
        found.insert(0, lambda: linalg.splu(matrix, **SADDLE))
    elif places.shape[1] == 3 and len(places) > LARGE_SOLID:
        found.insert(0, lambda: Ordered(matrix, nested_dissection(matrix.tocsr(), places)))
    elif len(places) > LARGE:
        found.insert(0, lambda: linalg.splu(matrix, permc_spec="MMD_AT_PLUS_A", **SYMMETRIC))
    return found


def _factorized(matrix: sparse.csc_array, places: np.ndarray, saddle: bool = False) -> Any:
    """A sparse LU factorization for unknowns at `places` (n, d).

    Raises SingularTangent where rounding would decide the answer of its solve.
    """
    unknowns, reason = len(places), ""
    right = np.random.default_rng(0).standard_normal(unknowns)
    size = float(np.sqrt((matrix.data**2).sum()))
    makers = _makers(matrix, places, saddle)
    for make in makers:
        try:
            lu = make()
        except RuntimeError as error:
            reason = str(error)
            continue
        found = lu.solve(right)
        growth = float(np.linalg.norm(found)) * size / float(np.linalg.norm(right))
        misfit = float(np.linalg.norm(matrix @ found - right)) / (size * float(np.linalg.norm(found)) or 1.0)
        if growth < LARGEST_GROWTH and (misfit < ROUNDING or make is makers[-1]):
            return lu
        reason = f"its condition number is about {growth:.0e}"
    raise SingularTangent(reason)


class Factor:
    """Solves `A[free, free] x = b`.

    Where A maps constants or rigid motions without fixed values to zero (pure Neumann, a pressure, a body that floats), the
    answer is determined up to these: as many unknowns as there are of them are held, the right-hand side is made compatible,
    and the answer becomes orthogonal to them in L2.

    Attributes:
        null: (size, m) those motions as masters and jumps, orthonormal in L2.
    """

    def __init__(self, space: GalerkinSpace, tangent: sparse.csr_array, free: np.ndarray) -> None:
        if not np.isfinite(tangent.data).all():
            raise SingularTangent("it is infinite or NaN at this solution")
        self.free = free
        self.null = _null_vectors(space, tangent, free)
        self._weighted = _mass(space, self.null)
        count = self.null.shape[1]
        # the unknowns in which the motions are most independent
        order = dense.qr(self.null[free].T, mode="r", pivoting=True)[-1] if count else np.zeros(0, dtype=int)
        held = np.sort(np.asarray(order)[:count])
        self._kept = np.setdiff1d(np.arange(len(free)), held)
        inner, outer = free[self._kept], free[held]
        matrix, saddle = tangent[inner][:, inner].tocsc(), bool(space.lower)
        self._lu = _factorized(matrix, space.places[inner % space.n], saddle) if len(inner) else None
        # vectors y with y' A = 0, which are the motions themselves where A is symmetric: a right side is orthogonal to them
        self._left = np.zeros((len(free), count))
        self._left[held] = np.eye(count)
        if self._lu is not None and count:
            self._left[self._kept] = -self._lu.solve(tangent[outer][:, inner].toarray().T.copy(), trans="T")

    def solve(self, right: np.ndarray) -> np.ndarray:
        """x (free, ...) for b (free, ...)."""
        spread = self._weighted[self.free]
        if self.null.shape[1]:
            right = right - spread @ np.linalg.lstsq(self._left.T @ spread, self._left.T @ right, rcond=None)[0]
        found = np.zeros_like(right)
        if self._lu is not None:
            found[self._kept] = self._lu.solve(right[self._kept])
        return found - self.null[self.free] @ (spread.T @ found)

    def adjoint(self, right: np.ndarray) -> np.ndarray:
        """y (free, ...) with `y @ b = right @ solve(b)` for every b."""
        spread = self._weighted[self.free]
        right = right - spread @ (self.null[self.free].T @ right)
        found = np.zeros_like(right)
        if self._lu is not None:
            found[self._kept] = self._lu.solve(right[self._kept], trans="T")
        if self.null.shape[1]:
            made_compatible = np.linalg.lstsq(self._left.T @ spread, self._left.T, rcond=None)[0]
            found = found - made_compatible.T @ (spread.T @ found)
        return found

    def without_null(self, vector: np.ndarray, directions: np.ndarray | None = None) -> np.ndarray:
        """Functions (size, ...) without their parts along the motions, or along the combinations `directions` (m, .) of them."""
        parts = self._weighted.T @ vector
        if directions is not None:
            parts = directions @ (directions.T @ parts)
        return vector - self.null @ parts


def _null_vectors(space: GalerkinSpace, tangent: sparse.csr_array, free: np.ndarray) -> np.ndarray:
    """(size, m): the motions that vanish where values are fixed and that the tangent maps to zero, orthonormal in L2."""
    motions, zero = Motions(space.problem), (0,) * space.mesh.dimension
    components = range(len(space.problem.components))
    members = np.concatenate([motions.jet(component, zero, space.places) for component in components])
    members = np.stack([space.vector(column) for column in members.T], 1) if len(motions) else members
    fixed = np.setdiff1d(np.arange(space.size), free)
    sizes = np.asarray(abs(tangent).sum(1)).ravel()[free]
    image = (tangent @ members)[free] / np.maximum(sizes, 1e-14 * sizes.max(initial=1e-300))[:, None]
    seen = np.concatenate([members[fixed], image])
    if not len(motions) or not len(free):
        return np.zeros((space.size, 0))
    if len(seen) > seen.shape[1]:
        seen = np.linalg.qr(seen, mode="r")
    _, singular, directions = np.linalg.svd(seen)
    rank = int((singular > ROUNDING * np.sqrt(space.size)).sum())
    null = members @ directions[rank:].T
    null[fixed] = 0.0
    if null.shape[1]:
        gram = null.T @ _mass(space, null)
        null = dense.solve_triangular(np.linalg.cholesky(gram), null.T, lower=True).T
    return null


def _mass(space: GalerkinSpace, vectors: np.ndarray) -> np.ndarray:
    """The mass matrix times functions (size, k) of masters and jumps: `u @ _mass(v)` are their inner products in L2."""
    trials, weight = space.all_cells
    total = np.zeros_like(vectors)
    for k, vector in enumerate(vectors.T):
        for c, own in enumerate(space.values(vector).reshape(-1, space.n)):
            values = np.einsum("eb,ebq->eq", own[space.dofs], trials[..., 0])
            local = np.einsum("eq,eq,ebq->eb", weight, values, trials[..., 0])
            total[c * space.n : (c + 1) * space.n, k] = np.bincount(space.dofs.ravel(), local.ravel(), space.n)
    space.gather(total)
    return total
