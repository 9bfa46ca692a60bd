"""Multilayer perceptrons with jets: the rival every KAN is compared with."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from kinn.networks import activations
from kinn.networks.jets import JetSpace
from kinn.networks.network import Network, Tape


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
        values = inputs
        for depth, weight in enumerate(self.weights):
            if depth:
                values = space.compose(activations.tanh(values[0], space.order), values)
            # the bias multiplies the constant function 1, whose derivatives vanish
            one = values.new_zeros(*values.shape[:2], 1)
            one[0] = 1
            features = torch.cat([values, one], -1)
            values = features @ (weight if tape is None else weight.detach()).T
            if tape is not None:
                kept = features.detach()
                values = tape.record(
                    values, lambda adjoint, f=kept: torch.einsum("mno,mni->noi", adjoint, f).flatten(1)
                )
        return values

    def settings(self) -> dict[str, Any]:
        return {"kind": "mlp", "widths": self.widths}

    @staticmethod
    def from_settings(settings: dict[str, Any]) -> MLP:
        return MLP(settings["widths"])
