"""Initial values that contradict what is said of the sides: such problems take the weak form."""

from __future__ import annotations

import pytest
import sympy as sp

import kinn
from kinn import div, grad
from kinn.formulations.choice import choose

MESH = kinn.Mesh.box(0, 1) * kinn.Interval("t", 0, 1)
X, T = MESH.coordinates
U = kinn.Field("u", MESH)
K = kinn.Parameter("k", guess=0.1, lower=0)


@pytest.mark.parametrize(
    "conditions, against",
    [
        ([kinn.Initial(U, 1), kinn.Dirichlet(U, 0, on="left")], "u on left"),
        ([kinn.Initial(U, 1e3 + 0 * X), kinn.Dirichlet(U, 1e3 * (1 + T), on="left")], ""),
        ([kinn.Initial(U, sp.cos(sp.pi * X))], ""),
        ([kinn.Initial(U, sp.sin(sp.pi * X))], "insulated"),
        ([kinn.Initial(U, 1 - X), kinn.Neumann(-K * grad(U), -K, on="left"), kinn.Dirichlet(U, 0, on="right")], ""),
        ([kinn.Initial(U, 1 - X), kinn.Neumann(-K * grad(U), 0, on="left"), kinn.Dirichlet(U, 0, on="right")], "flux"),
        ([kinn.Initial(U, 20), kinn.Robin(K * grad(U), U, 1, 20, on="right")], ""),
        ([kinn.Initial(U, 20), kinn.Robin(K * grad(U), U, 1, 30, on="right")], "exchange"),
    ],
)
def test_a_contradiction_is_found_and_named(conditions, against):
    problem = kinn.Problem(MESH, {"heat": U.diff(T) - div(K * grad(U))}, conditions)
    choice = choose(problem)
    assert choice.form == ("weak" if against else "strong")
    assert against in choice.reason and ("contradict" in choice.reason) == bool(against)


def test_an_oscillation_and_a_given_rate_have_nothing_to_contradict():
    wave = U.diff(T, 2) - div(grad(U))
    conditions = [kinn.Initial(U, sp.cos(sp.pi * X)), kinn.Initial(U.diff(T), 0)]
    assert "contradict" not in choose(kinn.Problem(MESH, {"wave": wave}, conditions)).reason


def test_a_slope_at_an_insulated_wall_is_solved():
    length = kinn.Mesh.box(0, 10) * kinn.Interval("t", 0, 2)
    x, t = length.coordinates
    u = kinn.Field("u", length)
    growth = {"fisher": u.diff(t) - div(0.3 * grad(u)) - 1.4 * u * (1 - u)}
    problem = kinn.Problem(length, growth, [kinn.Initial(u, 0.8 * sp.exp(-((x - 2) ** 2)))])
    solution = kinn.solve(problem, tolerance=5e-3, time_limit=20, progress=False)
    assert solution.error(kinn.fem.solve(problem, tolerance=5e-3))["u"].relative_l2 < 1e-2
