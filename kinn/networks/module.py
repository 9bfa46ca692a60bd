"""Any torch module as a network: jets by nested forward-mode derivatives, Jacobians by one vector-Jacobian product a point."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from kinn.networks.jets import JetSpace
from kinn.networks.network import Network, Tape


def nested_derivative(function: Callable[[Tensor], Tensor], index: tuple[int, ...]) -> Callable[[Tensor], Tensor]:
    """The partial derivative `index` of a function of one point (d,), by `torch.func.jvp` within `torch.func.jvp`."""
    for axis, order in enumerate(index):
        for _ in range(order):
            function = _directional(function, axis)
    return function


def _directional(function: Callable[[Tensor], Tensor], axis: int) -> Callable[[Tensor], Tensor]:
    def slope(x: Tensor) -> Tensor:
        direction = torch.zeros_like(x)
        direction[axis] = 1
        return torch.func.jvp(function, (x,), (direction,))[1]

    return slope


class ModuleNetwork(Network):
    """A user's `nn.Module` that maps (n, d) to (n, c), smooth enough for the derivatives that a statement asks for."""

    def __init__(self, module: nn.Module, n_inputs: int, n_outputs: int) -> None:
        super().__init__()
        self.module, self.n_inputs, self.n_outputs = module, n_inputs, n_outputs

    def _at_point(self, weights: Mapping[str, Tensor], x: Tensor, space: JetSpace) -> Tensor:
        def function(point: Tensor) -> Tensor:
            output = torch.func.functional_call(self.module, dict(weights), (point[None],))
            assert isinstance(output, Tensor)
            return output[0]

        return torch.stack([nested_derivative(function, index)(x) for index in space.indices])

    def jets(self, x: Tensor, space: JetSpace, tape: Tape | None = None) -> Tensor:
        weights: dict[str, Tensor] = dict(self.module.named_parameters())
        if tape is not None:
            weights = {name: weight.detach() for name, weight in weights.items()}
        output = torch.func.vmap(lambda point: self._at_point(weights, point, space), out_dims=1)(x)
        if tape is None:
            return output

        def jacobian(adjoint: Tensor) -> Tensor:
            def pull(point: Tensor, g: Tensor) -> Tensor:
                back = torch.func.vjp(lambda w: self._at_point(w, point, space), weights)[1]
                return torch.cat([part.flatten() for part in back(g)[0].values()])

            return torch.func.vmap(pull, in_dims=(0, 1))(x, adjoint)

        return tape.record(output.detach(), jacobian)

    def settings(self) -> dict[str, Any]:
        return {"kind": "module", "class": type(self.module).__qualname__}
