"""An ordering that keeps the factors of a sparse matrix small in three dimensions: nested dissection."""

from __future__ import annotations

import numpy as np
from scipy import sparse

LEAF = 50  # unknowns that stay together
SMALLEST_HALF = 0.3


def nested_dissection(matrix: sparse.csr_array, places: np.ndarray) -> np.ndarray:
    """Numbers (n,) of the unknowns of a matrix (n, n) of symmetric pattern, in the order in which to eliminate them.

    A cut across one of the axes divides the unknowns, which sit at `places` (n, d); those of one half that have neighbors in the
    other come last, and both halves are divided again (George, doi:10.1137/0710032). Of all cuts it takes the one with the
    fewest such unknowns, as long as the halves are of about one size.
    """
    found: list[np.ndarray] = []  # from the last to the first
    waiting = [np.arange(len(places))]
    while waiting:
        ids = waiting.pop()
        divided = _divided(matrix, places, ids) if len(ids) > LEAF else None
        if divided is None:
            found.append(ids)
        else:
            *halves, between = divided
            found.append(between)
            waiting += halves
    return np.concatenate(found[::-1])


def _divided(
    matrix: sparse.csr_array, places: np.ndarray, ids: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
    """Two parts of `ids` that are no neighbors, and what lies between them; None where there are no two parts."""
    n, own = len(ids), matrix[ids][:, ids]
    row = np.repeat(np.arange(n), np.diff(own.indptr))
    cuts, best = np.arange(n + 1), None
    inner = slice(int(SMALLEST_HALF * n), n - int(SMALLEST_HALF * n) + 1)
    for coordinate in places[ids].T:
        rank = np.empty(n, dtype=np.int64)
        rank[np.argsort(coordinate, kind="stable")] = np.arange(n)
        farthest = rank.copy()
        np.maximum.at(farthest, row, rank[own.indices])
        # between a cut's two sides: all of lower rank with a neighbor of at least that rank
        between = np.cumsum(np.bincount(rank + 1, minlength=n + 2) - np.bincount(farthest + 1, minlength=n + 2))[:-1]
        cost = between * (1 + 2 * ((2 * cuts - between) / n - 1) ** 2)
        cut = inner.start + int(np.argmin(cost[inner]))
        if best is None or cost[cut] < best[0]:
            best = cost[cut], rank >= cut, (rank < cut) & (farthest >= cut)
    if best is None:
        return None
    _, right, middle = best
    left = ~right & ~middle
    return (ids[left], ids[right], ids[middle]) if left.any() and right.any() else None


__all__ = ["nested_dissection"]
