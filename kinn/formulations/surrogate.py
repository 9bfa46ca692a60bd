"""The trial solution: a network between the scaling of its inputs and of its outputs, with boundary values built in."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from kinn.formulations.lift import BoxLift
from kinn.networks import KAN, MLP, JetSpace, Network, Tape
from kinn.statement.problem import Problem

Jet = tuple[int, tuple[int, ...]]


@dataclass(frozen=True, eq=False)
class Surrogate:
    """`u_c(x) = g_c(x) + d_c(x) amplitude_c N_c((x - center) / scale)`; without a lift g is `offset_c` and d is 1.

    Points are never stored here. All derivatives are in physical coordinates.
    """

    network: Network
    center: Tensor
    scale: Tensor
    offset: Tensor
    amplitude: Tensor
    lift: BoxLift | None = None

    def space(self, jets: Iterable[Jet]) -> JetSpace:
        """The smallest space that holds the derivatives that a program reads."""
        return JetSpace.of([index for _, index in jets], len(self.center))

    def tabulate(self, x: Tensor, space: JetSpace) -> tuple[Tensor, Tensor] | None:
        """Jets (m, n, c) of g and of `d amplitude` at points x (n, d), to be made once for each set of points."""
        if self.lift is None:
            return None
        g = x.new_zeros(len(space.indices), len(x), len(self.offset))
        d = torch.zeros_like(g)
        for c, sides in enumerate(self.lift.sides):
            if sides:
                g[..., c] = self.lift.values(c, x, space)
                d[..., c] = self.lift.distance(c, x, space) * self.amplitude[c]
            else:
                g[0, :, c], d[0, :, c] = self.offset[c], self.amplitude[c]
        return g, d

    def jets(
        self, x: Tensor, space: JetSpace, tape: Tape | None = None, tables: tuple[Tensor, Tensor] | None = None
    ) -> Tensor:
        """Derivatives (m, n, c) of all components for the multi-indices of `space`."""
        inner = self.network.jets((x - self.center) / self.scale, space, tape)
        inner = inner * space.rescale(self.scale)[:, None, None]
        if self.lift is None:
            outer = inner * self.amplitude
            return torch.cat([outer[:1] + self.offset, outer[1:]])
        g, d = self.tabulate(x, space) or (inner, inner) if tables is None else tables
        return g + space.multiply(d, inner)

    def values(self, x: Tensor, jets: tuple[Jet, ...]) -> Tensor:
        """The derivatives `jets` = (component, multi-index) at x (n, d): (len(jets), n)."""
        space = self.space(jets)
        return select(self.jets(x, space), jets, space)

    def refined(self) -> Surrogate | None:
        """The same function with a richer network, or None."""
        network = self.network.refined()
        return None if network is None else replace(self, network=network)

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Tensors and JSON settings from which `restore` makes this surrogate again."""
        tensors = {f"network.{name}": weight.detach().cpu().clone() for name, weight in self.network.named_parameters()}
        for name in ("center", "scale", "offset", "amplitude"):
            tensors[name] = getattr(self, name).cpu().clone()
        return tensors, {"network": self.network.settings(), "lift": self.lift is not None}

    @staticmethod
    def restore(
        problem: Problem, tensors: dict[str, Tensor], settings: dict[str, Any], network: Network | None = None
    ) -> Surrogate:
        """Rebuild from `state`; a network of the user's own class must be passed in."""
        makers: dict[str, type[KAN] | type[MLP]] = {"kan": KAN, "mlp": MLP}
        if network is not None:
            made = network
        elif settings["network"]["kind"] in makers:
            made = makers[settings["network"]["kind"]].from_settings(settings["network"])
        else:
            raise ValueError(f"the stored network is a {settings['network'].get('class')}; pass one as network=...")
        prefix = "network."
        made.load_state_dict({name[len(prefix) :]: t for name, t in tensors.items() if name.startswith(prefix)})
        parts = {name: tensors[name] for name in ("center", "scale", "offset", "amplitude")}
        return Surrogate(network=made, lift=BoxLift.of(problem) if settings["lift"] else None, **parts)


def select(jets: Tensor, wanted: tuple[Jet, ...], space: JetSpace) -> Tensor:
    """The rows (len(wanted), n) of jets (m, n, c) that a program reads."""
    if not wanted:
        return jets.new_zeros(0, jets.shape[1])
    return torch.stack([jets[space.position[index], :, component] for component, index in wanted])
