"""Any torch module as a network: jets by nested forward-mode derivatives, Jacobians by one vector-Jacobian product a point."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from kinn.networks.jets import JetSpace, MultiIndex
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


def taylor_monomials(delta: Tensor, indices: Sequence[MultiIndex]) -> Tensor:
    """`delta^alpha / alpha!` (len(indices),) at one displacement `delta` (d,): jets times these are a Taylor polynomial.

    >>> taylor_monomials(torch.tensor([2.0, 3.0]), [(0, 0), (1, 1), (0, 2)]).tolist()
    [1.0, 6.0, 4.5]
    """
    found = []
    for index in indices:
        term = torch.ones_like(delta[0])
        for axis, order in enumerate(index):
            for power in range(1, order + 1):
                term = term * delta[axis] / power
        found.append(term)
    return torch.stack(found)


class ModuleNetwork(Network):
    """A user's `nn.Module` that maps (n, d) to (n, c), smooth enough for the derivatives that a statement asks for."""

    def __init__(self, module: nn.Module, n_inputs: int, n_outputs: int) -> None:
        super().__init__()
        self.module, self.n_inputs, self.n_outputs = module, n_inputs, n_outputs

    def _at_point(
        self, weights: Mapping[str, Tensor], inputs: Tensor, space: JetSpace, indices: tuple[MultiIndex, ...]
    ) -> Tensor:
        """Jets (m, n_outputs) at one point from the jets `inputs` (len(indices), n_inputs) of what the module reads there.

        The module's argument becomes the Taylor polynomial `sum_alpha inputs_alpha delta^alpha / alpha!`: it has the same jets
        at `delta = 0` as the function it stands for, hence so has the module of it.
        """

        def function(delta: Tensor) -> Tensor:
            argument = taylor_monomials(delta, indices) @ inputs
            output = torch.func.functional_call(self.module, dict(weights), (argument[None],))
            assert isinstance(output, Tensor)
            return output[0]

        origin = inputs.new_zeros(space.dimension)
        return torch.stack([nested_derivative(function, index)(origin) for index in space.indices])

    def compose(self, inputs: Tensor, space: JetSpace, tape: Tape | None = None) -> Tensor:
        weights: dict[str, Tensor] = dict(self.module.named_parameters())
        if tape is not None:
            weights = {name: weight.detach() for name, weight in weights.items()}
        # coordinates have no second derivatives: their polynomial is short, and every nested derivative of it cheaper
        there = inputs.detach().flatten(1).any(1).tolist()
        rows = [row for row in range(len(inputs)) if row == 0 or there[row] or inputs.requires_grad]
        indices, inputs = tuple(space.indices[row] for row in rows), inputs[rows]
        output = torch.func.vmap(lambda at: self._at_point(weights, at, space, indices), in_dims=1, out_dims=1)(inputs)
        if tape is None:
            return output

        known = inputs.detach()

        def jacobian(adjoint: Tensor) -> Tensor:
            def pull(at: Tensor, g: Tensor) -> Tensor:
                back = torch.func.vjp(lambda w: self._at_point(w, at, space, indices), weights)[1]
                return torch.cat([part.flatten() for part in back(g)[0].values()])

            return torch.func.vmap(pull, in_dims=(1, 1))(known, adjoint)

        return tape.record(output, jacobian)

    def settings(self) -> dict[str, Any]:
        return {"kind": "module", "class": type(self.module).__qualname__}
