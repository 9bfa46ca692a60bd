"""Where on a mesh a name lies: facets, their midpoints and normals, for checks of the statement."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from kinn.statement.errors import StatementError, suggest


def check_names(mesh: Any, on: Sequence[str], what: str) -> None:
    """Raise StatementError for a boundary name that the mesh does not have."""
    for name in on:
        if name != "boundary" and name not in mesh.boundaries:
            raise StatementError(f"{what}: boundary {name!r} is not in the mesh{suggest(name, mesh.boundaries)}")


def check_subdomains(mesh: Any, on: Sequence[str], what: str) -> None:
    """Raise StatementError for a subdomain name that the mesh does not have."""
    for name in on:
        if name not in mesh.subdomains:
            raise StatementError(f"{what}: subdomain {name!r} is not in the mesh{suggest(name, mesh.subdomains)}")


def exterior(mesh: Any) -> np.ndarray:
    """The numbers of the facets that have a cell on one side only."""
    return np.asarray(mesh.skfem.boundary_facets())


def facets(mesh: Any, on: Sequence[str]) -> np.ndarray:
    """The sorted facet numbers of boundary names."""
    parts = [exterior(mesh) if name == "boundary" else np.asarray(mesh.boundaries[name], dtype=int) for name in on]
    return np.unique(np.concatenate(parts)) if parts else np.zeros(0, dtype=int)


def facet_vertices(mesh: Any, numbers: np.ndarray) -> np.ndarray:
    """The vertices of facets, (vertices per facet, number of facets)."""
    return np.asarray(mesh.skfem.facets)[:, numbers]


def midpoints(mesh: Any, numbers: np.ndarray) -> np.ndarray:
    """The midpoints of facets, (number of facets, d)."""
    return np.asarray(mesh.skfem.p)[:, facet_vertices(mesh, numbers)].mean(axis=1).T


def time_ends(mesh: Any) -> tuple[str, ...]:
    """The names of the lower and upper end of the interval of `mesh * Interval`; empty without one."""
    return tuple(mesh.interval_ends or ())


def subdomain_facets(mesh: Any, on: Sequence[str]) -> np.ndarray:
    """The exterior facets of the cells of subdomains; of the whole mesh without a name."""
    outside = exterior(mesh)
    if not on:
        return outside
    cells = np.unique(np.concatenate([np.asarray(mesh.subdomains[name], dtype=int) for name in on]))
    return outside[np.isin(np.asarray(mesh.skfem.f2t)[0, outside], cells)]


def sample_cells(mesh: Any, count: int, on: Sequence[str] = (), seed: int = 0) -> np.ndarray:
    """Random points inside cells, (count, d): convex combinations of the vertices of randomly chosen cells."""
    random = np.random.default_rng(seed)
    cells = np.asarray(mesh.skfem.t)
    chosen = np.unique(np.concatenate([np.asarray(mesh.subdomains[name]) for name in on])) if on else cells.shape[1]
    vertices = cells[:, random.choice(chosen, count)]
    weights = random.dirichlet(np.ones(len(vertices)), count)
    return np.einsum("nk,dkn->nd", weights, np.asarray(mesh.skfem.p)[:, vertices])


def sample_facets(mesh: Any, numbers: np.ndarray, count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Random points on facets and the exterior unit normals there, both (count, d)."""
    random = np.random.default_rng(seed)
    p = np.asarray(mesh.skfem.p)
    chosen = random.choice(numbers, count)
    vertices = facet_vertices(mesh, chosen)
    weights = random.dirichlet(np.ones(len(vertices)), count)
    points = np.einsum("nk,dkn->nd", weights, p[:, vertices])
    corners = p[:, vertices].transpose(2, 1, 0)  # (count, vertices, d)
    edges = corners[:, 1:] - corners[:, :1]
    # The normal spans what the edges leave: the last right singular vector, turned away from the cell's center.
    normals = np.linalg.svd(edges, full_matrices=True)[2][:, -1] if edges.shape[1] else np.ones((count, 1))
    cell = np.asarray(mesh.skfem.f2t)[0, chosen]
    outward = corners.mean(axis=1) - p[:, np.asarray(mesh.skfem.t)[:, cell]].mean(axis=1).T
    sign = np.sign(np.einsum("nd,nd->n", normals, outward))
    return points, normals * sign[:, None]
