"""Refinement of the cells that hold most of the error, with every name kept."""

from __future__ import annotations

import numpy as np

from kinn.geometry.cells import shape_functions
from kinn.geometry.locate import Locator
from kinn.geometry.mesh import Mesh
from kinn.geometry.refine import child_nodes

SHARE = 0.6  # of the squared error that the refined cells hold (Doerfler's theta squared)
SMALLEST = 1e-9  # volume of a cell, relative to the largest, below which it is not cut


def graded(mesh: Mesh, errors: np.ndarray) -> Mesh:
    """The mesh with the fewest cells cut that together hold `SHARE` of the squared `errors` (nc,); all cells if no simplices.

    Cells of second order are cut along their parents' maps, so that the domain stays the same.
    """
    if not mesh.kind.is_simplex:
        return mesh.refined()
    # cells at a point where the error never falls (boundary values that jump) must not shrink to nothing
    errors = np.where(mesh.volumes > SMALLEST * mesh.volumes.max(), errors, 0.0)
    order = np.argsort(-errors)
    count = int(np.searchsorted(np.cumsum(errors[order]), SHARE * errors.sum())) + 1
    sk = mesh.skeleton.refined(np.sort(order[:count]))
    points, cells = np.ascontiguousarray(sk.p.T), np.ascontiguousarray(sk.t.T).astype(np.int64)
    owner = Locator(mesh.kind, mesh.points, mesh.cells)(points[cells].mean(1), 1e-6)
    vertices = _parent_coordinates(mesh, owner, points[cells])
    curved = None
    if mesh.order == 2:
        vertices = np.round(2**16 * vertices) / 2**16  # edges are cut at midpoints, a few times
        curved = mesh.nodes[mesh.cell_nodes[owner]]
        # few ways to lie in a parent
        ways, way = np.unique(vertices.reshape(len(cells), -1), axis=0, return_inverse=True)
        for number, places in enumerate(ways.reshape(-1, *vertices.shape[1:])):
            mine = way.ravel() == number
            curved[mine] = child_nodes(mesh.kind, places, curved[mine])
        points = points.copy()
        points[cells] = curved[:, : cells.shape[1]]
    subdomains = {name: np.flatnonzero(np.isin(owner, members)) for name, members in mesh.subdomains.items()}
    axes = mesh.coordinate_names, mesh.spatial_dimension
    finer = Mesh(points, cells, mesh.cell_type, None, subdomains, *axes, curved)
    if mesh.boundaries:
        parents = _parent_facets(mesh, finer, cells, owner, vertices)
        for name, facets in mesh.boundaries.items():
            finer._names.add_boundary(name, np.flatnonzero(np.isin(parents, facets)))
    return finer


def _parent_coordinates(mesh: Mesh, owner: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Points x (m, k, d) of the straight cells in the reference cells of the parents `owner` (m,)."""
    corners = mesh.points[mesh.cells[owner]]
    gradient = shape_functions(mesh.kind.reference, mesh.kind.reference[:1])[1][0]
    inverse = np.linalg.inv(np.einsum("ckd,kr->cdr", corners, gradient))
    # vertex 0 is the origin of the reference simplex
    return np.einsum("crd,ckd->ckr", inverse, x - corners[:, :1])


def _parent_facets(mesh: Mesh, finer: Mesh, cells: np.ndarray, owner: np.ndarray, vertices: np.ndarray) -> np.ndarray:
    """For each facet of the finer mesh the facet of `mesh` that it is a part of, or -1.

    Of a facet on a facet of its cell's parent, all vertices have the barycentric coordinate 0 that vanishes there.
    """
    barycentric = np.concatenate([1 - vertices.sum(axis=2, keepdims=True), vertices], axis=2)  # (m, k, k)
    parents = np.full(len(finer.facet_nodes), -1)
    local = mesh.kind.skfem.elem.refdom.facets
    opposite = [next(iter(set(range(len(mesh.kind.reference))) - set(facet))) for facet in local]
    numbers = finer.skeleton.facets.T
    for side in (1, 0):
        cell = finer.skeleton.f2t[side]
        there = np.flatnonzero(cell >= 0)
        cell = cell[there]
        place = (cells[cell][:, None, :] == numbers[there][:, :, None]).argmax(axis=2)
        heights = np.take_along_axis(barycentric[cell], place[:, :, None], axis=1)  # (m, k - 1, k)
        zero = np.abs(heights).max(axis=1) < 1e-6
        for facet, vertex in enumerate(opposite):
            on = zero[:, vertex]
            parents[there[on]] = mesh.skeleton.t2f[facet, owner[cell[on]]]
    return parents


__all__ = ["graded"]
