"""What a network sees of a point: coordinates scaled to [-1, 1], a circle for every periodic axis, boundary layers."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from kinn.networks.jets import JetSpace
from kinn.statement.errors import StatementError


@dataclass(frozen=True)
class Layer:
    """A plane side of the domain at which solutions fall like `exp(-d / width)`, d the distance to it.

    Args:
        normal: (d,) of length 1, to the outside.
        edge: of the side, `normal . x` there; smaller inside.
        width: a length above 0.
    """

    normal: tuple[float, ...]
    edge: float
    width: float

    def bounds(self, points: np.ndarray) -> bool:
        """Whether all points (n, d) lie on the inner side, where the layer is 1 at most, up to a fraction of its width."""
        return float((points @ np.array(self.normal)).max()) <= self.edge + 0.01 * self.width

    def decay(self, x: Tensor, space: JetSpace) -> Tensor:
        """Jets (m, n) of `exp(-d / width)` at points x (n, d)."""
        value = torch.exp((x @ x.new_tensor(self.normal) - self.edge) / self.width)
        slopes = [n / self.width for n in self.normal]
        factors = [math.prod(s**k for s, k in zip(slopes, index, strict=True)) for index in space.indices]
        return x.new_tensor(factors)[:, None] * value


@dataclass(frozen=True, eq=False)
class Inputs:
    """The map from a point x (n, d) to the numbers that a network reads.

    An axis without a period becomes `(x - center) / scale`. One with period L becomes the pair `cos a, sin a` of the angle
    `a = 2 pi (x - center) / L`: whatever the network, its values and all derivatives repeat after L exactly. A layer adds
    `2 exp(-d / width) - 1`, so that what is steep in x is smooth in what the network reads.

    Args:
        center, scale: (d,), the middle and half the extent of the domain along each axis.
        periods: the period of each axis, or None where the axis has none.
        layers: at sides of the domain.

    Raises StatementError where the lengths differ, a scale or a period is not above 0.

    >>> one = torch.tensor([1.0, 1.0], dtype=torch.float64)
    >>> inputs = Inputs(center=one, scale=one, periods=(None, 2.0))
    >>> inputs.size, inputs.jets(torch.tensor([[0.5, 1.0]], dtype=torch.float64), JetSpace.of([], 2))[0, 0].tolist()
    (3, [-0.5, 1.0, 0.0])
    """

    center: Tensor
    scale: Tensor
    periods: tuple[float | None, ...]
    layers: tuple[Layer, ...] = ()

    def __post_init__(self) -> None:
        if not len(self.center) == len(self.scale) == len(self.periods):
            raise StatementError(
                f"inputs with {len(self.center)} centers, {len(self.scale)} scales and {len(self.periods)} periods; "
                "give one of each for every coordinate"
            )
        for name, values in (("scale", self.scale.tolist()), ("period", self.periods)):
            for value in values:
                if value is not None and not 0 < value < math.inf:
                    raise StatementError(f"a coordinate has {name} {value}; it must be a length above 0")

    @property
    def dimension(self) -> int:
        """Number d of coordinates."""
        return len(self.periods)

    @property
    def size(self) -> int:
        """How many numbers a network reads: one for each axis, two for a periodic one, one for each layer."""
        return sum(1 if period is None else 2 for period in self.periods) + len(self.layers)

    def jets(self, x: Tensor, space: JetSpace) -> Tensor:
        """Derivatives (m, n, size) of the inputs with respect to the coordinates at `x` (n, d)."""
        jets = x.new_zeros(len(space.indices), self.size, len(x)).mT  # points last in memory, as networks take them
        for row, index in enumerate(space.indices):
            column = 0
            for axis, period in enumerate(self.periods):
                width = 1 if period is None else 2
                # an input reads one coordinate: its mixed derivatives vanish
                if index[axis] == sum(index):
                    jets[row, :, column : column + width] = self._derivative(x[:, axis], axis, index[axis])
                column += width
        for number, layer in enumerate(self.layers, start=self.size - len(self.layers)):
            jets[..., number] = 2 * layer.decay(x, space)
            jets[0, :, number] -= 1
        return jets

    def _derivative(self, x: Tensor, axis: int, order: int) -> Tensor:
        """The derivative `order` of the inputs of one axis at its coordinate `x` (n,): (n, 1) or (n, 2)."""
        period, offset = self.periods[axis], x - self.center[axis]
        if period is None:
            if order == 0:
                return (offset / self.scale[axis])[:, None]
            return (torch.ones_like(x) / self.scale[axis] if order == 1 else torch.zeros_like(x))[:, None]
        wave = 2 * math.pi / period
        cosine, sine = torch.cos(wave * offset), torch.sin(wave * offset)
        pair = ((cosine, sine), (-sine, cosine), (-cosine, -sine), (sine, -cosine))[order % 4]
        return wave**order * torch.stack(pair, 1)

    def to(self, like: Tensor) -> Inputs:
        """The same inputs in the precision and on the device of `like`."""
        return Inputs(self.center.to(like), self.scale.to(like), self.periods, self.layers)
