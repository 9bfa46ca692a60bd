"""Problems of one coordinate: an edge of a KAN is linear in its weights, and data lead nonlinear ones."""

from __future__ import annotations

import numpy as np
import pytest
import sympy as sp
from scipy.integrate import solve_ivp

import kinn
from kinn import div, grad
from kinn.networks import KAN

MESH = kinn.Mesh.box(0, 8)
(T,) = MESH.coordinates
U = kinn.Field("u", MESH)
AT_REST = [kinn.Dirichlet(U, 1, on="left"), kinn.Condition(U.diff(T), on="left")]


def swing(t, damping=0.4, stiffness=9.0):
    """A damped oscillation from rest at 1."""
    rate = np.sqrt(stiffness - damping**2 / 4)
    return np.exp(-damping * t / 2) * (np.cos(rate * t) + damping / 2 / rate * np.sin(rate * t))


def assert_found(found, **truths):
    """Within 3 standard deviations, which are a few hundredths at most."""
    for name, truth in truths.items():
        assert abs(found[name].estimate - truth) < 3 * found[name].sd < 0.15 * truth


def test_an_oscillation_is_solved_to_all_digits_at_once():
    equation = {"swing": U.diff(T, 2) + 0.4 * U.diff(T) + 9 * U}
    solution = kinn.solve(kinn.Problem(MESH, equation, AT_REST), time_limit=30, progress=False)
    at = np.linspace(0, 8, 201)
    np.testing.assert_allclose(np.ravel(solution(at[:, None])), swing(at), atol=1e-8)
    assert solution.status.label == "converged"
    assert solution.result.estimate is None  # without a weak form; the residual alone says that it is exact


def test_a_steep_front_is_left_to_a_network_of_more_layers():
    line = kinn.Mesh.box(-1, 1)
    (x,) = line.coordinates
    u, front = kinn.Field("u", line), sp.tanh(40 * (x - 0.3))
    problem = kinn.Problem(
        line, {"poisson": -div(grad(u)) + front.diff(x, 2)}, [kinn.Dirichlet(u, front, on="boundary")]
    )
    solution = kinn.solve(problem, steps=150, tolerance=1e-4, progress=False)
    network = solution.result.surrogate.network
    assert isinstance(network, KAN) and len(network.widths) > 2
    assert solution.error({u: front})["u"].relative_l2 < 1e-4


@pytest.mark.parametrize("seed", [0, 1])
def test_rates_of_an_oscillation_from_a_far_guess(seed):
    c, k = kinn.Parameter("c", guess=0.1, lower=0), kinn.Parameter("k", guess=6, lower=0)
    random = np.random.default_rng(seed)
    at = random.uniform(0, 8, 40)
    data = kinn.Observations(U, at[:, None], swing(at) + 0.03 * random.standard_normal(40), sigma=0.03)
    equation = {"swing": U.diff(T, 2) + c * U.diff(T) + k * U}
    found = kinn.solve(
        kinn.Problem(MESH, equation, AT_REST, [data]), seed=seed, time_limit=10, progress=False
    ).parameters
    assert_found(found, c=0.4, k=9.0)


def test_rates_of_growth_whose_trivial_solution_no_residual_sees():
    y, r = kinn.Field("y", MESH), kinn.Parameter("r", guess=1, lower=0)
    capacity = kinn.Parameter("K", guess=5, lower=0)
    grown = solve_ivp(lambda t, s: 1.5 * s * (1 - s / 8), (0, 8), [0.2], rtol=1e-10, atol=1e-12, dense_output=True)
    random = np.random.default_rng(0)
    at = random.uniform(0, 8, 20)
    values = grown.sol(at)[0] + 0.2 * random.standard_normal(20)
    problem = kinn.Problem(
        MESH,
        {"growth": y.diff(T) - r * y * (1 - y / capacity)},
        [kinn.Dirichlet(y, 0.2, on="left")],
        [kinn.Observations(y, at[:, None], values, sigma=0.2)],
    )
    found = kinn.solve(problem, time_limit=20, progress=False).parameters
    assert_found(found, r=1.5, K=8.0)
