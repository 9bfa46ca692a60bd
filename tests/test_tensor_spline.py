"""Tensor splines: jets, Jacobians, energies without boundaries, and what stands still while a network trains."""

import numpy as np
import pytest
import sympy as sp
import torch
from scipy.interpolate import RegularGridInterpolator
from scipy.special import gamma, kv

import kinn
from kinn.bases import BSpline
from kinn.formulations import unknowns
from kinn.formulations.energy import weights_of
from kinn.formulations.spline_energy import energy_matrix
from kinn.formulations.system import System
from kinn.networks import KAN, JetSpace, Separate, Tape, TensorSpline, network_from
from kinn.optimize.damping import Quadratic, diagonal_of, scaled
from kinn.solver import plan
from kinn.statement.priors import GaussianField
from kinn.training import Training

SPACE = JetSpace.of([(2, 0), (1, 1), (0, 3)], 2)
AT = torch.rand(7, 2, generator=torch.Generator().manual_seed(3), dtype=torch.float64) * 2 - 1


def filled(spline):
    with torch.no_grad():
        spline.weight.copy_(torch.randn(spline.weight.shape, generator=torch.Generator().manual_seed(1)))
    return spline


def coordinates_of(mesh) -> tuple[sp.Symbol, ...]:
    return mesh.coordinates


def test_jets_are_those_of_sums_of_products():
    spline = filled(TensorSpline(2, 2, basis=BSpline(5, 3)))
    weight = spline.weight.detach().reshape(2, 8, 8)
    one, two = (spline.basis.derivatives(AT[:, axis], 3) for axis in (0, 1))
    jets = spline.jets(AT, SPACE)
    for place, (i, j) in enumerate(SPACE.indices):
        expected = torch.einsum("oab,na,nb->no", weight, one[i], two[j])
        assert torch.allclose(jets[place], expected, rtol=1e-12, atol=1e-12)


def test_an_axis_that_it_does_not_depend_on_has_no_slope():
    spline = filled(TensorSpline(2, 1, axes=(1,), basis=BSpline(3, 4)))
    jets = spline.jets(AT, SPACE)
    assert torch.equal(jets[SPACE.position[1, 0]], torch.zeros(7, 1, dtype=torch.float64))
    assert torch.allclose(jets[0], spline.basis.derivatives(AT[:, 1], 0)[0] @ spline.weight.detach().T)


def test_the_tape_has_the_derivatives_in_all_weights():
    spline, tape = filled(TensorSpline(2, 2, basis=BSpline(3, 2))), Tape()
    adjoint = torch.randn(len(SPACE.indices), 7, 2, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    spline.jets(AT, SPACE, tape)
    found = tape.jacobian([adjoint])
    for n in range(7):
        own = torch.autograd.grad((adjoint[:, n] * spline.jets(AT, SPACE)[:, n]).sum(), spline.weight)[0]
        assert torch.allclose(found[n], own.flatten(), rtol=1e-12, atol=1e-12)


def test_a_coarser_spline_is_the_same_function():
    spline = TensorSpline(2, 1, basis=BSpline(4, 6))
    found = spline.coarser()
    assert found is not None
    coarse, matrix = found
    filled(coarse)
    with torch.no_grad():
        spline.weight.copy_((coarse.weight.flatten() @ matrix).reshape(1, -1))
    assert torch.allclose(spline.jets(AT, SPACE), coarse.jets(AT, SPACE), rtol=1e-10, atol=1e-10)
    assert TensorSpline(2, 1, basis=BSpline(4, 3)).coarser() is None


def test_it_is_stored_by_its_settings():
    spline = TensorSpline(3, 2, axes=(0, 2), basis=BSpline(4, 3))
    again = network_from(spline.settings())
    assert again.settings() == spline.settings() and again.weight.shape == spline.weight.shape


@pytest.mark.parametrize("order", [2, 3])
def test_the_energy_is_that_of_a_matern_field_without_boundaries(order):
    """The covariance of the field at points, also at edges, is the Matern one of deviation 1 (doi:10.1111/j.1467-9868.2011.00777.x)."""
    prior, length, basis = GaussianField(), 0.5, BSpline(6, 24)
    energy = energy_matrix(basis, (0.5, 0.5), prior.derivatives((length, length), 2, order)) / length**2
    points = torch.tensor([[-1.0, -1.0], [-1.0, 0.0], [0.0, 0.0], [0.2, 0.1], [-0.8, -1.0]], dtype=torch.float64)
    local, place = TensorSpline(2, 1, basis=basis)._products(points[None], JetSpace.of([], 2))
    values = torch.zeros(5, len(energy), dtype=torch.float64).scatter(1, place, local[0])
    covariance = values @ torch.linalg.solve(energy, values.T)
    distance = torch.cdist(points, points).numpy() * 0.5
    nu = order - 1
    z = np.maximum(np.sqrt(8 * nu) * distance / length, 1e-12)
    matern = 2 ** (1 - nu) / gamma(nu) * z**nu * kv(nu, z)
    assert np.abs(covariance.numpy() - matern).max() < 0.03


def test_what_is_held_has_no_weights_and_follows_the_other():
    spline, kan = filled(TensorSpline(2, 1, basis=BSpline(3, 2))), KAN([2, 3, 1])
    both = Separate([kan, spline], [[1], [0]])
    held = both.holding([0])
    assert held is not None and held.n_parameters == kan.n_parameters
    assert torch.equal(held.jets(AT, SPACE), both.jets(AT, SPACE))
    with torch.no_grad():
        spline.weight.mul_(2.0)
    assert torch.equal(held.jets(AT, SPACE), both.jets(AT, SPACE))
    assert both.holding([1]) is None  # a KAN is not linear in its weights
    assert Separate([KAN([2, 3, 2])], [[0, 1]]).holding([0]) is None


def test_sparse_normal_equations_are_the_dense_ones(monkeypatch):
    """Of k cos(9 x y) = sin(3 x), where each of 100 weights acts on a few points."""
    mesh = kinn.Mesh.box((0, 0), (1, 1), cells=9)
    x, y = coordinates_of(mesh)
    k = kinn.Field("k", mesh, guess=0.5)
    problem = kinn.Problem(mesh, {"p": k * sp.cos(9 * x * y) - sp.sin(3 * x)})
    kept: list[System] = []
    monkeypatch.setattr(Training, "_system", lambda *a, of=Training._system: kept.append(of(*a)) or kept[-1])
    kinn.solve(problem, steps=1, progress=False)
    loss, gram, gradient = kept[0].normal_equations()
    kept[0].unknowns.sparse = True
    assert kept[0].normal_equations()[0] == pytest.approx(loss, rel=1e-14)
    _, thin, slope = kept[0].normal_equations()
    assert thin.is_sparse and torch.allclose(thin.to_dense(), gram, rtol=1e-12, atol=1e-15)
    assert torch.allclose(slope, gradient, rtol=1e-12, atol=1e-15)
    root = diagonal_of(gram).rsqrt()
    assert torch.equal(diagonal_of(thin.coalesce()), diagonal_of(thin))
    one, other = (Quadratic(scaled(matrix, root), gradient * root).step(1e-3) for matrix in (gram, thin))
    assert one is not None and other is not None
    assert torch.allclose(one[0], other[0], rtol=1e-9, atol=1e-12) and one[1] == pytest.approx(other[1], rel=1e-9)


def test_a_field_without_derivatives_is_found_at_every_place():
    """k Laplace(T) + F = 0: nothing ties one place to the next."""
    mesh = kinn.Mesh.box((0, 0), (2, 2), cells=20)
    x, y = coordinates_of(mesh)
    k = kinn.Field("k", mesh, guess=0.5)
    values = np.random.default_rng(0).uniform(0, 1, (21, 21))
    curvature = 1.0 + x + sp.cos(3 * y)
    table = RegularGridInterpolator((np.linspace(0, 2, 21),) * 2, values)
    image = kinn.Coefficient("image", mesh, lambda x, y: table((np.asarray(x), np.asarray(y))))
    solution = kinn.solve(kinn.Problem(mesh, {"p": (k - image) * curvature}), time_limit=30, progress=False)
    nodes = np.stack(np.meshgrid(*(np.linspace(0, 2, 21),) * 2, indexing="ij"), -1).reshape(-1, 2)
    assert np.abs(solution(nodes) - values.ravel()).max() < 1e-10


def test_a_coefficient_of_the_domain_or_of_a_plane_side_is_a_tensor_spline_by_default():
    mesh = kinn.Mesh.box((0, 0), (1, 1))
    u, k, q = kinn.Field("u", mesh), kinn.Field("k", mesh, guess=1.0, lower=0), kinn.Field("q", mesh, on="left")
    conditions = [kinn.Neumann(k * kinn.grad(u), q, on="left"), kinn.Dirichlet(u, 0, on="right")]
    data = [kinn.Observations(u, [[0.3, 0.4]], [0.1], sigma=0.01)]
    problem = kinn.Problem(mesh, {"heat": -kinn.div(k * kinn.grad(u)) - 1}, conditions, data)
    text = plan(problem).network_text
    assert text.count("tensor spline") == 2
    assert text.endswith("70 weights")  # along the side alone
    assert plan(problem, network="kan").network_text == text
    assert "tensor spline" not in plan(problem, network=dict.fromkeys(("u", "k", "q"), "kan")).network_text


def test_the_components_of_a_vector_coefficient_have_weights_of_their_own():
    mesh = kinn.Mesh.box((0, 0), (1, 1))
    u, b = kinn.Field("u", mesh, components=2), kinn.Field("b", mesh, components=2)
    equations = {"p": -kinn.div(kinn.grad(u[0])) - b[0], "q": -kinn.div(kinn.grad(u[1])) - b[1]}
    data = [kinn.Observations(one, [[0.3, 0.4]], [0.1], sigma=0.01) for one in u]
    problem = kinn.Problem(mesh, equations, [kinn.Dirichlet(u, [0, 0], on="boundary")], data)
    solution = kinn.solve(problem, steps=1, progress=False)
    known = unknowns.Unknowns(problem, solution.result.surrogate, torch.zeros(0, dtype=torch.float64))
    own = [weights_of(known, component) for component in problem.identified]
    assert [len(one) for one in own] == [38**2, 38**2] and not set(own[0].tolist()) & set(own[1].tolist())


def test_an_order_that_a_field_has_no_derivatives_for_is_refused():
    mesh = kinn.Mesh.box((0, 0), (1, 1))
    u, q = kinn.Field("u", mesh), kinn.Field("q", mesh, prior=GaussianField(order=6))
    data = [kinn.Observations(u, [[0.3, 0.4]], [0.1], sigma=0.01)]
    problem = kinn.Problem(mesh, {"p": -kinn.div(kinn.grad(u)) - q}, [kinn.Dirichlet(u, 0, on="boundary")], data)
    with pytest.raises(kinn.StatementError, match="order 6, but the field is a network; give order 4"):
        kinn.solve(problem, network={"u": "kan", "q": "kan"}, progress=False)


def test_a_nonlinear_equation_without_derivatives_keeps_its_network():
    mesh = kinn.Mesh.box((0, 0), (1, 1))
    u = kinn.Field("u", mesh)
    assert "KAN" in plan(kinn.Problem(mesh, {"p": u**2 - 2})).network_text
    assert "tensor spline" in plan(kinn.Problem(mesh, {"p": 3 * u - 2})).network_text
