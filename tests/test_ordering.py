"""Nested dissection: each unknown once, and factors of a grid in space that stay small."""

import numpy as np
import pytest
from scipy import sparse
from scipy.sparse.linalg import splu

from kinn.formulations.ordering import LEAF, nested_dissection


def grid(n, d):
    """The Laplacian on a grid of n^d points, and the points in another order than that of the grid."""
    line = 2 * sparse.eye_array(n) - sparse.eye_array(n, k=1) - sparse.eye_array(n, k=-1)
    matrix = line
    for _ in range(d - 1):
        matrix = sparse.kronsum(matrix, line)
    places = np.stack(np.meshgrid(*[np.arange(n, dtype=float)] * d, indexing="ij"), -1).reshape(-1, d)
    mixed = np.random.default_rng(0).permutation(len(places))
    return sparse.csr_array(sparse.csr_matrix(matrix)[mixed][:, mixed]), places[mixed]


def entries(matrix, ordering):
    settings = {"permc_spec": ordering, "diag_pivot_thresh": 0.0, "options": {"SymmetricMode": True}}
    return splu(sparse.csc_array(matrix), **settings).L.nnz


@pytest.mark.parametrize("d", [1, 2, 3])
def test_each_unknown_comes_once(d):
    matrix, places = grid(12, d)
    order = nested_dissection(matrix, places)
    assert np.array_equal(np.sort(order), np.arange(len(places)))


def test_factors_in_space_are_small():
    matrix, places = grid(16, 3)
    order = nested_dissection(matrix, places)
    own = entries(matrix[order][:, order], "NATURAL")
    assert own < 0.8 * entries(matrix, "COLAMD") and own < 1.2 * entries(matrix, "MMD_AT_PLUS_A")


def test_what_comes_last_divides_the_rest():
    matrix, places = grid(12, 3)
    order = nested_dissection(matrix, places)
    rest = order[: -(12**2)]  # a plane of the grid
    assert sparse.csgraph.connected_components(matrix[rest][:, rest])[0] == 2


def test_unknowns_that_no_cut_divides_stay_together():
    dense = sparse.csr_array(np.ones((3 * LEAF, 3 * LEAF)))
    assert nested_dissection(dense, np.zeros((3 * LEAF, 3))).tolist() == list(range(3 * LEAF))
