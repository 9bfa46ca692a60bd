"""The integrals of a weak form over cells and facets."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import sympy as sp

from kinn.formulations.corner_rules import graded_rules
from kinn.formulations.pieces import Piece, facets_of
from kinn.statement.calculus import expanded
from kinn.statement.fields import normal_of
from kinn.statement.places import subdomain_facets

if TYPE_CHECKING:
    from kinn.formulations.galerkin import GalerkinSpace


def cell_pieces(space: GalerkinSpace) -> list[Piece]:
    """`int flux . grad v + source v` of all rows; rows that hold in the same cells share a piece."""
    groups: dict[tuple[str, ...], list[int]] = {}
    for number, row in enumerate(space.weak.rows):
        groups.setdefault(row.on, []).append(number)
    pieces = []
    for on, numbers in groups.items():
        expressions, slots = [], []
        for number in numbers:
            row = space.weak.rows[number]
            for slot, expression in enumerate((*row.flux, row.source)):
                if expression != 0:
                    expressions.append(expression)
                    slots.append((row.component_index, slot))
        inside = space.mesh.cells_of(on or None)
        for cells, rule in graded_rules(space.mesh, space.corners) if expressions else []:
            cells = np.intersect1d(cells, inside)
            if len(cells):
                pieces.append(
                    space.piece(space.in_cells(cells, rule), expressions, slots, space.mesh.spatial_dimension)
                )
    return pieces


def facet_pieces(space: GalerkinSpace) -> list[Piece]:
    """`int g v` of all natural conditions."""
    pieces = []
    for row in space.weak.rows:
        for on, expression in row.boundary:
            facets = facets_of(space.mesh, on, row.on)
            if len(facets):
                pieces.append(space.piece(space.on_facets(facets), [expression], [(row.component_index, 0)], 0))
    return pieces


def strong_pieces(space: GalerkinSpace) -> list[Piece]:
    """`int (source - div flux) v` in cells and `int (g + flux . n) v` on the boundary, for a smooth trial solution.

    These integrands vanish with the error, and so do their quadrature errors.
    """
    mesh, pieces = space.mesh, []
    axes = space.problem.mesh.coordinates[: mesh.spatial_dimension]  # those of the statement, whatever mesh this is
    normal = normal_of(axes)
    ends = np.array([], dtype=int) if mesh.interval_ends is None else mesh.facets_of(mesh.interval_ends)
    for row in space.weak.rows:
        basis = space.in_cells(mesh.cells_of(row.on or None))
        divergence = sp.Add(*(expanded(sp.diff(f, x)) for f, x in zip(row.flux, axes, strict=True)))
        pieces.append(space.piece(basis, [row.source - divergence], [(row.component_index, 0)], 0))
        outflow = sp.Add(*(f * n for f, n in zip(row.flux, normal.flat(), strict=True)))
        held = [mesh.facets_of(on) for component, _, on in space.weak.essential if component == row.component_index]
        rest = np.setdiff1d(subdomain_facets(mesh, row.on), np.concatenate([*held, ends]))
        places: list[tuple[np.ndarray, sp.Expr]] = []
        for on, g in row.boundary:
            facets = facets_of(mesh, on, row.on)
            places.append((facets, g + outflow))
            rest = np.setdiff1d(rest, facets)
        for facets, integrand in [*places, (rest, outflow)]:
            if len(facets) and integrand != 0:
                pieces.append(space.piece(space.on_facets(facets), [integrand], [(row.component_index, 0)], 0))
    return pieces


__all__ = ["cell_pieces", "facet_pieces", "strong_pieces"]
