"""All terms of a run together, as the optimizers see them: a sum of squares in one vector."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from kinn.formulations.blocks import Block, NormalEquations, PairBlock, PointBlock, RowBlock
from kinn.formulations.unknowns import Unknowns
from kinn.networks import KAN
from kinn.optimize.least_squares import LeastSquares


class System(LeastSquares):
    """Blocks that share one set of unknowns; where parameters are `held`, steps do not move them."""

    def __init__(self, unknowns: Unknowns, blocks: Sequence[Block], held: bool = False) -> None:
        self.unknowns, self.blocks, self.held = unknowns, list(blocks), held
        unknowns.sparse = unknowns.local and all(isinstance(block, (PointBlock, PairBlock)) for block in self.blocks)

    def vector(self) -> Tensor:
        return self.unknowns.vector()

    def assign(self, theta: Tensor) -> None:
        self.unknowns.assign(theta)

    def loss(self) -> float:
        return sum(self.losses().values())

    def losses(self) -> dict[str, float]:
        """The sum of squares of each named term."""
        found: dict[str, float] = {}
        for block in self.blocks:
            found[block.name] = found.get(block.name, 0.0) + block.loss(self.unknowns)
        return found

    def gradient(self) -> tuple[float, Tensor]:
        loss, gradient = 0.0, torch.zeros_like(self.vector())
        for block in self.blocks:
            own, slope = block.gradient(self.unknowns)
            loss, gradient = loss + own, gradient + slope
        if self.held:
            gradient[self.unknowns.size - len(self.unknowns.free) :] = 0.0
        return loss, gradient

    @property
    def linear(self) -> bool:
        problem, network = self.unknowns.problem, self.unknowns.surrogate.network
        return (
            problem.is_linear and not len(self.unknowns.free) and isinstance(network, KAN) and len(network.layers) == 1
        )

    @property
    def approximates(self) -> bool:
        return any(block.approximates for block in self.blocks)

    def normal_equations(self, sharp: bool = True) -> tuple[float, Tensor, Tensor]:
        total = NormalEquations.zeros(self.unknowns, sharp)
        for block in self.blocks:
            block.accumulate(self.unknowns, total)
        total.complete()
        if self.held:
            own = torch.arange(self.unknowns.size - len(self.unknowns.free), self.unknowns.size)
            total.gram[own, :] = total.gram[:, own] = total.gradient[own] = 0.0
            total.gram[own, own] = 1.0
        return total.loss, total.gram, total.gradient

    def triangle(self) -> tuple[Tensor, Tensor] | None:
        """R (P, P) and Q'r (P,) of a QR factorization of the whole Jacobian, chunk by chunk; None if a block has no rows."""
        size = self.unknowns.size
        if self.unknowns.sparse:
            return None
        triangle = self.unknowns.free.new_zeros(0, size + 1)
        for block in self.blocks:
            if not isinstance(block, RowBlock):
                return None
            for part in block.parts(self.unknowns):
                rows, jacobian = block.jacobian(self.unknowns, part)
                stacked = torch.cat([triangle, torch.cat([jacobian, rows[:, None]], 1)])
                triangle = torch.linalg.qr(stacked, mode="r")[1]
        if len(triangle) < size:
            triangle = torch.cat([triangle, triangle.new_zeros(size - len(triangle), size + 1)])
        return triangle[:size, :size], triangle[:size, size]
