"""Smooth functions of one variable with all their derivatives."""

from __future__ import annotations

import torch
from torch import Tensor


def _polynomial_derivatives(value: Tensor, slope: list[float], order: int) -> list[Tensor]:
    """Derivatives 0..order of f given f' = slope(f), a polynomial (lowest power first), by repeated chain rule."""
    rows, current = [value], slope
    for _ in range(order):
        term = torch.full_like(value, current[-1])
        for c in reversed(current[:-1]):
            term = term * value + c
        rows.append(term)
        derivative = [e * c for e, c in enumerate(current)][1:]
        product = [0.0] * (len(derivative) + len(slope) - 1)
        for i, a in enumerate(derivative):
            for j, b in enumerate(slope):
                product[i + j] += a * b
        current = product
    return rows


def tanh(x: Tensor, order: int) -> Tensor:
    """tanh and its derivatives: (order + 1, *x.shape)."""
    return torch.stack(_polynomial_derivatives(torch.tanh(x), [1.0, 0.0, -1.0], order))


def silu(x: Tensor, order: int) -> Tensor:
    """`x sigmoid(x)` and its derivatives `x s^(k) + k s^(k-1)`: (order + 1, *x.shape)."""
    s = _polynomial_derivatives(torch.sigmoid(x), [0.0, 1.0, -1.0], order)
    return torch.stack([x * s[k] + k * s[k - 1] if k else x * s[0] for k in range(order + 1)])
