"""Domains that are disks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from kinn.geometry.grid import Grid

NODES = 1e-7  # how far nodes may lie from the circle, and
ARCS = 1e-3  # points between them, in radii


@dataclass(frozen=True, eq=False)
class Circle:
    """The boundary of a disk: center (2,), radius, and the numbers (f,) of its facets."""

    center: np.ndarray
    radius: float
    facets: np.ndarray


def disk(grid: Grid) -> Circle | None:
    """The circle that is the whole boundary of a plane mesh of second order; None if it is not one.

    A straight facet may follow a curve or stand for itself; a curved one says what it means: all its nodes lie on the circle.
    """
    if grid.order != 2 or grid.dimension != 2 or grid.spatial_dimension != 2:
        return None
    facets = grid.exterior
    nodes = grid.nodes[np.unique(grid.facet_nodes[facets])]
    center, radius = _fitted(nodes)
    between = grid.on_facet(np.repeat([[0.25], [0.75]], len(facets), axis=0), np.tile(facets, 2))[0]
    round_ = _off(nodes, center, radius) <= NODES and _off(between, center, radius) <= ARCS
    # arcs of it could go back and forth
    whole = abs(grid.measure / (np.pi * radius**2) - 1) <= ARCS
    return Circle(center, radius, facets) if round_ and whole else None


def _fitted(points: np.ndarray) -> tuple[np.ndarray, float]:
    """Center and radius of the circle through points (n, 2), by least squares for `|x|^2 = 2 c . x + r^2 - |c|^2`."""
    middle = points.mean(axis=0)
    x = points - middle
    solved = np.linalg.lstsq(np.column_stack([2 * x, np.ones(len(x))]), (x**2).sum(axis=1), rcond=None)[0]
    return middle + solved[:2], float(np.sqrt(solved[2] + solved[:2] @ solved[:2]))


def _off(points: np.ndarray, center: np.ndarray, radius: float) -> float:
    """The largest distance of points from a circle, in radii."""
    return float(np.abs(np.linalg.norm(points - center, axis=1) / radius - 1).max())


__all__ = ["Circle", "disk"]
