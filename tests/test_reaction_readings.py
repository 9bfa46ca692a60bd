"""Measured reactions: elements read them from the weak form, and other data move what they determine at once."""

from typing import Any

import numpy as np
import pytest
import sympy as sp
import torch

import kinn
from kinn import div, grad
from kinn.fem.solve import FemSolution, newton
from kinn.formulations.galerkin import GalerkinSpace
from kinn.formulations.reaction import Reaction, reading_of
from kinn.formulations.reading import Reading, slopes_of
from kinn.formulations.sensitivity import sensitivities
from kinn.report.reactions import boundary_flux
from kinn.statement.terms import weak_terms

TRUTH = {"k": 2.0, "h": 3.0}


def heated(draw=None, noise=1e-2, over="top", factor: Any = 1, sides=("top", "bottom")):
    """Heat from a hot top to a cold bottom and into a source of cold on the way: flow and temperatures tell two numbers."""
    mesh = kinn.Mesh.box((0, 0), (1, 1), cells=6)
    x, y = mesh.coordinates
    u, k, h = kinn.Field("u", mesh), kinn.Parameter("k", guess=1.0, lower=0), kinn.Parameter("h", guess=1.0)
    conditions = [kinn.Dirichlet(u, 1 + y, on=side) for side in sides]
    equation = {"heat": -div(k * (1 + x * y) * grad(u)) + h * sp.exp(2 * x)}
    flow = kinn.Integral(factor * (k * (1 + x * y) * grad(u)).dot(mesh.normal), over=over)
    plain = kinn.Problem(mesh, equation, conditions)
    exact = kinn.fem.solve(plain, tolerance=2e-3, parameters=TRUTH)
    places = np.random.default_rng(0).uniform(0.1, 0.9, (30, 2))
    random = np.random.default_rng(0 if draw is None else draw)
    clean = np.asarray(exact.evaluate([u], places)).ravel()
    flows = np.full(4, boundary_flux(exact, flow.integrand, over) or 1.0)
    data = [
        kinn.Observations(u, places, clean + noise * random.standard_normal(30), sigma=noise),
        kinn.Observations(flow, values=flows * (1 + noise * random.standard_normal(4)), sigma=noise * abs(flows[0]), name="flow"),
    ]  # fmt: skip
    return kinn.Problem(mesh, equation, conditions, data)


def solved(problem, values):
    space = GalerkinSpace(problem, weak_terms(problem), problem.mesh, 2)
    parameters = torch.tensor([values[name] for name in problem.parameters], dtype=torch.float64)
    return space, newton(space, parameters, None), parameters


def test_a_reaction_is_that_of_the_weak_form():
    problem = heated()
    space, found, parameters = solved(problem, TRUTH)
    reading = reading_of(space, problem.observations[1])
    assert isinstance(reading, Reaction)
    fem = FemSolution(space, space.values(found.values).reshape(1, -1), parameters, np.nan, 0.0)
    flow = boundary_flux(fem, problem.observations[1].expression.integrand, "top")
    assert reading(space.values(found.values), parameters) == pytest.approx(np.full(4, flow), rel=1e-10)
    fine = kinn.fem.solve(problem, tolerance=2e-4, parameters=TRUTH)
    best = boundary_flux(fine, problem.observations[1].expression.integrand, "top")
    plain = Reading(space, problem.observations[1])(space.values(found.values), parameters)[0]
    assert flow is not None and best is not None and abs(flow - best) < 0.1 * abs(plain - best)


def test_slopes_are_those_of_solutions_for_other_parameters():
    problem = heated(factor=kinn.Parameter("h", guess=1.0))
    space, found, parameters = solved(problem, TRUTH)
    reading = reading_of(space, problem.observations[1])
    assert isinstance(reading, Reaction)
    answers = sensitivities(space, space.jets_of(found.values), parameters, found.factor, found.tangent)
    moved = np.stack([space.values(column) for column in answers.T], 1)
    slopes = slopes_of([reading], [space.values(found.values)], moved, parameters)
    for j, name in enumerate(problem.parameters):
        ends = [solved(problem, {**TRUTH, name: TRUTH[name] + step}) for step in (1e-4, -1e-4)]
        high, low = (reading(space.values(one.values), p)[0] for _, one, p in ends)
        assert slopes[:, j] == pytest.approx(np.full(4, (high - low) / 2e-4), rel=1e-5)


@pytest.mark.parametrize(
    "changed",
    [{"over": "left"}, {"sides": ("top", "left")}, {"factor": sp.Symbol("x")}, {"sides": ("bottom",)}],
    ids=["a natural side", "held sides that meet", "weighted by a coordinate", "not held"],
)
def test_elsewhere_the_solution_itself_is_read(changed):
    factor = changed.get("factor")
    problem = heated(**{k: v for k, v in changed.items() if k != "factor"})
    data = problem.observations[1]
    if factor is not None:
        node = data.expression
        data = kinn.Observations(
            kinn.Integral(problem.mesh.coordinates[0] * node.integrand, over="top"), values=[1.0], sigma=1.0
        )
    space = GalerkinSpace(problem, weak_terms(problem), problem.mesh, 2)
    assert not reading_of(space, data).held
    assert not reading_of(space, problem.observations[0]).held


def test_other_data_move_the_parameters_at_once():
    """A warm start takes a few steps, and ends as near to finite elements as a run from scratch."""
    start = kinn.solve(heated(), progress=False)
    for draw in (1, 2):
        problem = heated(draw)
        solution, identified = kinn.solve(problem, start=start, progress=False), kinn.fem.identify(problem)
        assert solution.result.steps < 0.5 * start.result.steps
        for name, found in identified.parameters.items():
            assert abs(solution.parameters[name].estimate - found.estimate) < 0.02 * (found.sd or 0)
            assert solution.parameters[name].sd == pytest.approx(found.sd, rel=0.05)
        # the field is that of these parameters
        exact = kinn.fem.solve(
            problem, tolerance=1e-4, parameters={n: p.estimate for n, p in solution.parameters.items()}
        )
        (error,) = solution.error(exact).values()
        assert error.relative_l2 < 2e-3
