"""A trial solution on finite elements: its jets at their points, its values at their nodes, norms of corrections."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from kinn.formulations.galerkin import GalerkinSpace
from kinn.formulations.pieces import Piece
from kinn.formulations.surrogate import Surrogate
from kinn.statement.problem import Problem


def relative_h1(problem: Problem, space: GalerkinSpace, error: np.ndarray, trial: np.ndarray) -> float:
    """The largest of `|error| / |trial|` in H1 over the fields, vector norms for vectors."""
    errors, sizes = space.norm(error), space.norm(trial)
    worst = 0.0
    for components in problem.fields.values():
        places = [problem.index(component) for component in components]
        if set(places) <= set(space.without_equation):
            continue  # elements have no correction for it
        size = float(np.linalg.norm(sizes[places]))
        wrong = float(np.linalg.norm(errors[places]))
        worst = max(worst, wrong / size if size > 0 else np.inf if wrong > 0 else 0.0)
    return worst


def jets_on(surrogate: Surrogate, pieces: Sequence[Piece]) -> list[Tensor]:
    """The jets that the programs of pieces read, of a trial solution; elements live on the CPU in float64."""
    with torch.no_grad():
        found = [surrogate.values(p.x.to(surrogate.center), p.program.jets, p.part) for p in pieces]
    return [z.to(piece.x) for z, piece in zip(found, pieces, strict=True)]


def nodal_values(surrogate: Surrogate, space: GalerkinSpace) -> np.ndarray:
    """The trial solution at the nodes of all components, (size,), as masters and jumps."""
    x: Tensor = surrogate.center.new_tensor(space.nodes)
    d = x.shape[1]
    jets = tuple((component, (0,) * d) for component in range(len(space.problem.components)))
    with torch.no_grad():
        values = surrogate.values(x, jets, torch.from_numpy(space.part))
    return space.vector(values.cpu().double().numpy().ravel())


__all__ = ["jets_on", "nodal_values", "relative_h1"]
