"""One network for each field, behind the interface of a single network, and the way from settings back to networks."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from kinn.networks.held import Held
from kinn.networks.jets import JetSpace
from kinn.networks.kan import KAN
from kinn.networks.mlp import MLP
from kinn.networks.network import Network, Tape
from kinn.networks.tensor_spline import TensorSpline
from kinn.statement.errors import StatementError, suggest


class Separate(Network):
    """Networks side by side: each reads all inputs and gives its own outputs.

    Their weights are disjoint, so on a tape each part records its own layers, one part after another as in `parameters()`.

    Args:
        networks: the parts, which have the same number of inputs.
        outputs: for each part the places of its outputs among all; together they are 0, 1, ..., n_outputs - 1.

    Raises StatementError for parts that do not fit together.

    >>> pair = Separate([KAN([2, 3, 1]), MLP([2, 8, 2])], outputs=[[1], [0, 2]])
    >>> pair.n_inputs, pair.n_outputs
    (2, 3)
    """

    def __init__(self, networks: Sequence[Network], outputs: Sequence[Sequence[int]]) -> None:
        super().__init__()
        widths, places = [part.n_outputs for part in networks], [place for own in outputs for place in own]
        if not networks or widths != [len(own) for own in outputs] or sorted(places) != list(range(len(places))):
            raise StatementError(
                f"networks with {widths} outputs cannot fill the places {[list(own) for own in outputs]}; give each network "
                "as many places as it has outputs, and every place once"
            )
        inputs = [part.n_inputs for part in networks]
        if len(set(inputs)) > 1:
            raise StatementError(
                f"networks with {inputs} inputs stand side by side; give all the same number of inputs"
            )
        if len({id(weight) for part in networks for weight in part.parameters()}) < sum(
            len(list(part.parameters())) for part in networks
        ):
            raise StatementError(
                "two of the networks share weights; give copies, or one network with all their outputs"
            )
        self.parts, self.outputs = nn.ModuleList(networks), [list(own) for own in outputs]
        self.n_inputs, self.n_outputs = inputs[0], len(places)
        self._column = [places.index(place) for place in range(len(places))]

    def _parts(self) -> list[Network]:
        return [part for part in self.parts if isinstance(part, Network)]

    def compose(self, inputs: Tensor, space: JetSpace, tape: Tape | None = None) -> Tensor:
        return torch.cat([part.compose(inputs, space, tape) for part in self._parts()], -1)[..., self._column]

    def weights_of(self, output: int) -> Tensor:
        """The places among all weights of those that an output depends on."""
        start = 0
        for part, places in zip(self._parts(), self.outputs, strict=True):
            if output in places:
                break
            start += part.n_parameters
        return torch.arange(start, start + part.n_parameters)

    def part_of(self, output: int) -> tuple[Network, list[int]]:
        """The part that an output belongs to, and the places of all its outputs."""
        return next(pair for pair in zip(self._parts(), self.outputs, strict=True) if output in pair[1])

    def holding(self, outputs: Iterable[int]) -> Separate | None:
        """The same parts, those of `outputs` without weights that training could move; None where such a part has other outputs
        too, or is not linear in its weights: these cannot be moved in one step."""
        wanted, pairs = set(outputs), list(zip(self._parts(), self.outputs, strict=True))
        if any(wanted & set(places) and not (part.linear and wanted >= set(places)) for part, places in pairs):
            return None
        return Separate([Held(part) if wanted >= set(places) else part for part, places in pairs], self.outputs)

    @property
    def smoothness(self) -> int | None:
        return min((part.smoothness for part in self._parts() if part.smoothness is not None), default=None)

    def refined(self) -> Separate | None:
        """All parts that can be refined are; a part that cannot is copied."""
        finer = [part.refined() for part in self._parts()]
        if all(part is None for part in finer):
            return None
        pairs = zip(finer, self._parts(), strict=True)
        return Separate([copy.deepcopy(old) if new is None else new for new, old in pairs], self.outputs)

    def settings(self) -> dict[str, Any]:
        return {"kind": "separate", "parts": [part.settings() for part in self._parts()], "outputs": self.outputs}

    @staticmethod
    def from_settings(settings: dict[str, Any]) -> Separate:
        return Separate([network_from(part) for part in settings["parts"]], settings["outputs"])


def network_from(settings: dict[str, Any]) -> Network:
    """The network that `settings()` of one describes, with initial weights.

    Raises StatementError for a network of the user's own class, which only the user can build.
    """
    kinds: tuple[Any, ...] = (KAN, MLP, Separate, TensorSpline)
    makers = dict(zip(("kan", "mlp", "separate", "tensor_spline"), kinds, strict=True))
    if settings["kind"] not in makers:
        raise StatementError(f"the stored network is a {settings.get('class')}; pass one as network=...")
    return makers[settings["kind"]].from_settings(settings)


def places_of(names: Iterable[str | tuple[str, ...]], owners: Sequence[str], what: str = "field") -> list[list[int]]:
    """For each name, or tuple of names, the places of its outputs, where output k belongs to `owners[k]`, a `what`.

    Raises StatementError unless every owner is named once.

    >>> places_of(["p", ("u", "v")], owners=["u", "v", "p"])
    [[2], [0, 1]]
    """
    groups = [(name,) if isinstance(name, str) else tuple(name) for name in names]
    named = [name for group in groups for name in group]
    for name in named:
        if name not in owners:
            raise StatementError(f"network= names {name!r}, which is no {what} of the problem{suggest(name, owners)}")
        if named.count(name) > 1:
            raise StatementError(f"network= names the {what} {name!r} twice; give it one network")
    for owner in owners:
        if owner not in named:
            raise StatementError(f"network= has no network for the {what} {owner!r}; give one for each {what}")
    return [[place for place, owner in enumerate(owners) if owner in group] for group in groups]
