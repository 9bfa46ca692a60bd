"""Degrees of freedom that belong together: on two sides of an interface, or on two periodic sides.

Elements get their own degrees of freedom in every part of the mesh. Where two of them stand for one value, the second is
written as `master + jump`: the master is an unknown like any other, the jump has a known value (0, or what the statement
says), so that jumps are treated as boundary values are. A network that jumps there has a misfit, an exact one none.
"""

from __future__ import annotations

from collections import deque
from functools import cached_property
from typing import Any

import numpy as np
import sympy as sp
from scipy import sparse
from scipy.spatial import KDTree

from kinn.statement.errors import StatementError
from kinn.statement.terms import InterfaceTie, PeriodicTie

MATCHING = 1e-6  # of the extent: how far two nodes of periodic sides may be from matching


class Numbering:
    """One degree of freedom for every pair of a node and a part of the mesh that has it.

    Attributes:
        element_dofs: (ne, b) numbers of the functions of each cell.
        node, part: (N,) of each degree of freedom; the first copy of a node keeps the node's number.
    """

    def __init__(self, element_nodes: np.ndarray, cell_part: np.ndarray, n_nodes: int) -> None:
        count = int(cell_part.max()) + 1
        keys = element_nodes.astype(np.int64) * count + cell_part[:, None]
        pairs = np.unique(keys)
        node, part = np.divmod(pairs, count)
        first = np.concatenate([[True], node[1:] != node[:-1]])
        number = np.empty(len(pairs), dtype=np.int64)
        number[first] = node[first]
        number[~first] = n_nodes + np.arange(int((~first).sum()))
        self._pairs, self._number, self._count = pairs, number, count
        order = np.argsort(number)
        self.node, self.part = node[order], part[order]
        self.element_dofs = self.of(element_nodes, cell_part)

    def of(self, element_nodes: np.ndarray, part: np.ndarray) -> np.ndarray:
        """Numbers (e, b) of the nodes (e, b) of elements that lie in `part` (e,)."""
        keys = element_nodes.astype(np.int64) * self._count + part[:, None]
        return self._number[np.searchsorted(self._pairs, keys)]

    def __len__(self) -> int:
        return len(self.node)


class Ties:
    """The ties of one component.

    A value on a slave is that on its master plus a jump: in the coordinates that all matrices use, the place of a slave
    holds the jump.

    Attributes:
        slaves, masters: numbers (s,).
        jumps: for each slave the terms (sign, expression, point) that its jump is the sum of.
        surplus: numbers of which the place holds what a value is beyond a mean of others, which elements of lower order keep at
            zero; `means` (n, n) are these means, None for elements of the same order.
    """

    def __init__(
        self,
        component: int,
        ties: tuple[PeriodicTie | InterfaceTie, ...],
        numbering: Numbering,
        nodes: np.ndarray,
        nodes_of: Any,
        parts_of: Any,
        means: sparse.csr_array | None = None,
    ) -> None:
        self.means = means
        self.surplus = np.zeros(0, np.int64) if means is None else np.flatnonzero(np.diff(means.indptr))
        edges = _interfaces(numbering)
        for tie in ties:
            if tie.component_index != component:
                continue
            if isinstance(tie, PeriodicTie):
                edges += _periodic(tie, numbering, nodes, nodes_of)
            else:
                edges = _with_value(edges, tie, numbering, nodes_of, parts_of)
        apart = set(self.surplus.tolist())
        self.slaves, self.masters, self.jumps = _spanned([edge for edge in edges if edge[0] not in apart])

    def matrix(self, n: int) -> sparse.csr_array:
        """P (n, n) with `values = P coordinates`."""
        one = np.ones(n + len(self.slaves))
        rows = np.concatenate([np.arange(n), self.slaves])
        tied = sparse.csr_array((one, (rows, np.concatenate([np.arange(n), self.masters]))), shape=(n, n))
        return tied if self.means is None else sparse.csr_array(tied + self.means @ tied)


class Tied:
    """Vectors of masters, jumps and surpluses in the place of values at nodes, number `c n + i` that of node i of component c."""

    def __init__(self, ties: list[Ties], n: int) -> None:
        self.ties, self.n, self.size = ties, n, n * len(ties)

    @cached_property
    def matrix(self) -> sparse.csr_array:
        """P (size, size) with `values = P vector`."""
        return sparse.csr_array(sparse.block_diag([ties.matrix(self.n) for ties in self.ties]))

    @cached_property
    def _dependent(self) -> tuple[np.ndarray, np.ndarray, sparse.csr_array]:
        """Numbers (k,) and (l,) and a matrix N (k, l) with `values[k] = vector[k] + N vector[l]`; all others are the same."""
        rest = sparse.csr_array(self.matrix - sparse.eye_array(self.size))
        rest.eliminate_zeros()
        rows, columns = np.flatnonzero(np.diff(rest.indptr)), np.unique(rest.indices)
        return rows, columns, rest[rows][:, columns]

    @cached_property
    def pairs(self) -> tuple[np.ndarray, np.ndarray]:
        """Numbers of all slaves and of their masters, over all components."""
        found = [(c * self.n + ties.slaves, c * self.n + ties.masters) for c, ties in enumerate(self.ties)]
        return np.concatenate([s for s, _ in found]), np.concatenate([m for _, m in found])

    def values(self, vector: np.ndarray) -> np.ndarray:
        """What the elements take at their nodes (size, ...), of a vector of masters and jumps."""
        rows, columns, share = self._dependent
        values = vector.copy()
        values[rows] += share @ vector[columns]
        return values

    def vector(self, values: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
        """The inverse of `values`, for the function that has these values at the nodes of its elements; `out` may be `values`."""
        slaves, masters = self.pairs
        vector = values.copy() if out is None else out
        vector[slaves] -= vector[masters]
        vector[np.concatenate([c * self.n + ties.surplus for c, ties in enumerate(self.ties)])] = 0.0
        return vector

    def gather(self, rows: np.ndarray) -> None:
        """From integrals (size, ...) against the function of each node, in place, to those against what vectors stand for."""
        dependent, on, share = self._dependent
        rows[on] += share.T @ rows[dependent]


Edge = tuple[int, int, sp.Expr]  # value of the second minus that of the first


def _interfaces(numbering: Numbering) -> list[Edge]:
    order = np.lexsort([numbering.part, numbering.node])
    node = numbering.node[order]
    same = np.flatnonzero(node[1:] == node[:-1])
    return [(int(order[k]), int(order[k + 1]), sp.S.Zero) for k in same]


def _with_value(edges: list[Edge], tie: InterfaceTie, numbering: Numbering, nodes_of: Any, parts_of: Any) -> list[Edge]:
    """The edges of the nodes of a stated interface get its value, with the sign that leads out of `side`."""
    there, inside = set(nodes_of(tie.on).tolist()), set(parts_of(tie.side).tolist())
    found = []
    for one, two, value in edges:
        if int(numbering.node[one]) in there and value == 0:
            leaving = int(numbering.part[one]) in inside, int(numbering.part[two]) in inside
            if leaving[0] != leaving[1]:
                value = tie.value if leaving[0] else -tie.value
        found.append((one, two, value))
    return found


def _periodic(tie: PeriodicTie, numbering: Numbering, nodes: np.ndarray, nodes_of: Any) -> list[Edge]:
    first, second = nodes_of(tie.first), nodes_of(tie.second)
    extent = float(np.ptp(nodes, axis=0).max())
    shift = nodes[second].mean(0) - nodes[first].mean(0)
    distance, place = KDTree(nodes[first] + shift).query(nodes[second])
    if len(first) != len(second) or distance.max(initial=0.0) > MATCHING * extent:
        raise StatementError(
            f"the meshes on {', '.join(tie.first)} and {', '.join(tie.second)} do not match; mesh both sides alike"
        )
    copies = {int(n): int(k) for k, n in zip(range(len(numbering))[::-1], numbering.node[::-1], strict=True)}
    return [(copies[p], copies[n], tie.value) for n, p in zip(second.tolist(), first[place].tolist(), strict=True)]


def _spanned(edges: list[Edge]) -> tuple[np.ndarray, np.ndarray, list[list[tuple[int, sp.Expr, int]]]]:
    """Slaves, masters and jumps of the classes that edges connect; the smallest number of a class is its master."""
    neighbors: dict[int, list[tuple[int, int, sp.Expr, int]]] = {}
    for one, two, value in edges:
        neighbors.setdefault(one, []).append((two, 1, value, one))
        neighbors.setdefault(two, []).append((one, -1, value, one))
    slaves, masters, jumps, seen = [], [], [], set()
    for master in sorted(neighbors):
        if master in seen:
            continue
        seen.add(master)
        queue: deque[tuple[int, list[tuple[int, sp.Expr, int]]]] = deque([(master, [])])
        while queue:
            number, path = queue.popleft()
            for other, sign, value, at in neighbors[number]:
                if other not in seen:
                    seen.add(other)
                    longer = path if value == 0 else [*path, (sign, value, at)]
                    slaves.append(other)
                    masters.append(master)
                    jumps.append(longer)
                    queue.append((other, longer))
    order = np.argsort(slaves) if slaves else []
    whole = [np.array(part, dtype=np.int64)[order] if slaves else np.zeros(0, np.int64) for part in (slaves, masters)]
    return whole[0], whole[1], [jumps[k] for k in order]


__all__ = ["Numbering", "Tied", "Ties"]
