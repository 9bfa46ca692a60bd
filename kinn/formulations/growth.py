"""Adaptive refinement that keeps periodic sides alike."""

from __future__ import annotations

import numpy as np
from scipy.spatial import KDTree

from kinn.formulations.ties import MATCHING
from kinn.geometry import Mesh, graded
from kinn.statement.terms import PeriodicTie, WeakForm

ROUNDS = 20
LARGEST_SPACE = 8_000  # unknowns up to which test spaces grow


def grown(mesh: Mesh, errors: np.ndarray, weak: WeakForm) -> Mesh:
    """The mesh refined where the squared `errors` (nc,) are large, and where a periodic side would not match its other side.

    Uniformly refined where no such mesh is found.
    """
    sides = {(tie.first, tie.second) for tie in weak.ties if isinstance(tie, PeriodicTie)}
    finer = graded(mesh, errors)
    for _ in range(ROUNDS if sides else 0):
        found = [_coarser(finer, first, second) for first, second in sides]
        if all(alike for _, alike in found):
            return finer
        cells = np.unique(np.concatenate([cells for cells, _ in found]))
        if not len(cells):
            break  # faces of one size, but cut along different edges
        marks = np.zeros(len(finer.cells))
        marks[cells] = 1.0
        finer = graded(finer, marks)
    return mesh.refined() if sides else finer


def _coarser(mesh: Mesh, first: tuple[str, ...], second: tuple[str, ...]) -> tuple[np.ndarray, bool]:
    """The cells at facets of either side that have no partner and are larger than what lies opposite, and whether all
    facets have partners."""
    sk = mesh.skfem
    one, two = mesh.facets_of(first), mesh.facets_of(second)
    centers = [np.asarray(sk.p)[:, sk.facets[:, facets]].mean(1).T for facets in (one, two)]
    sizes = [np.ptp(np.asarray(sk.p)[:, sk.facets[:, facets]], axis=1).max(0) for facets in (one, two)]
    lower = [np.asarray(sk.p)[:, np.unique(sk.facets[:, facets])].min(1) for facets in (one, two)]
    shift, extent = lower[1] - lower[0], float(np.ptp(np.asarray(sk.p), axis=1).max())
    found, alike = [], True
    for facets, x, size, other, other_size in (
        (one, centers[0] + shift, sizes[0], centers[1], sizes[1]),
        (two, centers[1] - shift, sizes[1], centers[0], sizes[0]),
    ):
        distance, place = KDTree(other).query(x)
        alone = distance > MATCHING * extent
        alike = alike and not alone.any()
        found.append(np.asarray(sk.f2t)[0, facets[alone & (size > other_size[place] * 1.01)]])
    return np.concatenate(found), alike


__all__ = ["LARGEST_SPACE", "grown"]
