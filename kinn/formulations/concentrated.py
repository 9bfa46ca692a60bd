"""Points where residuals are: a layer or a shock has few of the points that are spread evenly."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from kinn.formulations.blocks import PointBlock
from kinn.formulations.indicators import participation
from kinn.formulations.unknowns import Unknowns
from kinn.geometry import Points

CANDIDATES = 16  # for each point
CONCENTRATED = 0.05  # share of the domain that as good as holds the squared residual: below this points gather there


def concentrated(
    points: Points,
    block: PointBlock,
    candidates: Callable[[int], Points],
    block_of: Callable[[Points], PointBlock],
    unknowns: Unknowns,
    seed: int,
) -> Points:
    """`points`, those of `block`; where few of them hold most of the squared residual, at most as many of `candidates(n)`, half of
    them spread evenly and half as dense as the residual is large, with weights that make the same integral of them.

    As in residual-based adaptive sampling (doi:10.1016/j.cma.2022.115671), but without a bias.
    """
    share = participation(_squares(points, block, unknowns))
    if not np.isfinite(share) or share > CONCENTRATED:
        return points
    many = candidates(CANDIDATES * len(points))
    size = np.sqrt(_squares(many, block_of(many), unknowns))
    density = 0.5 + 0.5 * size / size.mean()
    wanted = density / density.sum() * len(points)
    ends = np.concatenate([[0.0], np.cumsum(wanted)])
    times = np.diff(np.floor(ends + np.random.default_rng(seed).uniform())).astype(int)
    chosen = np.flatnonzero(times)
    weight = (many.weight * times / wanted)[chosen]
    return Points(many.x[chosen], weight, None, None if many.cell is None else many.cell[chosen])


def _squares(points: Points, block: PointBlock, unknowns: Unknowns) -> np.ndarray:
    """Squared residuals (n,), up to a factor."""
    return (block.residuals(unknowns) ** 2).sum(0).cpu().double().numpy() / points.weight


__all__ = ["concentrated"]
