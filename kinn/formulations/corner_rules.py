"""Quadrature near singular points: rules for cells that touch one, where a gradient behaves like r^(lambda - 1)."""

from __future__ import annotations

import numpy as np

from kinn.geometry import Mesh, reference_rule

Rule = tuple[np.ndarray, np.ndarray]  # nodes (d, q) on the reference cell, weights (q,)
POWER, RADIAL, ANGULAR = 4, 12, 12
NEAR_DEGREE = 12


def apex_rule(apex: int) -> Rule:
    """A rule on the reference triangle for integrands `r^s f(theta)` around one of its vertices.

    Duffy's coordinates, x = apex + rho (a point of the opposite side), with `rho = t^4`: a power r^(lambda - 1) times a
    polynomial becomes smooth enough for Gauss points in t (doi:10.1137/0719090).
    """
    (t, wt), (s, ws) = (np.polynomial.legendre.leggauss(n) for n in (RADIAL, ANGULAR))
    t, wt, s, ws = (t + 1) / 2, wt / 2, (s + 1) / 2, ws / 2
    rho, s = np.repeat(t**POWER, ANGULAR), np.tile(s, RADIAL)
    weights = np.repeat(wt * POWER * t ** (2 * POWER - 1), ANGULAR) * np.tile(ws, RADIAL)
    barycentric = np.empty((3, len(rho)))
    barycentric[apex], barycentric[(apex + 1) % 3], barycentric[(apex + 2) % 3] = 1 - rho, rho * (1 - s), rho * s
    return barycentric[1:], weights


def graded_rules(mesh: Mesh, corners: np.ndarray) -> list[tuple[np.ndarray, Rule | None]]:
    """Cells and the rule that they need: special ones at and next to `corners` (k, 2) of a mesh of triangles, else None."""
    every = np.arange(len(mesh.cells))
    if not len(corners) or mesh.cell_type != "triangle":
        return [(every, None)]
    extent = float(np.ptp(mesh.points, axis=0).max())
    apart = np.linalg.norm(mesh.points[:, None] - corners[None], axis=2).min(1)
    at = apart[mesh.cells] <= 1e-9 * extent
    touching = at.any(1)
    ring = np.zeros(len(mesh.points), dtype=bool)
    ring[mesh.cells[touching]] = True
    near = ring[mesh.cells].any(1) & ~touching
    nodes, weights = reference_rule(2, True, NEAR_DEGREE)
    groups: list[tuple[np.ndarray, Rule | None]] = [(every[~touching & ~near], None)]
    groups.append((every[near], (np.ascontiguousarray(nodes.T), weights)))
    groups += [(every[at[:, apex]], apex_rule(apex)) for apex in range(3)]
    return [(cells, rule) for cells, rule in groups if len(cells)]


__all__ = ["apex_rule", "graded_rules"]
