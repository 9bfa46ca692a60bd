"""Points with weights: losses are integrals, so a point knows what part of the domain or boundary it stands for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from kinn.geometry.cells import facet_vectors, shape_functions
from kinn.geometry.mesh import Mesh
from kinn.geometry.rules import jacobian_degree, reference_rule
from kinn.statement.errors import StatementError


@dataclass(frozen=True, eq=False)
class Points:
    """Points `x` (n, d) with weights (n,), exterior unit normals (n, d) on facets, and the cell (n,) they lie in.

    `sum(weight * f(x))` approximates the integral of f over the part of the mesh the points were made for.
    """

    x: np.ndarray
    weight: np.ndarray
    normal: np.ndarray | None = None
    cell: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.x)

    @staticmethod
    def concat(parts: Sequence[Points]) -> Points:
        """All points of `parts` in order; normals and cells are kept if every part has them."""
        if not parts:
            raise StatementError("no points to join; give at least one set")
        normals = [part.normal for part in parts if part.normal is not None]
        cells = [part.cell for part in parts if part.cell is not None]
        return Points(
            np.concatenate([part.x for part in parts]),
            np.concatenate([part.weight for part in parts]),
            np.concatenate(normals) if len(normals) == len(parts) else None,
            np.concatenate(cells) if len(cells) == len(parts) else None,
        )


def gauss(mesh: Mesh, order: int, on: str | Iterable[str] | None = None, facets: Sequence[int] | None = None) -> Points:
    """Gauss points exact for polynomials up to `order` in the cells of the domain or a subdomain, or on facets.

    On a mesh of second order the rule is exact for polynomials of degree `order` of the reference coordinates (a
    polynomial of degree p in space has degree 2 p there), so for areas, volumes and fluxes through its curved facets.

    Args:
        mesh: the mesh.
        order: polynomial degree; all weights are positive whatever the order.
        on: None (the domain), or names of subdomains, or of boundaries (then with exterior unit normals; on an
            interface inside the domain the normal points out of the facet's first cell).
        facets: facet numbers, instead of names.

    Raises:
        StatementError: a negative order or an unknown name.

    >>> points = gauss(Mesh.box((0, 0), (1, 1), cells=2), order=3)
    >>> round(float((points.weight * points.x[:, 0] ** 2 * points.x[:, 1]).sum()), 14)
    0.16666666666667
    """
    if order < 0:
        raise StatementError(f"Gauss rule of order {order}: give a polynomial degree >= 0")
    if facets is not None or mesh.is_boundary(on):
        return _on_facets(mesh, order, mesh.facets_of(on or ()) if facets is None else np.asarray(facets))
    return _in_cells(mesh, order, mesh.cells_of(on))


def _in_cells(mesh: Mesh, order: int, cells: np.ndarray) -> Points:
    kind = mesh.kind
    extra = jacobian_degree(kind.dimension, kind.is_simplex, mesh.order)
    nodes, weights = reference_rule(kind.dimension, kind.is_simplex, order + extra)
    values, gradients = shape_functions(kind.nodes(mesh.order), nodes)
    corners = mesh.nodes[mesh.cell_nodes[cells]]
    x = np.einsum("qk,ckd->cqd", values, corners)
    if kind.is_simplex and mesh.order == 1:
        jacobian = np.einsum("kr,ckd->cdr", gradients[0], corners)[:, None]
    else:
        jacobian = np.einsum("qkr,ckd->cqdr", gradients, corners)
    weight = np.abs(np.linalg.det(jacobian)) * weights
    return Points(x.reshape(-1, x.shape[2]), weight.ravel(), None, np.repeat(cells, len(weights)))


def _on_facets(mesh: Mesh, order: int, facets: np.ndarray) -> Points:
    kind = mesh.kind
    simplex = kind.facet != "quad"
    extra = jacobian_degree(kind.dimension - 1, simplex, mesh.order)
    nodes, weights = reference_rule(kind.dimension - 1, simplex, order + extra)
    values, gradients = shape_functions(kind.facet_nodes(mesh.order), nodes)
    corners = mesh.nodes[mesh.facet_nodes[facets]]
    x = np.einsum("qk,fkd->fqd", values, corners)
    vector = facet_vectors(np.einsum("qkr,fkd->fqdr", gradients, corners))
    owner = mesh.skeleton.f2t[0, facets].astype(np.int64)
    vector = mesh.outward(owner, corners, vector)
    size = np.linalg.norm(vector, axis=2, keepdims=True)
    d = mesh.dimension
    weight = (size[:, :, 0] * weights).ravel()
    return Points(x.reshape(-1, d), weight, (vector / size).reshape(-1, d), np.repeat(owner, len(weights)))


__all__ = ["Points", "gauss"]
