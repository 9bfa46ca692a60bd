"""The trial solution: a network between the scaling of its inputs and of its outputs, in the trial space of a problem."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from kinn.formulations.lift import Lift
from kinn.formulations.trial import Tables, Trial
from kinn.networks import Inputs, JetSpace, Layer, Network, Tape, Wave, network_from
from kinn.statement.problem import Problem
from kinn.statement.terms import weak_terms

Jet = tuple[int, tuple[int, ...]]


@dataclass(frozen=True, eq=False)
class Surrogate:
    """`u_c(x) = offset_c + amplitude_c N_c(inputs(x))`, with all that the trial space adds to it.

    Points are never stored here. All derivatives are in physical coordinates.
    """

    network: Network
    center: Tensor
    scale: Tensor
    offset: Tensor
    amplitude: Tensor
    trial: Trial = field(default_factory=Trial)

    @property
    def lift(self) -> Lift | None:
        return self.trial.lift

    @property
    def inputs(self) -> Inputs:
        """What the network sees of a point."""
        return Inputs(self.center, self.scale, self.trial.periods or (None,) * len(self.center), self.trial.features)

    def space(self, jets: Iterable[Jet]) -> JetSpace:
        """The smallest space that holds the derivatives that a program reads."""
        return JetSpace.of([index for _, index in jets], len(self.center))

    def tabulate(self, x: Tensor, space: JetSpace, part: Tensor | None = None) -> Tables:
        """What is fixed at points x (n, d), to be made once for each set of points; `part` (n,) where it is known."""
        if part is None and self.trial.parts is not None:
            part = self.trial.part_of(x.detach().cpu().double().numpy())
        return self.trial.tabulate(x, space, self.inputs.jets(x, space), self.offset, self.amplitude, part)

    def jets(self, x: Tensor, space: JetSpace, tape: Tape | None = None, tables: Tables | None = None) -> Tensor:
        """Derivatives (m, n, c) of all components for the multi-indices of `space`."""
        tables = self.tabulate(x, space) if tables is None else tables
        outputs = self.network.compose(tables.inputs, space, tape)
        return self.trial.combine(outputs, space, tables, self.offset, self.amplitude)

    def values(self, x: Tensor, jets: tuple[Jet, ...], part: Tensor | None = None) -> Tensor:
        """The derivatives `jets` = (component, multi-index) at x (n, d): (len(jets), n)."""
        space = self.space(jets)
        return select(self.jets(x, space, tables=self.tabulate(x, space, part)), jets, space)

    def refined(self) -> Surrogate | None:
        """The same function with a richer network, or None."""
        network = self.network.refined()
        return None if network is None else replace(self, network=network)

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Tensors and JSON settings from which `restore` makes this surrogate again."""
        tensors = {f"network.{name}": weight.detach().cpu().clone() for name, weight in self.network.named_parameters()}
        for name in ("center", "scale", "offset", "amplitude"):
            tensors[name] = getattr(self, name).cpu().clone()
        trial = self.trial
        made = {
            "enriched": trial.enriched,
            "singular": trial.singular,
            "lift": trial.lift is not None,
            "layers": [[layer.normal, layer.edge, layer.width] for layer in trial.layers],
            "waves": [wave.vector for wave in trial.waves],
        }
        return tensors, {"network": self.network.settings(), "trial": made}

    @staticmethod
    def restore(
        problem: Problem, tensors: dict[str, Tensor], settings: dict[str, Any], network: Network | None = None
    ) -> Surrogate:
        """Rebuild from `state`; a network of the user's own class must be passed in."""
        made = network_from(settings["network"]) if network is None else network
        prefix = "network."
        made.load_state_dict({name[len(prefix) :]: t for name, t in tensors.items() if name.startswith(prefix)})
        parts = {name: tensors[name] for name in ("center", "scale", "offset", "amplitude")}
        how = settings["trial"]
        trial = Trial.of(problem, weak_terms(problem) if how["enriched"] else None, how["singular"])
        layers = [Layer(tuple(n), edge, width) for n, edge, width in how.get("layers", ())]
        trial = trial.with_features(problem, [*layers, *(Wave(tuple(k)) for k in how.get("waves", ()))])
        return Surrogate(network=made, trial=trial if how["lift"] else replace(trial, lift=None), **parts)


def select(jets: Tensor, wanted: tuple[Jet, ...], space: JetSpace) -> Tensor:
    """The rows (len(wanted), n) of jets (m, n, c) that a program reads."""
    if not wanted:
        return jets.new_zeros(0, jets.shape[1])
    return torch.stack([jets[space.position[index], :, component] for component, index in wanted])
