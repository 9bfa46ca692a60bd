"""The weak form on test spaces that grow with the network."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import torch
from scipy import sparse
from scipy.sparse import linalg
from torch import Tensor

from kinn.formulations.blocks import Block, PointBlock
from kinn.formulations.correction import Correction
from kinn.formulations.estimate import ErrorEstimate, Influence
from kinn.formulations.features import coarse_cells
from kinn.formulations.form import Form, Judgement
from kinn.formulations.galerkin import NOWHERE, GalerkinSpace
from kinn.formulations.growth import LARGEST_SPACE, grown
from kinn.formulations.indicators import cell_errors
from kinn.formulations.integrals import IntegralBlock, IntegralTerm, measure_integrals, with_offset
from kinn.formulations.mixed import lower_components
from kinn.formulations.null_space import null_space
from kinn.formulations.on_elements import jets_on, nodal_values
from kinn.formulations.parts import Parts
from kinn.formulations.program import Program
from kinn.formulations.scaling import (
    fitted,
    measure,
    probes_of,
    sample_term,
    term_sizes,
    unit_surrogate,
    with_amplitude,
    with_coefficients,
)
from kinn.formulations.strong import CONDITION_WEIGHT
from kinn.formulations.surrogate import Surrogate
from kinn.formulations.trial import Trial
from kinn.formulations.unknowns import Unknowns
from kinn.formulations.weak import WeakBlock
from kinn.geometry import Mesh
from kinn.statement.problem import Problem
from kinn.statement.terms import Term, WeakForm

LARGEST_JUDGE = {1: 100_000, 2: 60_000, 3: 30_000}  # unknowns of the space that judges, for a factorization in seconds


@dataclass
class GalerkinForm(Form):
    """The weak residual against finite elements on the problem's mesh, refined as far as the network needs.

    Attributes:
        mesh: carries the present test space; `judge` refines it.
        parts: of the trial space; elements may jump between them as the trial solutions do.
        corners: where these are singular.
        sizes: for each component the H1 norm that its field is expected to have.
        gains: for each component what one unit of H1 norm makes of the residual in the dual norm.
        wanted: how many tests the present network needs.
        others: general conditions, which stay mean squares at points, with their sizes.
        integrals: conditions on integrals, with their sizes.
    """

    problem: Problem
    weak: WeakForm
    mesh: Mesh
    parts: Parts | None = None
    corners: np.ndarray = field(default_factory=lambda: NOWHERE)
    sizes: list[float] = field(default_factory=list)
    gains: list[float] = field(default_factory=list)
    wanted: int = 1
    others: list[tuple[Term, Program, float]] = field(default_factory=list)
    integrals: list[tuple[IntegralTerm, float]] = field(default_factory=list)
    _lacking: str = ""
    _growth: list[np.ndarray] = field(default_factory=list, repr=False)
    _space: GalerkinSpace | None = field(default=None, repr=False)
    _correction: Correction | None = field(default=None, repr=False)
    _judging: tuple[GalerkinSpace, ErrorEstimate] | None = field(default=None, repr=False)
    _coarse: ErrorEstimate | None = field(default=None, repr=False)

    @staticmethod
    def prepare(
        problem: Problem, weak: WeakForm, surrogate: Surrogate, parameters: Tensor
    ) -> tuple[GalerkinForm, Surrogate]:
        """Measure the terms; returns the form and the surrogate with the amplitude that they ask for."""
        trial = surrogate.trial
        form = GalerkinForm(problem, weak, problem.mesh, trial.parts, trial.corners)
        form._resolve(trial)
        terms = [*weak.other, *null_space(problem, weak).terms()]
        numbers = [IntegralTerm(t.name, t.expressions, problem) for t in terms if t.kind == "integral"]
        surrogate = with_offset(surrogate, numbers, parameters)
        surrogate = form._measure(surrogate, parameters, numbers)
        scales = term_sizes(surrogate, *measure_integrals(numbers, surrogate, parameters))
        form.integrals = list(zip(numbers, scales, strict=True))
        local = [term for term in weak.other if term.kind != "integral"]
        programs = {term.name: Program(term.expressions, problem) for term in local}
        if local:
            at_rest, change = measure(probes_of(problem, local, programs), surrogate, parameters)
            scales = term_sizes(surrogate, at_rest, change)
            form.others = [(term, programs[term.name], s) for term, s in zip(local, scales, strict=True)]
        return form, surrogate

    def _resolve(self, trial: Trial) -> None:
        """Refine the mesh where its cells are too large for layers and waves, while there is room."""
        growth = 1 if self.mesh.kind.is_simplex else 2**self.mesh.dimension  # only simplices are cut here and there
        while growth * len(self.mesh.points) * len(self.problem.components) <= LARGEST_SPACE:
            coarse = coarse_cells(self.mesh, trial.features)
            if not coarse.any():
                return
            self._grow(coarse.astype(float))

    def tests(self) -> GalerkinSpace:
        """The test space in use on the present mesh: quadratic elements; linear ones where these would be very many, and in
        three dimensions as long as the network is small."""
        nodes = len(self.mesh.points) * len(self.problem.components)
        solid = self.mesh.dimension == 3 and 2 * nodes >= self.wanted
        order = 1 if (solid or nodes > LARGEST_SPACE // 2) and not lower_components(self.problem, self.weak) else 2
        if self._space is None or self._space.mesh is not self.mesh or self._space.order != order:
            self._space, self._correction = self._galerkin(self.mesh, order), None
        return self._space

    def _judge_of(self, space: GalerkinSpace) -> ErrorEstimate:
        """The judge of what the tests in `space` train; the same one, with its factorization, as long as they stay."""
        if self._judging is None or self._judging[0] is not space:
            self._judging = space, ErrorEstimate(self.problem, self._judging_space(), smooth=False)
        return self._judging[1]

    def _judging_space(self) -> GalerkinSpace:
        """Quadratic elements on the present mesh where linear ones test; else on the mesh refined once, linear ones there where
        quadratic ones would be too many."""
        cells, components, d = len(self.mesh.cells), len(self.problem.components), self.mesh.dimension
        finer = len(self.mesh.points) * 4**d * components <= LARGEST_JUDGE[d]
        if self.tests().order == 2 and (finer or cells < 2):
            return self._galerkin(self.mesh.refined())
        # never the training space itself: linear elements on finer cells see something else
        return self._galerkin(self.mesh.refined(), 1) if self.tests().order == 2 else self._galerkin(self.mesh)

    def _galerkin(self, mesh: Mesh, order: int = 2) -> GalerkinSpace:
        return GalerkinSpace(self.problem, self.weak, mesh, order, parts=self.parts, corners=self.corners)

    def _measure(self, surrogate: Surrogate, parameters: Tensor, numbers: list[IntegralTerm]) -> Surrogate:
        """Find sizes and gains; returns the surrogate with the amplitude that the terms ask for.

        The sizes are those of the finite element solution on the problem's mesh, linearized at rest.
        """
        space, count = self.tests(), len(self.problem.components)
        still = replace(surrogate, amplitude=torch.zeros_like(surrogate.amplitude))
        values = parameters.detach().cpu().double()
        jets = jets_on(still, space.pieces)
        residual, tangent = space.residual(space.pieces, jets, values), space.tangent(jets, values)
        at_rest, unit = nodal_values(still, space), nodal_values(unit_surrogate(surrogate), space)
        moved, inner = (unit - at_rest).reshape(count, -1), space.h1
        scales = np.maximum(space.norm(unit - at_rest), 1e-300)
        changes = np.zeros((count, count))
        for other in range(count):
            direction = np.zeros((count, space.n))
            direction[other] = moved[other]
            change = (tangent @ direction.ravel()).reshape(count, -1)
            changes[:, other] = [dual_norm(h, c) for h, c in zip(inner, change, strict=True)]
        gains = np.linalg.norm(changes, axis=1) / scales
        self.gains = list(np.where(np.isfinite(gains) & (gains > 0), gains, 1.0))
        self.sizes = [1.0] * count
        correction = Correction(space, tangent, self.sizes, self.gains)
        if not correction.singular:
            fixed, given = space.essential_values(values)
            e = correction(residual, np.nan_to_num(at_rest[fixed] - given))
            whole = space.values(at_rest + e).reshape(count, -1)
            sizes = space.norm(at_rest + e)
            for components in self.problem.fields.values():
                places = [self.problem.index(component) for component in components]
                size = float(np.linalg.norm(sizes[places]))
                if self.problem.identified:  # a first guess of a coefficient may leave nothing of the field
                    known = surrogate.amplitude.cpu().double().numpy() * scales
                    size = max(size, float(np.linalg.norm(known[places])))
                for place in places:
                    self.sizes[place] = size if size > 0 else 1.0
            if not self.problem.parameters and not space.without_equation:
                return fitted(surrogate, whole, space.values(at_rest).reshape(count, -1), self.problem)
        like = surrogate.center
        norms = [dual_norm(h, r) for h, r in zip(inner, residual.reshape(count, -1), strict=True)]
        rest, changes = like.new_tensor(np.nan_to_num(norms, posinf=0.0)), np.nan_to_num(changes, posinf=0.0)
        own_rest, own_changes = measure_integrals(numbers, surrogate, parameters)
        whole_rest, whole_changes = torch.cat([rest, own_rest]), torch.cat([like.new_tensor(changes), own_changes])
        surrogate = with_amplitude(surrogate, whole_rest, whole_changes)
        surrogate = with_coefficients(surrogate, self.problem, whole_rest, whole_changes)
        for c in space.lower if not correction.singular else ():  # no row tells the size of a pressure
            surrogate.amplitude[c] = float(np.ptp(whole[c])) / 2 or 1.0
        if correction.singular:
            sizes = term_sizes(surrogate, rest, like.new_tensor(changes))
            self.sizes = [size / gain for size, gain in zip(sizes, self.gains, strict=True)]
        return surrogate

    def _present(self, unknowns: Unknowns) -> Correction:
        """The correction in the test space at these unknowns; made anew only where it depends on them."""
        space = self.tests()
        if self._correction is None or self.linearizes:
            self._correction = self._corrects(space, unknowns)
        return self._correction

    def _corrects(self, space: GalerkinSpace, unknowns: Unknowns) -> Correction:
        parameters = unknowns.parameters().detach().cpu().double()
        tangent = space.tangent(jets_on(unknowns.surrogate, space.pieces), parameters)
        return Correction(space, tangent, self.sizes, self.gains)

    def blocks(self, unknowns: Unknowns, n: int, seed: int) -> list[Block]:
        self.wanted = n
        while 3 * (size := self.tests().size) < 2 * n and size * 2**self.mesh.dimension <= LARGEST_SPACE:
            self._grow(np.zeros(0))
        space, surrogate = self.tests(), unknowns.surrogate
        blocks: list[Block] = [WeakBlock(self.name, space, self._present(unknowns), surrogate)]
        for number, (term, program, size) in enumerate(self.others):
            points = sample_term(self.problem, term, max(64, n // 8), seed * 64 + number)
            blocks.append(PointBlock(term.name, program, points, surrogate, CONDITION_WEIGHT[term.kind] ** 0.5 / size))
        weight = CONDITION_WEIGHT["integral"] ** 0.5
        blocks += [IntegralBlock(numbers, surrogate, weight / size) for numbers, size in self.integrals]
        return blocks

    def _grow(self, errors: np.ndarray) -> None:
        """Refine the mesh of the tests where `errors` (nc,) are large; everywhere if none are given."""
        self.mesh = grown(self.mesh, errors, self.weak) if len(errors) else self.mesh.refined()
        self._growth.append(errors)

    def state(self) -> dict[str, Tensor]:
        """The errors that refined the mesh: a mesh is what grew from the problem's own, whatever else it carries."""
        return {str(step): torch.from_numpy(errors) for step, errors in enumerate(self._growth)}

    def restore(self, state: dict[str, Tensor]) -> None:
        self.mesh, self._growth = self.problem.mesh, []
        for step in range(len(state)):
            self._grow(state[str(step)].numpy())

    @property
    def linearizes(self) -> bool:
        return not self.problem.is_linear or bool(self.problem.parameters)

    @property
    def lacking(self) -> str:
        return self._lacking

    @property
    def capacity(self) -> int:
        return max(LARGEST_SPACE, self.tests().size)

    @property
    def cost(self) -> float:
        return float(len(self.mesh.cells))

    @property
    def name(self) -> str:
        return " + ".join(self.problem.equations)

    def influence(
        self, unknowns: Unknowns, moved: Unknowns | None = None, state: np.ndarray | None = None
    ) -> Influence | None:
        if not self.problem.observations or self.others or self.integrals:
            return None
        if not self.problem.identified:
            return None if self._judging is None else self._judging[1].influence(unknowns, moved, state)
        # one solve for each weight of a field: on the space of the tests
        if self._coarse is None or self._coarse.space is not self.tests():
            self._coarse = ErrorEstimate(self.problem, self.tests(), smooth=False)
        if state is None and self._coarse(unknowns) is None:
            return None
        return self._coarse.influence(unknowns, moved, state)

    def judge(self, unknowns: Unknowns, n: int) -> Judgement:
        """The correction in the test space of the mesh refined once; then that mesh is refined where the correction is large."""
        space = self.tests()
        estimate = self._judge_of(space)
        finer = estimate.space
        value = None if self.others else estimate(unknowns)
        self._lacking = estimate.lacking
        if value is None:
            block = WeakBlock(self.name, finer, self._corrects(finer, unknowns), unknowns.surrogate)
            return Judgement({self.name: block.loss(unknowns)}, None)
        if space.size < LARGEST_SPACE:
            self._grow(cell_errors(finer, estimate.error, len(self.mesh.cells)))
        ready = estimate.keeps and self.tests() is space
        return Judgement({self.name: value**2}, value, estimate.preparation if ready else 0.0)


def dual_norm(inner: sparse.csc_array, rows: np.ndarray) -> float:
    """The norm of a residual (n,) of one component as a functional on H1."""
    return float(np.sqrt(max(rows @ linalg.spsolve(inner, rows), 0.0)))
