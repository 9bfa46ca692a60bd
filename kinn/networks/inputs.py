"""What a network sees of a point: scaled coordinates, a circle for every periodic axis, boundary layers, short waves."""

from __future__ import annotations

import math
from collections.abc import Sequence
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

    @property
    def size(self) -> int:
        """How many numbers a network reads."""
        return 1

    def jets(self, x: Tensor, center: Tensor, space: JetSpace) -> Tensor:
        """Jets (m, n, 1) of `2 exp(-d / width) - 1` at points x (n, d): what is steep in x is smooth in that."""
        value = torch.exp((x @ x.new_tensor(self.normal) - self.edge) / self.width)
        found = 2 * x.new_tensor(_factors([n / self.width for n in self.normal], space))[:, None] * value
        found[0] -= 1
        return found[..., None]


@dataclass(frozen=True)
class Wave:
    """A plane wave: solutions follow one that is short against the domain, or repeat with one over a period.

    Args:
        vector: (d,), the angle by which it turns per length along each axis.
    """

    vector: tuple[float, ...]

    @property
    def size(self) -> int:
        """How many numbers a network reads."""
        return 2

    def jets(self, x: Tensor, center: Tensor, space: JetSpace) -> Tensor:
        """Jets (m, n, 2) of `cos a, sin a` with the angle `a = vector . (x - center)` at points x (n, d)."""
        angle = (x - center) @ x.new_tensor(self.vector)
        cosine, sine = torch.cos(angle), torch.sin(angle)
        turned = [torch.stack(pair, 1) for pair in ((cosine, sine), (-sine, cosine), (-cosine, -sine), (sine, -cosine))]
        factors = zip(space.indices, _factors(self.vector, space), strict=True)
        return torch.stack([factor * turned[sum(index) % 4] for index, factor in factors])


def _factors(slopes: Sequence[float], space: JetSpace) -> list[float]:
    """What the derivatives of a function of `slopes . x` have in front of them, for each multi-index."""
    return [math.prod(s**k for s, k in zip(slopes, index, strict=True)) for index in space.indices]


@dataclass(frozen=True, eq=False)
class Inputs:
    """The map from a point x (n, d) to the numbers that a network reads.

    An axis without a period becomes `(x - center) / scale`. One with period L becomes the pair `cos a, sin a` of the angle
    `a = 2 pi (x - center) / L`: whatever the network, its values and all derivatives repeat after L exactly. Features add
    inputs in which what is steep or fast in x is smooth.

    Args:
        center, scale: (d,), the middle and half the extent of the domain along each axis.
        periods: the period of each axis, or None where the axis has none.
        features: layers at sides of the domain, and waves in it.

    Raises StatementError where the lengths differ, a scale or a period is not above 0.

    >>> one = torch.tensor([1.0, 1.0], dtype=torch.float64)
    >>> inputs = Inputs(center=one, scale=one, periods=(None, 2.0))
    >>> inputs.size, inputs.jets(torch.tensor([[0.5, 1.0]], dtype=torch.float64), JetSpace.of([], 2))[0, 0].tolist()
    (3, [-0.5, 1.0, 0.0])
    """

    center: Tensor
    scale: Tensor
    periods: tuple[float | None, ...]
    features: tuple[Layer | Wave, ...] = ()

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
        """How many numbers a network reads: one for each axis, two for a periodic one, and those of the features."""
        return sum(1 if period is None else 2 for period in self.periods) + sum(f.size for f in self.features)

    def jets(self, x: Tensor, space: JetSpace) -> Tensor:
        """Derivatives (m, n, size) of the inputs with respect to the coordinates at `x` (n, d)."""
        jets = x.new_zeros(len(space.indices), self.size, len(x)).mT  # points last in memory, as networks take them
        column = 0
        for axis, period in enumerate(self.periods):
            if period is None:
                jets[0, :, column] = (x[:, axis] - self.center[axis]) / self.scale[axis]
                first = tuple(int(a == axis) for a in range(self.dimension))
                if first in space.position:
                    jets[space.position[first], :, column] = 1 / self.scale[axis]
                column += 1
            else:
                vector = tuple(2 * math.pi / period if a == axis else 0.0 for a in range(self.dimension))
                jets[..., column : column + 2] = Wave(vector).jets(x, self.center, space)
                column += 2
        for feature in self.features:
            jets[..., column : column + feature.size] = feature.jets(x, self.center, space)
            column += feature.size
        return jets

    def to(self, like: Tensor) -> Inputs:
        """The same inputs in the precision and on the device of `like`."""
        return Inputs(self.center.to(like), self.scale.to(like), self.periods, self.features)
