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
    return _drawn(many, 0.5 + 0.5 * size / size.mean(), len(points), seed)


def toward_ends(candidates: Callable[[int], Points], n: int, seed: int) -> Points:
    """At most about `n` of `candidates(n)` on a line, as dense toward its ends as polynomials of a high degree ask for."""
    many = candidates(CANDIDATES * n)
    x = (many.x[:, 0] - many.x.min()) / max(np.ptp(many.x), 1e-300)
    gap = 1 / len(x)
    return _drawn(many, 1 / np.sqrt((x + gap) * (1 - x + gap)), n, seed)


def _drawn(many: Points, density: np.ndarray, n: int, seed: int) -> Points:
    """About `n` of many points, each as often as `density` says, with weights that make the same integral of them."""
    order = np.argsort(many.x[:, 0]) if many.x.shape[1] == 1 else np.arange(len(many.x))
    wanted = (density / density.sum() * n)[order]
    ends = np.concatenate([[0.0], np.cumsum(wanted)])
    times = np.diff(np.floor(ends + np.random.default_rng(seed).uniform())).astype(int)
    chosen = np.flatnonzero(times)
    weight, chosen = (many.weight[order] * times / wanted)[chosen], order[chosen]
    return Points(many.x[chosen], weight, None, None if many.cell is None else many.cell[chosen])


def _squares(points: Points, block: PointBlock, unknowns: Unknowns) -> np.ndarray:
    """Squared residuals (n,), up to a factor."""
    return (block.residuals(unknowns) ** 2).sum(0).cpu().double().numpy() / points.weight


__all__ = ["concentrated"]
