"""An error estimate: the finite element correction of a network's solution, in a test space richer than the training."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from kinn.formulations.blocks import PointBlock
from kinn.formulations.factor import Factor, SingularTangent
from kinn.formulations.galerkin import GalerkinSpace
from kinn.formulations.growth import grown
from kinn.formulations.indicators import cell_errors, participation, quadratic_parts, seminorms
from kinn.formulations.on_elements import jets_on, nodal_values, relative_h1
from kinn.formulations.parts import Parts
from kinn.formulations.prior import determined_by_data
from kinn.formulations.program import Program
from kinn.formulations.reaction import reading_of
from kinn.formulations.reading import slopes_of
from kinn.formulations.sensitivity import sensitivities
from kinn.formulations.settling import Settling, Unsettled
from kinn.formulations.unknowns import Unknowns
from kinn.geometry import Mesh, Points
from kinn.statement.problem import Problem
from kinn.statement.terms import WeakForm

CELLS = {1: 200, 2: 2000, 3: 1000}
CONCENTRATED = 0.05  # share of the cells that as good as hold the squared error: below this a mesh is refined there
# The part of sensitivities that only quadratic elements hold: above this, and in fewer cells than that, a mesh is refined there.
RESOLVED, SHARP = 0.1, 0.3
FINER = 1.5  # times as many simplices when a part of them is refined; other cells are all refined
LARGEST = {
    1: 100_000,
    2: 60_000,
    3: 12_000,
}  # unknowns of quadratic elements that a direct factorization takes in a second


def estimation_space(problem: Problem, weak: WeakForm, parts: Parts | None = None) -> GalerkinSpace:
    """Quadratic elements on the problem's mesh, refined until they see more than a network is trained on.

    Linear elements on a mesh that is already so fine that quadratic ones would be a large system.
    """
    mesh: Mesh = problem.mesh
    while len(mesh.cells) < CELLS[mesh.dimension]:
        mesh = mesh.refined()
    quadratic = len(mesh.points) * 2**mesh.dimension * len(problem.components)
    return GalerkinSpace(problem, weak, mesh, order=2 if quadratic <= LARGEST[mesh.dimension] else 1, parts=parts)


class Influence(NamedTuple):
    """What observations change by with what they determine, while the statement holds.

    Attributes:
        slopes: (n, q), derivatives in the weights of unknown coefficient fields, then in the free numbers of the parameters.
        changes: (n,), by how much the elements read something else than the trial solution.
        state: (size,), the elements' solution.
    """

    slopes: np.ndarray
    changes: np.ndarray
    state: np.ndarray


@dataclass
class ErrorEstimate:
    """Solves `A e = -R` for the correction e of a trial solution u: R its weak residual, A the derivative of R at u.

    e takes the difference to the given boundary values on the boundary. `|e| / |u|` in H1 is the relative error as far as the
    elements can see it; for a linear statement e is exactly what the finite element method says is missing from u.

    Attributes:
        error: the last correction.
        lacking: why there was none.
        preparation: the seconds that matrix and factorization took in the last call.
    """

    problem: Problem
    space: GalerkinSpace
    smooth: bool
    parts: Parts | None = None
    error: np.ndarray = field(default_factory=lambda: np.zeros(0), repr=False)
    lacking: str = ""
    preparation: float = 0.0
    _factor: Any = field(default=None, repr=False)
    _tangent: Any = field(default=None, repr=False)
    _settling: Any = field(default=None, repr=False)
    _open: Any = field(default=None, repr=False)
    _growth: list[np.ndarray] = field(default_factory=list, repr=False)
    _ahead: bool = field(default=False, repr=False)
    _sensitivities: np.ndarray = field(default_factory=lambda: np.zeros((0, 0)), repr=False)

    def grow(self, errors: np.ndarray | None = None) -> None:
        """From the next solution on a finer mesh where the last correction is large, if it is so in few cells and there is room;
        or where `errors` (nc,) say."""
        self._move()
        space = self.space
        if errors is None:
            errors = cell_errors(space, self.error)
            if participation(errors) > CONCENTRATED or not self._room():
                return
        self._growth.append(errors)
        self._ahead = True

    def resolve(self) -> None:
        """The same where the last sensitivities are too sharp for the cells: a step to better parameters would be too short."""
        space = self.space
        if self._ahead or space.order < 2 or not self._room():
            return
        errors = np.zeros(len(space.mesh.cells))
        for answer in self._sensitivities.T:
            wholes, parts = seminorms(space, answer), quadratic_parts(space, answer)
            for components in self.problem.fields.values():
                places = [self.problem.index(component) for component in components]
                whole, part = float(wholes[places].sum()), parts[places].sum(0)
                if part.sum() > RESOLVED**2 * whole and participation(part) < SHARP:
                    errors += part / whole
        if errors.any():
            self.grow(errors)

    def _room(self) -> bool:
        return max(2.0, self._finer) * self.space.size <= LARGEST[self.space.mesh.dimension]

    @property
    def _finer(self) -> float:
        return FINER if self.space.mesh.kind.is_simplex else 2.0**self.space.mesh.dimension

    def _move(self) -> None:
        if self._ahead:
            space = self.space
            mesh = grown(space.mesh, self._growth[-1], space.weak)
            self.space = GalerkinSpace(self.problem, space.weak, mesh, space.order, parts=self.parts)
            self.error, self._factor, self._settling, self._ahead = np.zeros(0), None, None, False
            self._sensitivities = np.zeros((space.size, 0))

    @property
    def cost(self) -> float:
        """A size that grows with what the next solution takes."""
        return len(self.space.mesh.cells) * (self._finer if self._ahead else 1.0)

    def growth(self) -> list[Tensor]:
        """The errors that refined the mesh, one after another."""
        return [torch.from_numpy(errors) for errors in self._growth]

    @property
    def keeps(self) -> bool:
        """Whether one factorization serves all solutions."""
        return self.problem.is_linear and not self.problem.parameters

    def correction(self, unknowns: Unknowns) -> tuple[np.ndarray, np.ndarray]:
        """Nodal values (size,) of the correction and of the trial solution."""
        space, parameters = self.space, unknowns.parameters().detach().cpu().double()
        fixed, values = space.essential_values(parameters)
        free = np.setdiff1d(np.arange(space.size), fixed)
        pieces = space.strong_pieces if self.smooth else space.pieces
        jets, self.preparation = jets_on(unknowns.surrogate, pieces), 0.0
        if self._factor is None or not self.keeps:
            start = time.perf_counter()
            here = jets_on(unknowns.surrogate, space.pieces) if self.smooth else jets
            self._tangent = space.tangent(here, parameters)
            self._factor = Factor(space, self._tangent, free)
            self.preparation = time.perf_counter() - start
        residual = space.residual(pieces, jets, parameters)
        trial = nodal_values(unknowns.surrogate, space)
        error = np.zeros(space.size)
        error[fixed] = np.nan_to_num(values - trial[fixed])
        error[space.unruled] = 0.0
        error[free] = self._factor.solve(-residual[free] - self._tangent[free] @ error)
        if self._settling is None:
            self._settling = Settling(space)
        self._open = None
        if self._settling:
            here = jets_on(unknowns.surrogate, self._settling.pieces)
            moved = space.jets_of(error, self._settling.pieces)
            corrected = [z + dz for z, dz in zip(here, moved, strict=True)]
            # conditions determine parameters too, where no data do
            known = self.problem.observations or not self.problem.parameters
            answers = None
            if not known:
                answers = sensitivities(space, jets, parameters, self._factor, self._tangent, pieces)
            motion, self._open = self._settling.shift(self._factor.null, corrected, parameters, answers)
            error += motion
        return error, trial

    def influence(
        self, unknowns: Unknowns, moved: Unknowns | None = None, state: np.ndarray | None = None
    ) -> Influence | None:
        """What all observations change by with what they determine while the statement holds, as the elements say.

        Without a `state` that is the last correction. With one, of other numbers, it is corrected for those of `moved`. None where
        elements have no answer.
        """
        space, moved = self.space, unknowns if moved is None else moved
        trial = nodal_values(unknowns.surrogate, space)
        if len(self.error) != space.size:
            return None
        before, parameters = (one.parameters().detach().cpu().double() for one in (unknowns, moved))
        pieces = space.strong_pieces if self.smooth and state is None else space.pieces
        fields = self._fields(moved)
        if state is not None and fields.size:
            own = fields.any(1)
            state = np.where(own, nodal_values(moved.surrogate, space), state)
        try:
            jets = jets_on(unknowns.surrogate, space.pieces) if state is None else space.jets_of(state)
            tangent = space.tangent(jets, parameters)
            factor = Factor(space, tangent, np.setdiff1d(np.arange(space.size), space.fixed))
        except SingularTangent:
            return None
        if factor.null.shape[1]:
            return None
        if state is None:
            state = trial + self.error
            jets = jets_on(unknowns.surrogate, pieces)
        else:
            change, (fixed, values) = np.zeros(space.size), space.essential_values(parameters)
            change[fixed] = np.nan_to_num(values - state[fixed])
            change[space.unruled] = 0.0
            residual = space.residual(space.pieces, jets, parameters)
            change[factor.free] = factor.solve((-residual - tangent @ change)[factor.free])
            state = state + change
            jets = space.jets_of(state)
        fields[factor.free] = -factor.solve(tangent[factor.free] @ fields)
        self._sensitivities = sensitivities(space, jets, parameters, factor, tangent, pieces)
        answers = np.hstack([self._sensitivities, fields])
        readings = [reading_of(space, data) for data in self.problem.observations]
        start, end = space.values(trial), space.values(state)
        if any(reading.held for reading in readings):  # these need what solves the elements' own equations
            solved = state.copy()
            solved[factor.free] -= factor.solve(
                space.residual(space.pieces, space.jets_of(state), parameters)[factor.free]
            )
            ends = [space.values(solved) if reading.held else end for reading in readings]
        else:
            ends = [end] * len(readings)
        slopes, count = slopes_of(readings, ends, space.values(answers), parameters), len(parameters)
        symbols = zip(self.problem.parameters.values(), moved.free.tolist(), strict=True)
        slopes[:, :count] *= np.array([symbol.slope(number) for symbol, number in symbols])
        pairs = zip(readings, ends, strict=True)
        changes = [reading(own, parameters) - reading.of_trial(unknowns, start, before) for reading, own in pairs]
        return Influence(np.roll(slopes, -count, axis=1), np.concatenate(changes), state)

    def _fields(self, unknowns: Unknowns) -> np.ndarray:
        """(size, q): what unknown coefficient fields change by at the nodes with their weights."""
        space, problem = self.space, self.problem
        columns = determined_by_data(unknowns)
        columns = columns[: len(columns) - len(unknowns.free)]
        found = np.zeros((space.size, len(columns)))
        points, part = Points(space.nodes, np.ones(space.n)), torch.from_numpy(space.part)
        for component in problem.identified:
            program, start = Program([component], problem, free=True), space.n * problem.index(component)
            block = PointBlock("", program, points, unknowns.surrogate, sums=True, part=part)
            rows = [block.jacobian(unknowns, chunk)[1][:, columns] for chunk in block.parts(unknowns)]
            found[start : start + space.n] = torch.cat(rows).cpu().double().numpy()
        return space.vector(found) if len(columns) else found

    def __call__(self, unknowns: Unknowns) -> float | None:
        """The relative H1 error of the worst field; `error` keeps the correction. None where no correction can be found."""
        self.lacking = ""
        self._move()
        try:
            self.error, trial = self.correction(unknowns)
        except (SingularTangent, Unsettled) as singular:
            self.lacking = f"finite elements cannot correct this solution: {singular}"
            return None
        # a motion that nothing determines is no size
        return relative_h1(self.problem, self.space, self.error, self._factor.without_null(trial, self._open))
