"""What a user may ask for in `stages=[...]`: plain settings of the optimizers."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Adam:
    """`steps` of Adam on the initial network, before a Gauss-Newton stage or alone."""

    steps: int = 1000
    learning_rate: float = 1e-3


@dataclass(frozen=True)
class GaussNewton:
    """Damped Gauss-Newton with refinement of network and points until the error estimate meets the tolerance.

    `exact` takes steps from an orthogonal factorization: all digits, at about twice the time of a step.
    """

    exact: bool = False
