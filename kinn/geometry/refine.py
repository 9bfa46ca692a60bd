"""Uniform refinement: every cell into 2^d, with every name kept."""

from __future__ import annotations

import numpy as np

from kinn.geometry.cells import CELL_TYPES, CellType, Content, shape_functions, vertex_keys

# Children as positions in a cell's lattice: its vertices, then midpoints of its edges, then (hexahedra) centers of
# its facets, then (quadrilaterals, hexahedra) its own center.
_CHILDREN = {
    "line": [[0, 2], [2, 1]],
    "triangle": [[0, 3, 5], [1, 3, 4], [2, 5, 4], [3, 4, 5]],
    "quad": [[0, 4, 8, 7], [4, 1, 5, 8], [8, 5, 2, 6], [7, 8, 6, 3]],
    "tetra": [[0, 4, 6, 7], [1, 4, 5, 8], [2, 5, 6, 9], [3, 7, 8, 9]],
    "hexahedron": [
        [0, 8, 9, 10, 20, 22, 21, 26], [8, 1, 20, 22, 11, 12, 26, 24],
        [9, 20, 2, 21, 13, 26, 14, 23], [10, 22, 21, 3, 26, 15, 16, 25],
        [20, 11, 13, 26, 4, 24, 23, 17], [22, 12, 26, 15, 24, 5, 25, 18],
        [21, 26, 14, 16, 23, 25, 6, 19], [26, 24, 23, 25, 17, 18, 19, 7],
    ],
}  # fmt: skip
# The octahedron left in a tetrahedron is cut along one of its three diagonals (first two entries).
_OCTAHEDRON = np.array(
    [
        [[6, 8, 4, 5], [6, 8, 4, 7], [6, 8, 5, 9], [6, 8, 7, 9]],
        [[5, 7, 4, 8], [5, 7, 8, 9], [5, 7, 9, 6], [5, 7, 6, 4]],
        [[4, 9, 5, 8], [4, 9, 8, 7], [4, 9, 7, 6], [4, 9, 6, 5]],
    ]
)


def refined_content(
    content: Content, boundaries: dict[str, np.ndarray], facets: np.ndarray, cell_facets: np.ndarray
) -> Content:
    """The content with all cells cut once; `facets` (nf, k) and `cell_facets` (nc, .) are those of the coarse mesh."""
    points, cells, kind = content.points, content.cells, CELL_TYPES[content.cell_type]
    count = len(points)
    pairs = np.concatenate([cells[:, edge] for edge in kind.edges])
    keys, first, inverse = np.unique(vertex_keys(pairs, count), return_index=True, return_inverse=True)
    new_points = [points, points[pairs[first]].mean(axis=1)]
    lattice = [cells, count + inverse.reshape(len(kind.edges), len(cells)).T]
    total = count + len(keys)
    facet_center = total  # hexahedra: the center of facet f is point facet_center + f
    if kind.name == "hexahedron":
        new_points.append(points[facets].mean(axis=1))
        lattice.append(total + cell_facets)
        total += len(facets)
    if kind.name in ("quad", "hexahedron"):
        new_points.append(points[cells].mean(axis=1))
        lattice.append(total + np.arange(len(cells))[:, None])
    all_points, nodes = np.concatenate(new_points), np.concatenate(lattice, axis=1)
    if content.curved is not None:
        all_points[nodes] = content.curved[:, _lattice_nodes(kind)]
    children = [nodes[:, child] for child in _CHILDREN[kind.name]]
    shortest = None
    if kind.name == "tetra":
        shortest = _shortest_diagonals(all_points, nodes)
        children += [np.take_along_axis(nodes, _OCTAHEDRON[shortest, part], axis=1) for part in range(4)]

    def midpoint(one: np.ndarray, two: np.ndarray) -> np.ndarray:
        return count + np.searchsorted(keys, vertex_keys(np.stack([one, two], axis=1), count))

    def cut(numbers: np.ndarray) -> np.ndarray:
        corners = list(facets[numbers].T)
        if kind.facet == "vertex":
            return facets[numbers]
        middles = [midpoint(corner, corners[(k + 1) % len(corners)]) for k, corner in enumerate(corners)]
        if kind.facet == "line":
            parts = [(corners[0], middles[0]), (middles[0], corners[1])]
        elif kind.facet == "triangle":
            parts = [(corners[k], middles[k], middles[k - 1]) for k in range(3)] + [tuple(middles)]
        else:
            parts = [(corners[k], middles[k], facet_center + numbers, middles[k - 1]) for k in range(4)]
        return np.concatenate([np.stack(part, axis=1) for part in parts])

    offsets = len(cells) * np.arange(len(children))[:, None]
    return content._replace(
        points=all_points,
        cells=np.concatenate(children),
        boundaries={name: cut(numbers) for name, numbers in boundaries.items()},
        subdomains={name: (offsets + numbers).ravel() for name, numbers in content.subdomains.items()},
        curved=None if content.curved is None else _curved_children(kind, content.curved, shortest),
    )


def _shortest_diagonals(points: np.ndarray, nodes: np.ndarray) -> np.ndarray:
    # The shortest diagonal keeps the angles of repeated refinements bounded.
    diagonals = points[nodes[:, _OCTAHEDRON[:, 0, :2]]]  # (nc, 3, 2, d)
    return np.linalg.norm(diagonals[:, :, 0] - diagonals[:, :, 1], axis=2).argmin(axis=1)


def _lattice(kind: CellType) -> np.ndarray:
    """Places of the lattice in the reference cell, (n, d)."""
    reference, parts = kind.reference, [kind.edges]
    if kind.name == "hexahedron":
        parts.append(kind.skfem.elem.refdom.facets)
    if kind.name in ("quad", "hexahedron"):
        parts.append([list(range(len(reference)))])
    return np.concatenate([reference, *[reference[np.array(part)].mean(axis=1) for part in parts]])


def _lattice_nodes(kind: CellType) -> np.ndarray:
    """The node of the cell of second order at each place of the lattice: they are the same places."""
    apart = np.abs(_lattice(kind)[:, None] - kind.nodes(2)[None]).sum(axis=2)
    return apart.argmin(axis=1)


def child_nodes(kind: CellType, vertices: np.ndarray, curved: np.ndarray) -> np.ndarray:
    """Places (m, k, d) of all nodes of children, on the quadratic maps of their parents: the geometry stays the same.

    Args:
        vertices: (m, k, d) of the children, in their parents' reference cells; or (k, d), the same for all.
        curved: (m, k, d) nodes of the parents.
    """
    first = shape_functions(kind.reference, kind.nodes(2))[0]
    places = first @ vertices
    shape = places.shape[:-1]
    values = shape_functions(kind.nodes(2), places.reshape(-1, kind.dimension))[0]
    return values.reshape(*shape, -1) @ curved


def _curved_children(kind: CellType, curved: np.ndarray, shortest: np.ndarray | None) -> np.ndarray:
    lattice = _lattice(kind)
    children = [child_nodes(kind, lattice[child], curved) for child in _CHILDREN[kind.name]]
    if shortest is not None:
        for part in range(4):
            child = np.empty_like(curved)
            for diagonal in range(3):
                mine = shortest == diagonal
                child[mine] = child_nodes(kind, lattice[_OCTAHEDRON[diagonal, part]], curved[mine])
            children.append(child)
    return np.concatenate(children)


__all__ = ["child_nodes", "refined_content"]
