"""A form turns a statement into blocks of squares for a surrogate, and judges a solution on what it never trained on."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from kinn.formulations.blocks import Block
from kinn.formulations.estimate import Influence
from kinn.formulations.unknowns import Unknowns


@dataclass(frozen=True)
class Judgement:
    """Squared relative residuals of each term on independent points or tests, and the estimated relative H1 error.

    `preparation` are the seconds it took to make what the next judgement finds ready.
    """

    terms: dict[str, float]
    estimate: float | None
    preparation: float = 0.0


class Form(ABC):
    """Terms with their relative sizes: a loss of 1 says that nothing of the problem is solved, 1e-8 that residuals are 1e-4."""

    @property
    def capacity(self) -> int | None:
        """The largest number of points or tests that this form can have; None where there is no limit."""
        return None

    @property
    def cost(self) -> float:
        """A size that grows with what judging a solution takes."""
        return 1.0

    @property
    def linearizes(self) -> bool:
        """Whether blocks depend on the point at which they were made."""
        return False

    @property
    def has_elements(self) -> bool:
        """Whether finite elements of the statement stand beside the network: to estimate its error, and to move what data
        determine where they have all of it."""
        return True

    @property
    def lacking(self) -> str:
        """Why there is no error estimate; empty where there is one."""
        return ""

    def state(self) -> dict[str, Tensor]:
        """What training has changed of this form, for `restore`; nothing where a form only measures the problem."""
        return {}

    def restore(self, state: dict[str, Tensor]) -> None:
        """Take over the `state` of a form that was prepared for the same problem, bit for bit."""
        assert not state, "a form that has a state restores it"

    def influence(
        self, unknowns: Unknowns, moved: Unknowns | None = None, state: np.ndarray | None = None
    ) -> Influence | None:
        """What all observations change by with all that they determine, by finite elements; None where these do not have the whole
        statement. `state` is one of other numbers than those of `moved`, to go on from."""
        return None

    @abstractmethod
    def blocks(self, unknowns: Unknowns, n: int, seed: int) -> list[Block]:
        """Blocks with about `n` points (strong) or test functions (weak), new points for each seed."""

    @abstractmethod
    def judge(self, unknowns: Unknowns, n: int) -> Judgement:
        """Check and estimate on a finer, independent rule than a training with `n` points or tests."""
