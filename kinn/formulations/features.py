"""What boundary layers and short waves, as inputs of a network, ask of the trial space and of the mesh."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from kinn.formulations import layers as boundary
from kinn.formulations import waves as fast
from kinn.geometry import Mesh
from kinn.networks import Layer, Wave


def repeats(feature: Layer | Wave, periods: Sequence[float | None]) -> bool:
    """Whether a feature is the same after the period of each axis; None, or no entry, stands for an axis without one."""
    if isinstance(feature, Layer):
        return not any(period is not None and n for period, n in zip(periods, feature.normal, strict=False))
    turns = [k * period / (2 * math.pi) for period, k in zip(periods, feature.vector, strict=False) if period]
    return all(abs(turn - round(turn)) < 1e-6 for turn in turns)


def steep_sides(feature: Layer | Wave, mesh: Mesh) -> set[tuple[int, int]]:
    """The sides (axis, 0 lower | 1 upper) of a box towards which a feature varies fast."""
    if isinstance(feature, Layer):
        axis = int(np.abs(feature.normal).argmax())
        return {(axis, int(feature.normal[axis] > 0))}
    axes = np.flatnonzero(fast.lengths_of(np.array(feature.vector), mesh) >= 1)
    return {(int(axis), end) for axis in axes for end in (0, 1)}


def coarse_cells(mesh: Mesh, features: Sequence[Layer | Wave]) -> np.ndarray:
    """Which cells of a mesh are too large for the features, (nc,) booleans."""
    layers = [one for one in features if isinstance(one, Layer)]
    return boundary.coarse_cells(mesh, layers) | fast.coarse_cells(mesh, [w for w in features if isinstance(w, Wave)])


__all__ = ["coarse_cells", "repeats", "steep_sides"]
