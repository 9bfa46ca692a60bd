"""Integrals over cells and facets: quadrature points, test and trial functions there, and the program of an integrand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import skfem
import sympy as sp
import torch
from skfem.mapping import MappingIsoparametric
from torch import Tensor

from kinn.formulations.program import Program
from kinn.geometry import Mesh
from kinn.statement.places import subdomain_facets
from kinn.statement.problem import Problem

ELEMENTS: dict[tuple[str, int], Any] = {
    ("line", 1): skfem.ElementLineP1,
    ("line", 2): skfem.ElementLineP2,
    ("triangle", 1): skfem.ElementTriP1,
    ("triangle", 2): skfem.ElementTriP2,
    ("quad", 1): skfem.ElementQuad1,
    ("quad", 2): skfem.ElementQuad2,
    ("tetra", 1): skfem.ElementTetP1,
    ("tetra", 2): skfem.ElementTetP2,
    ("hexahedron", 1): skfem.ElementHex1,
    ("hexahedron", 2): skfem.ElementHex2,
}


@dataclass(frozen=True, eq=False)
class Piece:
    """An integral over cells or facets: quadrature points, and what multiplies each expression of its program.

    Attributes:
        x, normal: points (e q, d) and normals there (None in cells), the points of one element together.
        part: the part of the mesh (e q,) that each point lies in.
        dofs: global numbers (e, b) of the scalar test functions.
        tests: (e, b, q, s) weight times test slot: the spatial derivatives and the value in cells, the value on facets.
        trials: (e, b, q, 1 + d) value and derivatives of the same functions, without weight.
        program: expressions of the piece; `slots` gives (component, test slot) of each.
    """

    x: Tensor
    normal: Tensor | None
    part: Tensor
    dofs: np.ndarray
    tests: Tensor
    trials: Tensor
    weight: Tensor
    program: Program
    slots: tuple[tuple[int, int], ...]
    tables: Tensor


def make_piece(
    problem: Problem,
    mesh: Mesh,
    basis: Any,
    dofs: np.ndarray,
    cell_part: np.ndarray,
    expressions: list[sp.Expr],
    slots: list[tuple[int, int]],
    n_gradients: int,
) -> Piece:
    """The integral of `expressions` over the elements of a scikit-fem basis, `dofs` (e, b) their test functions."""
    x = np.moveaxis(np.asarray(basis.global_coordinates()), 0, -1)
    shape, weight = x.shape, np.asarray(basis.dx)
    x, normal, cell = x.reshape(-1, shape[-1]).copy(), None, owners(basis)
    if isinstance(basis, skfem.FacetBasis):
        normal = torch.tensor(np.moveaxis(np.asarray(basis.normals), 0, -1).reshape(-1, shape[-1]))
        # what jumps over a facet inside the domain or on a slit has the value on this side
        inner = (np.asarray(mesh.skfem.f2t)[1, basis.find] >= 0) | np.isin(basis.find, mesh.slit)
        rows = np.repeat(inner, shape[1])
        x[rows] = mesh.inward(x[rows], np.repeat(cell, shape[1])[rows])
    trials = np.stack(
        [
            np.stack([np.broadcast_to(np.asarray(phi[0]), weight.shape), *np.asarray(phi[0].grad)], -1)
            for phi in basis.basis
        ],
        1,
    )
    order = [*range(1, n_gradients + 1), 0]
    tests = trials[..., order] * weight[:, None, :, None]
    program, points = Program(expressions, problem), torch.tensor(x)
    return Piece(
        points, normal, torch.from_numpy(np.repeat(cell_part[cell], shape[1])), dofs, torch.tensor(tests),
        torch.tensor(trials), torch.tensor(weight), program, tuple(slots), program.tabulate(points),
    )  # fmt: skip


class CurvedMapping(MappingIsoparametric):
    """scikit-fem's map of curved cells, with an inverse that rounding of large coordinates does not fail."""

    def invF(self, x: Any, tind: Any = None, newton_max_iters: int = 50, newton_tol: float = 1e-9) -> Any:  # noqa: N802
        return super().invF(x, tind, newton_max_iters, newton_tol)


def owners(basis: Any) -> np.ndarray:
    """The cell (e,) that each element of a basis is, or that each of its facets belongs to."""
    if isinstance(basis, skfem.FacetBasis):
        return np.asarray(basis.tind)
    return np.arange(basis.nelems) if basis.tind is None else np.asarray(basis.tind)


def facets_of(mesh: Mesh, on: tuple[str, ...], subdomains: tuple[str, ...]) -> np.ndarray:
    """The facets of a condition that belong to the cells where an equation holds."""
    facets = mesh.facets_of(on)
    if not subdomains:
        return facets
    inner = np.setdiff1d(
        facets, mesh.exterior
    )  # an interface: the row that is given its jump is the one that holds there
    return np.union1d(inner, np.intersect1d(facets, subdomain_facets(mesh, subdomains)))


__all__ = ["ELEMENTS", "CurvedMapping", "Piece", "facets_of", "make_piece", "owners"]
