"""What an optimizer needs to know of a sum of squares; nothing of equations or meshes."""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor


class LeastSquares(ABC):
    """`loss(theta) = |r(theta)|^2` at a current theta (P,) that the optimizer moves."""

    @abstractmethod
    def vector(self) -> Tensor:
        """The current theta, detached."""

    @abstractmethod
    def assign(self, theta: Tensor) -> None:
        """Move to theta."""

    @abstractmethod
    def loss(self) -> float:
        """`r'r` at the current theta; may be inf or nan."""

    @abstractmethod
    def gradient(self) -> tuple[float, Tensor]:
        """`r'r` and its gradient `2 J'r` (P,)."""

    @property
    def linear(self) -> bool:
        """Whether r is linear in theta, as far as it is known."""
        return False

    @property
    def approximates(self) -> bool:
        """Whether `normal_equations` has an approximation of J that takes a fraction of the time."""
        return False

    @abstractmethod
    def normal_equations(self, sharp: bool = True) -> tuple[float, Tensor, Tensor]:
        """`r'r`, `J'J` (P, P) and `J'r` (P,); with the approximation of J unless `sharp`."""

    @abstractmethod
    def triangle(self) -> tuple[Tensor, Tensor] | None:
        """R (P, P) and Q'r (P,) of `J = Q R`, more exact than `J'J`; None where rows are not at hand."""
