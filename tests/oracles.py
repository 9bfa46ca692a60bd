"""The same mathematics written the slow, plain way: what jets and Jacobians are compared with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product

import torch
from torch import Tensor, nn

from kinn.bases import BSpline, Chebyshev, Gaussian
from kinn.formulations.blocks import PointBlock
from kinn.formulations.unknowns import Unknowns
from kinn.networks import KAN, MLP, JetSpace, ModuleNetwork, Network

Plain = Callable[[Sequence[Tensor], Tensor], Tensor]
BASES = {"bspline": BSpline(5, 3), "chebyshev": Chebyshev(4), "gaussian": Gaussian(4)}
NETWORKS = (*BASES, "mlp", "module")


class Ridge(nn.Module):
    """A user's own module: waves of a linear layer."""

    def __init__(self, n_inputs: int, n_outputs: int) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(3)
        self.inner = nn.Parameter(torch.randn(4, n_inputs, generator=generator, dtype=torch.float64))
        self.outer = nn.Parameter(torch.randn(n_outputs, 4, generator=generator, dtype=torch.float64))

    def forward(self, x: Tensor) -> Tensor:
        return torch.sin(x @ self.inner.T) @ self.outer.T


def network_of(name: str, n_inputs: int, n_outputs: int = 1) -> Network:
    if name == "mlp":
        return MLP([n_inputs, 4, 3, n_outputs], seed=1)
    if name == "module":
        return ModuleNetwork(Ridge(n_inputs, n_outputs), n_inputs, n_outputs)
    return KAN([n_inputs, 3, 2, n_outputs], BASES[name], base=name != "chebyshev", seed=1, gain=1.0)


def plain(network: Network) -> Plain:
    """The network as an ordinary function (weights, x) -> (n, c) of torch operations, free of jets."""
    if isinstance(network, KAN):
        layers = network._layers()

        def kan(weights: Sequence[Tensor], x: Tensor) -> Tensor:
            for depth, (layer, weight, bias) in enumerate(zip(layers, weights[::2], weights[1::2], strict=True)):
                x = torch.tanh(x) if depth else x
                x = torch.einsum("nib,iob->no", layer.functions(x, 0)[0], weight) + bias
            return x

        return kan
    if isinstance(network, MLP):

        def mlp(weights: Sequence[Tensor], x: Tensor) -> Tensor:
            for depth, weight in enumerate(weights):
                x = (torch.tanh(x) if depth else x) @ weight[:, :-1].T + weight[:, -1]
            return x

        return mlp
    assert isinstance(network, ModuleNetwork)
    return lambda weights, x: torch.sin(x @ weights[0].T) @ weights[1].T


def derivative(function: Callable[[Tensor], Tensor], x: Tensor, index: tuple[int, ...]) -> Tensor:
    """A partial derivative of a pointwise function of x (n, d), by nested `torch.func.jvp`."""
    for axis, order in enumerate(index):
        for _ in range(order):
            function = _slope(function, axis)
    return function(x)


def _slope(function: Callable[[Tensor], Tensor], axis: int) -> Callable[[Tensor], Tensor]:
    def slope(x: Tensor) -> Tensor:
        direction = torch.zeros_like(x)
        direction[..., axis] = 1
        return torch.func.jvp(function, (x,), (direction,))[1]

    return slope


def all_indices(dimension: int, order: int) -> list[tuple[int, ...]]:
    return [index for index in product(range(order + 1), repeat=dimension) if sum(index) <= order]


def rows_of(block: PointBlock, unknowns: Unknowns) -> Callable[[Tensor], Tensor]:
    """The weighted residuals (k n,) of a block as a plain function of theta, every derivative by nested jvp."""
    surrogate, x = unknowns.surrogate, block.x
    function, shapes = plain(surrogate.network), [p.shape for p in surrogate.network.parameters()]
    here = JetSpace.of([], x.shape[1])

    def rows(theta: Tensor) -> Tensor:
        *parts, free = torch.split(theta, [*(s.numel() for s in shapes), len(unknowns.free)])
        weights = [part.view(shape) for part, shape in zip(parts, shapes, strict=True)]

        def field(at: Tensor) -> Tensor:
            inner = function(weights, (at - surrogate.center) / surrogate.scale) * surrogate.amplitude
            lift = surrogate.lift
            if lift is None:
                return surrogate.offset + inner
            columns = range(inner.shape[1])
            g = torch.stack([lift.values(c, at, here)[0] for c in columns], 1)
            d = torch.stack([lift.distance(c, at, here)[0] for c in columns], 1)
            return g + d * inner

        z = torch.stack([derivative(field, x, index)[:, c] for c, index in block.program.jets])
        values = block.program(z, x, block.normal, unknowns.parameters(free), block.tables)
        if block.target is not None:
            values = values - block.target
        return (values * block.factor * block.root).flatten()

    return rows
