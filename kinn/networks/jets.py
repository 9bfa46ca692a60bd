"""Truncated Taylor expansions (jets) and how they compose.

A jet of a function of d coordinates is the tensor of its partial derivatives for a list of multi-indices. Composition with a
one-dimensional function follows Faa di Bruno: `(phi o g)_alpha = sum_k phi^(k)(g) c_{alpha,k}`, where `c_{alpha,k}` sums, over
the partitions of alpha into k blocks, the products of the derivatives of g that the blocks name.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache, cached_property
from itertools import product
from math import comb, prod

import torch
from torch import Tensor

MultiIndex = tuple[int, ...]
MAX_ORDER = 4


def closure(indices: Iterable[MultiIndex], dimension: int) -> tuple[MultiIndex, ...]:
    """All multi-indices below the given ones (composition needs them), lowest order first; the zero index is always there.

    >>> closure([(2, 0)], 2)
    ((0, 0), (1, 0), (2, 0))
    """
    below = {(0,) * dimension}
    for index in indices:
        below.update(product(*(range(a + 1) for a in index)))
    return tuple(sorted(below, key=lambda a: (sum(a), tuple(-e for e in a))))


@cache
def partitions(index: MultiIndex) -> tuple[tuple[int, tuple[MultiIndex, ...]], ...]:
    """Partitions of the derivative `index` into blocks with their multiplicities: ((count, blocks), ...)."""
    letters = [axis for axis, order in enumerate(index) for _ in range(order)]

    def split(items: list[int]) -> list[list[list[int]]]:
        if not items:
            return [[]]
        head, *rest = items
        found = []
        for parts in split(rest):
            found.append([[head], *parts])
            found += [[*parts[:j], [head, *parts[j]], *parts[j + 1 :]] for j in range(len(parts))]
        return found

    blocks = Counter(
        tuple(sorted(tuple(part.count(axis) for axis in range(len(index))) for part in parts))
        for parts in split(letters)
    )
    return tuple((count, parts) for parts, count in sorted(blocks.items()))


@dataclass(frozen=True)
class JetSpace:
    """The multi-indices that a computation carries, closed under taking lower derivatives."""

    indices: tuple[MultiIndex, ...]

    @staticmethod
    def of(indices: Iterable[MultiIndex], dimension: int) -> JetSpace:
        """The smallest closed space that holds `indices` of functions of `dimension` coordinates."""
        return JetSpace(closure(indices, dimension))

    @property
    def dimension(self) -> int:
        return len(self.indices[0])

    @property
    def order(self) -> int:
        return max(map(sum, self.indices))

    @cached_property
    def position(self) -> dict[MultiIndex, int]:
        return {index: k for k, index in enumerate(self.indices)}

    @cached_property
    def chain(self) -> tuple[tuple[int, int], ...]:
        """The pairs (position of alpha, k) for which `c_{alpha,k}` is not zero, k ascending."""
        pairs = {(self.position[a], len(blocks)) for a in self.indices for _, blocks in partitions(a)}
        return tuple(sorted(pairs, key=lambda pair: (pair[1], pair[0])))

    def chain_coefficients(self, jets: Tensor) -> Tensor:
        """`c_{alpha,k}` of a function with `jets` (m, ...), for the pairs of `chain`: (len(chain), ...).

        That of k = 0, which is 1, is not to be read.
        """
        if self.order <= 1:
            return jets
        return torch.stack(self._coefficients(jets))

    def _coefficients(self, jets: Tensor) -> list[Tensor]:
        one = jets[0]
        rows: dict[tuple[int, int], Tensor | None] = {pair: None for pair in self.chain}
        for alpha, index in enumerate(self.indices):
            for count, blocks in partitions(index):
                term = one
                for place, block in enumerate(blocks):
                    factor = jets[self.position[block]]
                    term = factor if place == 0 else term * factor
                if count > 1:
                    term = count * term
                known = rows[alpha, len(blocks)]
                rows[alpha, len(blocks)] = term if known is None else known + term
        return [row for row in rows.values() if row is not None]

    def compose(self, derivatives: Tensor, jets: Tensor) -> Tensor:
        """Jets (m, ...) of `phi o g` from `derivatives` (order + 1, ...) of phi at g and the jets (m, ...) of g."""
        if self.order == 1:
            return torch.cat([derivatives[:1], derivatives[1] * jets[1:]])
        rows: list[Tensor | None] = [None] * len(self.indices)
        for (alpha, k), c in zip(self.chain, self._coefficients(jets), strict=True):
            term = derivatives[k] if k == 0 else derivatives[k] * c
            known = rows[alpha]
            rows[alpha] = term if known is None else known + term
        return torch.stack([row for row in rows if row is not None])

    def multiply(self, left: Tensor, right: Tensor) -> Tensor:
        """Jets (m, ...) of a product of two functions (Leibniz)."""
        rows = []
        for index in self.indices:
            row = None
            for lower in product(*(range(a + 1) for a in index)):
                upper = tuple(a - b for a, b in zip(index, lower, strict=True))
                term = left[self.position[lower]] * right[self.position[upper]]
                count = prod(comb(a, b) for a, b in zip(index, lower, strict=True))
                term = term if count == 1 else count * term
                row = term if row is None else row + term
            rows.append(row)
        return torch.stack(rows)

    def coordinates(self, x: Tensor) -> Tensor:
        """Jets (m, n, d) of the identity at the points `x` (n, d)."""
        jets = x.new_zeros(len(self.indices), *x.shape)
        jets[0] = x
        for alpha, index in enumerate(self.indices):
            if sum(index) == 1:
                jets[alpha, :, index.index(1)] = 1
        return jets

    def rescale(self, scale: Tensor) -> Tensor:
        """Factors (m,) that turn derivatives in `xi = (x - c) / scale` into derivatives in x."""
        powers = torch.tensor(self.indices, dtype=scale.dtype, device=scale.device)
        return torch.prod(scale**-powers, 1)
