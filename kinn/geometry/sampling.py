"""Quasi-random points: evenly spread whatever the cells' sizes, and independent of a Gauss rule."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from scipy.stats import qmc

from kinn.geometry.cells import facet_vectors, shape_functions, simplex_measures
from kinn.geometry.mesh import Mesh
from kinn.geometry.points import Points
from kinn.statement.errors import StatementError


def sample(
    mesh: Mesh, n: int, on: str | Iterable[str] | None = None, seed: int = 0, facets: Sequence[int] | None = None
) -> Points:
    """`n` scrambled Sobol points with equal weights that sum to the measure of the part they lie in.

    On curved cells of second order, weights follow the stretching of the cell instead. The first Sobol coordinate picks a simplex by its share of the measure, the others a place in it.

    Args:
        mesh: the mesh.
        n: number of points. The boundary of a 1-D mesh is a few points: they come once each, whatever n.
        on: None (the domain), or names of subdomains, or of boundaries (then with exterior unit normals).
        seed: of the scrambling; the same seed gives the same points.
        facets: facet numbers, instead of names.

    Raises:
        StatementError: n < 1 or an unknown name.

    >>> len(sample(Mesh.box((0, 0), (1, 1), cells=2), 10, on="left"))
    10
    """
    if n < 1:
        raise StatementError(f"cannot sample {n} points; give n >= 1")
    kind = mesh.kind
    on_boundary = facets is not None or mesh.is_boundary(on)
    if on_boundary:
        numbers = mesh.facets_of(on or ()) if facets is None else np.asarray(facets)
        rows, parts = mesh.facet_nodes[numbers], np.array(kind.facet_simplices)
        owner = mesh.skeleton.f2t[0, numbers].astype(np.int64)
        reference, nodes = kind.reference_facet, kind.facet_nodes(mesh.order)
    else:
        owner = mesh.cells_of(on)
        rows, parts = mesh.cell_nodes[owner], np.array(kind.simplices)
        reference, nodes = kind.reference, kind.nodes(mesh.order)
    corners = mesh.points[rows[:, parts]].reshape(-1, parts.shape[1], mesh.dimension)
    # Simplices that follow each other lie near each other, so that Sobol numbers spread evenly in space.
    order = np.argsort(_along_curve((corners.mean(axis=1) - mesh.lower) / (2 * mesh.scale)), kind="stable")
    corners, owner = corners[order], np.repeat(owner, len(parts))[order]
    measures = simplex_measures(corners)
    total = measures.sum()
    rank = corners.shape[1] - 1
    if rank == 0:
        chosen, barycentric = np.arange(len(corners)), np.ones((len(corners), 1))
    else:
        power = int(np.ceil(np.log2(n)))
        u = qmc.Sobol(rank + 1, rng=np.random.default_rng(seed)).random_base2(power)[:n]
        chosen = np.minimum(np.searchsorted(np.cumsum(measures), u[:, 0] * total, side="right"), len(corners) - 1)
        barycentric = simplex_map(u[:, 1:])
    exact = total if on_boundary else mesh.volumes[np.unique(owner)].sum()
    if mesh.order == 1:
        x = np.einsum("nk,nkd->nd", barycentric, corners[chosen])
        weight = np.full(len(x), exact / len(x))
        tangents = np.swapaxes(corners[:, 1:] - corners[:, :1], 1, 2)[chosen]
    else:
        # A straight simplex and a place in it, then the curved map: a weight says how much that map stretches there.
        place = np.einsum("nk,nkr->nr", barycentric, reference[parts][order[chosen] % len(parts)])
        values, gradients = shape_functions(nodes, place)
        bent = mesh.nodes[rows[order[chosen] // len(parts)]]
        x, tangents = np.einsum("nk,nkd->nd", values, bent), np.swapaxes(bent, 1, 2) @ gradients
        size = np.linalg.norm(facet_vectors(tangents), axis=1) if on_boundary else np.abs(np.linalg.det(tangents))
        share = simplex_measures(reference[parts])[order[chosen] % len(parts)]
        weight = total / len(x) * size * share / measures[chosen]
        if not on_boundary:
            weight *= exact / weight.sum()
    if not on_boundary:
        return Points(x, weight, None, owner[chosen])
    vectors = mesh.outward(owner[chosen], corners[chosen], facet_vectors(tangents)[:, None])[:, 0]
    normals = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return Points(x, weight, normals, owner[chosen])


def _along_curve(x: np.ndarray) -> np.ndarray:
    """Place (n,) of points of the unit cube on a space-filling (Morton) curve: their bits interleaved."""
    # centers that lie on a line of the grid stay on one side of it, however they are rounded
    grid = np.minimum((x * 2**16 + 1e-3).astype(np.int64), 2**16 - 1)
    place = np.zeros(len(x), dtype=np.int64)
    for bit in range(16):
        for axis in range(x.shape[1]):
            place |= ((grid[:, axis] >> bit) & 1) << (bit * x.shape[1] + axis)
    return place


def simplex_map(u: np.ndarray) -> np.ndarray:
    """Barycentric coordinates (n, d + 1), uniform on the simplex if `u` (n, d) is uniform on the cube.

    `t_k = u_k^(1 / (d - k))`, `lambda_k = t_0 .. t_(k-1) (1 - t_k)`: continuous, so low discrepancy survives.
    """
    count, dimension = u.shape
    t = u ** (1.0 / (dimension - np.arange(dimension)))
    left = np.cumprod(np.hstack([np.ones((count, 1)), t]), axis=1)
    return np.hstack([left[:, :-1] * (1 - t), left[:, -1:]])


__all__ = ["sample", "simplex_map"]
