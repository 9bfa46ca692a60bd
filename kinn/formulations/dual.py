"""The weak form in the dual norm on test spaces that grow with the network."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor

from kinn.formulations.blocks import Block, PointBlock
from kinn.formulations.estimate import ErrorEstimate, cell_errors, nodal_values
from kinn.formulations.form import Form, Judgement
from kinn.formulations.galerkin import GalerkinSpace
from kinn.formulations.program import Program
from kinn.formulations.scaling import measure, probes_of, sample_term, term_sizes, unit_surrogate, with_amplitude
from kinn.formulations.strong import CONDITION_WEIGHT
from kinn.formulations.surrogate import Surrogate
from kinn.formulations.unknowns import Unknowns
from kinn.formulations.weak import ComponentNorm, WeakBlock
from kinn.geometry import Mesh, graded
from kinn.statement.problem import Problem
from kinn.statement.terms import Term, WeakForm

LARGEST_SPACE = 8_000


@dataclass
class DualForm(Form):
    """The weak residual against finite elements on the problem's mesh, refined as far as the network needs.

    Attributes:
        mesh: carries the present test space; `judge` refines it.
        factors: for each component, what one unit of its dual norm and of its boundary norm counts.
        others: general conditions, which stay mean squares at points, with their sizes.
    """

    problem: Problem
    weak: WeakForm
    mesh: Mesh
    factors: list[tuple[float, float]] = field(default_factory=list)
    others: list[tuple[Term, Program, float]] = field(default_factory=list)
    _lacking: str = ""
    _spaces: dict[str, tuple[GalerkinSpace, list[ComponentNorm]]] = field(default_factory=dict, repr=False)

    @staticmethod
    def prepare(
        problem: Problem, weak: WeakForm, surrogate: Surrogate, parameters: Tensor
    ) -> tuple[DualForm, Surrogate]:
        """Measure the terms; returns the form and the surrogate with the amplitude that they ask for."""
        form = DualForm(problem, weak, problem.mesh)
        space, norms = form.tests()
        rest, changes, sizes = form._measure(space, norms, surrogate, parameters)
        surrogate = with_amplitude(surrogate, rest, changes)
        for component, size in enumerate(term_sizes(surrogate, rest, changes)):
            own = changes[component, component].item()
            form.factors.append((1 / size, own / max(sizes[component], 1e-300) / size))
        programs = {term.name: Program(term.expressions, problem) for term in weak.other}
        if weak.other:
            at_rest, change = measure(probes_of(problem, weak.other, programs), surrogate, parameters)
            scales = term_sizes(surrogate, at_rest, change)
            form.others = [(term, programs[term.name], s) for term, s in zip(weak.other, scales, strict=True)]
        return form, surrogate

    def tests(self) -> tuple[GalerkinSpace, list[ComponentNorm]]:
        """The test space in use: quadratic elements on the present mesh (linear ones if it is very fine), and its norms."""
        if self.mesh.identity not in self._spaces:
            components = len(self.problem.components)
            order = 1 if len(self.mesh.points) * components > LARGEST_SPACE // 2 else 2
            space = GalerkinSpace(self.problem, self.weak, self.mesh, order)
            self._spaces = {self.mesh.identity: (space, [ComponentNorm(space, c) for c in range(components)])}
        return self._spaces[self.mesh.identity]

    def _measure(
        self, space: GalerkinSpace, norms: list[ComponentNorm], surrogate: Surrogate, parameters: Tensor
    ) -> tuple[Tensor, Tensor, list[float]]:
        """Dual norms of the residual at rest (c,) and of its change (c, c) with unit components, and these' H1 norms."""
        still = replace(surrogate, amplitude=torch.zeros_like(surrogate.amplitude))
        parameters = parameters.detach().cpu().double()
        found = [still.values(piece.x.to(still.center), piece.program.jets).detach() for piece in space.pieces]
        jets = [z.to(piece.x) for z, piece in zip(found, space.pieces, strict=True)]
        residual = space.residual(space.pieces, jets, parameters)
        tangent = space.tangent(jets, parameters)
        moved = nodal_values(unit_surrogate(surrogate), space) - nodal_values(still, space)
        count, n = len(self.problem.components), space.basis.N

        def dual(rows: np.ndarray, component: int) -> float:
            r = torch.from_numpy(rows[component * n + norms[component].free])
            return float((r @ norms[component].solve(r)).clamp_min(0).sqrt())

        rest = torch.tensor([dual(residual, c) for c in range(count)])
        changes = torch.zeros(count, count)
        for other in range(count):
            direction = np.zeros(space.size)
            direction[other * n : other * n + n] = moved[other * n : other * n + n]
            change = tangent @ direction
            for c in range(count):
                changes[c, other] = dual(change, c)
        return rest.to(surrogate.center), changes.to(surrogate.center), list(space.norm(moved))

    def blocks(self, surrogate: Surrogate, n: int, seed: int) -> list[Block]:
        while (size := self.tests()[0].size) < n and size * 2**self.mesh.dimension <= LARGEST_SPACE:
            self.mesh = self.mesh.refined()
        space, norms = self.tests()
        blocks: list[Block] = [WeakBlock(self.name, space, norms, surrogate, self.factors)]
        for number, (term, program, size) in enumerate(self.others):
            points = sample_term(self.problem, term, max(64, n // 8), seed * 64 + number)
            blocks.append(PointBlock(term.name, program, points, surrogate, CONDITION_WEIGHT[term.kind] ** 0.5 / size))
        return blocks

    @property
    def lacking(self) -> str:
        return self._lacking

    @property
    def capacity(self) -> int:
        return max(LARGEST_SPACE, self.tests()[0].size)

    @property
    def name(self) -> str:
        return " + ".join(self.problem.equations)

    def judge(self, unknowns: Unknowns, n: int) -> Judgement:
        """The correction in the test space of the mesh refined once; then that mesh is refined where the correction is large."""
        space, _ = self.tests()
        estimate = ErrorEstimate(
            self.problem, GalerkinSpace(self.problem, self.weak, self.mesh.refined()), smooth=False
        )
        value = None if self.weak.other else estimate(unknowns)
        self._lacking = estimate.lacking
        if value is None:
            norms = [ComponentNorm(estimate.space, c) for c in range(len(self.problem.components))]
            block = WeakBlock(self.name, estimate.space, norms, unknowns.surrogate, self.factors)
            return Judgement({self.name: block.loss(unknowns)}, None)
        if space.size < LARGEST_SPACE:
            self.mesh = graded(self.mesh, cell_errors(estimate.space, estimate.error, len(self.mesh.cells)))
        return Judgement({self.name: value**2}, value)
