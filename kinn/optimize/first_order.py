"""Adam on the gradient of a sum of squares."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from kinn.optimize.least_squares import LeastSquares


@dataclass
class AdamState:
    """Moments of Adam (arXiv 1412.6980) for a system's vector of unknowns; it never `ended` by itself."""

    learning_rate: float = 1e-3
    count: int = 0
    mean: Tensor | None = None
    square: Tensor | None = None
    ended: bool = False

    def restart(self) -> None:
        """Of a system that is made anew nothing is forgotten: moments are averages."""

    def step(self, system: LeastSquares) -> float | None:
        """One update; returns the loss before it, or None (and stays) if it is not finite."""
        loss, gradient = system.gradient()
        if not (math.isfinite(loss) and torch.isfinite(gradient).all()):
            return None
        self.count += 1
        self.mean = gradient * 0.1 if self.mean is None else 0.9 * self.mean + 0.1 * gradient
        square = gradient.square()
        self.square = square * 1e-3 if self.square is None else 0.999 * self.square + 1e-3 * square
        mean, deviation = self.mean / (1 - 0.9**self.count), (self.square / (1 - 0.999**self.count)).sqrt()
        system.assign(system.vector() - self.learning_rate * mean / (deviation + 1e-300 + 1e-8 * deviation.max()))
        return loss
