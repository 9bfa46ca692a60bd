"""Everything a run may change: the weights of a surrogate and the free numbers of the parameters."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from kinn.formulations.surrogate import Surrogate
from kinn.networks import Separate, TensorSpline
from kinn.statement.parameters import guesses
from kinn.statement.problem import Problem

LARGEST_DENSE = 2500  # unknowns


@dataclass
class Unknowns:
    """Weights and free parameters as one vector theta = (weights, free); bounds hold because parameters are transformed.
    Where `sparse`, Jacobians are made as sparse matrices."""

    problem: Problem
    surrogate: Surrogate
    free: Tensor
    sparse: bool = False

    @staticmethod
    def at_guess(problem: Problem, surrogate: Surrogate, guess: Mapping[Any, float] | None = None) -> Unknowns:
        """Parameters at their guesses, or at those of `guess`, by parameter or name."""
        first = guesses(problem.parameters, guess)
        free = [symbol.to_free(first[name]) for name, symbol in problem.parameters.items()]
        return Unknowns(problem, surrogate, surrogate.center.new_tensor(free))

    def copy(self) -> Unknowns:
        """The same unknowns, which training of these does not move."""
        with torch.no_grad():
            surrogate = replace(self.surrogate, network=copy.deepcopy(self.surrogate.network))
        return Unknowns(self.problem, surrogate, self.free.clone())

    def holding_fields(self) -> Unknowns | None:
        """These unknowns without the weights of unknown coefficient fields: the other weights are the same ones, and move with
        these. None where a network has the weights of both."""
        network, count = self.surrogate.network, len(self.problem.components)
        places = {self.problem.index(component) for component in self.problem.identified}
        if not isinstance(network, Separate):
            return None
        parts = network.n_outputs - len(self.surrogate.trial.modes)
        held = network.holding(place for place in range(parts) if place % count in places)
        return None if held is None else replace(self, surrogate=replace(self.surrogate, network=held))

    @property
    def size(self) -> int:
        return self.surrogate.network.n_parameters + len(self.free)

    @property
    def local(self) -> bool:
        """Whether the residual at a point depends on few of so many unknowns that Jacobians are better sparse matrices."""
        network = self.surrogate.network
        return isinstance(network, TensorSpline) and network.n_parameters > LARGEST_DENSE and not len(self.free)

    def vector(self) -> Tensor:
        return torch.cat([parameters_to_vector(self.surrogate.network.parameters()).detach(), self.free])

    def assign(self, theta: Tensor) -> None:
        n_weights = len(theta) - len(self.free)
        vector_to_parameters(theta[:n_weights], self.surrogate.network.parameters())
        self.free = theta[n_weights:].clone()

    def parameters(self, free: Tensor | None = None) -> Tensor:
        """Values (n_parameters, ...) of the parameters in the statement's units, differentiable in `free`."""
        free = self.free if free is None else free
        rows = []
        for symbol, value in zip(self.problem.parameters.values(), free, strict=True):
            low, high = symbol.lower, symbol.upper
            if low is not None and high is not None:
                rows.append(low + (high - low) * torch.sigmoid(value))
            elif low is not None:
                rows.append(low + torch.exp(value))
            else:
                rows.append(value if high is None else high - torch.exp(value))
        return torch.stack(rows) if rows else free
