"""L-BFGS on the gradient of a sum of squares."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass

import numpy as np
import torch
from scipy.optimize import line_search
from torch import Tensor

from kinn.optimize.least_squares import LeastSquares

MEMORY = 50  # differences of points and gradients that are remembered


@dataclass
class LBFGSState:
    """L-BFGS (doi:10.1007/BF01589116) with SciPy's line search for the strong Wolfe conditions.

    Attributes:
        count: iterations made.
        ended: whether not even a step against the gradient lowers the loss.
        loss, gradient: at the present point, () and (P,).
        changes, slopes: (k, P), by what the point and the gradient changed in the last iterations.
    """

    count: int = 0
    ended: bool = False
    loss: float = math.inf
    gradient: Tensor | None = None
    changes: Tensor | None = None
    slopes: Tensor | None = None

    def restart(self) -> None:
        """Begin anew on a system that is another function."""
        self.loss, self.gradient, self.changes, self.slopes = math.inf, None, None, None

    def step(self, system: LeastSquares) -> float | None:
        """One iteration; returns the loss after it, or None (and stays) if it is not finite where it begins."""
        theta = system.vector().clone()
        if self.gradient is None:
            self.loss, self.gradient = system.gradient()
        if not (math.isfinite(self.loss) and torch.isfinite(self.gradient).all()):
            return None
        loss, gradient = self.loss, self.gradient
        direction = self._direction(gradient)
        seen: dict[float, tuple[float, Tensor]] = {0.0: (loss, gradient)}

        def at(a: np.ndarray) -> tuple[float, Tensor]:
            if (key := float(a[0])) not in seen:
                system.assign(theta + key * direction)
                found, slope = system.gradient()
                finite = math.isfinite(found) and bool(torch.isfinite(slope).all())
                seen[key] = (found, slope) if finite else (math.inf, torch.zeros_like(slope))
            return seen[key]

        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # a search that fails is looked at below
                found = line_search(
                    lambda a: at(a)[0], lambda a: np.array([float(at(a)[1] @ direction)]), np.zeros(1), np.ones(1)
                )
        except BaseException:  # Ctrl-C in the middle of a search: the system stays where it was
            system.assign(theta)
            raise
        length = found[0]
        if length is None or float(length) not in seen:
            length = min(seen, key=lambda a: seen[a][0])  # no point that fulfills both conditions: the lowest
        length = float(length)
        system.assign(theta + length * direction)
        self.count += 1
        if seen[length][0] < loss:
            self.loss, self.gradient = seen[length]
            self._remember(length * direction, self.gradient - gradient)
        else:
            self.ended, self.changes, self.slopes = self.changes is None, None, None
        return self.loss

    def _direction(self, gradient: Tensor) -> Tensor:
        """Minus the inverse of the approximate second derivative times the gradient."""
        if self.changes is None or self.slopes is None:
            # to where the loss would be zero if it fell evenly: free of units
            return -gradient * (self.loss / max(float(gradient @ gradient), 1e-300))
        products = (self.changes * self.slopes).sum(1)
        direction, parts = -gradient, torch.zeros_like(products)
        for k in range(len(products) - 1, -1, -1):
            parts[k] = self.changes[k] @ direction / products[k]
            direction = direction - parts[k] * self.slopes[k]
        direction = direction * (products[-1] / self.slopes[-1].square().sum())
        for k in range(len(products)):
            direction = direction + (parts[k] - self.slopes[k] @ direction / products[k]) * self.changes[k]
        return direction

    def _remember(self, change: Tensor, slope: Tensor) -> None:
        if not float(change @ slope) > 1e-12 * float(change.norm() * slope.norm()):
            return  # no positive curvature along the step: the approximation stays as it is
        self.changes, self.slopes = (
            new[None] if kept is None else torch.cat([kept[1 - MEMORY :], new[None]])
            for kept, new in ((self.changes, change), (self.slopes, slope))
        )
