"""Identification by finite elements against estimates and deviations that are known in closed form."""

import numpy as np
import pytest

import kinn
from kinn import div, grad

MESH = kinn.Mesh.box(0, 1, cells=4)
(X,) = MESH.coordinates
U = kinn.Field("u", MESH)
AT = np.array([[0.2], [0.5], [0.7], [0.9]])
NOISE = np.array([0.3, -0.2, 0.1, 0.25])


def rod(observations, k, conditions=None):
    """-(k u')' = 1: u = x (1 - x) / (2 k) between ends at zero, which quadratic elements hold."""
    conditions = [kinn.Dirichlet(U, 0, on="boundary")] if conditions is None else conditions
    return kinn.Problem(MESH, {"heat": -div(k * grad(U)) - 1}, conditions, observations)


@pytest.mark.parametrize("bounds", [{}, {"lower": 0.1}, {"lower": 0.1, "upper": 9.0}, {"upper": 9.0}])
def test_a_conductivity_and_its_deviation(bounds):
    """Least squares in q = 1 / k are linear, with q = sum s_i d_i / sum s_i^2 and deviation sigma / |s|."""
    k, sigma = kinn.Parameter("k", guess=1.3, **bounds), 0.01
    s = AT[:, 0] * (1 - AT[:, 0]) / 2
    data = s / 2.0 + sigma * NOISE
    found = kinn.fem.identify(rod([kinn.Observations(U, AT, data, sigma=sigma)], k))
    q = s @ data / (s @ s)
    estimated = found.parameters["k"]
    assert estimated.estimate == pytest.approx(1 / q, rel=1e-7)
    slope = s / estimated.estimate**2
    assert estimated.sd == pytest.approx(sigma / np.linalg.norm(slope), rel=1e-5)
    assert estimated.lower is not None and estimated.upper is not None
    assert estimated.lower < estimated.estimate < estimated.upper
    assert found.solution(AT) == pytest.approx(q * s, rel=1e-7)


def test_noise_that_is_not_given_is_that_of_the_misfits():
    k, s = kinn.Parameter("k", guess=1.3, lower=0), AT[:, 0] * (1 - AT[:, 0]) / 2
    data = s / 2.0 + 0.002 * NOISE
    found = kinn.fem.identify(rod([kinn.Observations(U, AT, data)], k))
    misfit = data - s * (s @ data / (s @ s))
    assert found.sigmas["u"] == pytest.approx(np.sqrt(misfit @ misfit / 3), rel=1e-4)


def test_parameters_in_boundary_values_fluxes_and_what_is_measured():
    """u = level + flow x, and twice its gain is read, and its mean: all three follow without error."""
    level, flow, gain = (kinn.Parameter(name, guess=1.0) for name in ("level", "flow", "gain"))
    conditions = [kinn.Dirichlet(U, level, on="left"), kinn.Neumann(grad(U), flow, on="right")]
    x = AT[:, 0]
    data = [
        kinn.Observations(2 * gain * U, AT, 2 * 1.5 * (0.4 - 0.7 * x), sigma=0.1),
        kinn.Observations(kinn.Integral(U), values=[0.05], sigma=0.1),
        kinn.Observations(U.diff(X), AT[:1], [-0.7], sigma=0.1),
    ]
    problem = kinn.Problem(MESH, {"heat": -div(grad(U))}, conditions, data)
    found = kinn.fem.identify(problem).parameters
    assert [found[name].estimate for name in ("level", "flow", "gain")] == pytest.approx([0.4, -0.7, 1.5], rel=1e-6)


def test_a_nonlinear_law():
    """-((1 + b u) u')' = 0 from 0 to 1: u + b u^2 / 2 = (1 + b / 2) x."""
    b, true = kinn.Parameter("b", guess=0.5, lower=0), 2.0
    mesh = kinn.Mesh.box(0, 1, cells=32)
    u = kinn.Field("u", mesh)
    values = (-1 + np.sqrt(1 + 2 * true * (1 + true / 2) * AT[:, 0])) / true
    conditions = [kinn.Dirichlet(u, 0, on="left"), kinn.Dirichlet(u, 1, on="right")]
    data = [kinn.Observations(u, AT, values, sigma=0.01)]
    problem = kinn.Problem(mesh, {"heat": -div((1 + b * u) * grad(u))}, conditions, data)
    assert kinn.fem.identify(problem, tolerance=1e-5).parameters["b"].estimate == pytest.approx(true, rel=1e-4)


def test_what_cannot_be_identified_is_refused():
    k = kinn.Parameter("k", guess=1.0, lower=0)
    with pytest.raises(kinn.StatementError, match="identify: the problem has no observations"):
        kinn.fem.identify(rod([], k))
    with pytest.raises(kinn.StatementError, match="identify: the problem has no parameter"):
        kinn.fem.identify(rod([kinn.Observations(U, AT, NOISE)], 1))
    flux = kinn.Condition(kinn.Integral(U) - 1)
    with pytest.raises(kinn.StatementError, match="identify: conditions on integrals are not taken"):
        kinn.fem.identify(rod([kinn.Observations(U, AT, NOISE)], k, [kinn.Neumann(grad(U), 0, on="boundary"), flux]))
