"""Multilayer perceptrons with jets: the rival every KAN is compared with."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from kinn.networks import activations
from kinn.networks.jets import JetSpace
from kinn.networks.network import Network, Tape


def _weight_jacobian(adjoint: Tensor, features: Tensor) -> Tensor:
    """(n, o (i + 1)): derivatives in weights and bias, `sum_alpha G_alpha[o, n] F_alpha[i, n]` and `G_0[o, n]`."""
    (_, o, n), i = adjoint.shape, features.shape[1]
    found = adjoint.new_empty(o, i + 1, n)
    torch.mul(adjoint[0, :, None], features[0], out=found[:, :-1])
    for alpha in range(1, len(features)):
        found[:, :-1].addcmul_(adjoint[alpha, :, None], features[alpha])
    found[:, -1] = adjoint[0]
    return found.view(-1, n).T


class MLP(Network):
    """Linear layers of `widths` with tanh between them; Glorot's normal initialization, variance 2 / (inputs + outputs)."""

    def __init__(
        self,
        widths: list[int],
        seed: int = 0,
        dtype: torch.dtype = torch.float64,
        device: torch.device | str = "cpu",
    ) -> None:
        super().__init__()
        if len(widths) < 2 or min(widths) < 1:
            raise ValueError(
                f"widths {widths} must name at least an input and an output layer, each with 1 node or more"
            )
        generator = torch.Generator().manual_seed(seed)
        self.widths, self.n_inputs, self.n_outputs = list(widths), widths[0], widths[-1]
        self.weights = nn.ParameterList()
        for i, o in zip(widths, widths[1:], strict=False):
            weight = torch.randn(o, i, generator=generator, dtype=torch.float64) * math.sqrt(2 / (i + o))
            self.weights.append(nn.Parameter(torch.cat([weight, torch.zeros(o, 1, dtype=torch.float64)], 1)))
        self.to(dtype=dtype, device=device)

    def compose(self, inputs: Tensor, space: JetSpace, tape: Tape | None = None) -> Tensor:
        values = inputs.mT.contiguous()  # points last, as in a KAN
        for depth, parameter in enumerate(self.weights):
            if depth:
                values = space.compose(activations.tanh(values[0], space.order), values)
            weight = parameter if tape is None else parameter.detach()
            features, values = values.detach(), weight[:, :-1] @ values
            # a bias multiplies the constant function 1, whose derivatives vanish
            values = torch.cat([values[:1] + weight[:, -1:], values[1:]])
            if tape is not None:
                values = tape.record(values, lambda adjoint, f=features: _weight_jacobian(adjoint, f))
        return values.mT

    def settings(self) -> dict[str, Any]:
        return {"kind": "mlp", "widths": self.widths}

    @staticmethod
    def from_settings(settings: dict[str, Any]) -> MLP:
        return MLP(settings["widths"])
