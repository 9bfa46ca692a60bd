"""Damped Gauss-Newton (Levenberg-Marquardt) for sums of squares."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from kinn.optimize.damping import Quadratic, diagonal_of, scaled
from kinn.optimize.least_squares import LeastSquares

# Steps with an approximate J are made until one lowers the loss by less than `SLOW` (natural logarithm). The next one then has
# J itself, and those after it as long as they do `WORTH` times as much; after that the approximation has `REST` steps, or fewer
# where the last sharp step did more than `SLOW`, and `WORTH` times as much as one of them.
SLOW, WORTH, REST = 0.1, 5.0, 8
SMALLEST_DAMPING, LARGEST_DAMPING = 1e-15, 1e12
TRIALS = 14


@dataclass
class LevenbergMarquardt:
    """State of a damped Gauss-Newton iteration; a new one starts after every refinement, for the parameters are others.

    Columns are scaled by a decaying maximum of their norms (as MINPACK does, but forgetting), so that units do not matter;
    the damping follows the ratio of actual to predicted decrease, and several values are tried on one matrix.

    Attributes:
        damping: relative to the squared norm of each column; `rough` is that of steps with an approximate J, which say nothing
            of how far the model with J itself holds.
        exact: whether steps come from an orthogonal factorization (all digits) instead of normal equations (half of them).
        sharp, rest, gain: whether the next step has J itself where there is an approximation, how many steps the approximation
            has before that, and by how much its last step lowered the logarithm of the loss; `promise` is by how much the last
            sharp step did.
    """

    damping: float = 1.0
    exact: bool = False
    scale: Tensor | None = None
    sharp: bool = False
    rest: int = 0
    gain: float = 0.0
    rough: float | None = None
    promise: float = 0.0

    def step(self, system: LeastSquares) -> float | None:
        """Move the system to a lower loss and return it; None if no step lowers the loss (the system stays)."""
        if not system.approximates:
            return self._step(system)[1]
        if not self.sharp:
            loss, reached = self._rough_step(system)
            self.gain, self.rest = 0.0 if reached is None else _fallen(loss, reached), max(self.rest - 1, 0)
            waits = self.rest > 0 and self.promise <= max(WORTH * self.gain, SLOW)
            self.sharp = reached is None or (self.gain < SLOW and not waits)
            if reached is not None:
                return reached
        loss, reached = self._step(system)
        self.promise = 0.0 if reached is None else _fallen(loss, reached)
        if reached is None or self.promise < WORTH * self.gain:
            self.sharp, self.rest = False, REST
        return reached

    def _rough_step(self, system: LeastSquares) -> tuple[float, float | None]:
        """A step with an approximate J and the damping of such steps."""
        own = self.damping
        self.damping = own if self.rough is None else self.rough
        try:
            loss, reached = self._step(system, sharp=False)
        finally:
            self.rough, self.damping = self.damping, own
        if reached is None:
            self.rough = own  # no damping made it a step: the next one begins anew
        return loss, reached

    def _step(self, system: LeastSquares, sharp: bool = True) -> tuple[float, float | None]:
        """The loss before a step and after it."""
        triangle = system.triangle() if self.exact else None
        if triangle is None:
            loss, gram, gradient = system.normal_equations(sharp)
        else:
            loss, gram, gradient = system.loss(), triangle[0].T @ triangle[0], triangle[0].T @ triangle[1]
        if not (math.isfinite(loss) and torch.isfinite(gradient).all()):
            return loss, None
        diagonal = diagonal_of(gram)
        self.scale = diagonal if self.scale is None else torch.maximum(0.9 * self.scale, diagonal)
        root = self.scale.clamp_min(1e-28 * self.scale.max().item() + 1e-300).rsqrt()
        model = Quadratic(
            scaled(gram, root),
            gradient * root,
            None if triangle is None else triangle[0] * root,
            None if triangle is None else triangle[1],
        )
        theta = system.vector()
        try:
            reached = self._search(model, system, theta, root, loss)
        except BaseException:  # Ctrl-C in the middle of a trial: the system stays where it was
            system.assign(theta)
            raise
        if reached is None:
            system.assign(theta)
        return loss, reached

    def _search(self, model: Quadratic, system: LeastSquares, theta: Tensor, root: Tensor, loss: float) -> float | None:
        """Try damping values until the loss falls; returns the loss reached."""
        growth = 4.0
        for _ in range(TRIALS):
            found = model.step(self.damping)
            if found is None:
                self.damping, growth = min(self.damping * growth, LARGEST_DAMPING), 2 * growth
                continue
            step, promised = found
            system.assign(theta + step * root)
            reached = system.loss()
            if reached < loss:
                ratio = (loss - reached) / max(promised, 1e-300)
                change = 0.2 if ratio > 0.75 else 1.0 if ratio > 0.25 else 2.0
                self.damping = max(self.damping * change, SMALLEST_DAMPING)
                return reached
            self.damping, growth = min(self.damping * growth, LARGEST_DAMPING), 2 * growth
        return None


def _fallen(loss: float, reached: float) -> float:
    return math.log(loss / reached) if reached > 0 else math.inf
