"""Unknown coefficient fields on finite elements: the modes of their priors, most probable first."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import sympy as sp
from scipy import sparse
from scipy.sparse.linalg import eigsh

from kinn.formulations.energy import expected
from kinn.formulations.galerkin import GalerkinSpace
from kinn.statement.errors import StatementError
from kinn.statement.fields import FieldComponent
from kinn.statement.priors import GaussianField, spectrum

LARGEST = 1200  # modes of one field, the most probable ones where elements have more


@dataclass(frozen=True, eq=False)
class Modes:
    """`s = sum_j xi_j shapes[:, j]` at the degrees of freedom `dofs` of a component; a priori the xi are independent and of
    variance one over a strength that the data determine, or that is `given`."""

    component: FieldComponent
    dofs: np.ndarray
    shapes: np.ndarray
    given: float | None


def modes_of(space: GalerkinSpace, component: FieldComponent) -> Modes:
    """The modes `K phi = lambda M phi` of a field, each with the deviation `1 / sqrt(size (kappa^2 + lambda)^order)`; order 2 where the prior
    leaves it open.

    Raises StatementError for a prior that is no Gaussian field.
    """
    problem, mesh, prior = space.problem, space.mesh, expected(component).prior
    if not isinstance(prior, GaussianField):
        raise StatementError(f"identify: {component.name!r} has the prior {prior}; elements take a GaussianField only")
    dimension = max(mesh.dimension - (1 if component.on else 0), 1)
    lengths = np.array(prior.lengths(tuple(2 * float(s) for s in problem.mesh.scale)))
    basis = space.on_facets(mesh.facets_of(component.on)) if component.on else space.basis
    piece = space.piece(basis, [sp.S.Zero], [(0, 0)], 0)
    trials, weight = piece.trials.numpy(), piece.weight.numpy() / lengths.prod() ** (dimension / mesh.dimension)
    slopes = trials[..., 1:]
    if piece.normal is not None:
        normal = piece.normal.numpy().reshape(*weight.shape, -1)
        slopes = slopes - np.einsum("ebqk,eqk,eql->ebql", slopes, normal, normal)
    slopes = slopes * lengths
    first = space.n * problem.index(component)
    mass = _matrix(np.einsum("eq,eaq,ebq->eab", weight, trials[..., 0], trials[..., 0]), piece.dofs, space.n)
    stiffness = _matrix(np.einsum("eq,eaqk,ebqk->eab", weight, slopes, slopes), piece.dofs, space.n)
    dofs = np.flatnonzero(mass.diagonal() > 1e-12 * mass.diagonal().max())  # others are zero on this boundary
    mass, stiffness = mass[dofs][:, dofs], stiffness[dofs][:, dofs]
    if len(dofs) <= LARGEST + 1:
        chol = np.linalg.inv(np.linalg.cholesky(mass.toarray()))
        values, vectors = np.linalg.eigh(chol @ stiffness.toarray() @ chol.T)
        vectors = chol.T @ vectors
    else:
        values, vectors = eigsh(stiffness, LARGEST, mass, sigma=-1.0)
    # These modes have no slope across the boundary, which a higher order would ask of the field too.
    order = prior.orders[0]
    kappa, size = spectrum(order, dimension)
    shapes = vectors / np.sqrt(size * (kappa**2 + np.maximum(values, 0)) ** order)
    return Modes(component, first + dofs, shapes, None if prior.deviation is None else prior.deviation**-2)


def _matrix(entries: np.ndarray, dofs: np.ndarray, size: int) -> sparse.csc_array:
    i, j = (np.broadcast_to(side, entries.shape).ravel() for side in (dofs[:, :, None], dofs[:, None, :]))
    return sparse.csc_array(sparse.coo_array((entries.ravel(), (i, j)), shape=(size, size)))


__all__ = ["Modes", "modes_of"]
