"""Whether fluxes go on across the interfaces between materials, as physics wants and no strong residual sees."""

from __future__ import annotations

from typing import Any

import numpy as np
import sympy as sp

from kinn.geometry.points import gauss
from kinn.report.matching import unchecked
from kinn.report.surface import interface_facets
from kinn.statement.calculus import expanded
from kinn.statement.fluxes import pair, split
from kinn.statement.problem import Problem

ORDER = 4  # of the Gauss rule on each facet
ENOUGH = 4_000  # facets; of more, an even choice


def flux_jumps(solution: Any) -> dict[str, float]:
    """Component -> relative jump of its flux over the interfaces between subdomains, `|[F . n]| / |F|` in L2 there.

    F is what stands under `div` in the component's equation, on each side evaluated in the cell of that side. Facets
    on which a condition is stated (a source, a contact) do not count, nor do those with the equation on one side only.
    Empty where no coefficient jumps and no equation
    holds on subdomains only.

    >>> flux_jumps(solution)                                # doctest: +SKIP
    {'u': 0.00031}
    """
    problem: Problem = solution.problem
    mesh = problem.mesh
    if not problem.jumps and not any(row.on for row in problem.rows):
        return {}
    facets = np.setdiff1d(interface_facets(mesh), _with_condition(problem))
    if not len(facets):
        return {}
    facets = facets[np.linspace(0, len(facets) - 1, min(len(facets), ENOUGH)).astype(int)]
    points = gauss(mesh, ORDER, facets=facets.tolist())
    assert points.normal is not None
    normal = points.normal[:, : mesh.spatial_dimension]
    repeat = len(points) // len(facets)
    shape = (2, len(problem.components), len(points))
    through, size, known = np.zeros(shape), np.zeros(shape), np.zeros(shape, dtype=bool)
    for side in (0, 1):
        cells = np.repeat(mesh.skfem.f2t[side, facets], repeat)
        x = mesh.inward(points.x, cells)
        for on, index, flux in _fluxes(problem):
            here = np.isin(cells, mesh.cells_of(on or None))
            values = np.asarray(unchecked(solution).evaluate(flux, x[here])).reshape(int(here.sum()), len(flux))
            through[side, index, here] += (values * normal[here]).sum(axis=1)
            # where windows of time meet the normal has no part in space
            size[side, index, here] += (values**2).sum(axis=1) * (normal[here] ** 2).sum(axis=1)
            known[side, index, here] = True
    weight = points.weight * known.all(axis=0)
    jump = ((through[0] - through[1]) ** 2 * weight).sum(axis=1)
    whole = (size.mean(axis=0) * weight).sum(axis=1)
    names = [component.name for component in problem.components]
    return {name: float(np.sqrt(j / w)) for name, j, w in zip(names, jump, whole, strict=True) if w > 0}


def _fluxes(problem: Problem) -> list[tuple[tuple[str, ...], int, list[sp.Expr]]]:
    """(subdomains, component index, flux) of every equation with a flux under a div."""
    found = []
    for on in dict.fromkeys(row.on for row in problem.rows):
        rows = [row for row in problem.rows if row.on == on]
        for row, index in zip(rows, pair(rows, problem.components), strict=True):
            parts = split(row.expression)
            if parts is not None and parts.fluxes:
                found.append((on, index, [expanded(entry) for entry in parts.total]))
    return found


def _with_condition(problem: Problem) -> np.ndarray:
    names = {name for condition in problem.conditions for name in condition.on}
    known = [problem.mesh.boundaries[name] for name in names if name in problem.mesh.boundaries]
    return np.unique(np.concatenate(known)) if known else np.zeros(0, dtype=int)


__all__ = ["flux_jumps"]
