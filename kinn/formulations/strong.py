"""The strong form: mean squares of relative residuals at points."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import torch
from torch import Tensor

from kinn.formulations.blocks import Block, PairBlock, PointBlock
from kinn.formulations.choice import Choice
from kinn.formulations.concentrated import concentrated, toward_ends
from kinn.formulations.estimate import ErrorEstimate, Influence, estimation_space
from kinn.formulations.form import Form, Judgement
from kinn.formulations.integrals import IntegralBlock, IntegralTerm, measure_integrals, with_offset
from kinn.formulations.program import Program
from kinn.formulations.scaling import measure, probes_of, sample_term, term_sizes, with_amplitude, with_coefficients
from kinn.formulations.surrogate import Surrogate
from kinn.formulations.system import System
from kinn.formulations.trial import Trial
from kinn.formulations.unknowns import Unknowns
from kinn.geometry import Points
from kinn.statement.fields import FieldComponent
from kinn.statement.problem import Problem
from kinn.statement.terms import Term

# What a relative misfit on the boundary counts against a relative residual in the domain. The residual of an error with
# frequency f is f^2 times the error, so that equal counts would let boundary errors pass; an integral sees the lowest frequency.
CONDITION_WEIGHT = {"essential": 1e3, "natural": 1e2, "condition": 1e2, "periodic": 1e3, "integral": 1.0}
CHECK_SEED = 7919


def _points_of(state: dict[str, Tensor], number: int) -> Points:
    cell = state.get(f"cell {number}")
    return Points(
        state[f"x {number}"].numpy(), state[f"weight {number}"].numpy(), None, None if cell is None else cell.numpy()
    )


def soft_facets(problem: Problem, term: Term, trial: Trial) -> np.ndarray | None:
    """The facets where a boundary term must be trained; None for an equation or integrals. What holds exactly is left out."""
    if term.kind in ("equation", "integral"):
        return None
    if term.kind == "periodic" and trial.periodic:
        return np.zeros(0, dtype=int)
    lift = trial.lift
    facets = problem.mesh.facets_of(term.on) if term.facets is None else np.array(term.facets)
    if term.kind != "essential" or lift is None:
        return facets
    held = np.ones(len(facets), dtype=bool)
    for expression in term.expressions:
        for component in expression.atoms(FieldComponent):
            held &= lift.covers(problem.index(component), facets)
    return facets[~held]


@dataclass(frozen=True)
class StrongForm(Form):
    """Mean squares over quasi-random points of residuals that are divided by the sizes of their terms."""

    problem: Problem
    terms: tuple[Term, ...]
    programs: dict[str, Program]
    sizes: dict[str, float]
    facets: dict[str, np.ndarray | None]
    integrals: dict[str, IntegralTerm]
    estimate: ErrorEstimate | None
    # points that were gathered for the last blocks, by their seed and n
    gathered: dict[tuple[int, ...], dict[int, Points]] = field(default_factory=dict)

    @staticmethod
    def prepare(
        problem: Problem, choice: Choice, surrogate: Surrogate, parameters: Tensor
    ) -> tuple[StrongForm, Surrogate]:
        """Measure the terms; returns the form and the surrogate with the amplitude that they ask for."""
        terms = (*choice.strong, *(choice.left_open.terms() if choice.left_open is not None else ()))
        integrals = {t.name: IntegralTerm(t.name, t.expressions, problem) for t in terms if t.kind == "integral"}
        programs = {t.name: Program(t.expressions, problem) for t in terms if t.kind != "integral"}
        facets = {term.name: soft_facets(problem, term, surrogate.trial) for term in terms}
        local = tuple(t for t in terms if t.name in programs and ((where := facets[t.name]) is None or len(where)))
        open_terms = (*local, *(term for term in terms if term.name in integrals))
        surrogate = with_offset(surrogate, list(integrals.values()), parameters)
        sizes_of = (
            measure(probes_of(problem, local, programs), surrogate, parameters),
            measure_integrals(list(integrals.values()), surrogate, parameters),
        )
        at_rest, changes = (torch.cat(parts) for parts in zip(*sizes_of, strict=True))
        surrogate = with_amplitude(surrogate, at_rest, changes)
        surrogate = with_coefficients(surrogate, problem, at_rest, changes)
        sizes = term_sizes(surrogate, at_rest, changes)
        names = [term.name for term in open_terms]
        estimate = None
        if choice.weak is not None and all(term.kind == "integral" for term in choice.weak.other):
            estimate = ErrorEstimate(problem, estimation_space(problem, choice.weak), smooth=True)
        return StrongForm(
            problem, open_terms, programs, dict(zip(names, sizes, strict=True)), facets, integrals, estimate
        ), surrogate

    @property
    def has_elements(self) -> bool:
        return self.estimate is not None

    @property
    def lacking(self) -> str:
        return "" if self.estimate is None else self.estimate.lacking

    @property
    def cost(self) -> float:
        return 1.0 if self.estimate is None else self.estimate.cost

    def influence(
        self, unknowns: Unknowns, moved: Unknowns | None = None, state: np.ndarray | None = None
    ) -> Influence | None:
        whole = self.problem.observations and not (self.integrals or self.problem.identified)
        if not whole or self.estimate is None:
            return None
        found = self.estimate.influence(unknowns, moved, state)
        if found is not None and state is None:
            self.estimate.resolve()
        return found

    def judge(self, unknowns: Unknowns, n: int) -> Judgement:
        blocks = self.blocks(unknowns, max(2048, n), seed=CHECK_SEED)
        losses = System(unknowns, blocks).losses()
        value = None if self.estimate is None else self.estimate(unknowns)
        if self.estimate is not None and value is not None and not self.estimate.keeps:
            self.estimate.grow()
        return Judgement(losses, value)

    def state(self) -> dict[str, Tensor]:
        found = {} if self.estimate is None else {f"growth {k}": e for k, e in enumerate(self.estimate.growth())}
        for key, gathered in self.gathered.items():
            found["gathered"] = torch.tensor(key)
            for number, points in gathered.items():
                parts = {"x": points.x, "weight": points.weight, "cell": points.cell}
                found |= {f"{what} {number}": torch.from_numpy(p) for what, p in parts.items() if p is not None}
        return found

    def restore(self, state: dict[str, Tensor]) -> None:
        for key in sorted((key for key in state if key.startswith("growth")), key=lambda key: int(key.split()[1])):
            assert self.estimate is not None
            self.estimate.grow(state[key].numpy())
        if "gathered" in state:
            numbers = [int(key.split()[1]) for key in state if key.startswith("x ")]
            self.gathered.clear()
            self.gathered[tuple(state["gathered"].tolist())] = {k: _points_of(state, k) for k in numbers}

    def blocks(self, unknowns: Unknowns, n: int, seed: int) -> list[Block]:
        """One block for each term, with `n` points in the domain and as dense ones on the boundary, from `seed`."""
        blocks: list[Block] = []
        surrogate, gathered = unknowns.surrogate, {}
        known = self.gathered.get((seed, n))
        for number, term in enumerate(self.terms):
            if term.name in self.integrals:
                weight = math.sqrt(CONDITION_WEIGHT["integral"]) / self.sizes[term.name]
                blocks.append(IntegralBlock(self.integrals[term.name], surrogate, weight))
                continue
            facets, count, weight = self.facets[term.name], n, 1.0
            if facets is not None:
                d = self.problem.mesh.dimension
                share = len(facets) / max(len(self.problem.mesh.exterior), 1)
                count = max(16, math.ceil(share * 2 * d * n ** ((d - 1) / d) * 2))
                weight = CONDITION_WEIGHT[term.kind]
            some = partial(sample_term, self.problem, term, seed=seed * 64 + number, facets=facets)
            on_a_line = facets is None and self.problem.mesh.dimension == 1
            points = toward_ends(some, count, seed) if on_a_line else some(count)
            factor = math.sqrt(weight) / self.sizes[term.name]
            points = points if known is None else known.get(number, points)
            block = self._block(term, points, surrogate, factor)
            if known is None and facets is None and isinstance(block, PointBlock):
                single = partial(PointBlock, term.name, self.programs[term.name], surrogate=surrogate)
                found = concentrated(points, block, some, single, unknowns, seed)
                if found is not points:
                    gathered[number], block = found, self._block(term, found, surrogate, factor)
            blocks.append(block)
        if known is None and seed != CHECK_SEED:
            self.gathered.clear()
            self.gathered[seed, n] = gathered
        return blocks

    def _block(self, term: Term, points: Points, surrogate: Surrogate, factor: float) -> Block:
        if term.shift is None:
            return PointBlock(term.name, self.programs[term.name], points, surrogate, factor)
        away = Points(points.x + np.array(term.shift), points.weight)
        near = [expression + jump for expression, jump in zip(term.expressions, term.jumps, strict=True)]
        return PairBlock(
            PointBlock(term.name, self.programs[term.name], away, surrogate, factor),
            PointBlock(term.name, Program(near, self.problem), Points(points.x, points.weight), surrogate, factor),
        )
