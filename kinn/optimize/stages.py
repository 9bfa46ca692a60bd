"""What a user may ask for in `stages=[...]`: plain settings of the optimizers."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Adam:
    """`steps` of Adam on the initial network, before a Gauss-Newton stage or alone."""

    steps: int = 1000
    learning_rate: float = 1e-3


@dataclass(frozen=True)
class LBFGS:
    """At most `steps` iterations of L-BFGS with a strong Wolfe line search, until the loss falls no further: what networks are
    commonly trained with after Adam."""

    steps: int = 100_000


@dataclass(frozen=True)
class GaussNewton:
    """Damped Gauss-Newton with refinement of network and points until the error estimate meets the tolerance.

    `exact` takes steps from an orthogonal factorization: all digits, at about twice the time of a step. Without `refine` the
    network keeps its size, and the run ends where it no longer improves.
    """

    exact: bool = False
    refine: bool = True
