"""A form turns a statement into blocks of squares for a surrogate, and knows how large each term is."""

from __future__ import annotations

from abc import ABC, abstractmethod

from kinn.formulations.blocks import Block
from kinn.formulations.surrogate import Surrogate


class Form(ABC):
    """Terms with their relative sizes: a loss of 1 says that nothing of the problem is solved, 1e-8 that residuals are 1e-4."""

    @abstractmethod
    def blocks(self, surrogate: Surrogate, n: int, seed: int) -> list[Block]:
        """Blocks with about `n` points (strong) or test functions (weak), new ones for each seed."""

    @abstractmethod
    def check_blocks(self, surrogate: Surrogate, n: int) -> list[Block]:
        """Blocks of the same terms on a finer rule that is independent of any training with up to `n`."""
