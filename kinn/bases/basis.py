"""What every family of one-dimensional basis functions offers to a KAN edge."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor


class Basis(ABC):
    """Functions `B_1 ... B_b` on the reference interval [-1, 1].

    A basis is immutable: `refined` returns a richer one together with the matrix that carries coefficients over, so that
    `sum_b c_b B_b` is the same function before and after.
    """

    name: str
    constants: int = 0  # 1 where the first function is the constant 1, after refinement too

    @property
    @abstractmethod
    def n_functions(self) -> int:
        """Number `b` of basis functions."""

    @property
    @abstractmethod
    def smoothness(self) -> int | None:
        """Number of continuous derivatives; None when there are infinitely many."""

    @abstractmethod
    def derivatives(self, x: Tensor, order: int) -> Tensor:
        """Values and derivatives up to `order` at `x` (any shape s): a tensor (order + 1, *s, b)."""

    @abstractmethod
    def refined(self) -> tuple[Basis, Tensor]:
        """A richer basis and the matrix T (b_old, b_new) with `c_new = c_old @ T` leaving every function unchanged."""

    @abstractmethod
    def settings(self) -> dict[str, float | int | list[float]]:
        """The arguments that build this basis again."""

    @property
    def mean_square(self) -> Tensor:
        """Mean over [-1, 1] of each `B_b^2`, shape (b,): what turns a stated variance into coefficients."""
        x = torch.linspace(-1, 1, 201, dtype=torch.float64)
        return self.derivatives(x, 0)[0].square().mean(0)


def padded_identity(old: int, new: int) -> Tensor:
    """The coefficient map of a basis that keeps its first `old` functions: new coefficients start at zero."""
    return torch.eye(old, new, dtype=torch.float64)
