"""Where on a mesh a name lies: facets, their midpoints and normals, for checks of the statement."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.spatial import KDTree

from kinn.statement.errors import StatementError, suggest


def check_names(mesh: Any, on: Sequence[str], what: str) -> None:
    """Raise StatementError for a boundary name that the mesh does not have."""
    for name in on:
        if name in mesh.subdomains:
            raise StatementError(
                f"{what}: {name!r} is a subdomain, not a part of the boundary{suggest('', mesh.boundaries)}"
            )
        if name != "boundary" and not mesh.boundaries:
            mesh.facets_of(name)  # raises, with the line that gives a name
        if name != "boundary" and name not in mesh.boundaries:
            raise StatementError(f"{what}: boundary {name!r} is not in the mesh{suggest(name, mesh.boundaries)}")


def check_subdomains(mesh: Any, on: Sequence[str], what: str) -> None:
    """Raise StatementError for a subdomain name that the mesh does not have."""
    for name in on:
        if name == "boundary" or name in mesh.boundaries:
            raise StatementError(f"{what}: {name!r} is a boundary, not a subdomain{suggest('', mesh.subdomains)}")
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
    """The midpoints of facets, (number of facets, d), on the curve of a mesh of second order."""
    center = mesh.kind.reference_facet.mean(axis=0)
    return mesh.on_facet(np.tile(center, (len(numbers), 1)), np.asarray(numbers))[0]


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
    """Random points inside cells, (count, d): convex combinations of the reference cell's vertices, mapped to random cells."""
    random = np.random.default_rng(seed)
    chosen = random.choice(cells_of(mesh, on), count)
    reference = mesh.kind.reference
    place = random.dirichlet(np.ones(len(reference)), count) @ reference
    return np.asarray(mesh.skfem.mapping().F(place.T[:, :, None], tind=chosen))[:, :, 0].T


def sample_facets(
    mesh: Any, numbers: np.ndarray, count: int, seed: int = 0, side: Sequence[str] = ()
) -> tuple[np.ndarray, np.ndarray]:
    """Random points on facets and the unit normals there, exterior or out of the subdomains `side`, both (count, d)."""
    random = np.random.default_rng(seed)
    chosen = random.choice(numbers, count)
    reference = mesh.kind.reference_facet
    points, normals = mesh.on_facet(random.dirichlet(np.ones(len(reference)), count) @ reference, chosen)
    if side:  # on_facet's normals leave the first cell
        first = np.asarray(mesh.skfem.f2t)[0, chosen]
        normals = np.where(np.isin(first, cells_of(mesh, side))[:, None], normals, -normals)
    return points, normals


def cells_of(mesh: Any, on: Sequence[str]) -> np.ndarray:
    """The sorted numbers of the cells of subdomains; of the whole mesh without a name."""
    if not on:
        return np.arange(np.asarray(mesh.skfem.t).shape[1])
    return np.unique(np.concatenate([np.asarray(mesh.subdomains[name], dtype=int) for name in on]))


def interior(mesh: Any, numbers: np.ndarray) -> np.ndarray:
    """Those of the facets that have a cell on both sides."""
    return numbers[np.asarray(mesh.skfem.f2t)[1, numbers] >= 0]


def translation(mesh: Any, first: Sequence[str], second: Sequence[str]) -> np.ndarray:
    """The vector (d,) that moves the facets of `first` onto those of `second`.

    Raises StatementError if the facets do not match one by one within 1e-6 of the extent.
    """
    ours, theirs = facets(mesh, first), facets(mesh, second)
    names = f"{', '.join(repr(n) for n in first)} and {', '.join(repr(n) for n in second)}"
    remedy = "mesh both sides alike (Gmsh: Periodic Curve, Periodic Surface)"
    if len(ours) != len(theirs):
        raise StatementError(f"{names} do not match: {len(ours)} and {len(theirs)} facets; {remedy}")
    if np.intersect1d(ours, theirs).size:
        raise StatementError(f"{names} share facets; periodic sides lie opposite each other")
    p = np.asarray(mesh.skfem.p).T
    scale = np.ptp(p, axis=0)
    here, there = (np.unique(facet_vertices(mesh, part)) for part in (ours, theirs))
    shift = p[there].mean(axis=0) - p[here].mean(axis=0)
    away, partner = KDTree(p[there] / scale).query((p[here] + shift) / scale)
    vertices = np.full(len(p), -1)
    vertices[here] = there[partner]
    moved = np.sort(vertices[facet_vertices(mesh, ours)], axis=0).T
    known = np.sort(facet_vertices(mesh, theirs), axis=0).T
    worst = int(np.argmax(away))
    if len(here) != len(there) or away[worst] > 1e-6:
        at = ", ".join(f"{x:g}" for x in p[here[worst]])
        raise StatementError(f"{names} do not match by a translation: the vertex at ({at}) has no partner; {remedy}")
    if {tuple(row) for row in moved.tolist()} != {tuple(row) for row in known.tolist()}:
        raise StatementError(f"{names} do not match: their vertices do, but not their facets; {remedy}")
    return shift
