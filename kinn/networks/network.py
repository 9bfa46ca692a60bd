"""What the rest of the library asks of a network: jets, and the Jacobian of every point from one backward pass."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from kinn.networks.jets import JetSpace


class Tape:
    """Notes what each layer put out, so that adjoints of all points at once become per-point Jacobians.

    Points do not interact, hence the gradient of `r.sum()` with respect to a layer's output (m, n, o) holds every point's
    adjoint G, and the layer itself knows how its weights enter: `jacobian(G)` is (n, weights of the layer), a sparse matrix
    where the tape asks for one of a layer that has it.
    """

    def __init__(self, sparse: bool = False) -> None:
        self.sparse = sparse
        self.outputs: list[Tensor] = []
        self._jacobians: list[Callable[[Tensor], Tensor]] = []

    def record(self, output: Tensor, jacobian: Callable[[Tensor], Tensor]) -> Tensor:
        output = output if output.requires_grad else output.requires_grad_()
        self.outputs.append(output)
        self._jacobians.append(jacobian)
        return output

    def jacobian(self, adjoints: Sequence[Tensor | None], more: Tensor | None = None) -> Tensor:
        """(n, P): derivatives of one residual per point with respect to all weights, layer after layer, then `more` (n, .)."""
        blocks = self.blocks(adjoints)
        return torch.cat(blocks if more is None else [*blocks, more], 1)

    def blocks(self, adjoints: Sequence[Tensor | None]) -> list[Tensor]:
        """The derivatives (n, weights of the layer) of one residual per point, for each layer."""
        return [
            jacobian(torch.zeros_like(output) if adjoint is None else adjoint)
            for output, jacobian, adjoint in zip(self.outputs, self._jacobians, adjoints, strict=True)
        ]


class Network(nn.Module, ABC):
    """A function of `n_inputs` numbers in [-1, 1] with `n_outputs` components that can supply jets."""

    n_inputs: int
    n_outputs: int

    @abstractmethod
    def compose(self, inputs: Tensor, space: JetSpace, tape: Tape | None = None) -> Tensor:
        """Jets (m, n, n_outputs) of the network after a function with jets `inputs` (m, n, n_inputs).

        The derivatives are those in the variables of `inputs`, whose number need not be `n_inputs`.
        """

    def jets(self, x: Tensor, space: JetSpace, tape: Tape | None = None) -> Tensor:
        """Derivatives at `x` (n, n_inputs) for every multi-index of `space`: (m, n, n_outputs)."""
        return self.compose(space.coordinates(x), space, tape)

    @property
    def smoothness(self) -> int | None:
        """Number of continuous derivatives; None when there are infinitely many."""
        return None

    @property
    def linear(self) -> bool:
        """Whether the network is a linear function of its weights."""
        return False

    def refined(self) -> Network | None:
        """A network with more parameters that is the same function, or None where there is none."""
        return None

    @abstractmethod
    def settings(self) -> dict[str, Any]:
        """JSON arguments that build this network again."""

    def forward(self, x: Tensor) -> Tensor:
        return self.jets(x, JetSpace.of([], self.n_inputs))[0]

    @property
    def n_parameters(self) -> int:
        return sum(p.numel() for p in self.parameters())
