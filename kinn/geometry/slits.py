"""Slits: exterior facets that lie on one another, as on the two faces of a crack, and how to cut one into a mesh."""

from __future__ import annotations

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import KDTree

from kinn.geometry.cells import Content, facet_vectors, vertex_keys
from kinn.statement.errors import StatementError

TOUCHING = 1e-12  # largest distance between the two faces of a slit, relative to the extent


def slit_pairs(corners: np.ndarray, extent: float) -> np.ndarray:
    """Pairs (p, 2) of facets with the same corners; `corners` (m, k, d) are those of the exterior facets."""
    close = TOUCHING * extent
    pairs = KDTree(corners.mean(axis=1)).query_pairs(close, output_type="ndarray")
    apart = np.linalg.norm(corners[pairs[:, 0], :, None] - corners[pairs[:, 1], None], axis=3)  # (p, k, k)
    same = (apart.min(axis=1) <= close).all(axis=1) & (apart.min(axis=2) <= close).all(axis=1)
    return pairs[same]


def upper_faces(points: np.ndarray, facets: np.ndarray, pairs: np.ndarray, centers: np.ndarray) -> np.ndarray:
    """Which of the facets (m, k) of a slit are its upper faces, (m,) booleans.

    Faces that hang together are on one side. Upper is the side whose cells, with `centers` (m, d), lie towards larger
    y, or for a slit along y towards larger x, or else z.

    Args:
        pairs: (m / 2, 2) positions in `facets` of faces that lie on one another.
    """
    count, width = facets.shape
    mate = np.empty(count, dtype=np.int64)
    mate[pairs[:, 0]], mate[pairs[:, 1]] = pairs[:, 1], pairs[:, 0]
    corners = points[facets]
    inward = facet_vectors(np.swapaxes(corners[:, 1 : points.shape[1]] - corners[:, :1], 1, 2))
    inward *= np.where(((centers - corners.mean(axis=1)) * inward).sum(axis=1) < 0, -1.0, 1.0)[:, None]
    # Ridges that both faces share are the front of the slit, round which one side becomes the other.
    keys = facets
    if width > 2:
        edges = [facets[:, [k, (k + 1) % width]] for k in range(width)]
        keys = np.stack([vertex_keys(edge, len(points)) for edge in edges], axis=1)
    front = (keys[:, :, None] == keys[mate][:, None, :]).any(axis=2)
    own, ridge = np.nonzero(~front)
    names, place = np.unique(keys[own, ridge], return_inverse=True)
    graph = coo_array((np.ones(len(own)), (own, count + place)), shape=(count + len(names),) * 2)
    part = connected_components(graph, directed=False)[1][:count]
    total = np.zeros((part.max() + 1, points.shape[1]))
    np.add.at(total, part, inward)
    upper = _is_upward(inward)
    size = np.linalg.norm(inward, axis=1).sum()
    first = np.unique(part, return_index=True)[1]
    decided: dict[int, bool] = {}
    for number, facet in zip(part[first], first, strict=True):
        other = int(part[mate[facet]])
        if int(number) not in decided and other != number:
            whole = total[number]
            # Where the whole has no direction (a closed slit), its first facet decides.
            chosen = _is_upward((whole if np.linalg.norm(whole) > 1e-9 * size else inward[facet])[None])[0]
            decided[int(number)], decided[other] = bool(chosen), not chosen
    for number, chosen in decided.items():
        upper[part == number] = chosen
    return upper


def _is_upward(vectors: np.ndarray) -> np.ndarray:
    """Whether the first of the components y, x, z that is not 0 is positive, for vectors (n, d)."""
    order = [1, 0, 2][: vectors.shape[1]] if vectors.shape[1] > 1 else [0]
    ordered = vectors[:, order]
    size = np.linalg.norm(vectors, axis=1, keepdims=True)
    decisive = (np.abs(ordered) > 1e-9 * size).argmax(axis=1)
    return np.take_along_axis(ordered, decisive[:, None], axis=1)[:, 0] > 0


def cut_content(
    content: Content,
    name: str,
    chosen: np.ndarray,
    facets: np.ndarray,
    facet_cells: np.ndarray,
    boundaries: dict[str, np.ndarray],
) -> tuple[Content, np.ndarray]:
    """The content with the interior facets `chosen` doubled, and the vertices (2 m, k) of both faces.

    Round a vertex of the cut, cells that hang together by facets which are not cut share it; every further group gets
    a copy. So a tip inside the domain stays one vertex, and a mouth on the boundary becomes two.

    Args:
        chosen: numbers of the facets to double. facets: (nf, k). facet_cells: (nf, 2).
        boundaries: name -> facet numbers of the mesh as it is.

    Raises:
        StatementError: a facet cannot open, since all its vertices lie on the front of the cut.
    """
    count, cells, facets = len(content.points), content.cells, facets.astype(np.int64)
    touched = np.zeros(count, dtype=bool)
    touched[facets[chosen]] = True
    # Nodes of the graph: (vertex on the cut, cell at it).
    cell, corner = np.nonzero(touched[cells])
    vertex = cells[cell, corner]
    node = vertex * len(cells) + cell
    order = np.argsort(node)
    node, cell, corner, vertex = node[order], cell[order], corner[order], vertex[order]
    inner = np.setdiff1d(np.flatnonzero(facet_cells[:, 1] >= 0), chosen)
    inner = inner[touched[facets[inner]].any(axis=1)]
    row, column = np.nonzero(touched[facets[inner]])
    shared = facets[inner[row], column]
    one, two = (np.searchsorted(node, shared * len(cells) + facet_cells[inner[row], side]) for side in (0, 1))
    graph = coo_array((np.ones(len(one)), (one, two)), shape=(len(node), len(node)))
    part = connected_components(graph, directed=False)[1]
    parts, first = np.unique(part, return_index=True)
    by_vertex = np.lexsort((first, vertex[first]))  # the first group of a vertex keeps it
    owner = vertex[first][by_vertex]
    copied = np.concatenate([[False], owner[1:] == owner[:-1]])
    number = np.empty(len(parts), dtype=np.int64)
    number[by_vertex] = np.where(copied, count + np.cumsum(copied) - 1, owner)
    new_cells = cells.copy()
    new_cells[cell, corner] = number[part]
    points = np.concatenate([content.points, content.points[owner[copied]]])

    def rows(numbers: np.ndarray, side: int) -> np.ndarray:
        """Vertices of facets as the cell on one side names them now."""
        owners = facet_cells[numbers, side]
        place = (cells[owners][:, None, :] == facets[numbers][:, :, None]).argmax(axis=2)
        return np.take_along_axis(new_cells[owners], place, axis=1)

    faces = np.concatenate([rows(chosen, 0), rows(chosen, 1)])
    closed = vertex_keys(faces[: len(chosen)], len(points)) == vertex_keys(faces[len(chosen) :], len(points))
    if closed.any():
        where = ", ".join(f"{value:g}" for value in content.points[facets[chosen[closed.argmax()]]].mean(axis=0))
        raise StatementError(
            f"cut {name!r}: {int(closed.sum())} of its {len(chosen)} facets cannot open, since all their vertices lie on "
            f"its front (the first at ({where})); refine the mesh there, or cut farther"
        )
    named = {}
    for title, numbers in boundaries.items():
        second = numbers[np.isin(numbers, chosen)]
        named[title] = np.concatenate([rows(numbers, 0), rows(second, 1)])
    return content._replace(points=points, cells=new_cells, boundaries=named), faces


__all__ = ["cut_content", "slit_pairs", "upper_faces"]
