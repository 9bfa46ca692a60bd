"""A network whose weights stay as they are."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from kinn.networks.jets import JetSpace
from kinn.networks.network import Network, Tape


class Held(Network):
    """The function of another network, without weights that training could move; it follows those of the other one."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.n_inputs, self.n_outputs = network.n_inputs, network.n_outputs
        self._network = (network,)  # in a tuple torch does not look for weights

    def compose(self, inputs: Tensor, space: JetSpace, tape: Tape | None = None) -> Tensor:
        with torch.no_grad():
            return self._network[0].compose(inputs, space)

    def settings(self) -> dict[str, Any]:
        return self._network[0].settings()
