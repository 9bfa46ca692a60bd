"""What observations would read of a finite element solution, and how that changes with it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from kinn.formulations.galerkin import GalerkinSpace
from kinn.formulations.integrals import IntegralTerm
from kinn.formulations.program import Program
from kinn.formulations.scaling import pointwise_slopes
from kinn.formulations.sensitivity import sides_of
from kinn.formulations.settling import integral_pieces, integrated
from kinn.formulations.unknowns import Unknowns
from kinn.geometry.cells import shape_functions
from kinn.statement.observations import Observations


class Reading:
    """One set of observations of what elements take at their nodes, `space.values` (size,).

    Attributes:
        held: whether the nodal values must solve the equations of the elements.
    """

    held = False

    def __init__(self, space: GalerkinSpace, data: Observations) -> None:
        self.space, self.count = space, len(data)
        self.term = IntegralTerm(f"data {data.name}", [data.expression], space.problem) if data.is_global else None
        if self.term is not None:
            self.pieces = integral_pieces(space, self.term)
            return
        self.program, points = Program([data.expression], space.problem), np.asarray(data.points)
        self.x = torch.tensor(points)
        self.matrices = jet_matrices(space, points, self.program.jets)
        self.tables = self.program.tabulate(self.x)

    def __call__(self, values: np.ndarray, parameters: Tensor) -> np.ndarray:
        """(n,) of nodal values (size,)."""
        if self.term is not None:
            return np.full(self.count, float(self._integral(self._jets(values), parameters)))
        return self.program(self._at_points(values), self.x, None, parameters, self.tables)[0].numpy()

    def of_trial(self, unknowns: Unknowns, values: np.ndarray, parameters: Tensor) -> np.ndarray:
        """(n,) of a trial solution with nodal values (size,): what a correction of these is added to."""
        return self(values, parameters)

    def derivatives(self, values: np.ndarray, moved: np.ndarray, parameters: Tensor) -> np.ndarray:
        """(n, m): derivatives along changes of the nodal values (size, m)."""
        if self.term is not None:
            with torch.enable_grad():
                jets = [z.requires_grad_() for z in self._jets(values)]
                slopes = torch.autograd.grad(self._integral(jets, parameters), jets, allow_unused=True)
            row, n = np.zeros(len(values)), self.space.n
            for piece, slope in zip(self.pieces, slopes, strict=True):
                for (component, index), own in zip(piece.program.jets, () if slope is None else slope, strict=False):
                    trial = piece.trials[..., 0 if not any(index) else 1 + index.index(1)]
                    local = torch.einsum("ebq,eq->eb", trial, own.view(piece.weight.shape))
                    np.add.at(row, component * n + piece.dofs, local.numpy())
            return np.tile(row @ moved, (self.count, 1))
        with torch.enable_grad():
            z = self._at_points(values).requires_grad_()
            slopes = pointwise_slopes(self.program(z, self.x, None, parameters, self.tables), z)[0].numpy()
        found = np.zeros((self.count, moved.shape[1]))
        for slope, matrix in zip(slopes, self.matrices, strict=True):
            found += slope[:, None] * (matrix @ moved)
        return found

    def _at_points(self, values: np.ndarray) -> Tensor:
        rows = [matrix @ values for matrix in self.matrices]
        return torch.tensor(np.stack(rows)) if rows else self.x.new_zeros(0, self.count)

    def _jets(self, values: np.ndarray) -> list[Tensor]:
        return self.space.jets_of(self.space.vector(values), self.pieces)

    def _integral(self, jets: list[Tensor], parameters: Tensor) -> Tensor:
        assert self.term is not None
        return self.term.values(torch.cat(integrated(self.pieces, jets, parameters)), parameters)[0]


def slopes_of(
    readings: Sequence[Reading], values: Sequence[np.ndarray], moved: np.ndarray, parameters: Tensor
) -> np.ndarray:
    """(n, m): derivatives of all readings, each of nodal values (size,), along their changes `moved` (size, m), the first of which
    are answers to the parameters, on which readings may depend by themselves too."""
    pairs = list(zip(readings, values, strict=True))
    found = np.concatenate([reading.derivatives(own, moved, parameters) for reading, own in pairs])
    for j, (low, high) in enumerate(sides_of(parameters)):
        ends = [np.concatenate([reading(own, side) for reading, own in pairs]) for side in (low, high)]
        found[:, j] += (ends[1] - ends[0]) / float(high[j] - low[j])
    return found


def jet_matrices(
    space: GalerkinSpace, points: np.ndarray, jets: tuple[tuple[int, tuple[int, ...]], ...]
) -> list[sparse.csr_array]:
    """For each jet of value or first derivative the matrix (n, size) that reads it at points (n, d) of nodal values."""
    cells = space.mesh.locate(points)
    place, jacobian = space.mesh.reference(points, cells)
    shapes, slopes = shape_functions(np.asarray(space.basis.elem.doflocs), place)
    slopes = slopes @ np.linalg.inv(jacobian)
    dofs, found = space.dofs[cells], []
    for component, index in jets:
        entries = slopes[:, :, index.index(1)] if any(index) else shapes
        rows = np.repeat(np.arange(len(points)), dofs.shape[1])
        columns = (component * space.n + dofs).ravel()
        found.append(sparse.csr_array((entries.ravel(), (rows, columns)), shape=(len(points), space.size)))
    return found


__all__ = ["Reading", "jet_matrices", "slopes_of"]
