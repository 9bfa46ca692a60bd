"""Energies of tensor splines: what a Gaussian field without boundaries says of one on a box."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

import numpy as np
import torch
from scipy import sparse
from scipy.sparse.linalg import splu
from torch import Tensor

from kinn.bases import BSpline

MARGIN = {1: 2, 2: 2, 3: 3}  # one over the cells around a box, relative to those in it
RULE = 8  # points of the Gauss rule on a cell, exact for products of splines up to degree 7


def energy_matrix(basis: BSpline, scale: Sequence[float], rows: Sequence[tuple[float, tuple[int, ...]]]) -> Tensor:
    """(P, P): the smallest energy of all that continues a tensor spline on the box of half extents `scale`, with `basis` along
    each axis: the integral of the sum of `(factor D^index f)^2` over `rows`.

    An energy of the box alone says that a field may do there what it never does inside: its variance doubles at an edge
    (doi:10.1111/j.1467-9868.2011.00777.x). Around the box the field is eliminated.
    """
    margin = max(basis.cells // MARGIN[len(scale)], 1)
    wide, inner = BSpline(basis.degree, basis.cells + 2 * margin), np.arange(margin, margin + basis.n_functions)
    cells = [2 * s / basis.cells for s in scale]
    grams = [
        [_gram(wide, order) * c ** (1 - 2 * order) for order in range(1 + max(i[axis] for _, i in rows))]
        for axis, c in enumerate(cells)
    ]
    total, size = _sum_of_products(grams, rows, basis.degree), wide.n_functions
    kept = reduce(lambda places, axis: (size * places[:, None] + inner).ravel(), range(len(scale) - 1), inner)
    outside = np.setdiff1d(np.arange(size ** len(scale)), kept)
    coupling, known = total[outside][:, kept].tocsc(), total[kept][:, kept].toarray()
    touched = np.flatnonzero(abs(coupling).sum(0))
    answer = splu(total[outside][:, outside].tocsc()).solve(coupling[:, touched].toarray())
    known[np.ix_(touched, touched)] -= coupling[:, touched].T @ answer
    return torch.from_numpy((known + known.T) / 2)


def _sum_of_products(
    grams: Sequence[Sequence[np.ndarray]], rows: Sequence[tuple[float, tuple[int, ...]]], degree: int
) -> sparse.csr_array:
    """`sum factor^2 A_0 x A_1 x ...` of the matrices of each axis, all of which are zero farther than `degree` from the diagonal."""
    size, d = len(grams[0][0]), len(grams)
    near = np.arange(size)[:, None] + np.arange(-degree, degree + 1)
    inside = (near >= 0) & (near < size)
    bands = [[np.where(inside, np.take_along_axis(a, near.clip(0, size - 1), 1), 0.0) for a in own] for own in grams]
    entries = np.zeros((1,) * (2 * d))
    for factor, index in rows:  # axes of the sum: places along each axis, then offsets
        parts = [
            band[order].reshape([size if a == axis else 2 * degree + 1 if a == d + axis else 1 for a in range(2 * d)])
            for axis, (band, order) in enumerate(zip(bands, index, strict=True))
        ]
        entries = entries + factor**2 * reduce(np.multiply, parts)
    row = np.arange(size**d).reshape((size,) * d + (1,) * d)
    column, valid = np.zeros((1,) * (2 * d), dtype=np.int64), np.ones((1,) * (2 * d), dtype=bool)
    for axis in range(d):
        shape = [size if a == axis else 2 * degree + 1 if a == d + axis else 1 for a in range(2 * d)]
        column = size * column + near.reshape(shape)
        valid = valid & inside.reshape(shape)
    row, column, valid = (np.broadcast_to(part, entries.shape) for part in (row, column, valid))
    return sparse.csr_array((entries[valid], (row[valid], column[valid])), shape=(size**d,) * 2)


def _gram(basis: BSpline, order: int) -> np.ndarray:
    """(b, b): the integrals of the products of derivatives of a basis on cells of width 1, by a Gauss rule on each."""
    nodes, weights = np.polynomial.legendre.leggauss(RULE)
    width = 2 / basis.cells
    x = torch.from_numpy(-1 + width * (np.arange(basis.cells)[:, None] + (nodes + 1) / 2)).flatten()
    values = basis.derivatives(x, order)[order].numpy() * width**order
    return values.T @ (values * np.tile(weights / 2, basis.cells)[:, None])
