"""Refinement of the cells that hold most of the error, with every name kept."""

from __future__ import annotations

import numpy as np
from scipy.spatial import KDTree

from kinn.geometry.mesh import Mesh

SHARE = 0.6  # of the squared error that the refined cells hold (Doerfler's theta squared)
NEIGHBORS = 12
SMALLEST = 1e-9  # volume of a cell, relative to the largest, below which it is not cut


def graded(mesh: Mesh, errors: np.ndarray) -> Mesh:
    """The mesh with the fewest cells cut that together hold `SHARE` of the squared `errors` (nc,); all cells if no simplices."""
    if not mesh.kind.is_simplex:
        return mesh.refined()
    # cells at a point where the error never falls (boundary values that jump) must not shrink to nothing
    errors = np.where(mesh.volumes > SMALLEST * mesh.volumes.max(), errors, 0.0)
    order = np.argsort(-errors)
    count = int(np.searchsorted(np.cumsum(errors[order]), SHARE * errors.sum())) + 1
    sk = mesh.skfem.refined(np.sort(order[:count]))
    points, cells = np.ascontiguousarray(sk.p.T), np.ascontiguousarray(sk.t.T)
    owner = mesh.locate(points[cells].mean(1))
    subdomains = {name: np.flatnonzero(np.isin(owner, members)) for name, members in mesh.subdomains.items()}
    finer = Mesh(points, cells, mesh.cell_type, None, subdomains, mesh.coordinate_names, mesh.spatial_dimension)
    named = sorted({int(f) for facets in mesh.boundaries.values() for f in facets})
    if not named:
        return finer
    parents = _parents(mesh, np.array(named), finer)
    boundaries = {name: np.flatnonzero(np.isin(parents, facets)) for name, facets in mesh.boundaries.items()}
    return Mesh(points, cells, mesh.cell_type, boundaries, subdomains, mesh.coordinate_names, mesh.spatial_dimension)


def _parents(mesh: Mesh, named: np.ndarray, finer: Mesh) -> np.ndarray:
    """For each facet of the finer mesh the named facet of `mesh` that it is a part of, or -1."""
    corners = mesh.points[mesh.skfem.facets[:, named].T]
    midpoints = finer.points[finer.skfem.facets.T].mean(1)
    scale = mesh.upper - mesh.lower
    _, near = KDTree(corners.mean(1) / scale).query(midpoints / scale, k=min(NEIGHBORS, len(named)))
    near = near.reshape(len(midpoints), -1)
    found = np.full(len(midpoints), -1)
    for candidate in near.T[::-1]:
        base = corners[candidate, 0] / scale
        edges = np.swapaxes(corners[candidate, 1:] / scale[None, None] - base[:, None], 1, 2)
        offset = midpoints / scale - base
        weights = (
            np.einsum("nkd,nd->nk", np.linalg.pinv(edges), offset) if edges.shape[2] else np.zeros((len(offset), 0))
        )
        distance = np.linalg.norm(np.einsum("ndk,nk->nd", edges, weights) - offset, axis=1)
        size = np.linalg.norm(edges, axis=(1, 2)) + 1e-300
        inside = (weights > -1e-6).all(1) & (weights.sum(1) < 1 + 1e-6) & (distance < 1e-6 * np.maximum(size, 1e-9))
        found[inside] = named[candidate[inside]]
    return found
