"""Which combinations of numbers data determine: found from singular vectors and said in words."""

import numpy as np
import pytest

import kinn
from kinn import div, grad
from kinn.inference.identifiability import covariance_of

MESH = kinn.Mesh.box(0, 1, cells=4)
U = kinn.Field("u", MESH)
AT = np.array([[0.2], [0.5], [0.7], [0.9]])


def positive(name, guess=1.0):
    return kinn.Parameter(name, guess=guess, lower=0)


def rod(conductivity, source, values=None):
    """u = source x (1 - x) / (2 conductivity)."""
    values = 0.3 * AT[:, 0] * (1 - AT[:, 0]) if values is None else values
    return kinn.Problem(
        MESH,
        {"heat": -div(conductivity * grad(U)) - source},
        [kinn.Dirichlet(U, 0, on="boundary")],
        [kinn.Observations(U, AT, values, sigma=0.001)],
    )


def test_information_on_all_is_inverted():
    a, b = positive("a"), kinn.Parameter("b", guess=1.0)
    root = np.array([[2.0, 1.0], [0.0, 3.0]])
    covariance, note = covariance_of(root, [a, b], [0.0, 1.0])
    assert note == ""
    assert covariance == pytest.approx(np.linalg.inv(root.T @ root))


@pytest.mark.parametrize(
    ("conductivity", "source", "said"),
    [
        (lambda a, b: a * b, 1.0, "a * b"),
        (lambda a, b: a, lambda a, b: b, "a / b"),
        (lambda a, b: a**2 / b, 1.0, "a / b^(1/2)"),
    ],
)
def test_products_and_ratios(conductivity, source, said):
    a, b = positive("a"), positive("b", 1.5)
    found = kinn.fem.identify(rod(conductivity(a, b), source(a, b) if callable(source) else source))
    assert f"the data do not determine a and b one by one, only {said} (1 direction is undetermined)" in found.note
    for name in ("a", "b"):
        estimated = found.parameters[name]
        assert estimated.sd == np.inf and estimated.lower == 0 and estimated.upper == np.inf


def test_a_sum():
    a, b = kinn.Parameter("a", guess=1.0), kinn.Parameter("b", guess=0.5)
    found = kinn.fem.identify(rod(1.0, a + b))
    assert "do not determine a and b one by one, only a + b" in found.note
    assert found.parameters["a"].estimate + found.parameters["b"].estimate == pytest.approx(0.6, rel=1e-6)


def test_the_network_says_so_too():
    a, b = positive("a"), positive("b", 1.5)
    solution = kinn.solve(rod(a, b), time_limit=20, progress=False)
    assert "do not determine a and b one by one, only a / b" in str(solution)
    assert solution.parameters["a"].sd == np.inf
    ratio = solution.parameters["a"].estimate / solution.parameters["b"].estimate
    assert ratio == pytest.approx(1 / 0.6, rel=1e-2)


@pytest.mark.parametrize("bounds", [{"upper": 1.5, "lower": 0.1}, {"upper": 1.5}, {"lower": 3}])
def test_a_parameter_at_its_bound_is_named(bounds):
    """The data ask for k = 2."""
    mesh = kinn.Mesh.box(0, 1, cells=4)
    u, k = kinn.Field("u", mesh), kinn.Parameter("k", guess=bounds.get("upper", 5) * 0.9, **bounds)
    x = np.linspace(0.1, 0.9, 9)
    problem = kinn.Problem(
        mesh, -div(k * grad(u)) - 2, [kinn.Dirichlet(u, 0, on=("left", "right"))],
        [kinn.Observations(u, x, x * (1 - x) / 2, sigma=1e-3)],
    )  # fmt: skip
    note = kinn.fem.identify(problem).note
    bound = "upper bound 1.5" if "upper" in bounds else "lower bound 3"
    assert f"is at its {bound}: the data ask for more" in note
