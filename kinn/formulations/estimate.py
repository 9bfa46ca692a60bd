"""An error estimate: the finite element correction of a network's solution, in a test space richer than the training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from torch import Tensor

from kinn.formulations.factor import Factor, SingularTangent
from kinn.formulations.galerkin import GalerkinSpace, Piece
from kinn.formulations.surrogate import Surrogate
from kinn.formulations.unknowns import Unknowns
from kinn.geometry import Mesh
from kinn.statement.problem import Problem
from kinn.statement.terms import WeakForm

CELLS = {1: 200, 2: 2000, 3: 1000}
LARGEST = {
    1: 100_000,
    2: 60_000,
    3: 12_000,
}  # unknowns of quadratic elements that a direct factorization takes in a second


def estimation_space(problem: Problem, weak: WeakForm) -> GalerkinSpace:
    """Quadratic elements on the problem's mesh, refined until they see more than a network is trained on.

    Linear elements on a mesh that is already so fine that quadratic ones would be a large system.
    """
    mesh: Mesh = problem.mesh
    while len(mesh.cells) < CELLS[mesh.dimension]:
        mesh = mesh.refined()
    quadratic = len(mesh.points) * 2**mesh.dimension * len(problem.components)
    return GalerkinSpace(problem, weak, mesh, order=2 if quadratic <= LARGEST[mesh.dimension] else 1)


@dataclass
class ErrorEstimate:
    """Solves `A e = -R` for the correction e of a trial solution u: R its weak residual, A the derivative of R at u.

    e takes the difference to the given boundary values on the boundary. `|e| / |u|` in H1 is the relative error as far as the
    elements can see it; for a linear statement e is exactly what the finite element method says is missing from u.
    """

    problem: Problem
    space: GalerkinSpace
    smooth: bool
    error: np.ndarray = field(default_factory=lambda: np.zeros(0), repr=False)
    lacking: str = ""
    _factor: Any = field(default=None, repr=False)
    _tangent: Any = field(default=None, repr=False)

    def correction(self, unknowns: Unknowns) -> tuple[np.ndarray, np.ndarray]:
        """Nodal values (size,) of the correction and of the trial solution."""
        space, parameters = self.space, unknowns.parameters().detach().cpu().double()
        fixed, values = space.essential_values(parameters)
        free = np.setdiff1d(np.arange(space.size), fixed)
        if self._factor is None or self.problem.parameters or not self.problem.is_linear:
            self._tangent = space.tangent(_jets(unknowns, space.pieces), parameters)
            self._factor = Factor(space, self._tangent, free)
        pieces = space.strong_pieces if self.smooth else space.pieces
        residual = space.residual(pieces, _jets(unknowns, pieces), parameters)
        trial = nodal_values(unknowns.surrogate, space)
        error = np.zeros(space.size)
        error[fixed] = values - trial[fixed]
        error[free] = self._factor.solve(-residual[free] - self._tangent[free] @ error)
        return error, trial

    def __call__(self, unknowns: Unknowns) -> float | None:
        """The relative H1 error of the worst field; `error` keeps the correction. None where no correction can be found."""
        try:
            self.error, trial = self.correction(unknowns)
        except SingularTangent as singular:
            self.lacking = f"finite elements cannot correct this solution: {singular}"
            return None
        n, masses = self.space.basis.N, self.space.masses
        for component in self._factor.floating:  # a constant that nothing determines is no size
            part = slice(component * n, component * n + n)
            trial[part] -= masses @ trial[part] / masses.sum()
        return relative_h1(self.problem, self.space, self.error, trial)


def relative_h1(problem: Problem, space: GalerkinSpace, error: np.ndarray, trial: np.ndarray) -> float:
    """The largest of `|error| / |trial|` in H1 over the fields, vector norms for vectors."""
    errors, sizes = space.norm(error), space.norm(trial)
    worst = 0.0
    for components in problem.fields.values():
        places = [problem.index(component) for component in components]
        size = float(np.linalg.norm(sizes[places]))
        worst = max(worst, float(np.linalg.norm(errors[places])) / size if size > 0 else np.inf)
    return worst


def _jets(unknowns: Unknowns, pieces: Sequence[Piece]) -> list[Tensor]:
    surrogate = unknowns.surrogate
    found = [surrogate.values(piece.x.to(surrogate.center), piece.program.jets).detach() for piece in pieces]
    return [z.to(piece.x) for z, piece in zip(found, pieces, strict=True)]  # elements live on the CPU in float64


def cell_errors(space: GalerkinSpace, error: np.ndarray, n_parents: int) -> np.ndarray:
    """Squared H1 seminorm of a finite element function in each of the `n_parents` cells that `space.mesh` once refined.

    `Mesh.refined` keeps the children of a cell `n_parents` numbers apart.
    """
    dofs = np.asarray(space.basis.element_dofs).T
    trials, weight = space.all_cells
    total = np.zeros(len(dofs))
    for part in error.reshape(len(space.problem.components), -1):
        gradient = np.einsum("eb,ebqk->eqk", part[dofs], trials[..., 1 : 1 + space.mesh.spatial_dimension])
        total += (weight * (gradient**2).sum(-1)).sum(1)
    return total.reshape(-1, n_parents).sum(0)


def nodal_values(surrogate: Surrogate, space: GalerkinSpace) -> np.ndarray:
    """The trial solution at the nodes of all components, (size,)."""
    x: Tensor = surrogate.center.new_tensor(space.nodes)
    d = x.shape[1]
    jets = tuple((component, (0,) * d) for component in range(len(space.problem.components)))
    return surrogate.values(x, jets).detach().cpu().numpy().ravel()
