"""Sizes of fields and residuals, from the mesh, the conditions and the data: what makes every loss a relative one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from kinn.formulations.lift import essential_values
from kinn.formulations.program import Program
from kinn.formulations.surrogate import Surrogate, select
from kinn.formulations.trial import Trial
from kinn.geometry import Points, sample
from kinn.networks import JetSpace, Network, Tape
from kinn.statement.fields import FieldComponent
from kinn.statement.parameters import Parameter
from kinn.statement.problem import Problem
from kinn.statement.terms import Term

SMALLEST_PART = 1e-2  # of the largest component of a vector field: smaller ones get amplitudes of at least that
PROBE_POINTS = 256
TURNING = 0.3  # of the wave numbers along coordinates, for those of inputs that turn many times in the domain


@dataclass(frozen=True, eq=False)
class Probe:
    """A term with points on which its size is measured."""

    term: Term
    program: Program
    points: Points


def probes_of(problem: Problem, terms: Sequence[Term], programs: dict[str, Program]) -> list[Probe]:
    """Points on the part of the mesh where each term holds."""
    return [Probe(term, programs[term.name], sample_term(problem, term, PROBE_POINTS, seed=1)) for term in terms]


def sample_term(problem: Problem, term: Term, n: int, seed: int, facets: np.ndarray | None = None) -> Points:
    """`n` quasi-random points on the part of the mesh where a term holds, or on the facets given."""
    if facets is None and term.facets is not None:
        facets = np.array(term.facets)
    if facets is not None:
        return sample(problem.mesh, n, seed=seed, facets=facets.tolist())
    return sample(problem.mesh, n, on=term.on or None, seed=seed)


def initial_surrogate(problem: Problem, network: Network, trial: Trial, like: Tensor) -> Surrogate:
    """A surrogate whose inputs lie in [-1, 1] and whose outputs have the size of the values in conditions and data.

    A component that no condition and no datum gives a size keeps amplitude 0 until `with_amplitude` finds it.
    """
    mesh = problem.mesh
    offset, amplitude = torch.zeros(len(problem.components)), torch.zeros(len(problem.components))
    for index, component in enumerate(problem.components):
        values = np.zeros(0) if component in problem.identified else _known_values(problem, component)
        if len(values):
            low, high = values.min(), values.max()
            lifted = trial.lift is not None and trial.lift.holds(index)
            offset[index] = 0.0 if lifted else float(low + high) / 2
            amplitude[index] = float(high - low) / 2
    return Surrogate(
        network,
        like.new_tensor((mesh.upper + mesh.lower) / 2),
        like.new_tensor(mesh.scale),
        offset.to(like),
        amplitude.to(like),
        trial,
    )


def _known_values(problem: Problem, component: FieldComponent) -> np.ndarray:
    found = []
    for other, value, facets in essential_values(problem):
        if other == component and not value.atoms(Parameter, FieldComponent):
            x = torch.as_tensor(sample(problem.mesh, PROBE_POINTS, facets=facets.tolist()).x)
            program = Program([value], problem)
            found.append(program(x.new_zeros(0, len(x)), x, None, None, program.tabulate(x))[0].numpy())
    found += [np.asarray(data.values) for data in problem.observations if data.expression == component]
    return np.concatenate(found) if found else np.zeros(0)


def measure(probes: Sequence[Probe], surrogate: Surrogate, parameters: Tensor) -> tuple[Tensor, Tensor]:
    """Sizes of each term: of its residual where the network is zero (t,), and of its change with each component (t, c).

    The change is the derivative of the residual towards `Waves`: what a field of size 1 that varies over the domain makes
    of the term.
    """
    at_rest, changes = [], []
    zero = replace(surrogate, amplitude=torch.zeros_like(surrogate.amplitude))
    unit = unit_surrogate(surrogate)
    for probe in probes:
        x = torch.as_tensor(probe.points.x).to(surrogate.center)
        normal = None if probe.points.normal is None else torch.as_tensor(probe.points.normal).to(x)
        tables, space = probe.program.tabulate(x), surrogate.space(probe.program.jets)
        with torch.no_grad():
            rest = zero.jets(x, space)
            direction = unit.jets(x, space) - rest
        z = select(rest, probe.program.jets, space).requires_grad_()
        moved = select(direction, probe.program.jets, space)
        values = probe.program(z, x, normal, parameters, tables)
        at_rest.append(values.detach().square().mean().sqrt())
        slopes = torch.stack(pointwise_slopes(values, z)) if len(z) else z.new_zeros(len(values), 0, len(x))
        row = []
        for component in range(direction.shape[-1]):
            own = [k for k, (c, _) in enumerate(probe.program.jets) if c == component]
            row.append((slopes[:, own] * moved[own]).sum(1).square().mean().sqrt())
        changes.append(torch.stack(row))
    return torch.stack(at_rest).detach(), torch.stack(changes).detach()


def pointwise_slopes(values: Tensor, z: Tensor) -> list[Tensor]:
    """Derivatives (jets, n) of each row of `values` (k, n) in the jets `z` (jets, n) of the same point."""
    found = []
    for row in values:
        slope = (
            torch.autograd.grad(row.sum(), z, retain_graph=True, allow_unused=True)[0] if row.requires_grad else None
        )
        found.append(torch.zeros_like(z) if slope is None else slope)
    return found


class Waves(Network):
    """A fixed function that varies in every direction, about as fast as a solution may: `sqrt(2/3) sum_j cos(k_j . x + p_j)`.

    Sizes are measured with it, so that they do not depend on the network that is trained.
    """

    def __init__(self, n_inputs: int, n_outputs: int, n_turning: int = 0) -> None:
        super().__init__()
        self.n_inputs, self.n_outputs, self.n_turning = n_inputs, n_outputs, n_turning

    def compose(self, inputs: Tensor, space: JetSpace, tape: Tape | None = None) -> Tensor:
        total = inputs.new_zeros(inputs.shape[:2])
        axes = torch.arange(inputs.shape[2], dtype=inputs.dtype, device=inputs.device)
        for wave in range(3):
            # incommensurable wave numbers between 1.6 and 3.2, so that no axis and no symmetry is special
            k = (1.6 + 1.6 * ((0.618034 * (1 + wave + 3 * axes)) % 1)) * (1 - 2 * ((axes * (wave + 1)) % 2))
            k[len(k) - self.n_turning :] *= TURNING
            phase = inputs @ k
            cosine = [torch.cos(phase[0] + wave + 0.5 * math.pi * order) for order in range(space.order + 1)]
            total += space.compose(torch.stack(cosine), phase)
        return (total * math.sqrt(2 / 3))[..., None].expand(-1, -1, self.n_outputs)

    def settings(self) -> dict[str, Any]:
        return {"kind": "waves"}


def unit_surrogate(surrogate: Surrogate) -> Surrogate:
    """The surrogate's boundary values and scaling around a smooth field of size 1 that varies over the domain."""
    trial = replace(surrogate.trial, parts=None, modes=())
    turning = sum(wave.size for wave in trial.waves)  # the last inputs
    waves = Waves(trial.n_inputs(len(surrogate.center)), len(surrogate.amplitude), turning)
    return replace(surrogate, network=waves, amplitude=torch.ones_like(surrogate.amplitude), trial=trial)


def with_amplitude(surrogate: Surrogate, at_rest: Tensor, changes: Tensor) -> Surrogate:
    """The surrogate with the amplitude that the terms ask for where it is larger than that of the known values.

    A field of size a changes the terms by `changes a`; it has to cancel `at_rest`.
    """
    total = changes.sum(1)
    asked = torch.where(total > 0, at_rest / total.clamp_min(1e-300), torch.zeros_like(total)).max()
    amplitude = torch.maximum(surrogate.amplitude, asked)
    return replace(surrogate, amplitude=torch.where(amplitude > 0, amplitude, torch.ones_like(amplitude)))


def with_coefficients(surrogate: Surrogate, problem: Problem, at_rest: Tensor, changes: Tensor) -> Surrogate:
    """The surrogate with amplitudes of the unknown coefficient fields.

    A bounded one, whose free field is a logarithm, has 1, one with a guess that guess; any other the value that changes a
    term as much as the rest of the statement does: sizes of the terms `at_rest` (t,) and of their `changes` (t, c).
    """
    places = [problem.index(component) for component in problem.identified]
    ruled = [c for c in range(len(problem.components)) if c not in places]
    amplitude = surrogate.amplitude.clone()
    rest = torch.maximum(at_rest, (changes[:, ruled] * amplitude[ruled]).amax(1) if ruled else at_rest)
    for place, component in zip(places, problem.identified, strict=True):
        expected, own = component.expected, changes[:, place]
        if expected is not None and (expected.bounded or expected.guess):
            amplitude[place] = 1.0 if expected.bounded else abs(expected.guess or 1.0)
        elif bool((own > 0).any()):
            amplitude[place] = torch.where(own > 0, rest / own.clamp_min(1e-300), torch.zeros_like(own)).max()
    return replace(surrogate, amplitude=amplitude)


def term_sizes(surrogate: Surrogate, at_rest: Tensor, changes: Tensor) -> list[float]:
    """The size (t,) of each term: what its residual is divided by to be relative."""
    size = torch.maximum(at_rest, (changes * surrogate.amplitude).square().sum(1).sqrt())
    return [float(s) if s > 0 else 1.0 for s in size]


def fitted(surrogate: Surrogate, whole: np.ndarray, at_rest: np.ndarray, problem: Problem) -> Surrogate:
    """The surrogate with offsets and amplitudes for a solution that takes about the values `whole` (c, n) where it has
    those of `at_rest` (c, n) without its network."""
    offset, amplitude = surrogate.offset.clone(), surrogate.amplitude.clone()
    for components in problem.fields.values():
        places = [problem.index(component) for component in components]
        ranges = {}
        for c in places:
            lifted = surrogate.lift is not None and surrogate.lift.holds(c)
            low, high = float(whole[c].min()), float(whole[c].max())
            if lifted:
                ranges[c] = float(np.abs(whole[c] - at_rest[c]).max())
            else:
                offset[c], ranges[c] = (low + high) / 2, (high - low) / 2
        largest = max(ranges.values()) or 1.0
        for c in places:
            amplitude[c] = max(ranges[c], SMALLEST_PART * largest)
    return replace(surrogate, offset=offset, amplitude=amplitude)
